"""The purchase process alone: when customers come back, when they leave, and what a season does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.simulation.purchases import Season, opening_hours, repeat_purchases

MANY = 20_000


def test_repeats_come_in_order_after_the_first_purchase_and_before_the_end() -> None:
    rng = np.random.default_rng(1)
    first = rng.uniform(0.0, 80.0, size=500)
    repeats = repeat_purchases(rng, first, 100.0, np.full(500, 0.2), np.full(500, 0.05))

    assert (np.lexsort((repeats.time, repeats.customer)) == np.arange(len(repeats.time))).all()
    assert ((repeats.time > first[repeats.customer]) & (repeats.time < 100.0)).all()


def test_who_always_leaves_buys_once_more_at_most() -> None:
    rng = np.random.default_rng(2)
    repeats = repeat_purchases(rng, np.zeros(MANY), 100.0, np.full(MANY, 0.01), np.ones(MANY))
    counts = np.bincount(repeats.customer, minlength=MANY)

    assert counts.max() == 1
    assert (repeats.left == (counts == 1)).all()
    # Whoever has come back by then: 1 - exp(-1).
    assert counts.mean() == pytest.approx(-np.expm1(-1.0), abs=0.015)


def test_who_never_leaves_buys_at_their_own_rate() -> None:
    rng = np.random.default_rng(3)
    rate = np.repeat([0.01, 0.03], MANY)
    repeats = repeat_purchases(rng, np.zeros(2 * MANY), 100.0, rate, np.zeros(2 * MANY))
    counts = np.bincount(repeats.customer, minlength=2 * MANY)

    assert not repeats.left.any()
    for some, mean in ((counts[:MANY], 1.0), (counts[MANY:], 3.0)):
        assert some.mean() == pytest.approx(mean, rel=0.04)
        assert some.var() == pytest.approx(mean, rel=0.06)
    assert repeats.time.mean() == pytest.approx(50.0, rel=0.02)


def test_leaving_follows_each_repeat_with_the_same_probability() -> None:
    rng = np.random.default_rng(4)
    repeats = repeat_purchases(rng, np.zeros(MANY), 100.0, np.ones(MANY), np.full(MANY, 0.25))
    counts = np.bincount(repeats.customer, minlength=MANY)

    assert repeats.left.all()
    shares = np.bincount(counts)[1:5] / MANY
    np.testing.assert_allclose(shares, 0.25 * 0.75 ** np.arange(4), atol=0.015)


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
    assert Season(0.0, peak=100.0).clock(12.25) == 12.25


def test_shops_are_open_from_eight_to_twenty_and_days_stay_days() -> None:
    seconds = opening_hours(np.array([0.0, 0.999999, 3.5])).tolist()
    assert seconds == [8 * 3_600, 20 * 3_600 - 1, 3 * 86_400 + 14 * 3_600]
