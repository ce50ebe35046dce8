"""What to do about every segment, and how much it may cost at most."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked


def profile(segment: str, customers: int, clv: Decimal | str) -> Row:
    return {
        "segment": segment,
        "customers": customers,
        "clv": clv,
        "expected_spend": 999,
        "horizon_days": 365,
        "recommended_action": f"care for {segment}",
        "recommended_action_code": "care",
        "channel": "by post",
        "channel_code": "email",
        "cost_per_contact": "0.05",
    }


def forecasts(of: Row) -> list[Row]:
    """One customer who has all that is expected of a segment, over its horizon and less over a shorter one."""
    longest = {"expected_spend": of["expected_spend"], "clv": of["clv"], "horizon_days": of["horizon_days"]}
    return [longest, {"expected_spend": 1, "clv": 1, "horizon_days": 30}]


def actions(bench: Bench, *profiles: Row, margin: float = 0.4, channels: Sequence[str] = ()) -> list[Row]:
    """The actions of segments, whose customers are to be reached by these channels, else by e-mail."""
    bench.given("segment_profiles", profiles)
    bench.given("contact_costs", [{"email": "0.05", "letter": "1.50", "telephone": "8.00"}])
    bench.given(
        "segments",
        [
            {"customer_id": f"{row['segment']}{number}", "segment": row["segment"], "contact_channel_code": channel}
            for row in profiles
            for number, channel in enumerate(channels or ["email"] * row["customers"])
        ],
    )
    bench.given("clv_forecasts", [forecast for row in profiles for forecast in forecasts(row)])
    bench.given_parameters(margin=margin)
    return bench.run("segment_actions")


def test_spending_is_limited_to_the_expected_margin_rounded_down_to_cents(bench: Bench) -> None:
    lost = profile("Lost", 7, "0.06") | {"channel_code": "none", "cost_per_contact": 0}
    rows = actions(bench, profile("Champions", 3, "200.0099"), lost, profile("Loyal", 1, "5.019"))
    assert picked(rows, "segment", "customers", "expected_margin", "max_spend_per_customer", "max_spend") == [
        ("Champions", 3, Decimal("200.0099"), Decimal("66.66"), Decimal("199.98")),
        ("Lost", 7, Decimal("0.06"), 0, 0),
        ("Loyal", 1, Decimal("5.019"), Decimal("5.01"), Decimal("5.01")),
    ]
    columns = ("recommended_action", "recommended_action_code", "expected_revenue_at_stake", "horizon_days", "margin")
    assert picked(rows, *columns)[0] == ("care for Champions", "care", 999, 365, 0.4)
    assert bench.failed_checks("segment_actions") == []


def test_a_contact_costs_what_its_channel_costs_and_customers_are_counted_by_theirs(bench: Bench) -> None:
    lost = profile("Lost", 5, "0.10") | {"channel_code": "none", "cost_per_contact": 0}
    rows = actions(bench, lost, channels=["telephone", "letter", "letter", "email", "none"])
    counted = ("telephone_customers", "letter_customers", "email_customers", "no_contact_customers")
    assert picked(rows, "cost_per_contact", "cost_of_contacts", *counted) == [(0, Decimal("11.05"), 1, 2, 1, 1)]
    assert bench.failed_checks("segment_actions") == []


def test_what_a_contact_has_to_add_to_pay_for_itself_is_said_beside_what_it_may_cost(bench: Bench) -> None:
    letter = {"channel_code": "letter", "cost_per_contact": "1.50"}
    none = {"channel_code": "none", "cost_per_contact": 0}
    rows = actions(
        bench,
        profile("Champions", 4, "300") | letter,
        profile("Loyal", 4, "6.00") | letter,
        profile("Lost", 4, "0") | none,
    )
    # All of them are affordable; one of them would have to double what is expected.
    assert picked(rows, "segment", "max_spend_per_customer", "break_even_uplift") == [
        ("Champions", 75, 0.02),
        ("Lost", 0, None),
        ("Loyal", Decimal("1.5"), 1.0),
    ]
    assert bench.failed_checks("segment_actions") == []
    bench.given("segment_actions", [rows[0] | {"break_even_uplift": 0.03}, *rows[1:]])
    assert bench.failed_checks("segment_actions") == ["break_even_is_that_of_the_contact"]


@pytest.mark.parametrize(("channel", "cost"), [("email", "0.05"), ("letter", "1.50"), ("telephone", "8.00")])
def test_the_cost_of_a_contact_is_within_its_limit(bench: Bench, channel: str, cost: str) -> None:
    spent = {"channel_code": channel, "cost_per_contact": cost}
    [row] = actions(bench, profile("Can't Lose", 2, 2 * Decimal(cost)) | spent)
    assert row["cost_per_contact"] == row["max_spend_per_customer"] == Decimal(cost)
    assert bench.failed_checks("segment_actions") == []


def test_a_channel_dearer_than_the_limit_breaks_the_contract(bench: Bench) -> None:
    for cost in ("8.00", "7.99"):
        spent = {"channel_code": "telephone", "cost_per_contact": cost}
        actions(bench, profile("Can't Lose", 2, "15.99") | spent)
        assert bench.failed_checks("segment_actions") == ["no_contact_costs_more_than_its_limit"]


def test_spending_nothing_where_a_contact_pays_breaks_the_contract(bench: Bench) -> None:
    for said in ({"channel_code": "none", "cost_per_contact": 0}, {"recommended_action_code": "spend_nothing"}):
        actions(bench, profile("Lost", 2, "0.10") | said)
        assert bench.failed_checks("segment_actions") == ["nothing_is_spent_only_where_no_contact_pays"]


def test_without_money_no_cost_is_stated(bench: Bench) -> None:
    none = {"clv": None, "expected_spend": None, "cost_per_contact": None}
    [row] = actions(bench, profile("Lost", 1, "1") | none)
    bench.given_parameters(has_money=False)
    columns = ("cost_per_contact", "cost_of_contacts", "max_spend", "channel_code", "email_customers")
    assert picked([row], *columns) == [(None, None, None, "email", 1)]
    assert bench.failed_checks("segment_actions") == []


def test_a_segment_without_a_channel_and_too_much_spending_break_the_contract(bench: Bench) -> None:
    actions(bench, profile("Unheard of", 1, "1") | {"channel": None})
    assert bench.failed_checks("segment_actions") == ["every_segment_has_a_channel"]
    [row] = actions(bench, profile("Lost", 2, "1.01"))
    bench.given("segment_actions", [row | {"max_spend_per_customer": "0.51", "max_spend": "1.02"}])
    assert bench.failed_checks("segment_actions") == ["spending_stays_within_the_expected_margin"]
    bench.given("segment_actions", [row | {"email_customers": 1}])
    assert bench.failed_checks("segment_actions") == ["every_customer_is_counted_once"]


def test_figures_that_are_not_those_of_the_forecasts_break_the_contract(bench: Bench) -> None:
    [row] = actions(bench, profile("Lost", 2, "1.01"))
    bench.given("segment_actions", [row | {"expected_revenue_at_stake": "999.0001"}])
    assert bench.failed_checks("segment_actions") == [
        "states_the_figures_of_segment_profiles",
        "totals_are_those_of_clv_forecasts",
    ]
    bench.given("segment_actions", [row])
    bench.given("clv_forecasts", [forecasts(profile("Lost", 2, "1.0101"))[0]])
    assert bench.failed_checks("segment_actions") == ["totals_are_those_of_clv_forecasts"]


@given(customers=st.integers(1, 1_000), tenthousandths=st.integers(0, 10**12))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cent_more_per_customer_would_exceed_the_margin(bench: Bench, customers: int, tenthousandths: int) -> None:
    [row] = actions(bench, profile("Loyal", customers, Decimal(tenthousandths) / 10_000))
    assert row["max_spend"] <= row["expected_margin"]
    assert row["max_spend"] == row["max_spend_per_customer"] * customers
    assert (row["max_spend_per_customer"] + Decimal("0.01")) * customers > row["expected_margin"]
