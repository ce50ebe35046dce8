"""Tracking: whole weeks as they came and as they were expected, and those to come."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.tracking import TRACKING_SCHEMA, tracking
from clv_pipeline.forecasting.cohorts import CohortTable
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, HISTORY_DAYS, shop

DAYS = shop(800, season=0.5)
TABLE: CohortTable = Ground(DAYS.training(CUTOFF, most_windows=0)).cohorts
WEEKS = tracking(TABLE, 365)
PAST, AHEAD = WEEKS.filter(pl.col("week_ends") <= CUTOFF), WEEKS.filter(pl.col("week_ends") > CUTOFF)


def test_there_is_a_row_for_each_whole_week_up_to_the_cutoff_and_behind_it() -> None:
    assert WEEKS.schema == TRACKING_SCHEMA
    # From the first of those who came back on.
    repeats = DAYS.days.filter(pl.col("day") > pl.col("day").min().over("customer_id"))
    first: date = repeats.select(pl.col("day").min()).item()
    assert (CUTOFF - first).days // 7 - 1 <= PAST.height <= (HISTORY_DAYS + 1) // 7
    assert AHEAD.height == 365 // 7
    assert PAST["week_ends"].last() == CUTOFF
    assert WEEKS["week_ends"].diff().drop_nulls().unique().to_list() == [timedelta(days=7)]


def test_what_came_are_the_repeat_purchases_of_the_week() -> None:
    def repeats(ends: date) -> int:
        again = DAYS.days.filter(pl.col("day") > pl.col("day").min().over("customer_id"))
        return again.filter(pl.col("day") > ends - timedelta(days=7), pl.col("day") <= ends).height

    for ends, purchases in PAST.select("week_ends", "purchases").tail(5).iter_rows():
        assert purchases == repeats(ends)


def test_nothing_came_yet_of_what_lies_ahead() -> None:
    assert AHEAD["purchases"].null_count() == AHEAD["cumulative_purchases"].null_count() == AHEAD.height
    assert PAST["purchases"].null_count() == 0
    assert AHEAD.select("expected", "expected_process").null_count().row(0) == (0, 0)


def test_what_is_expected_ahead_adds_up_to_the_total_of_the_known_customers() -> None:
    assert AHEAD["expected"].sum() == pytest.approx(TABLE.purchases(364), rel=1e-9)
    assert AHEAD["expected_process"].sum() == pytest.approx(TABLE.process_by_week(364).sum(), rel=1e-9)


def test_sums_run_over_all_weeks() -> None:
    for name, cumulative in (
        ("purchases", "cumulative_purchases"),
        ("expected", "cumulative_expected"),
        ("expected_process", "cumulative_process"),
    ):
        weeks = PAST if name == "purchases" else WEEKS
        np.testing.assert_allclose(weeks[cumulative], np.cumsum(weeks[name].to_numpy()))


def test_the_season_is_tracked_better_than_by_the_process_alone() -> None:
    lately = PAST.tail(52)
    off = {name: (lately["purchases"] - lately[name]).abs().mean() for name in ("expected", "expected_process")}
    assert off["expected"] < 0.9 * off["expected_process"]  # type: ignore[operator]


def test_a_shop_without_a_whole_week_has_weeks_ahead_only() -> None:
    opened = CUTOFF - timedelta(days=HISTORY_DAYS - 4)
    weeks = tracking(Ground(DAYS.training(opened, most_windows=0)).cohorts, 30)
    assert weeks.height == 4
    assert weeks["purchases"].null_count() == 4
