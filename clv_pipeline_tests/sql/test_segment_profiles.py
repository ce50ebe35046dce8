"""Profiles add up: every customer and every penny of rfm is in exactly one segment's profile."""

from __future__ import annotations

from decimal import Decimal

import pytest

from clv_pipeline_tests.helpers.segments import SEGMENT_OF_SCORES
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

# customer: (segment, revenue, days since last, frequency, expected spend within 365 days)
CUSTOMERS = {
    "ann": ("Champions", "500.50", 3, 9, 120.25),
    "bob": ("Champions", "299.50", 5, 5, 80.0),
    "cid": ("Champions", "100.00", 9, 4, 0.0),
    "dee": ("Lost", "60.00", 300, 0, 1.125),
    "eve": ("Promising", "40.00", 20, 0, 12.5),
}
ACTIONS = {"Champions": "Reward", "Lost": "Spend nothing", "Promising": "Bring about the second purchase"}


@pytest.fixture
def profiles(bench: Bench) -> list[Row]:
    bench.given(
        "segments",
        [
            {"customer_id": customer, "segment": segment, "recommended_action": ACTIONS[segment]}
            for customer, (segment, *_) in CUSTOMERS.items()
        ],
    )
    bench.given(
        "rfm",
        [
            {"customer_id": customer, "revenue": revenue, "days_since_last": days, "frequency": frequency}
            for customer, (_, revenue, days, frequency, _) in CUSTOMERS.items()
        ],
    )
    bench.given("clv_forecasts", forecasts())
    return bench.run("segment_profiles")


def forecasts() -> list[Row]:
    """Forecasts over a year, with a clv of half the spend, and nonsense over shorter horizons."""
    return [
        {
            "customer_id": customer,
            "horizon_days": horizon,
            "expected_spend": spend if horizon == 365 else 9999.0,
            "clv": spend / 2 if horizon == 365 else 9999.0,
        }
        for customer, (*_, spend) in CUSTOMERS.items()
        for horizon in (30, 365, 90)
    ]


def test_a_profile_describes_the_customers_of_its_segment(profiles: list[Row]) -> None:
    assert picked(profiles, "segment", "customers", "revenue", "revenue_share", "recommended_action") == [
        ("Champions", 3, 900, pytest.approx(0.9), "Reward"),
        ("Lost", 1, 60, pytest.approx(0.06), "Spend nothing"),
        ("Promising", 1, 40, pytest.approx(0.04), "Bring about the second purchase"),
    ]
    assert picked(profiles, "median_days_since_last", "median_frequency") == [(5, 5), (300, 0), (20, 0)]


def test_expectations_are_over_the_longest_horizon(profiles: list[Row]) -> None:
    assert picked(profiles, "horizon_days", "expected_spend", "clv") == [
        (365, Decimal("200.25"), Decimal("100.125")),
        (365, Decimal("1.125"), Decimal("0.5625")),
        (365, Decimal("12.5"), Decimal("6.25")),
    ]


def test_every_segment_there_is_has_a_code_for_its_action(bench: Bench) -> None:
    segments = sorted(set(SEGMENT_OF_SCORES.values()))
    bench.given("segments", [{"customer_id": name, "segment": name, "recommended_action": name} for name in segments])
    bench.given("rfm", [{"customer_id": name, "revenue": 1} for name in segments])
    money = {"expected_spend": 1, "clv": 1}
    bench.given("clv_forecasts", [{"customer_id": name, "horizon_days": 90, **money} for name in segments])
    codes = picked(bench.run("segment_profiles"), "recommended_action_code")
    assert len(set(codes) - {(None,)}) == len(segments)
    assert bench.failed_checks("segment_profiles") == []


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
