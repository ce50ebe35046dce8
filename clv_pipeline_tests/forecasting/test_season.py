"""The clock on which customers buy evenly: season and weekday stretch it, a year of it is a year."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.season import (
    AHEAD_DAYS,
    EPOCH,
    HARMONICS,
    SEASON_VARIANCES,
    Clock,
    ordinal,
    season_basis,
)

FIRST, CUTOFF = ordinal(date(2022, 1, 1)), ordinal(date(2023, 12, 31))
EVEN_WEEK, NO_SEASON = np.ones(7), np.zeros(len(SEASON_VARIANCES))
FOUR_YEARS = 1_461


def wave(size: float) -> Floats:
    """A season of one wave a year, on the log scale; highest at the turn of the year."""
    season = NO_SEASON.copy()
    season[0] = size
    return season


def december(size: float) -> Floats:
    """Decembers differ by this much, on the log scale."""
    season = NO_SEASON.copy()
    season[2 * HARMONICS + 11] = size
    return season


def clock(season: Floats = NO_SEASON, weekdays: Floats = EVEN_WEEK) -> Clock:
    return Clock.of(FIRST, CUTOFF, season, weekdays)


def passed(of: Clock, start: date, days: int) -> float:
    """Days of the clock from the beginning of a calendar day on, over so many days."""
    begun = ordinal(start) - 1
    return float(of.at(begun + days) - of.at(begun))


def test_days_are_counted_as_polars_counts_them() -> None:
    days = [date(1969, 12, 31), EPOCH, date(2024, 2, 29)]
    assert [ordinal(day) for day in days] == pl.Series(days).cast(pl.Int32).to_list()


def test_without_season_and_weekdays_the_clock_is_the_calendar() -> None:
    days = np.array([FIRST - 1, FIRST, FIRST + 0.25, CUTOFF, CUTOFF + AHEAD_DAYS, CUTOFF + 20_000])
    np.testing.assert_allclose(clock().at(days), days - FIRST + 1.0, rtol=1e-12)


def test_before_history_nothing_has_passed() -> None:
    assert clock(wave(0.5)).at(np.array([FIRST - 400.0, FIRST - 1.0])).tolist() == [0.0, 0.0]


def test_a_day_of_december_lasts_as_long_as_december_is_busy() -> None:
    busy = clock(december(np.log(3.0)))
    assert passed(busy, date(2022, 12, 5), 7) == pytest.approx(3.0 * passed(busy, date(2022, 11, 7), 7), rel=1e-9)
    assert passed(busy, date(2024, 12, 5), 7) == pytest.approx(passed(busy, date(2022, 12, 5), 7), rel=1e-9)


@pytest.mark.parametrize("season", [wave(0.6), december(1.0), wave(-0.3) + december(0.5)])
def test_a_mean_year_has_as_many_days_on_the_clock_as_on_the_calendar(season: Floats) -> None:
    of = clock(season)
    assert float(of.at(CUTOFF + FOUR_YEARS) - of.at(CUTOFF)) == pytest.approx(FOUR_YEARS, rel=1e-9)
    behind = CUTOFF + AHEAD_DAYS
    assert float(of.at(behind + 1_000) - of.at(behind)) == pytest.approx(1_000.0, rel=1e-12)


def test_weekdays_begin_with_a_thursday() -> None:
    sundays = np.where(np.arange(7) == (date(2023, 1, 1) - EPOCH).days % 7, 0.0, 7.0 / 6.0)
    closed = clock(weekdays=sundays)
    assert date(2023, 1, 1).weekday() == 6
    assert passed(closed, date(2023, 1, 1), 1) == 0.0
    assert passed(closed, date(2023, 1, 2), 6) == pytest.approx(7.0)


def test_the_basis_has_a_column_for_each_variance_and_finer_waves_are_smaller() -> None:
    basis = season_basis(np.arange(FIRST, FIRST + 10))
    assert basis.shape == (10, len(SEASON_VARIANCES))
    waves = SEASON_VARIANCES[:HARMONICS]
    assert (np.diff(waves) < 0.0).all()
    assert np.array_equal(waves, SEASON_VARIANCES[HARMONICS : 2 * HARMONICS])


@given(
    st.lists(st.floats(-0.5, 0.5), min_size=len(SEASON_VARIANCES), max_size=len(SEASON_VARIANCES)),
    st.lists(st.floats(0.2, 2.0), min_size=7, max_size=7),
    st.lists(st.floats(-1_000.0, 6_000.0), min_size=2, max_size=20),
)
def test_the_clock_never_runs_backwards_nor_stands_still(
    season: list[float], weekdays: list[float], days_after_first: list[float]
) -> None:
    of = clock(np.array(season), np.array(weekdays) / np.mean(weekdays))
    days = FIRST + np.sort(np.array(days_after_first))
    shown = of.at(days)
    assert np.isfinite(shown).all()
    assert (np.diff(shown) >= 0.0).all()
    assert float(of.at(CUTOFF + 1) - of.at(CUTOFF)) > 0.0


def test_a_fraction_of_a_day_passes_in_proportion() -> None:
    of = clock(wave(0.4))
    day = ordinal(date(2023, 3, 1))
    before, half, after = of.at(np.array([day - 1.0, day - 0.5, day]))
    assert half == pytest.approx(0.5 * (before + after))
    assert after > before
