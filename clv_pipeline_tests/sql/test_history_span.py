"""From when to when there is history, and the day that everything is computed as of."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, purchase, sale

FIRST, LAST = date(2023, 3, 1), date(2024, 2, 29)


def span(bench: Bench, days: list[date], as_of: date | None, *, confirmed: date = LAST) -> Row:
    """`confirmed` is the last day that daily_volumes describes."""
    bench.given("customer_days", [purchase(f"customer {n}", day) for n, day in enumerate(days)])
    bench.given("daily_volumes", [{"ordered_on": confirmed}])
    lines = [sale(2 + n, source_id=3, ordered_on=day) for n, day in enumerate(days)]
    for line in lines:
        del line["ordered_at"]
    bench.given("cleaned_transactions", lines)
    bench.given("source_files", [{"source_id": 3, "source_file": "mar.csv", "rows": len(lines)}])
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


FAR = date(2026, 11, 1)


def test_a_day_that_is_not_confirmed_does_not_move_as_of_and_its_row_is_named(bench: Bench) -> None:
    assert span(bench, [FIRST, LAST, FAR], None) == {"first_day": FIRST, "last_day": FAR, "as_of": LAST}
    [failed] = [check for check in bench.checks("history_span") if not check.passed]
    assert (failed.check, failed.severity) == ("no_day_is_far_behind_all_others", "warning")
    assert "2026-11-01 in mar.csv, record 4" in failed.told
    assert "customer" not in failed.told


def test_a_chosen_day_stands_whatever_is_confirmed(bench: Bench) -> None:
    assert span(bench, [FIRST, LAST, FAR], FAR)["as_of"] == FAR
    assert bench.failed_checks("history_span") == []
    assert span(bench, [FIRST, LAST, FAR], FIRST)["as_of"] == FIRST
    assert bench.failed_checks("history_span") == []


def test_where_no_purchase_day_is_confirmed_the_last_one_is_as_of(bench: Bench) -> None:
    assert span(bench, [LAST, FAR], None, confirmed=FIRST)["as_of"] == FAR
