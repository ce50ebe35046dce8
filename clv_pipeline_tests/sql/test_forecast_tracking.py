"""What was forecast against what came: judged when the horizon has passed, from the days within it only."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase

THEN = date(2024, 1, 31)
TODAY = date(2024, 6, 30)


def forecast(customer: str, spend: float, p_purchase: float, as_of: date = THEN, horizon: int = 90, **more: Any) -> Row:
    return {
        "customer_id": customer,
        "as_of": as_of,
        "horizon_days": horizon,
        "model": "bg_nbd",
        "purchase_model": "logistic",
        "expected_spend": spend,
        "spend_lower": 0.0,
        "spend_upper": 2 * spend,
        "interval_level": 0.8,
        "p_purchase": p_purchase,
        **more,
    }


FORECASTS = [forecast("ann", 100, 0.9), forecast("bob", 10, 0.5), forecast("cid", 5, 0.1), forecast("dee", 50, 0.5)]
DAYS = [
    purchase("ann", THEN, 1000),
    purchase("ann", THEN + timedelta(days=1), 40),
    purchase("ann", THEN + timedelta(days=90), 50),
    purchase("ann", THEN + timedelta(days=91), 1000),
    purchase("bob", THEN + timedelta(days=30), 30),
    purchase("eve", THEN + timedelta(days=30), 30),
]


def tracked(bench: Bench, forecasts: list[Row], days: list[Row], today: date = TODAY) -> list[Row]:
    bench.given("forecast_history", forecasts)
    bench.given("customer_days", days)
    bench.given("history_span", [{"as_of": today}])
    return bench.run("forecast_tracking")


def test_a_forecast_is_held_against_what_its_customers_did_within_its_horizon(bench: Bench) -> None:
    [row] = tracked(bench, FORECASTS, DAYS)
    assert row["status"] == "passed"
    assert row["horizon_ends"] == date(2024, 4, 30)
    assert (row["customers"], row["forecast_spend"], row["actual_spend"]) == (4, 165, 120)
    assert row["bias"] == pytest.approx(165 / 120 - 1)
    assert row["mae"] == pytest.approx((10 + 20 + 5 + 50) / 4)
    # Of ann, cid and dee the interval held what came; bob spent 30 of at most 20.
    assert (row["interval_level"], row["interval_coverage"]) == (0.8, 0.75)
    assert (row["forecast_buyers_share"], row["actual_buyers_share"]) == (0.5, 0.5)
    assert row["brier"] == pytest.approx((0.01 + 0.25 + 0.01 + 0.25) / 4)
    assert (row["model"], row["purchase_model"]) == ("bg_nbd", "logistic")
    assert bench.failed_checks("forecast_tracking") == []


def test_a_running_forecast_says_how_much_of_its_horizon_has_passed_and_nothing_of_what_came(bench: Bench) -> None:
    [row] = tracked(bench, FORECASTS, DAYS, today=THEN + timedelta(days=89))
    assert (row["status"], row["elapsed_share"]) == ("running", pytest.approx(89 / 90))
    assert (row["forecast_spend"], row["forecast_buyers_share"]) == (165, 0.5)
    judged = ("actual_spend", "bias", "mae", "interval_coverage", "actual_buyers_share", "brier")
    assert picked([row], *judged) == [(None,) * len(judged)]
    assert bench.failed_checks("forecast_tracking") == []


def test_the_day_on_which_the_horizon_ends_is_the_first_that_judges(bench: Bench) -> None:
    [row] = tracked(bench, FORECASTS, DAYS, today=THEN + timedelta(days=90))
    assert (row["status"], row["elapsed_share"]) == ("passed", 1.0)


def test_a_row_never_changes_once_its_horizon_has_passed(bench: Bench) -> None:
    passed = tracked(bench, FORECASTS, DAYS, today=THEN + timedelta(days=90))
    later = [purchase("dee", THEN + timedelta(days=days), 500) for days in (91, 100, 150)]
    assert tracked(bench, FORECASTS, DAYS + later) == passed


def test_a_corrected_source_corrects_the_row(bench: Bench) -> None:
    [before] = tracked(bench, FORECASTS, DAYS)
    [after] = tracked(bench, FORECASTS, [*DAYS, purchase("dee", THEN + timedelta(days=5), "0.50")])
    assert after["actual_spend"] == before["actual_spend"] + Decimal("0.5")


def test_forecasts_are_tracked_by_day_and_horizon(bench: Bench) -> None:
    forecasts = [
        forecast("ann", 100, 0.9, as_of, horizon)
        for as_of in (THEN, TODAY - timedelta(days=30), TODAY)
        for horizon in (30, 90)
    ]
    rows = tracked(bench, forecasts, DAYS)
    assert picked(rows, "status", "elapsed_share") == [
        ("passed", 1.0),
        ("passed", 1.0),
        ("passed", 1.0),
        ("running", pytest.approx(1 / 3)),
        ("running", 0.0),
        ("running", 0.0),
    ]


def test_what_was_forecast_after_today_is_not_shown(bench: Bench) -> None:
    assert tracked(bench, FORECASTS, DAYS, today=THEN - timedelta(days=1)) == []


def test_nothing_spent_and_no_intervals_leave_ratios_undefined(bench: Bench) -> None:
    bare = forecast("ann", 100, 0.9, spend_lower=None, spend_upper=None, interval_level=None)
    [row] = tracked(bench, [bare], [])
    assert picked([row], "actual_spend", "bias", "interval_coverage", "mae") == [(0, None, None, 100.0)]
    assert bench.failed_checks("forecast_tracking") == []


def test_a_total_far_off_is_a_warning(bench: Bench) -> None:
    tracked(bench, [forecast("ann", 500, 0.9)], DAYS)
    assert bench.failed_checks("forecast_tracking") == ["last_totals_were_close"]
