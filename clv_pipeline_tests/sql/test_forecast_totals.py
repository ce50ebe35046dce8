"""Totals are what the forecasts of customers add up to, in ranges that do not contradict one another."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row


def total(horizon: int, **changes: Any) -> Row:
    return {
        "horizon_days": horizon,
        "as_of": date(2024, 6, 30),
        "model": "hybrid",
        "expected_purchases": horizon / 30,
        "expected_spend": 10.0 * horizon,
        "spend_lower": 8.0 * horizon,
        "spend_upper": 12.5 * horizon,
        "interval_level": 0.8,
        "cutoffs": 5,
        "notes": "From 5 past totals.",
        "notes_code": "past_totals",
        "notes_facts": "{}",
    } | changes


def failed(bench: Bench, *totals: Row) -> list[str]:
    forecasts = [
        {"customer_id": name, "horizon_days": days, "expected_spend": 5.0 * days, "expected_purchases": days / 60}
        for name in ("ann", "bob")
        for days in (30, 90)
    ]
    bench.given("clv_forecasts", forecasts)
    bench.given("forecast_totals", totals)
    return bench.failed_checks("forecast_totals")


def test_totals_that_add_up_are_as_promised(bench: Bench) -> None:
    assert failed(bench, total(30), total(90)) == []


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"expected_spend": None}, "totals_are_finite_and_not_negative"),
        ({"expected_purchases": "nan"}, "totals_are_finite_and_not_negative"),
        ({"spend_lower": 900.01}, "ranges_hold_the_expected_spend"),
        ({"spend_upper": 899.99}, "ranges_hold_the_expected_spend"),
        ({"spend_lower": None}, "ranges_hold_the_expected_spend"),
        ({"interval_level": None}, "ranges_hold_the_expected_spend"),
        ({"expected_purchases": 0.99}, "nothing_falls_over_a_longer_horizon"),
        ({"expected_spend": 299.0}, "nothing_falls_over_a_longer_horizon"),
        ({"spend_lower": 239.0}, "nothing_falls_over_a_longer_horizon"),
        ({"spend_upper": 374.0}, "nothing_falls_over_a_longer_horizon"),
        ({"expected_spend": 900.01}, "totals_are_the_sums_of_clv_forecasts"),
        ({"expected_purchases": 3.001}, "totals_are_the_sums_of_clv_forecasts"),
        ({"horizon_days": 91}, "totals_are_the_sums_of_clv_forecasts"),
        ({"model": "bg_nbd"}, "one_model_serves"),
        ({"model": None}, "one_model_serves"),
        ({"notes_code": "guessed"}, "every_range_is_explained"),
        ({"notes_code": None}, "every_range_is_explained"),
        ({"notes_code": "no_past_total"}, "every_range_is_explained"),
        ({"notes_facts": None}, "every_range_is_explained"),
    ],
)
def test_a_contradiction_is_an_error(bench: Bench, changes: Row, check: str) -> None:
    assert check in failed(bench, total(30), total(90, **changes))


def test_a_horizon_without_a_total_is_missed(bench: Bench) -> None:
    assert failed(bench, total(30)) == ["totals_are_the_sums_of_clv_forecasts"]
