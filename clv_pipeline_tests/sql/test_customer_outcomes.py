"""What came in (cutoff, cutoff + h], for every customer known at the cutoff and every window that is over."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases, window

CUTOFF = date(2023, 6, 30)


def outcomes(bench: Bench, days: list[Row], forecast: list[Row]) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("purchase_day_details", [])
    bench.given("forecast_windows", forecast)
    bench.run("customer_features")
    return bench.run("customer_outcomes")


@pytest.mark.parametrize(("offset", "counted"), [(0, 0), (1, 1), (89, 1), (90, 1), (91, 0)])
def test_the_window_begins_the_day_after_the_cutoff_and_ends_on_its_last_day(
    bench: Bench, offset: int, counted: int
) -> None:
    days = [purchase("ann", date(2023, 1, 1)), purchase("ann", CUTOFF + timedelta(days=offset), 7)]
    (row,) = outcomes(bench, days, [window(CUTOFF, 90)])
    assert (row["actual_purchases"], row["actual_spend"]) == (counted, 7 * counted)


def test_customers_who_did_not_buy_have_zeros(bench: Bench) -> None:
    days = [
        purchase("ann", date(2023, 1, 1)),
        purchase("bob", date(2023, 1, 1)),
        purchase("bob", date(2023, 7, 1), "2.50", orders=3),
        purchase("bob", date(2023, 8, 1), "1.25"),
    ]
    rows = outcomes(bench, days, [window(CUTOFF, 90)])
    assert picked(rows, "customer_id", "cutoff", "horizon_days", "actual_purchases", "actual_spend") == [
        ("ann", CUTOFF, 90, 0, 0),
        ("bob", CUTOFF, 90, 2, 3.75),
    ]
    assert bench.failed_checks("customer_outcomes") == []


def test_only_windows_that_are_over_have_an_outcome(bench: Bench) -> None:
    later = CUTOFF + timedelta(days=30)
    forecast = [
        window(CUTOFF, 30),
        window(CUTOFF, 365, is_complete=False),
        window(later, 30, is_complete=False),
    ]
    rows = outcomes(bench, [purchase("ann", CUTOFF), purchase("ann", CUTOFF + timedelta(days=5))], forecast)
    assert picked(rows, "cutoff", "horizon_days", "actual_purchases") == [(CUTOFF, 30, 1)]


def test_who_first_buys_after_the_cutoff_has_no_outcome_as_of_it(bench: Bench) -> None:
    days = [purchase("ann", CUTOFF), purchase("new", CUTOFF + timedelta(days=1))]
    later = CUTOFF + timedelta(days=1)
    rows = outcomes(bench, days, [window(CUTOFF, 30), window(later, 30)])
    assert picked(rows, "customer_id", "cutoff") == [("ann", CUTOFF), ("ann", later), ("new", later)]


def test_of_a_window_for_training_only_the_sample_is_described_also_where_another_holds_everybody(bench: Bench) -> None:
    known = {"cutoff": CUTOFF, "first_purchase_date": CUTOFF, "last_purchase_date": CUTOFF}
    bench.given("customer_days", [purchase("ann", CUTOFF), purchase("bob", CUTOFF)])
    bench.given("forecast_windows", [window(CUTOFF, 30), window(CUTOFF, 90, is_sampled=True, is_served=False)])
    bench.given(
        "customer_features",
        [{"customer_id": "ann", "in_sample": True} | known, {"customer_id": "bob", "in_sample": False} | known],
    )
    rows = bench.run("customer_outcomes")
    assert picked(rows, "customer_id", "horizon_days") == [("ann", 30), ("ann", 90), ("bob", 30)]


@given(
    days=purchases(CUTOFF - timedelta(days=100), CUTOFF + timedelta(days=100), min_size=1),
    horizon=st.integers(1, 90),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_history_plus_outcome_is_history_as_of_the_end_of_the_window(
    bench: Bench, days: list[Row], horizon: int
) -> None:
    end = CUTOFF + timedelta(days=horizon)
    came = outcomes(bench, days, [window(CUTOFF, horizon), window(end, horizon, is_complete=False)])
    history = bench.run("customer_features")
    before = {row["customer_id"]: row for row in history if row["cutoff"] == CUTOFF}
    after = {row["customer_id"]: row for row in history if row["cutoff"] == end}
    assert {row["customer_id"] for row in came} == before.keys()
    for row in came:
        was, became = before[row["customer_id"]], after[row["customer_id"]]
        assert was["frequency"] + row["actual_purchases"] == became["frequency"]
        assert was["revenue"] + row["actual_spend"] == became["revenue"]


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([{"actual_spend": -1}], "actual_spend_is_not_negative"),
        ([{"actual_spend": 1}] * 2, "one_row_per_customer_cutoff_and_horizon"),
    ],
)
def test_negative_spend_and_doubled_rows_break_the_contract(bench: Bench, rows: list[Row], broken: str) -> None:
    key = {"customer_id": "ann", "cutoff": CUTOFF, "horizon_days": 30}
    bench.given("customer_outcomes", [key | row for row in rows])
    assert bench.failed_checks("customer_outcomes") == [broken]
