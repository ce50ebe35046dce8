"""What is served does not contradict itself: row by row, over the horizons of a customer, and without a horizon."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row

AS_OF = date(2024, 6, 30)
HORIZONS = (30, 90)


def forecast(customer: str, horizon: int, **changes: Any) -> Row:
    share = horizon / 90
    return {
        "customer_id": customer,
        "as_of": AS_OF,
        "horizon_days": horizon,
        "model": "hybrid",
        "purchase_model": "hybrid",
        "expected_purchases": 0.75 * share,
        "expected_spend": 30.0 * share,
        "spend_lower": 0.0,
        "spend_upper": 60.0,
        "interval_level": 0.8,
        "spend_deviation": 25.0,
        "p_purchase": 0.5 * share,
        "p_alive": 0.6,
        "clv": 20.0 * share,
        "clv_rank": 1,
    } | changes


def served(bench: Bench, **changes: Any) -> list[str]:
    """The failed checks when bob's forecast over 90 days is changed."""
    bench.given("rfm", [{"customer_id": customer} for customer in ("ann", "bob")])
    # 180 days are a piece that models learn from, and not asked for.
    windows = [{"horizon_days": horizon, "is_served": horizon in HORIZONS} for horizon in (*HORIZONS, 180)]
    bench.given("forecast_windows", windows)
    unchanged = [forecast("ann", 30), forecast("ann", 90), forecast("bob", 30)]
    bench.given("clv_forecasts", [*unchanged, forecast("bob", 90, **changes)])
    return [name for name in bench.failed_checks("clv_forecasts") if name != "total_spend_is_plausible"]


def test_a_path_is_what_was_promised(bench: Bench) -> None:
    assert served(bench) == []


def test_equal_numbers_over_a_longer_horizon_are_no_contradiction(bench: Bench) -> None:
    same = {key: value for key, value in forecast("bob", 30).items() if key != "horizon_days"}
    assert served(bench, **same) == []


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"expected_purchases": 0.24, "p_purchase": 0.2}, "nothing_falls_over_a_longer_horizon"),
        ({"expected_spend": 9.99}, "nothing_falls_over_a_longer_horizon"),
        ({"p_purchase": 0.16}, "nothing_falls_over_a_longer_horizon"),
        ({"clv": 6.6}, "nothing_falls_over_a_longer_horizon"),
        ({"p_purchase": 0.601}, "no_purchase_without_being_alive_and_expected"),
        ({"expected_purchases": 0.49}, "no_purchase_without_being_alive_and_expected"),
        ({"spend_lower": 30.01}, "ranges_hold_the_expected_spend"),
        ({"spend_upper": 29.99}, "ranges_hold_the_expected_spend"),
        ({"spend_lower": -0.01}, "ranges_hold_the_expected_spend"),
        ({"spend_lower": None}, "ranges_hold_the_expected_spend"),
        ({"spend_upper": None}, "ranges_hold_the_expected_spend"),
        ({"interval_level": None}, "ranges_hold_the_expected_spend"),
        ({"p_alive": 0.61}, "one_p_alive_per_customer"),
        ({"p_alive": None}, "one_p_alive_per_customer"),
        ({"model": "bg_nbd", "purchase_model": "bg_nbd"}, "one_model_serves"),
        ({"purchase_model": "bg_nbd"}, "one_model_serves"),
        ({"expected_spend": None}, "numbers_are_finite_and_not_negative"),
        ({"spend_deviation": "inf"}, "numbers_are_finite_and_not_negative"),
        ({"p_purchase": None}, "probabilities_between_0_and_1"),
    ],
)
def test_a_contradiction_is_an_error(bench: Bench, changes: Row, check: str) -> None:
    assert check in served(bench, **changes)


def test_a_simple_rule_knows_no_p_alive(bench: Bench) -> None:
    served(bench)
    rule = {"model": "own_rate", "purchase_model": "own_rate", "p_alive": None}
    bench.given("clv_forecasts", [forecast(c, horizon, **rule) for c in ("ann", "bob") for horizon in HORIZONS])
    assert "one_p_alive_per_customer" not in bench.failed_checks("clv_forecasts")


def test_a_forecast_over_a_horizon_that_nobody_asked_for_is_too_much(bench: Bench) -> None:
    served(bench)
    bench.given("clv_forecasts", [forecast(c, horizon) for c in ("ann", "bob") for horizon in (30, 90, 180)])
    assert "covers_all_customers_and_horizons" in bench.failed_checks("clv_forecasts")


def outlook(**changes: Any) -> Row:
    return {
        "customer_id": "ann",
        "as_of": AS_OF,
        "model": "hybrid",
        "p_alive": 0.6,
        "value_per_purchase": 40.0,
        "lifetime_value": 99.0,
        "next_order_days": 90.5,
        "next_order_date": AS_OF + timedelta(days=91),
    } | changes


NO_ORDER = {"next_order_days": None, "next_order_date": None}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({}, None),
        (NO_ORDER, None),
        ({"lifetime_value": None}, None),
        ({"p_alive": None, "value_per_purchase": None, "lifetime_value": None} | NO_ORDER, None),
        ({"next_order_date": None}, "next_order_lies_ahead"),
        ({"next_order_date": AS_OF, "next_order_days": 0.5}, "next_order_lies_ahead"),
        ({"next_order_date": AS_OF + timedelta(days=92)}, "next_order_lies_ahead"),
        ({"p_alive": 0.4}, "only_customers_order_again"),
        ({"lifetime_value": "inf"}, "numbers_are_finite_and_not_negative"),
        ({"value_per_purchase": -1}, "numbers_are_finite_and_not_negative"),
        ({"model": None}, "one_model_serves"),
        ({"customer_id": "bob"}, "covers_all_customers"),
    ],
)
def test_what_has_no_horizon_is_possible(bench: Bench, changes: Row, check: str | None) -> None:
    bench.given("rfm", [{"customer_id": "ann", "as_of": AS_OF}])
    bench.given("customer_outlook", [outlook(**changes)])
    assert bench.failed_checks("customer_outlook") == ([] if check is None else [check])
