"""`clv explain`: factors whose product is what is published, and errors that help."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ExplanationError, PublicationError
from clv_pipeline.publication.explain import IN_RFM, explain
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench, Row

TODAY = date(2024, 6, 30)
ANN = {
    "customer_id": "ann-1001",
    "as_of": TODAY,
    "first_purchase_date": date(2023, 6, 30),
    "last_purchase_date": date(2024, 6, 20),
    "tenure_days": 366,
    "days_since_last": 10,
    "recency_days": 356,
    "frequency": 7,
    "orders": 9,
    "revenue": "1234.50",
    "monetary_value": "150.25",
    "r_score": 5,
    "f_score": 4,
    "m_score": 3,
}
DRIVERS = {
    "recent_activity": (0.5, "up"),
    "days_since_last": (0.25, "down"),
    "frequency": (0.125, "up"),
    "event:visit": (0.1, "up"),
    "attribute:age": (0.05, "mixed"),
    "country": (0.0, "mixed"),
}


def forecast(customer: str, horizon: int, **more: Any) -> Row:
    return {
        "customer_id": customer,
        "as_of": TODAY,
        "horizon_days": horizon,
        "model": "hybrid",
        "purchase_model": "hybrid",
        "expected_purchases": 2.5,
        "expected_spend": 300.0,
        "spend_lower": 0.0,
        "spend_upper": 700.0,
        "interval_level": 0.8,
        "p_purchase": 0.8,
        "p_alive": 0.9,
        "clv": 142.5,
        "clv_rank": 2,
        **more,
    }


@pytest.fixture
def settings(shop_settings: Callable[..., Settings]) -> Settings:
    """Settings of a shop whose publication has two customers, with forecasts over 90 and 365 days."""
    settings = shop_settings(forecast={"margin": 0.5})
    folder = settings.published_dir / "current"
    folder.mkdir(parents=True)
    session = Session(duckdb.connect(str(folder / "clv.duckdb")))
    bench = Bench(session)
    others = [ANN | {"customer_id": name, "days_since_last": 200, "frequency": 7} for name in ("bob-2002", "cid-3003")]
    bench.given("rfm", [ANN, *others])
    bench.given(
        "customer_overview",
        [
            ANN
            | {"segment": "Champions", "cluster_name": "big", "value_tier": "high", "recommended_action": "Reward"}
            | {"mean_gap_days": 50.9, "order_value": "120.00", "lifetime_value": "1500.25"}
            | {"next_order_date": date(2024, 8, 1), "horizon_days": 365}
            | {"p_purchase_30_days": 0.2, "p_purchase_90_days": 0.45, "p_purchase_365_days": 0.8}
            | {"historic_value": 400, "predicted_value": "142.50", "total_value": "542.50"}
            | {"average_order_value": "88.89", "usual_gap_days": 48.2, "contact_channel": "letter"},
            others[0]
            | {"segment": "Lost", "frequency": 0, "recommended_action": "Spend nothing"}
            | {
                "contact_channel": "no contact",
                "usual_gap_days": 30.0,
                "overdue_since": date(2024, 3, 1),
                "at_risk": False,
            },
            others[1]
            | {"segment": "At Risk", "recommended_action": "Win back", "contact_channel": "e-mail", "horizon_days": 365}
            | {"usual_gap_days": 1.2, "overdue_since": date(2024, 3, 1), "at_risk": True, "value_at_stake": "1234.5"},
        ],
    )
    bench.given(
        "clv_forecasts",
        [
            forecast("ann-1001", 90, expected_purchases=0.6, expected_spend=77.0, p_purchase=0.45, clv=38.0),
            forecast("ann-1001", 365),
            forecast("bob-2002", 90, expected_purchases=0.0, expected_spend=0.0, clv=0.0, p_purchase=0.0),
            forecast("bob-2002", 365, p_alive=0.05, p_purchase=0.04, expected_purchases=0.05),
            forecast("cid-3003", 365),
        ],
    )
    bench.given(
        "clv_drivers",
        [
            {
                "horizon_days": 365,
                "feature": feature,
                "model": "hybrid",
                "importance": importance,
                "direction": direction,
            }
            for feature, (importance, direction) in DRIVERS.items()
        ],
    )
    bench.given("publication", [{"config_hash": settings.config_hash}])
    session.close()
    return settings


def numbers_of(line: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\.?\d*", line)]


def test_the_factors_multiply_to_the_published_clv(settings: Settings) -> None:
    lines = explain(settings, "ann-1001")
    apart = lines[lines.index("the next 365 days, taken apart") :]
    parts = {
        line[:17].strip(): numbers_of(line[17:])[0] for line in apart if line[:2] in ("  ", "× ", "= ") and line[17:]
    }
    assert parts["P(buy)"] * parts["× purchases"] == pytest.approx(2.5)
    assert parts["P(buy)"] * parts["× purchases"] * parts["× spend"] == pytest.approx(parts["= expected spend"])
    assert parts["= expected spend"] * parts["× discount"] * parts["× margin"] == pytest.approx(parts["= CLV"])
    assert (parts["× margin"], parts["× discount"], parts["= CLV"]) == (0.5, 0.95, 142.5)


def test_it_says_who_the_customer_is_and_where_they_rank(settings: Settings) -> None:
    text = "\n".join(explain(settings, "ann-1001"))
    assert "customer ann-1001, as of June 30, 2024" in text
    assert "first purchase   June 30, 2023, 366 days ago" in text
    assert "purchase days    8 with 9 orders" in text
    assert "R 5 F 4 M 3 (5 best)" in text
    assert "segment          Champions; cluster big; value high" in text
    assert "the next 365 days, taken apart" in text
    assert "rank 2 of 3" in text
    assert "spend of 0.00 to 700.00, made to hold for 80% of customers as likely to buy" in text


def test_it_tells_the_customers_own_numbers_in_a_sentence(settings: Settings) -> None:
    assert explain(settings, "ann-1001")[1] == "bought 8 times, every 51 days on average, silent for 10"
    assert explain(settings, "bob-2002")[1] == "bought once, silent for 200 days"


def test_it_tells_the_rhythm_what_is_at_stake_and_what_to_do_by_which_channel(settings: Settings) -> None:
    ann, bob, cid = (explain(settings, name) for name in ("ann-1001", "bob-2002", "cid-3003"))
    assert "rhythm           usually every 48 days; not overdue" in ann
    assert "to do            Reward; by letter" in ann
    assert any(line.startswith("revenue") and line.endswith(", 88.89 per order") for line in ann)
    assert "rhythm           usually every 30 days; overdue since March 1, 2024" in bob
    assert "to do            Spend nothing" in bob
    assert not any(line.startswith("at risk") for line in [*ann, *bob])
    assert "rhythm           usually every day; overdue since March 1, 2024" in cid
    assert (
        "at risk          1,234.50 at stake: margin at their own rate within 365 days, beyond what is expected" in cid
    )
    assert "to do            Win back; by e-mail" in cid


@pytest.mark.parametrize("horizon", [None, 90])
def test_the_path_is_told_over_all_horizons_whichever_is_taken_apart(settings: Settings, horizon: int | None) -> None:
    lines = explain(settings, "ann-1001", horizon)
    begin = lines.index("the path, by hybrid; what is expected up to and including a day, a mean")
    assert [line.split() for line in lines[begin + 2 : begin + 4]] == [
        ["90", "0.600", "0.4500", "77.00", "38.00", "0.00", "to", "700.00;", "most", "likely", "nothing"],
        ["365", "2.500", "0.8000", "300.00", "142.50", "0.00", "to", "700.00"],
    ]
    assert lines[begin + 4 : begin + 10] == [
        "buys again       0.2000 within 30 days; 0.4500 within 90 days; 0.8000 within 365 days",
        "still a customer with a probability of 0.9000 (p_alive)",
        "order value      120.00 expected of a purchase day",
        "next order       as likely as not by August 1, 2024, 32 days ahead",
        "value            400.00 so far + 142.50 in 365 days = 542.50, in margin",
        "lifetime value   1,500.25, the CLV without a horizon",
    ]


def test_what_was_returned_is_told_beside_what_was_bought(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        money = "gross_revenue = 1300, returned_revenue = 65.5"
        database.execute(f"update customer_overview set {money} where customer_id = 'ann-1001'")
    revenue = (
        "revenue          1,234.50 of 1,300.00 bought, 65.50 returned, 150.25 per repeat purchase day, 88.89 per order"
    )
    assert revenue in explain(settings, "ann-1001")
    assert "returned" not in "\n".join(explain(settings, "bob-2002"))


def test_a_customer_who_returned_everything_is_told_with_what_was_bought_and_returned(settings: Settings) -> None:
    session = Session(duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")))
    bench = Bench(session)
    money = {"gross_revenue": "1100.50", "returned_revenue": "1100.50", "net_revenue": 0}
    bench.given("dim_customer", [{"customer_id": "dee-4004", **money}, {"customer_id": "ann-1001", "gross_revenue": 9}])
    bench.given("publication", [{"config_hash": settings.config_hash, "as_of": TODAY}])
    session.close()
    assert explain(settings, "dee-4004") == [
        "customer dee-4004, as of June 30, 2024",
        "everything was returned: no purchase is left to forecast from, and no other table has the customer",
        "",
        "bought           1,100.50",
        "returned         1,100.50",
        "revenue          0.00",
    ]
    assert explain(settings, "ann-1001")[1].startswith("bought 8 times")
    with pytest.raises(ExplanationError, match="no such customer is published"):
        explain(settings, "eve-5005")


def test_what_has_no_end_or_never_comes_is_told_as_such(settings: Settings) -> None:
    text = "\n".join(explain(settings, "bob-2002"))
    assert "next order       more likely than not there is none" in text
    assert "lifetime value   has no finite limit" in text
    assert "order value" not in text


def test_drivers_are_shown_beside_the_median_customer(settings: Settings) -> None:
    told = {line.split()[0]: line for line in explain(settings, "ann-1001") if line.strip().startswith(tuple(DRIVERS))}
    # What is not important is left out.
    assert list(told) == ["recent_activity", "days_since_last", "frequency"]
    assert told["recent_activity"].endswith("up     no number of it is published to compare")
    assert told["days_since_last"].endswith("down   10 against 200: raises the forecast")
    assert told["frequency"].endswith("up     7 against 7")


def test_drivers_from_events_and_attributes_are_named_in_words(settings: Settings) -> None:
    lines = explain(settings, "ann-1001")
    assert not any("event:" in line or "attribute:age" in line for line in lines)
    [visits] = [line for line in lines if line.startswith("  events: visit ")]
    assert visits.split("up")[1].strip() == "no number of it is published to compare"
    assert any(line.startswith("  attribute: age ") for line in lines)


def test_a_horizon_can_be_chosen_and_may_have_no_drivers(settings: Settings) -> None:
    text = "\n".join(explain(settings, "ann-1001", 90))
    assert "the next 90 days" in text
    assert "77.00" in text
    assert "what moves the forecasts over 90 days is not known" in text


def test_a_customer_of_whom_nothing_is_expected_has_no_quotients(settings: Settings) -> None:
    told = {line[:17].strip(): line[17:].split()[0] for line in explain(settings, "bob-2002", 90) if line[17:]}
    assert {told[factor] for factor in ("× purchases", "× spend", "× discount")} == {"–"}
    assert (told["P(buy)"], told["= expected spend"], told["= CLV"]) == ("0.0000", "0.00", "0.00")


def test_a_publication_of_an_earlier_version_is_explained_as_far_as_it_goes(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        for column in ("mean_gap_days", "order_value", "next_order_date", "lifetime_value"):
            database.execute(f"alter table customer_overview drop column {column}")
        database.execute("update clv_forecasts set spend_lower = null, spend_upper = null, interval_level = null")
        database.execute("update clv_forecasts set p_alive = null")
    lines = explain(settings, "ann-1001")
    assert lines[1] == "bought 8 times, silent for 10 days"
    assert not any(line.startswith(("next order", "lifetime", "order value", "still", "range")) for line in lines)
    assert next(line for line in lines if line.split()[:1] == ["365"]).endswith("none")


def test_an_unknown_margin_is_not_guessed(settings: Settings) -> None:
    changed = settings.model_copy(update={"models": ["bg_nbd"]})
    text = "\n".join(explain(changed, "ann-1001"))
    assert "× margin" not in text
    assert "0.4750  and margin: the settings have changed since" in text


def test_an_unknown_customer_is_answered_with_the_nearest_ids(settings: Settings) -> None:
    with pytest.raises(ExplanationError, match=r"no such customer .*'Bob-202'; the nearest ids are bob-2002, "):
        explain(settings, "Bob-202")


def test_an_unknown_horizon_is_answered_with_the_known_ones(settings: Settings) -> None:
    with pytest.raises(ExplanationError, match="no forecast over 30 days is published; horizons are 90, 365 days"):
        explain(settings, "ann-1001", 30)


def test_numbers_money_and_days_are_those_of_the_locale_and_words_stay_english(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_dir / "current" / "clv.duckdb")) as database:
        database.execute("update publication set currency = 'JPY'")
    german = settings.model_copy(update={"display": settings.display.model_copy(update={"locale": "de-DE"})})
    text = "\n".join(explain(german, "ann-1001")).replace("\N{NO-BREAK SPACE}", " ")
    assert "customer ann-1001, as of 30. Juni 2024" in text
    assert "revenue          1.234 ¥, 150 ¥ per repeat purchase day" in text
    assert "a mean; money in JPY" in text
    assert "0,2000 within 30 days; " in text
    assert "made to hold for 80 % of customers" in text


def test_nothing_published_is_said_so(shop_settings: Callable[..., Settings]) -> None:
    with pytest.raises(PublicationError, match="nothing is published yet; `clv run` publishes"):
        explain(shop_settings(), "ann-1001")


def test_the_command_prints_and_ends_with_a_status(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", lambda _: settings)
    good = CliRunner().invoke(main, ["explain", "ann-1001", "--horizon", "90"])
    assert (good.exit_code, good.stderr) == (0, "")
    assert "the next 90 days" in good.stdout
    bad = CliRunner().invoke(main, ["explain", "nobody"])
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert bad.stderr.startswith("no such customer is published ('nobody'")


def test_every_compared_fact_is_a_driver() -> None:
    from clv_pipeline.evaluation.facts import FACTS

    assert IN_RFM.keys() <= FACTS.keys()
