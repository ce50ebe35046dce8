"""From lines with returns to features, outcomes and cohorts: as of a cutoff, only what was known by then counts."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, converted, picked, window

QUICK = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
START = date(2024, 1, 1)
CUTOFF = date(2024, 1, 10)
HORIZON = 7


LINES = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from([-40, -20, -10, 10, 20, 40]), st.sampled_from(["ann", "bob"])),
    min_size=1,
    max_size=16,
).map(
    lambda drawn: [
        converted(place, START + timedelta(days=days), amount, customer)
        for place, (days, amount, customer) in enumerate(drawn, start=1)
    ]
)


def cleaned(bench: Bench, lines: list[Row]) -> list[Row]:
    """Every table up to the purchase days, of which nothing may break its contract."""
    bench.given_parameters(deduplicate=False)
    bench.given_converted(lines)
    for table in ("outlier_fence", "rejected_transactions", "cleaned_transactions"):
        bench.run(table)
    days = bench.run("customer_days")
    bench.run("customer_epochs")
    broken = [(table, bench.failed_checks(table)) for table in ("matched_returns", "customer_epochs")]
    broken.append(("customer_days", [name for name in bench.failed_checks("customer_days") if "somebody" not in name]))
    assert not [found for _, found in broken if found], broken
    return days


def described(bench: Bench, lines: list[Row], cutoff: date) -> list[Row]:
    cleaned(bench, lines)
    bench.given("purchase_day_details", [])
    bench.given("forecast_windows", [window(cutoff, HORIZON)])
    return bench.run("customer_features")


def by_day(days: list[Row], cutoff: date) -> dict[str, dict[date, Decimal]]:
    """What every customer had bought by the cutoff, less what had come back by then."""
    found: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for row in days:
        if row["known_from"] <= cutoff and (row["superseded_on"] is None or row["superseded_on"] > cutoff):
            assert row["purchase_day"] not in found[row["customer_id"]], "two versions of a day at once"
            found[row["customer_id"]][row["purchase_day"]] = row["revenue"]
    return found


@given(lines=LINES)
@QUICK
def test_the_days_known_on_any_day_have_the_money_of_the_rows_kept_by_then(bench: Bench, lines: list[Row]) -> None:
    days = cleaned(bench, lines)
    kept = bench.run("cleaned_transactions")
    for offset in range(21):
        day = START + timedelta(days=offset)
        known = sum((sum(found.values()) for found in by_day(days, day).values()), Decimal(0))
        assert known == sum((row["amount"] for row in kept if row["ordered_on"] <= day), Decimal(0))
    bench.run("row_ledger")
    assert bench.failed_checks("row_ledger") == []


@given(lines=LINES)
@QUICK
def test_features_are_those_of_the_days_that_are_left(bench: Bench, lines: list[Row]) -> None:
    found = {row["customer_id"]: row for row in described(bench, lines, CUTOFF)}
    expected = by_day(cleaned(bench, lines), CUTOFF)
    assert found.keys() == expected.keys()
    for customer, revenue in expected.items():
        row, days = found[customer], sorted(revenue)
        gaps = [(later - earlier).days for earlier, later in pairwise(days)]
        assert row["frequency"] == len(days) - 1
        assert row["revenue"] == sum(revenue.values())
        assert (row["first_purchase_date"], row["last_purchase_date"]) == (days[0], days[-1])
        assert row["mean_gap_days"] == (statistics.fmean(gaps) if gaps else None)
        if len(gaps) > 1:
            assert abs(row["gap_deviation_days"] - statistics.stdev(gaps)) < 1e-9


@given(lines=LINES)
@QUICK
def test_what_comes_after_the_cutoff_changes_no_feature_no_window_and_no_cohort(bench: Bench, lines: list[Row]) -> None:
    def known(rows: list[Row]) -> tuple[list[Row], list[Row], dict[Any, int]]:
        features = described(bench, rows, CUTOFF)
        cohorts: dict[Any, int] = Counter()
        for first_week, day, known_from, repeats in picked(
            bench.run("cohort_days"), "first_week", "day", "known_from", "repeats"
        ):
            if known_from <= CUTOFF:
                cohorts[first_week, day] += repeats
        return features, bench.run("customer_windows"), {key: count for key, count in cohorts.items() if count}

    # Somebody has bought, or there is no table of cohorts to speak of.
    earlier = [row for row in lines if row["ordered_at"] <= str(CUTOFF)]
    assert known(lines) == known(earlier)


@given(lines=LINES)
@QUICK
def test_outcomes_are_what_was_known_when_the_window_ended(bench: Bench, lines: list[Row]) -> None:
    ends = CUTOFF + timedelta(days=HORIZON)
    described(bench, lines, CUTOFF)
    outcomes = bench.run("customer_outcomes")
    known = by_day(cleaned(bench, lines), ends)
    for row in outcomes:
        came = {day: money for day, money in known[row["customer_id"]].items() if day > CUTOFF}
        assert (row["actual_purchases"], row["actual_spend"]) == (len(came), sum(came.values()))


@given(lines=LINES)
@QUICK
def test_cohorts_add_up_to_the_repeats_of_today(bench: Bench, lines: list[Row]) -> None:
    days = cleaned(bench, lines)
    cohorts: dict[Any, int] = Counter()
    for first_week, day, repeats in picked(bench.run("cohort_days"), "first_week", "day", "repeats"):
        cohorts[first_week, day] += repeats
    expected: dict[Any, int] = Counter()
    for found in by_day(days, date(2025, 1, 1)).values():
        first = min(found)
        for day in found.keys() - {first}:
            expected[first - timedelta(days=first.weekday()), day] += 1
    assert {key: count for key, count in cohorts.items() if count} == expected
    assert bench.failed_checks("cohort_days") == []


def test_a_refunded_customer_is_known_until_the_refund_and_not_after(bench: Bench) -> None:
    lines = [converted(1, START, 100), converted(2, CUTOFF, -100)]
    assert picked(described(bench, lines, CUTOFF - timedelta(days=1)), "customer_id", "revenue") == [("ann", 100)]
    assert described(bench, lines, CUTOFF) == []
