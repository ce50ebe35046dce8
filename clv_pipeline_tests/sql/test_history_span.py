"""From when to when there is history, and the day that everything is computed as of."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, purchase

FIRST, LAST = date(2023, 3, 1), date(2024, 2, 29)


def span(bench: Bench, days: list[date], as_of: date | None) -> Row:
    bench.given("customer_days", [purchase(f"customer {n}", day) for n, day in enumerate(days)])
    bench.given_parameters(as_of=as_of)
    (row,) = bench.run("history_span")
    return row


def test_without_a_chosen_day_the_last_purchase_day_is_as_of(bench: Bench) -> None:
    row = span(bench, [LAST, FIRST, date(2023, 7, 1)], as_of=None)
    assert row == {"first_day": FIRST, "last_day": LAST, "as_of": LAST}
    assert bench.failed_checks("history_span") == []


@pytest.mark.parametrize("as_of", [FIRST, date(2023, 7, 1), LAST, LAST + timedelta(days=30)])
def test_a_chosen_day_is_as_of_and_the_days_of_history_stay_what_they_are(bench: Bench, as_of: date) -> None:
    assert span(bench, [FIRST, LAST], as_of) == {"first_day": FIRST, "last_day": LAST, "as_of": as_of}
    assert bench.failed_checks("history_span") == []


def test_a_day_before_all_history_breaks_the_contract(bench: Bench) -> None:
    span(bench, [FIRST, LAST], FIRST - timedelta(days=1))
    assert bench.failed_checks("history_span") == ["as_of_lies_after_the_first_day"]


def test_a_month_without_purchases_warns_that_data_stopped_arriving(bench: Bench) -> None:
    span(bench, [FIRST, LAST], LAST + timedelta(days=31))
    assert bench.failed_checks("history_span") == ["history_is_recent"]


def test_no_purchase_day_at_all_breaks_the_contract(bench: Bench) -> None:
    assert span(bench, [], as_of=None) == {"first_day": None, "last_day": None, "as_of": None}
    assert "as_of_not_null" in bench.failed_checks("history_span")
