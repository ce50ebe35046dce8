"""Profiles add up: every customer and every penny of rfm is in exactly one segment's profile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.segments import SEGMENT_OF_SCORES
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

# customer: (segment, revenue, days since last, frequency, expected spend and probability of a purchase within 365 days)
CUSTOMERS = {
    "ann": ("Champions", "500.50", 3, 9, 120.25, 0.9),
    "bob": ("Champions", "299.50", 5, 5, 80.0, 0.8),
    "cid": ("Champions", "100.00", 9, 4, 0.0, 0.1),
    "dee": ("Lost", "60.00", 300, 0, 0.08, 0.01),
    "eve": ("Promising", "40.00", 20, 0, 12.5, 0.2),
}
COSTS = {"email": "0.05", "letter": "1.50", "telephone": "8.00"}


@pytest.fixture
def profiles(bench: Bench) -> list[Row]:
    bench.given(
        "segments",
        [
            {
                "customer_id": customer,
                "segment": segment,
                "at_risk": customer in ("cid", "eve"),
                "value_at_stake": 5 if customer in ("cid", "eve") else 0,
            }
            for customer, (segment, *_) in CUSTOMERS.items()
        ],
    )
    bench.given(
        "rfm",
        [
            {"customer_id": customer, "revenue": revenue, "days_since_last": days, "frequency": frequency}
            for customer, (_, revenue, days, frequency, *_) in CUSTOMERS.items()
        ],
    )
    bench.given("clv_forecasts", forecasts())
    bench.given("contact_costs", [COSTS])
    bench.run("segment_advice")
    return bench.run("segment_profiles")


def forecasts() -> list[Row]:
    """Forecasts over a year, with a clv of half the spend, and nonsense over shorter horizons."""
    return [
        {
            "customer_id": customer,
            "horizon_days": horizon,
            "expected_purchases": spend / 10 if horizon == 365 else 99.0,
            "p_purchase": p_purchase if horizon == 365 else 1.0,
            "expected_spend": spend if horizon == 365 else 9999.0,
            "clv": spend / 2 if horizon == 365 else 9999.0,
        }
        for customer, (*_, spend, p_purchase) in CUSTOMERS.items()
        for horizon in (30, 365, 90)
    ]


def test_a_profile_describes_the_customers_of_its_segment(profiles: list[Row]) -> None:
    assert picked(profiles, "segment", "customers", "revenue", "revenue_share") == [
        ("Champions", 3, 900, pytest.approx(0.9)),
        ("Lost", 1, 60, pytest.approx(0.06)),
        ("Promising", 1, 40, pytest.approx(0.04)),
    ]
    assert picked(profiles, "median_days_since_last", "median_frequency") == [(5, 5), (300, 0), (20, 0)]
    assert picked(profiles, "at_risk_customers", "value_at_stake") == [(1, 5), (0, 0), (1, 5)]


def test_expectations_are_over_the_longest_horizon(profiles: list[Row]) -> None:
    assert picked(profiles, "horizon_days", "expected_spend", "clv") == [
        (365, Decimal("200.25"), Decimal("100.125")),
        (365, Decimal("0.08"), Decimal("0.04")),
        (365, Decimal("12.5"), Decimal("6.25")),
    ]
    assert picked(profiles, "expected_purchases_each", "p_purchase") == [
        (pytest.approx(20.025 / 3), pytest.approx(0.6)),
        (pytest.approx(0.008), pytest.approx(0.01)),
        (pytest.approx(1.25), pytest.approx(0.2)),
    ]


def test_advice_follows_from_what_is_expected_on_average(profiles: list[Row]) -> None:
    assert picked(profiles, "claim", "recommended_action_code", "channel_code") == [
        ("active", "reward", "letter"),
        ("fading", "spend_nothing", "none"),
        ("active", "second_purchase", "email"),
    ]


def one_customer_each(bench: Bench, **forecast: Any) -> list[Row]:
    """A profile per segment, each of one customer."""
    segments = sorted(set(SEGMENT_OF_SCORES.values()))
    bench.given("segments", [{"customer_id": name, "segment": name} for name in segments])
    bench.given("rfm", [{"customer_id": name, "revenue": 1} for name in segments])
    expected = {"expected_purchases": 1, "expected_spend": 1, "clv": 1, "p_purchase": 0.2} | forecast
    bench.given("clv_forecasts", [{"customer_id": name, "horizon_days": 90, **expected} for name in segments])
    bench.given("contact_costs", [COSTS])
    bench.run("segment_advice")
    return bench.run("segment_profiles")


def test_every_segment_there_is_has_a_code_for_its_action(bench: Bench) -> None:
    codes = picked(one_customer_each(bench), "recommended_action_code")
    assert len(set(codes) - {(None,)}) == len(codes) == 11
    assert bench.failed_checks("segment_profiles") == []


def test_without_money_every_segment_has_an_action_and_the_cheapest_channel(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    rows = one_customer_each(bench, expected_spend=None, clv=None)
    assert {row["channel_code"] for row in rows} == {"email"}
    assert {row["value_at_stake"] for row in rows} == {None}
    assert "spend_nothing" not in {row["recommended_action_code"] for row in rows}


def test_a_fading_segment_that_is_likelier_to_buy_than_an_active_one_is_told(bench: Bench) -> None:
    rows = one_customer_each(bench)
    likely = {"Hibernating": 0.25, "Lost": 0.21, "Need Attention": 0.1, "Promising": 0.2}
    changed = [row | {"p_purchase": likely.get(row["segment"], 0.4)} for row in rows]
    quiet = [row | ({"p_purchase": 0.2} if row["claim"] == "fading" else {}) for row in changed]
    bench.given("segment_profiles", quiet)
    assert bench.failed_checks("segment_profiles") == []
    bench.given("segment_profiles", changed)
    [told] = [check for check in bench.checks("segment_profiles") if not check.passed]
    assert (told.check, told.severity) == ("fading_segments_are_expected_to_buy_less_often", "warning")
    fading = "About to Sleep 0.40, At Risk 0.40, Can't Lose 0.40, Hibernating 0.25, Lost 0.21"
    assert f"{fading}; against Promising 0.20" in told.told


def test_a_segment_of_hardly_anybody_warns_of_nothing(bench: Bench) -> None:
    rows = one_customer_each(bench)
    few = [row | {"customers": 1 if row["segment"] == "Promising" else 11, "p_purchase": 0.4} for row in rows]
    few = [row | ({"p_purchase": 0.1} if row["segment"] == "Promising" else {}) for row in few]
    bench.given("segment_profiles", few)
    assert "fading_segments_are_expected_to_buy_less_often" not in bench.failed_checks("segment_profiles")


def test_expectations_that_are_not_those_of_the_forecasts_break_the_contract(bench: Bench, profiles: list[Row]) -> None:
    for wrong in ({"expected_spend": "1.1251"}, {"clv": "0.5626"}, {"customers": 2}):
        bench.given("segment_profiles", [row | (wrong if row["segment"] == "Lost" else {}) for row in profiles])
        assert "expectations_are_those_of_clv_forecasts" in bench.failed_checks("segment_profiles")


def test_profiles_add_up_to_all_customers(bench: Bench, profiles: list[Row]) -> None:
    assert sum(row["customers"] for row in profiles) == len(CUSTOMERS)
    assert sum(row["revenue"] for row in profiles) == 1000
    assert sum(row["revenue_share"] for row in profiles) == pytest.approx(1)
    assert bench.failed_checks("segment_profiles") == []


@pytest.mark.usefixtures("profiles")
def test_a_customer_without_forecast_is_caught_by_the_contract(bench: Bench) -> None:
    bench.given("clv_forecasts", [row for row in forecasts() if row["customer_id"] != "ann"])
    bench.run("segment_profiles")
    assert bench.failed_checks("segment_profiles") == ["all_customers_are_counted", "revenue_shares_add_up"]
