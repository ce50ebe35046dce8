"""One wide row per customer: its columns are of the longest horizon, its words tell the others and the drivers."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

AS_OF = date(2024, 6, 30)
# customer: (days since last, frequency, revenue, monetary value, spend of the last 365 days)
CUSTOMERS = {
    "ann": (3, 9, "500.50", "40.25", "300"),
    "bob": (30, 2, "90.00", "30.00", "60"),
    "cid": (300, 0, "12.00", "0", "0"),
}
NAME_FACTS = {"cluster_name_facts": '{"value": "high"}'}
DRIVERS = [("recent_activity", 0.4, "up"), ("days_since_last", 0.3, "down"), ("spend_per_purchase", 0.1, "up")]


def driver(feature: str, importance: float | None, direction: str, horizon: int = 365) -> Row:
    return {"horizon_days": horizon, "feature": feature, "importance": importance, "direction": direction}


def forecast(customer: str, horizon: int, **changes: Any) -> Row:
    return {
        "customer_id": customer,
        "horizon_days": horizon,
        "model": "hybrid",
        "purchase_model": "hybrid",
        "expected_purchases": 0.75,
        "expected_spend": 12.345,
        "spend_lower": 0.0,
        "spend_upper": 40.5,
        "interval_level": 0.8,
        "p_purchase": 0.234,
        "p_alive": 0.4,
        "clv": 6.5,
        "clv_rank": 1,
    } | changes


def outlook(customer: str, **changes: Any) -> Row:
    return {
        "customer_id": customer,
        "as_of": AS_OF,
        "model": "hybrid",
        "p_alive": 0.4,
        "value_per_purchase": 16.46,
        "lifetime_value": 60.0,
        "p_purchase_30_days": 0.234,
        "p_purchase_365_days": 0.234,
    } | changes


def overview(
    bench: Bench,
    *,
    customers: dict[str, tuple[Any, ...]] | None = None,
    drivers: list[Row] | None = None,
    forecasts: list[Row] | None = None,
    outlooks: list[Row] | None = None,
    **features: Any,
) -> list[Row]:
    """The overview of CUSTOMERS; `features` are further ones of ann."""
    known = customers or CUSTOMERS
    bench.given(
        "rfm",
        [
            {"customer_id": customer, "as_of": AS_OF, "days_since_last": days, "frequency": frequency}
            | {"last_purchase_date": AS_OF - timedelta(days=days), "orders": frequency + 1}
            | {"revenue": revenue, "monetary_value": value}
            for customer, (days, frequency, revenue, value, _) in known.items()
        ],
    )
    bench.given(
        "dim_customer",
        [
            {"customer_id": customer, "net_revenue": revenue}
            | {"gross_revenue": None if revenue is None else Decimal(revenue) + 5}
            | {"returned_revenue": None if revenue is None else 5}
            for customer, (_, _, revenue, _, _) in known.items()
        ],
    )
    bench.given(
        "segments",
        [
            {"customer_id": customer, "segment": f"of {customer}", "cluster": 2, "value_at_stake": 7}
            | {"recommended_action_code": f"do_{customer}", "recommended_action_facts": "[0.1, 2, 0.05]"}
            | {"contact_channel": "e-mail", "contact_channel_code": "email"}
            for customer in CUSTOMERS
        ],
    )
    bench.given("cluster_names", [{"cluster": k, "cluster_name_code": f"code_{k}"} | NAME_FACTS for k in (1, 2)])
    today = [
        {"customer_id": customer, "cutoff": AS_OF, "spend_365_days": spend, "country": "France"}
        | ({"mean_gap_days": 41.5, **features} if customer == "ann" else {})
        for customer, (*_, spend) in known.items()
    ]
    earlier = [row | {"cutoff": date(2024, 1, 1), "spend_365_days": 999, "country": "Spain"} for row in today]
    bench.given("customer_features", [*today, *earlier])
    now = [
        {"customer_id": customer, "cutoff": AS_OF, "usual_gap_days": 20.0, "overdue_since": overdue_since}
        for customer, overdue_since in zip(CUSTOMERS, (None, None, date(2024, 5, 1)), strict=True)
    ]
    then = [row | {"cutoff": date(2024, 1, 1), "usual_gap_days": 99.0} for row in now]
    bench.given("customer_rhythms", [*now, *then])
    bench.given("clv_drivers", [driver(*stated) for stated in DRIVERS] if drivers is None else drivers)
    served = forecasts or [forecast(customer, h) for customer in CUSTOMERS for h in (365, 30)]
    bench.given("clv_forecasts", served)
    bench.given("customer_outlook", outlooks or [outlook(customer) for customer in CUSTOMERS])
    longest = max(row["horizon_days"] for row in served)
    total = sum(row["expected_spend"] or 0 for row in served if row["horizon_days"] == longest)
    bench.given("forecast_totals", [{"horizon_days": longest, "expected_spend": total}])
    return bench.run("customer_overview")


def words(rows: list[Row]) -> dict[str, list[str] | None]:
    return {row["customer_id"]: row["drivers_in_words"] and row["drivers_in_words"].split("; ") for row in rows}


def test_every_customer_has_one_row_with_what_is_known_today(bench: Bench) -> None:
    rows = overview(bench)
    assert picked(rows, "customer_id", "segment", "revenue", "country") == [
        ("ann", "of ann", Decimal("500.5"), "France"),
        ("bob", "of bob", 90, "France"),
        ("cid", "of cid", 12, "France"),
    ]
    assert bench.failed_checks("customer_overview") == []


def test_the_forecast_columns_are_of_the_longest_horizon_and_words_tell_all(bench: Bench) -> None:
    forecasts = [forecast("ann", 30), forecast("ann", 90, spend_lower=3.0, expected_spend=31.2, p_purchase=0.5)]
    forecasts += [
        forecast(customer, 365, expected_spend=100.0, spend_upper=250.0, clv=50.5, p_purchase=0.75, p_alive=0.8)
        for customer in CUSTOMERS
    ]
    said = {"p_alive": 0.8, "p_purchase_90_days": 0.5, "p_purchase_365_days": 0.75}
    outlooks = [outlook(customer, next_order_date=date(2024, 12, 24), **said) for customer in CUSTOMERS]
    ann, bob, _ = overview(bench, forecasts=forecasts, outlooks=outlooks)
    assert (ann["horizon_days"], ann["expected_spend"], ann["clv"]) == (365, 100, Decimal("50.5"))
    assert ann["forecasts_in_words"] == (
        "30 days: most likely nothing, buys with 23 %, 0.00 to 40.50;"
        " 90 days: spends 31.20, buys with 50 %, 3.00 to 40.50;"
        " 365 days: spends 100.00, buys with 75 %, 0.00 to 250.00"
    )
    assert bob["forecasts_in_words"] == "365 days: spends 100.00, buys with 75 %, 0.00 to 250.00"
    assert bench.failed_checks("customer_overview") == []


@pytest.mark.parametrize(
    ("p_purchase", "told"),
    [(0.0, "0 %"), (0.0099, "under 1 %"), (0.01, "1 %"), (0.99, "99 %"), (0.9951, "over 99 %"), (1.0, "100 %")],
)
def test_no_probability_is_rounded_to_certainty(bench: Bench, p_purchase: float, told: str) -> None:
    ann, *_ = overview(bench, forecasts=[forecast(customer, 30, p_purchase=p_purchase) for customer in CUSTOMERS])
    assert f"buys with {told}, " in ann["forecasts_in_words"]


def test_what_is_said_in_words_is_there_as_codes_and_facts(bench: Bench) -> None:
    forecasts = [forecast("ann", 30), *(forecast(customer, 365, p_purchase=0.5) for customer in CUSTOMERS)]
    ann, bob, _ = overview(bench, forecasts=forecasts)
    assert ann["forecasts_codes"] == "30:most_likely_nothing;365:spends"
    assert json.loads(ann["forecasts_facts"]) == [
        [30, "most_likely_nothing", 0.234, 0.0, 40.5, 12.35],
        [365, "spends", 0.5, 0.0, 40.5, 12.35],
    ]
    assert ann["drivers_codes"] == "recent_activity:more;days_since_last:more;spend_per_purchase:more"
    assert json.loads(ann["drivers_facts"]) == [
        ["recent_activity", "more", 300, 60],
        ["days_since_last", "more", 3, 30],
        ["spend_per_purchase", "more", 40.25, 30],
    ]
    assert picked([bob], "drivers_codes", "drivers_facts") == [(None, None)]
    codes = ("recommended_action_code", "cluster_name_code", "cluster_name_facts")
    assert picked([ann], *codes) == [("do_ann", "code_2", '{"value": "high"}')]


def test_what_has_no_horizon_stands_beside_it(bench: Bench) -> None:
    outlooks = [
        outlook("ann", next_order_date=date(2026, 1, 1), value_per_purchase=16.46),
        outlook("bob", lifetime_value=None, value_per_purchase=30),
        outlook("cid", p_alive=0.4),
    ]
    rows = overview(bench, outlooks=outlooks)
    assert picked(rows, "order_value", "mean_gap_days", "next_order_date", "lifetime_value") == [
        (Decimal("16.46"), 41.5, date(2026, 1, 1), 60),
        (30, None, None, None),
        (Decimal("16.46"), None, None, 60),
    ]
    assert bench.failed_checks("customer_overview") == []


def test_rhythm_values_and_probabilities_stand_in_one_row(bench: Bench) -> None:
    bench.given_parameters(margin=0.5)
    probabilities = {"p_purchase_30_days": 0.234, "p_purchase_90_days": 0.3, "p_purchase_365_days": 0.234}
    ann, _, cid = overview(bench, outlooks=[outlook(customer, **probabilities) for customer in CUSTOMERS])
    assert picked([ann], "average_order_value", "usual_gap_days", "overdue_since", "value_at_stake") == [
        (Decimal("50.05"), 20.0, None, 7)
    ]
    assert picked([cid], "average_order_value", "overdue_since") == [(12, date(2024, 5, 1))]
    assert picked([ann], "historic_value", "predicted_value", "total_value") == [
        (Decimal("250.25"), Decimal("6.5"), Decimal("256.75"))
    ]
    assert picked([ann], *probabilities) == [tuple(probabilities.values())]
    assert bench.failed_checks("customer_overview") == []


def test_without_money_there_are_no_values(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    none = dict.fromkeys(("expected_spend", "spend_lower", "spend_upper", "interval_level", "clv", "clv_rank"))
    silent = {"value_per_purchase": None, "lifetime_value": None}
    customers = {name: (days, frequency, None, None, None) for name, (days, frequency, *_) in CUSTOMERS.items()}
    rows = overview(
        bench,
        customers=customers,
        forecasts=[forecast(customer, 365, **none) for customer in CUSTOMERS],
        outlooks=[outlook(customer, **silent) for customer in CUSTOMERS],
    )
    values = ("average_order_value", "historic_value", "predicted_value", "total_value", "lifetime_value")
    assert set(picked(rows, *values)) == {(None,) * len(values)}
    assert set(picked(rows, "usual_gap_days")) == {(20.0,)}
    assert bench.failed_checks("customer_overview") == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"total_value": 1}, "values_add_up"),
        ({"historic_value": 1}, "values_add_up"),
        ({"overdue_since": date(2024, 7, 1)}, "overdue_is_a_day_of_the_silence"),
        ({"overdue_since": date(2024, 6, 27)}, "overdue_is_a_day_of_the_silence"),
        ({"at_risk": True}, "overdue_is_a_day_of_the_silence"),
        ({"p_purchase_365_days": 0.3}, "probabilities_are_readings_of_the_path"),
        ({"p_purchase_30_days": None}, "probabilities_are_readings_of_the_path"),
        ({"contact_channel_code": None}, "every_word_has_a_code"),
    ],
)
def test_a_row_that_contradicts_itself_breaks_the_contract(bench: Bench, change: Row, broken: str) -> None:
    ann, *others = overview(bench)
    bench.given("customer_overview", [ann | change, *others])
    assert broken in bench.failed_checks("customer_overview")


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"expected_spend": 40.51}, "ranges_hold_the_expected_spend"),
        ({"spend_lower": 12.35}, "ranges_hold_the_expected_spend"),
        ({"spend_upper": None}, "ranges_hold_the_expected_spend"),
        ({"p_purchase": 0.41}, "no_purchase_without_being_alive_and_expected"),
        ({"expected_purchases": 0.23}, "no_purchase_without_being_alive_and_expected"),
        ({"clv": 61.0}, "lifetime_value_is_no_less_than_clv"),
        ({"p_purchase": 0.6, "p_alive": 0.7}, "next_order_agrees_with_the_probability_of_a_purchase"),
        ({"p_alive": 0.3}, "agrees_with_customer_outlook"),
        ({"model": "bg_nbd"}, "agrees_with_customer_outlook"),
    ],
)
def test_a_forecast_that_contradicts_itself_breaks_the_contract(bench: Bench, changes: Row, check: str) -> None:
    overview(bench, forecasts=[forecast(c, 365, **(changes if c == "bob" else {})) for c in CUSTOMERS])
    assert check in bench.failed_checks("customer_overview")


def test_a_next_order_that_the_probability_denies_breaks_the_contract(bench: Bench) -> None:
    overview(bench, outlooks=[outlook(customer, next_order_date=date(2024, 12, 24)) for customer in CUSTOMERS])
    assert bench.failed_checks("customer_overview") == ["next_order_agrees_with_the_probability_of_a_purchase"]


@pytest.mark.parametrize("column", ["expected_spend", "p_purchase", "clv", "clv_rank", "spend_upper"])
def test_another_figure_than_that_of_the_forecasts_breaks_the_contract(bench: Bench, column: str) -> None:
    ann, *others = overview(bench)
    bench.given("customer_overview", [ann | {column: ann[column] + 1}, *others])
    assert "states_what_clv_forecasts_says" in bench.failed_checks("customer_overview")


def test_another_total_than_that_of_forecast_totals_breaks_the_contract(bench: Bench) -> None:
    overview(bench)
    bench.given("forecast_totals", [{"horizon_days": 365, "expected_spend": 37.04}])
    assert bench.failed_checks("customer_overview") == ["total_is_that_of_forecast_totals"]


def test_drivers_are_told_where_a_customer_differs_from_the_median_one_most_important_first(bench: Bench) -> None:
    assert words(overview(bench)) == {
        "ann": [
            "more expected: spend in the last 365 days 300 (median 60)",
            "more expected: days since the last purchase 3 (median 30)",
            "more expected: spend per purchase 40.25 (median 30)",
        ],
        "bob": None,
        "cid": [
            "less expected: spend in the last 365 days 0 (median 60)",
            "less expected: days since the last purchase 300 (median 30)",
            # Who came once has no repeat purchases: what the first one brought.
            "less expected: spend per purchase 12 (median 30)",
        ],
    }


@pytest.mark.parametrize(
    "useless",
    [
        driver("frequency", 0.9, "mixed"),
        driver("frequency", 0.0, "up"),
        driver("frequency", None, "up"),
        driver("frequency", 0.9, "up", horizon=30),
        driver("country", 0.9, "up"),
    ],
    ids=["no direction", "not important", "not measured", "of another horizon", "no number"],
)
def test_a_driver_that_says_nothing_of_a_customer_is_not_told(bench: Bench, useless: Row) -> None:
    assert words(overview(bench, drivers=[useless])) == {"ann": None, "bob": None, "cid": None}


def test_three_drivers_are_told_and_equal_ones_by_name(bench: Bench) -> None:
    names = ("frequency", "spend_per_purchase", "recent_activity", "days_since_last")
    told = words(overview(bench, drivers=[driver(name, 0.5, "up") for name in names]))["cid"]
    assert told is not None
    assert [text.split(": ")[1].split(" 300 ")[0].split(" 0 ")[0] for text in told] == [
        "days since the last purchase",
        "repeat purchases",
        "spend in the last 365 days",
    ]


def test_what_is_not_known_of_a_customer_is_not_told(bench: Bench) -> None:
    stated = [driver("basket_size", 0.5, "up"), driver("product_breadth", 0.4, "up")]
    rows = overview(bench, drivers=stated, lines_per_order=2.5)
    # The only known value is the median.
    assert words(rows) == {"ann": None, "bob": None, "cid": None}


def test_without_a_model_review_there_are_no_drivers(bench: Bench) -> None:
    assert words(overview(bench, drivers=[])) == {"ann": None, "bob": None, "cid": None}
    assert bench.failed_checks("customer_overview") == []


def test_a_customer_without_features_is_missed_by_the_contract(bench: Bench) -> None:
    overview(bench)
    bench.given("customer_features", [{"customer_id": "ann", "cutoff": AS_OF}])
    bench.run("customer_overview")
    assert bench.failed_checks("customer_overview") == [
        "covers_all_customers",
        "states_what_clv_forecasts_says",
        "total_is_that_of_forecast_totals",
        "revenue_is_that_of_dim_customer",
    ]


def test_words_without_a_code_are_caught(bench: Bench) -> None:
    overview(bench)
    bench.given("cluster_names", [])
    bench.run("customer_overview")
    assert bench.failed_checks("customer_overview") == ["every_word_has_a_code"]
