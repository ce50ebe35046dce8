"""Two past windows of the horizon's length: (cutoff − h, cutoff], and (cutoff − 365, cutoff − 365 + h]."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases, window

CUTOFF = date(2023, 6, 30)
FUTURE = purchases(CUTOFF + timedelta(days=1), CUTOFF + timedelta(days=300))


def windows(bench: Bench, days: list[Row], forecast: list[Row]) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("purchase_day_details", [])
    bench.given("forecast_windows", forecast)
    bench.run("customer_features")
    return bench.run("customer_windows")


# Days from the cutoff: (in the last window, in the same window of last year).
BOUNDARIES = {
    30: {
        1: (0, 0),
        0: (1, 0),
        -29: (1, 0),
        -30: (0, 0),
        -334: (0, 0),
        -335: (0, 1),
        -364: (0, 1),
        -365: (0, 0),
    },
    200: {0: (1, 0), -164: (1, 0), -165: (1, 1), -199: (1, 1), -200: (0, 1), -364: (0, 1), -365: (0, 0)},
    365: {1: (0, 0), 0: (1, 1), -364: (1, 1), -365: (0, 0)},
    # Longer than a year: last year's window would reach beyond the cutoff and ends there.
    400: {1: (0, 0), 0: (1, 1), -364: (1, 1), -365: (1, 0), -399: (1, 0), -400: (0, 0)},
}


@pytest.mark.parametrize("horizon", BOUNDARIES)
def test_a_window_leaves_out_the_day_it_starts_at_and_ends_on_its_last_day(bench: Bench, horizon: int) -> None:
    expected = BOUNDARIES[horizon]
    long_known = [purchase(f"{offset}", CUTOFF - timedelta(days=2000)) for offset in expected]
    on_the_day = [purchase(f"{offset}", CUTOFF + timedelta(days=offset), 7) for offset in expected]
    rows = windows(bench, long_known + on_the_day, [window(CUTOFF, horizon)])
    assert {
        int(row["customer_id"]): (row["purchases_last_window"], row["purchases_same_window_last_year"]) for row in rows
    } == expected
    for row in rows:
        assert row["spend_last_window"] == 7 * row["purchases_last_window"]
        assert row["spend_same_window_last_year"] == 7 * row["purchases_same_window_last_year"]


def test_purchase_days_and_spend_of_a_window_are_added_up(bench: Bench) -> None:
    recent = [purchase("ann", CUTOFF - timedelta(days=days), "2.50") for days in (1, 2, 3)]
    year_ago = [purchase("ann", CUTOFF - timedelta(days=364 - days), "1.25") for days in (1, 2)]
    (row,) = windows(bench, recent + year_ago, [window(CUTOFF, 30)])
    assert picked(
        [row],
        "purchases_last_window",
        "spend_last_window",
        "purchases_same_window_last_year",
        "spend_same_window_last_year",
    ) == [(3, 7.5, 2, 2.5)]
    assert bench.failed_checks("customer_windows") == []


def test_there_is_a_row_per_known_customer_and_horizon_also_for_those_who_did_nothing(bench: Bench) -> None:
    earlier = CUTOFF - timedelta(days=90)
    days = [purchase("ann", date(2019, 1, 1)), purchase("bob", CUTOFF - timedelta(days=5))]
    rows = windows(bench, days, [window(CUTOFF, 30), window(CUTOFF, 90), window(earlier, 90)])
    assert picked(rows, "customer_id", "cutoff", "horizon_days", "purchases_last_window", "spend_last_window") == [
        ("ann", earlier, 90, 0, 0),
        ("ann", CUTOFF, 30, 0, 0),
        ("ann", CUTOFF, 90, 0, 0),
        ("bob", CUTOFF, 30, 1, 10),
        ("bob", CUTOFF, 90, 1, 10),
    ]


def test_windows_for_training_only_and_of_other_horizons_are_left_out(bench: Bench) -> None:
    earlier = CUTOFF - timedelta(days=90)
    forecast = [
        window(CUTOFF, 30, is_complete=False),
        window(earlier, 30),
        window(earlier, 90, is_sampled=True, is_served=False),
        window(earlier - timedelta(days=30), 30, is_sampled=True),
    ]
    rows = windows(bench, [purchase("ann", date(2020, 1, 1))], forecast)
    assert picked(rows, "cutoff", "horizon_days") == [(earlier, 30), (CUTOFF, 30)]


@given(past=purchases(CUTOFF - timedelta(days=800), CUTOFF), future=FUTURE, other_future=FUTURE)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_day_after_a_cutoff_changes_what_was_known_as_of_it(
    bench: Bench, past: list[Row], future: list[Row], other_future: list[Row]
) -> None:
    cutoffs = [CUTOFF - timedelta(days=90), CUTOFF, CUTOFF + timedelta(days=90)]
    forecast = [window(cutoff, horizon) for cutoff in cutoffs for horizon in (90, 500)]

    def known_by_the_cutoff(days: list[Row]) -> list[Row]:
        return [row for row in windows(bench, days, forecast) if row["cutoff"] <= CUTOFF]

    assert known_by_the_cutoff(past + future) == known_by_the_cutoff(past + other_future)


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([{"spend_last_window": -1}], "spend_is_not_negative"),
        ([{"spend_last_window": 1}] * 2, "one_row_per_customer_cutoff_and_horizon"),
    ],
)
def test_negative_spend_and_doubled_rows_break_the_contract(bench: Bench, rows: list[Row], broken: str) -> None:
    key = {"customer_id": "ann", "cutoff": CUTOFF, "horizon_days": 30}
    bench.given("customer_windows", [key | row for row in rows])
    assert bench.failed_checks("customer_windows") == [broken]
