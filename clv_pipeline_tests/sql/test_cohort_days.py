"""Repeat purchases by the week of the first one: everything but the first days, each under its own cohort."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases

MONDAY = date(2023, 1, 2)
CUTOFF = date(2023, 6, 30)
QUICK = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
PAST = purchases(CUTOFF - timedelta(days=60), CUTOFF)


def cohort_days(bench: Bench, days: list[Row]) -> list[Row]:
    bench.given("customer_days", days)
    return bench.run("cohort_days")


def test_who_first_bought_in_the_same_week_is_one_cohort(bench: Bench) -> None:
    sunday, next_monday, later = MONDAY + timedelta(days=6), MONDAY + timedelta(days=7), MONDAY + timedelta(days=30)
    days = [
        *(purchase("ann", day) for day in (MONDAY, sunday, later)),
        *(purchase("bob", day) for day in (sunday, later)),
        *(purchase("cid", day) for day in (next_monday, later)),
    ]
    assert picked(cohort_days(bench, days), "first_week", "day", "repeats") == [
        (MONDAY, sunday, 1),
        (MONDAY, later, 2),
        (next_monday, later, 1),
    ]
    assert bench.failed_checks("cohort_days") == []


def test_orders_of_one_day_are_one_repeat_and_the_first_day_is_none(bench: Bench) -> None:
    days = [purchase("ann", MONDAY, orders=9), purchase("ann", MONDAY + timedelta(days=1), orders=5)]
    assert picked(cohort_days(bench, days), "repeats") == [(1,)]


@pytest.mark.parametrize("days", [[], [purchase("ann", MONDAY), purchase("bob", CUTOFF)]])
def test_where_nobody_came_back_there_is_no_row_and_no_complaint(bench: Bench, days: list[Row]) -> None:
    assert cohort_days(bench, days) == []
    assert bench.failed_checks("cohort_days") == []


@given(days=PAST, shuffled=st.randoms(use_true_random=False))
@QUICK
def test_every_purchase_day_but_the_first_is_counted_once_under_its_customer(
    bench: Bench, days: list[Row], shuffled: Random
) -> None:
    first: dict[str, date] = {}
    for row in sorted(days, key=lambda row: row["purchase_day"]):
        first.setdefault(row["customer_id"], row["purchase_day"])
    expected = Counter(
        (began - timedelta(days=began.weekday()), row["purchase_day"])
        for row in days
        if row["purchase_day"] > (began := first[row["customer_id"]])
    )
    rows = cohort_days(bench, shuffled.sample(days, len(days)))
    assert {(row["first_week"], row["day"]): row["repeats"] for row in rows} == expected
    assert bench.failed_checks("cohort_days") == []


@given(past=PAST, future=purchases(CUTOFF + timedelta(days=1), CUTOFF + timedelta(days=300)))
@QUICK
def test_no_day_after_a_cutoff_changes_the_rows_up_to_it(bench: Bench, past: list[Row], future: list[Row]) -> None:
    known = [row for row in cohort_days(bench, past + future) if row["day"] <= CUTOFF]
    assert known == cohort_days(bench, past)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"repeats": 2}, ["every_purchase_day_is_the_first_or_a_repeat"]),
        ({"repeats": -1}, ["no_cohort_has_less_than_no_purchase", "every_purchase_day_is_the_first_or_a_repeat"]),
        ({"day": MONDAY}, ["a_repeat_comes_after_the_first_purchase"]),
    ],
)
def test_repeats_that_were_not_bought_break_the_contract(bench: Bench, change: Row, broken: list[str]) -> None:
    (row,) = cohort_days(bench, [purchase("ann", MONDAY), purchase("ann", MONDAY + timedelta(days=1))])
    bench.given("cohort_days", [row | change])
    assert bench.failed_checks("cohort_days") == broken


def test_a_cohort_with_two_rows_a_day_breaks_the_contract(bench: Bench) -> None:
    bench.given("customer_days", [purchase("ann", MONDAY + timedelta(days=number)) for number in range(3)])
    tuesday = MONDAY + timedelta(days=1)
    bench.given("cohort_days", [{"first_week": MONDAY, "day": tuesday, "known_from": tuesday, "repeats": 1}] * 2)
    assert bench.failed_checks("cohort_days") == ["one_row_per_cohort_and_day"]
