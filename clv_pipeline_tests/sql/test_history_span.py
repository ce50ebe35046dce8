"""From when to when there is history, and the day that everything is computed as of."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from clv_pipeline_tests.helpers.sql_bench import TODAY, Bench, Row, converted, purchase, sale

FIRST, LAST = date(2023, 3, 1), date(2024, 2, 29)


def span(bench: Bench, days: list[date], as_of: date | None, *, confirmed: date = LAST) -> Row:
    """`confirmed` is the last day that daily_volumes describes."""
    bench.given("customer_days", [purchase(f"customer {n}", day) for n, day in enumerate(days)])
    bench.given("daily_volumes", [{"ordered_on": confirmed, "kept_rows": 0, "forgotten_rows": 0}])
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


def span_of(bench: Bench, lines: list[Row], as_of: date | None = None) -> Row:
    """Of the lines of a file, by every table between it and the span, none of which breaks its contract."""
    bench.given_parameters(as_of=as_of)
    bench.given_converted(lines)
    bench.given("raw_transactions", lines_of(lines))
    for table in ("outlier_fence", "rejected_transactions", "cleaned_transactions", "daily_volumes"):
        bench.run(table)
    bench.run("customer_days")
    (row,) = bench.run("history_span")
    bench.run("known_days")
    assert bench.failed_checks("known_days") == []
    return row


def lines_of(rows: list[Row]) -> list[Row]:
    return [{name: row[name] for name in ("source_id", "source_line", "ordered_at")} for row in rows]


BEFORE = LAST - timedelta(days=5)
RETURNED_LAST = [converted(2, FIRST, 80, "bob"), converted(3, BEFORE, 50, "ann"), converted(4, LAST, -50, "ann")]


def test_the_day_of_a_return_after_the_last_purchase_is_as_of_and_its_money_is_gone(bench: Bench) -> None:
    assert span_of(bench, RETURNED_LAST) == {"first_day": FIRST, "last_day": LAST, "as_of": LAST}
    assert sum(row["revenue"] for row in bench.run("rfm")) == 80
    assert sum(row["amount"] for row in bench.run("cleaned_transactions")) == 80
    assert bench.failed_checks("history_span") == []


def test_a_return_of_a_part_moves_as_of_too(bench: Bench) -> None:
    assert span_of(bench, [*RETURNED_LAST[:2], converted(4, LAST, -20, "ann")])["as_of"] == LAST
    assert sum(row["revenue"] for row in bench.run("rfm")) == 110


def test_a_chosen_day_before_the_return_keeps_its_money(bench: Bench) -> None:
    assert span_of(bench, RETURNED_LAST, as_of=BEFORE)["as_of"] == BEFORE
    assert sum(row["revenue"] for row in bench.run("rfm")) == 130
    assert bench.failed_checks("history_span") == []


def test_a_kept_return_that_as_of_leaves_out_breaks_the_contract(bench: Bench) -> None:
    span_of(bench, RETURNED_LAST)
    bench.given("history_span", [{"first_day": FIRST, "last_day": BEFORE, "as_of": BEFORE}])
    assert bench.failed_checks("history_span") == ["all_that_was_kept_is_history"]


def test_a_lone_return_far_behind_all_others_does_not_move_as_of_and_its_row_is_named(bench: Bench) -> None:
    far = LAST + timedelta(days=100)
    daily = [converted(2 + n, LAST - timedelta(days=n), 50, "ann") for n in range(5)]
    assert span_of(bench, [*daily, converted(9, far, -50, "ann")])["as_of"] == LAST
    [failed] = [check for check in bench.checks("history_span") if not check.passed]
    assert failed.check == "no_day_is_far_behind_all_others"
    assert f"{far} in a.csv, record 9" in failed.told


def test_the_last_day_stays_known_when_all_of_its_customers_are_forgotten(bench: Bench) -> None:
    kept, gone = converted(2, BEFORE, 80, "bob"), converted(3, LAST, 50, "ann")
    before = span_of(bench, [kept, gone])
    erased = gone | {"customer_id": None, "source_text": "forgotten customer"}
    assert span_of(bench, [kept, erased])["as_of"] == before["as_of"] == LAST
    assert bench.failed_checks("history_span") == []


def test_what_a_forgotten_customer_bought_in_the_future_does_not_move_as_of(bench: Bench) -> None:
    future = converted(3, TODAY + timedelta(days=1), 50) | {
        "customer_id": None,
        "source_text": "forgotten customer",
    }
    assert span_of(bench, [converted(2, LAST, 80), future])["as_of"] == LAST
