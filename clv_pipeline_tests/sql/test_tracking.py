"""Repeat purchases as they were expected and as they came: by week, and by how often customers had bought."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

AS_OF = date(2024, 6, 30)
EARLIER, LATER = date(2024, 1, 31), date(2024, 3, 31)


def weeks(**changes: object) -> list[Row]:
    """Three weeks that are over and two that are not; `changes` are those of the second one."""
    rows = []
    for number in range(5):
        is_over = number < 3
        row: Row = {
            "week_ends": AS_OF + timedelta(days=7 * (number - 2)),
            "purchases": 2 if is_over else None,
            "expected": 1.5,
            "expected_process": 1.0,
            "cumulative_purchases": 2 * (number + 1) if is_over else None,
            "cumulative_expected": 1.5 * (number + 1),
            "cumulative_process": 1.0 * (number + 1),
        }
        rows.append(row | (changes if number == 1 else {}))
    return rows


def tracked(bench: Bench, rows: list[Row]) -> list[str]:
    bench.given("history_span", [{"as_of": AS_OF}])
    bench.given("rfm", [{"customer_id": "ann", "frequency": 4}, {"customer_id": "bob", "frequency": 2}])
    bench.given("tracking", rows)
    return bench.failed_checks("tracking")


def test_weeks_that_follow_each_other_and_add_up_are_what_was_promised(bench: Bench) -> None:
    assert tracked(bench, weeks()) == []


def test_a_shop_of_one_day_has_no_weeks(bench: Bench) -> None:
    assert tracked(bench, []) == []


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"week_ends": AS_OF - timedelta(days=6)}, "weeks_follow_each_other"),
        ({"expected": None}, "expected_is_finite_and_not_negative"),
        ({"expected_process": -1.0}, "expected_is_finite_and_not_negative"),
        ({"purchases": None, "cumulative_purchases": None}, "past_weeks_are_known_and_future_ones_are_not"),
        ({"cumulative_purchases": 5}, "cumulative_numbers_add_up"),
        ({"cumulative_expected": 3.1}, "cumulative_numbers_add_up"),
        ({"cumulative_process": 1.0}, "cumulative_numbers_add_up"),
    ],
)
def test_a_week_that_does_not_fit_is_an_error(bench: Bench, changes: Row, check: str) -> None:
    assert check in tracked(bench, weeks(**changes))


def test_a_future_that_is_known_is_an_error(bench: Bench) -> None:
    rows = weeks()
    rows[-1] |= {"purchases": 1, "cumulative_purchases": 7}
    assert "past_weeks_are_known_and_future_ones_are_not" in tracked(bench, rows)


def test_more_purchases_than_customers_made_are_an_error(bench: Bench) -> None:
    tracked(bench, weeks())
    bench.given("rfm", [{"customer_id": "ann", "frequency": 5}])
    assert bench.failed_checks("tracking") == ["no_more_purchases_than_there_were"]


def forecast(customer: str, frequency: int, expected: float, came: float, **changes: object) -> Row:
    return {
        "cutoff": LATER,
        "horizon_days": 90,
        "model": "hybrid",
        "customer_id": customer,
        "frequency": frequency,
        "expected_purchases": expected,
        "actual_purchases": came,
        "p_purchase": min(1.0, expected / 2),
    } | changes


FORECASTS = [
    forecast("ann", 0, 0.25, 0),
    forecast("bob", 0, 0.75, 2),
    forecast("cid", 6, 1.5, 1),
    forecast("dee", 7, 2.0, 3),
    forecast("eve", 19, 4.0, 5),
    forecast("ann", 0, 9.0, 9, cutoff=EARLIER),
    forecast("ann", 0, 9.0, 9, model="own_rate"),
    # At 30 days another past date is the latest one.
    forecast("ann", 0, 0.125, 1, cutoff=EARLIER, horizon_days=30),
]


def by_frequency(bench: Bench, forecasts: list[Row]) -> list[Row]:
    bench.given("backtest_forecasts", forecasts)
    bench.given(
        "model_leaderboard",
        [
            {"horizon_days": horizon, "model": model, "is_champion": model == "hybrid"}
            for horizon in (30, 90, 365)
            for model in ("hybrid", "own_rate")
        ],
    )
    return bench.run("tracking_by_frequency")


def test_the_serving_model_is_held_against_what_came_by_how_often_customers_had_bought(bench: Bench) -> None:
    rows = by_frequency(bench, FORECASTS)
    numbers = ("customers", "expected_purchases", "actual_purchases", "mean_p_purchase", "share_bought")
    assert picked(rows, "cutoff", "horizon_days", "repeats", *numbers) == [
        (EARLIER, 30, "0", 1, 0.125, 1.0, 0.0625, 1.0),
        (LATER, 90, "0", 2, 1.0, 2.0, 0.25, 0.5),
        (LATER, 90, "6", 1, 1.5, 1.0, 0.75, 1.0),
        (LATER, 90, "7+", 2, 6.0, 8.0, 1.0, 1.0),
    ]
    assert bench.failed_checks("tracking_by_frequency") == []


def test_without_a_backtest_nothing_is_shown(bench: Bench) -> None:
    assert by_frequency(bench, []) == []
    assert bench.failed_checks("tracking_by_frequency") == []


def test_a_rule_that_says_no_probability_is_shown_without_one(bench: Bench) -> None:
    [row] = by_frequency(bench, [forecast("ann", 1, 0.5, 0, p_purchase=None)])
    assert (row["repeats"], row["mean_p_purchase"], row["share_bought"]) == ("1", None, 0.0)
    assert bench.failed_checks("tracking_by_frequency") == []


def test_customers_who_are_left_out_are_missed(bench: Bench) -> None:
    rows = by_frequency(bench, FORECASTS)
    bench.given("tracking_by_frequency", [row for row in rows if row["repeats"] != "6"])
    assert bench.failed_checks("tracking_by_frequency") == ["adds_up_to_the_backtest"]
