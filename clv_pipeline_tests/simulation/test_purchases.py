"""What every shop shares: a season, times at random, and the hours of the day."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.simulation.purchases import NO_SEASON, Season, moments, numbered, opening_hours, random_times


@given(st.floats(0.0, 0.95), st.floats(-400.0, 400.0), st.lists(st.floats(0.0, 1_000.0), min_size=2))
def test_the_clock_of_a_season_runs_forward_and_can_be_read_back(
    amplitude: float, peak: float, days: list[float]
) -> None:
    season = Season(amplitude, peak)
    when = np.sort(np.array(days))
    clock = season.clock(when)

    assert (np.diff(clock) >= -1e-12).all()
    # Linear within a day: the curve bends by less than an hour there.
    np.testing.assert_allclose(season.day(clock, 1_000), when, atol=1 / 24)


def test_a_season_multiplies_the_intensity_and_keeps_its_mean_over_a_year() -> None:
    season = Season(0.5, peak=100.0)
    at = np.array([100.0, 100.0 + 365.25 / 2])
    intensity = (season.clock(at + 0.5) - season.clock(at - 0.5)).tolist()

    assert intensity == pytest.approx([1.5, 0.5], abs=1e-3)
    assert season.clock(0.0) == pytest.approx(0.0)
    assert season.clock(365.25) == pytest.approx(365.25)


def test_without_a_season_the_clock_shows_the_day() -> None:
    days = np.random.default_rng(1).uniform(0.0, 730.0, size=1_000)
    assert (NO_SEASON.clock(days) == days).all()
    assert (NO_SEASON.day(days, 730) == days).all()


def test_things_are_numbered_owner_by_owner() -> None:
    owner, place = numbered(np.array([2, 0, 1]))
    assert owner.tolist() == [0, 0, 2]
    assert place.tolist() == [0, 1, 0]


def test_random_times_are_in_order_between_each_customers_own_start_and_end() -> None:
    starts, ends = np.array([0.0, 50.0, 10.0]), np.array([10.0, 60.0, 400.0])
    customer, place, time = random_times(np.random.default_rng(2), np.array([300, 0, 200]), starts, ends)

    assert np.bincount(customer).tolist() == [300, 0, 200]
    assert ((time >= starts[customer]) & (time < ends[customer])).all()
    assert (np.lexsort((time, customer)) == np.arange(500)).all()
    assert place[:300].tolist() == list(range(300))
    assert time[customer == 2].mean() == pytest.approx(205.0, rel=0.1)


def test_shops_are_open_from_eight_to_twenty_and_days_stay_days() -> None:
    seconds = opening_hours(np.array([0.0, 0.999999, 3.5])).tolist()
    assert seconds == [8 * 3_600, 20 * 3_600 - 1, 3 * 86_400 + 14 * 3_600]
    assert moments(date(2024, 2, 28), np.array(seconds)).to_list()[1:] == [
        datetime(2024, 2, 28, 19, 59, 59),
        datetime(2024, 3, 2, 14),
    ]
