"""What to do about every segment, and how much it may cost at most."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.segments import SEGMENT_OF_SCORES
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
    }


def forecasts(of: Row) -> list[Row]:
    """One customer who has all that is expected of a segment, over its horizon and less over a shorter one."""
    longest = {"expected_spend": of["expected_spend"], "clv": of["clv"], "horizon_days": of["horizon_days"]}
    return [longest, {"expected_spend": 1, "clv": 1, "horizon_days": 30}]


def actions(bench: Bench, *profiles: Row, margin: float = 0.4) -> list[Row]:
    bench.given("segment_profiles", profiles)
    bench.given("clv_forecasts", [forecast for row in profiles for forecast in forecasts(row)])
    bench.given_parameters(margin=margin)
    return bench.run("segment_actions")


def test_spending_is_limited_to_the_expected_margin_rounded_down_to_cents(bench: Bench) -> None:
    rows = actions(bench, profile("Champions", 3, "200.0099"), profile("Lost", 7, "0.06"), profile("Loyal", 1, "5.019"))
    assert picked(rows, "segment", "customers", "expected_margin", "max_spend_per_customer", "max_spend") == [
        ("Champions", 3, Decimal("200.0099"), Decimal("66.66"), Decimal("199.98")),
        ("Lost", 7, Decimal("0.06"), 0, 0),
        ("Loyal", 1, Decimal("5.019"), Decimal("5.01"), Decimal("5.01")),
    ]
    columns = ("recommended_action", "recommended_action_code", "expected_revenue_at_stake", "horizon_days", "margin")
    assert picked(rows, *columns)[0] == ("care for Champions", "care", 999, 365, 0.4)
    assert bench.failed_checks("segment_actions") == []


def test_every_segment_there_is_has_a_channel(bench: Bench) -> None:
    segments = sorted(set(SEGMENT_OF_SCORES.values()))
    rows = actions(bench, *(profile(segment, 1, "1") for segment in segments))
    assert [row["segment"] for row in rows if row["channel"]] == segments
    assert len({row["channel_code"] for row in rows}) == len({row["channel"] for row in rows})
    assert bench.failed_checks("segment_actions") == []


def test_a_segment_without_a_channel_and_too_much_spending_break_the_contract(bench: Bench) -> None:
    actions(bench, profile("Unheard of", 1, "1"))
    assert bench.failed_checks("segment_actions") == ["every_segment_has_a_channel"]
    [row] = actions(bench, profile("Lost", 2, "1.01"))
    bench.given("segment_actions", [row | {"max_spend_per_customer": "0.51", "max_spend": "1.02"}])
    assert bench.failed_checks("segment_actions") == ["spending_stays_within_the_expected_margin"]


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


@given(customers=st.integers(1, 10_000), tenthousandths=st.integers(0, 10**12))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cent_more_per_customer_would_exceed_the_margin(bench: Bench, customers: int, tenthousandths: int) -> None:
    [row] = actions(bench, profile("Loyal", customers, Decimal(tenthousandths) / 10_000))
    assert row["max_spend"] <= row["expected_margin"]
    assert row["max_spend"] == row["max_spend_per_customer"] * customers
    assert (row["max_spend_per_customer"] + Decimal("0.01")) * customers > row["expected_margin"]
