"""What is learned: measurements count by their standard errors, and chance is pulled back."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest

from clv_pipeline.campaigns.shrinkage import Learned, Measured, by_segment, pooled, whole


def test_an_assumption_counts_like_a_measurement_with_an_error_as_large_as_itself() -> None:
    assert astuple(whole(None, 0.1)) == pytest.approx((0.1, 0.1, 0.0))
    both = whole(Measured(0.3, 0.1), 0.1)
    assert astuple(both) == pytest.approx((0.2, 0.1 / math.sqrt(2.0), 0.5))


def test_an_exact_measurement_is_kept_and_a_vague_one_is_not() -> None:
    assert whole(Measured(0.3, 0.001), 0.1).uplift == pytest.approx(0.3, abs=1e-4)
    assert whole(Measured(0.3, 10.0), 0.1).uplift == pytest.approx(0.1, abs=1e-4)


def test_several_measurements_count_by_their_precision() -> None:
    assert pooled([]) is None
    both = pooled([Measured(0.1, 0.1), Measured(0.4, 0.2)])
    assert both is not None
    assert astuple(both) == pytest.approx((0.16, math.sqrt(1 / 125)))


def test_segments_that_differ_by_chance_are_all_alike_and_others_keep_most_of_their_own() -> None:
    everywhere = Learned(0.1, 0.02, 0.9)
    by_chance = {"a": Measured(0.15, 0.1), "b": Measured(0.05, 0.1)}
    assert {found.uplift for found in by_segment(by_chance, everywhere).values()} == {0.1}
    apart = by_segment({"a": Measured(0.5, 0.02), "b": Measured(-0.3, 0.02)}, everywhere)
    assert apart["a"].uplift == pytest.approx(0.5, abs=0.01)
    assert apart["b"].uplift == pytest.approx(-0.3, abs=0.01)
    # Hardly anything of the assumption is left in it.
    assert 0.99 < apart["a"].weight < 1.0


def test_of_two_segments_the_one_that_is_known_less_is_pulled_more() -> None:
    known = by_segment(
        {"a": Measured(0.6, 0.05), "b": Measured(0.6, 0.3), "c": Measured(-0.2, 0.05)}, Learned(0.1, 0.0, 1.0)
    )
    assert 0.1 < known["b"].uplift < known["a"].uplift < 0.6


def test_a_single_segment_teaches_nothing_that_the_whole_does_not() -> None:
    learned = by_segment({"a": Measured(0.9, 0.1)}, Learned(0.2, 0.05, 0.3))
    assert astuple(learned["a"]) == pytest.approx((0.2, 0.05, 0.3))


def test_pulled_uplifts_are_nearer_to_the_truth_than_measured_ones() -> None:
    rng = np.random.default_rng(0)
    measured_error, learned_error = 0.0, 0.0
    for _ in range(300):
        truth = dict(zip("abcdefgh", rng.normal(0.1, 0.1, 8), strict=True))
        measured = {name: Measured(float(rng.normal(true, 0.15)), 0.15) for name, true in truth.items()}
        mean = pooled(list(measured.values()))
        assert mean is not None
        learned = by_segment(measured, Learned(mean.uplift, mean.deviation, 1.0))
        measured_error += sum((measured[name].uplift - true) ** 2 for name, true in truth.items())
        learned_error += sum((learned[name].uplift - true) ** 2 for name, true in truth.items())
    assert learned_error < 0.6 * measured_error
