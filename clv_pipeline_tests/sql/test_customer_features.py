"""What is known of a customer as of a cutoff: all days up to it, and nothing that came later."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings

from clv_pipeline_tests.sql.harness import Bench, Row, picked, purchase, purchases, window

CUTOFF = date(2023, 6, 30)
QUICK = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PAST = purchases(CUTOFF - timedelta(days=500), CUTOFF)
FUTURE = purchases(CUTOFF + timedelta(days=1), CUTOFF + timedelta(days=300))


def features(bench: Bench, days: list[Row], *cutoffs: date) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("forecast_windows", [window(cutoff, 90) for cutoff in cutoffs])
    return bench.run("customer_features")


def test_the_same_customer_is_described_as_of_every_cutoff(bench: Bench) -> None:
    days = [
        purchase("ann", date(2023, 1, 1), "100.00"),
        purchase("ann", date(2023, 3, 2), "30.00", orders=2),
        purchase("ann", date(2023, 5, 1), "25.01"),
    ]
    rows = features(bench, days, date(2023, 6, 30), date(2023, 3, 31), date(2023, 1, 1))
    assert picked(rows, "cutoff", "frequency", "orders", "revenue", "monetary_value") == [
        (date(2023, 1, 1), 0, 1, 100, 0),
        (date(2023, 3, 31), 1, 3, 130, 30),
        (date(2023, 6, 30), 2, 4, Decimal("155.01"), Decimal("27.505")),
    ]
    assert picked(rows, "recency_days", "tenure_days", "days_since_last") == [
        (0, 0, 0),
        (60, 89, 29),
        (120, 180, 60),
    ]
    assert picked(rows, "first_purchase_date", "last_purchase_date") == [
        (date(2023, 1, 1), date(2023, 1, 1)),
        (date(2023, 1, 1), date(2023, 3, 2)),
        (date(2023, 1, 1), date(2023, 5, 1)),
    ]
    assert bench.failed_checks("customer_features") == []


def test_the_cutoff_is_the_last_day_of_history(bench: Bench) -> None:
    rows = features(bench, [purchase("ann", CUTOFF), purchase("bob", CUTOFF + timedelta(days=1))], CUTOFF)
    assert picked(rows, "customer_id", "days_since_last") == [("ann", 0)]


def test_a_cutoff_of_several_horizons_gives_one_row_per_customer(bench: Bench) -> None:
    bench.given("customer_days", [purchase("ann", CUTOFF, 10), purchase("ann", date(2023, 1, 1), 5)])
    bench.given("forecast_windows", [window(CUTOFF, horizon) for horizon in (30, 90, 365)])
    rows = bench.run("customer_features")
    assert picked(rows, "customer_id", "cutoff", "frequency", "revenue") == [("ann", CUTOFF, 1, 15)]


@given(past=PAST, future=FUTURE, other_future=FUTURE)
@QUICK
def test_no_day_after_a_cutoff_changes_what_was_known_as_of_it(
    bench: Bench, past: list[Row], future: list[Row], other_future: list[Row]
) -> None:
    cutoffs = [CUTOFF - timedelta(days=100), CUTOFF, CUTOFF + timedelta(days=150)]

    def known_by_the_cutoff(days: list[Row]) -> list[Row]:
        return [row for row in features(bench, days, *cutoffs) if row["cutoff"] <= CUTOFF]

    assert known_by_the_cutoff(past + future) == known_by_the_cutoff(past + other_future)


@given(past=PAST, future=FUTURE)
@QUICK
def test_as_of_today_features_and_rfm_say_the_same(bench: Bench, past: list[Row], future: list[Row]) -> None:
    bench.given("history_span", [{"as_of": CUTOFF}])
    described = features(bench, past + future, CUTOFF)
    measured = bench.run("rfm")
    shared = [
        "customer_id",
        "first_purchase_date",
        "last_purchase_date",
        "days_since_last",
        "tenure_days",
        "recency_days",
        "frequency",
        "orders",
        "revenue",
        "monetary_value",
    ]
    assert picked(described, *shared) == picked(measured, *shared)


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([{"last_purchase_date": CUTOFF + timedelta(days=1)}], "history_ends_at_the_cutoff"),
        ([{"last_purchase_date": CUTOFF}] * 2, "one_row_per_customer_and_cutoff"),
    ],
)
def test_knowledge_of_the_future_and_doubled_rows_break_the_contract(
    bench: Bench, rows: list[Row], broken: str
) -> None:
    bench.given("customer_features", [{"customer_id": "ann", "cutoff": CUTOFF} | row for row in rows])
    assert bench.failed_checks("customer_features") == [broken]
