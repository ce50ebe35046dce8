"""The search for an optimum: where it ends, what it says of that, and what happens where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.maximum_likelihood import (
    LOG_LIMITS,
    TOLERANCES,
    Objective,
    best_optimum,
    judged,
    nearby_optimum,
    standard_errors,
)

CENTRE = np.array([0.5, -1.0])
CURVATURE = np.array([[2.0, 0.6], [0.6, 1.0]])


def bowl(logs: Floats) -> tuple[float, Floats]:
    """A quadratic with its least value at CENTRE, and a little of fourth order."""
    off = logs - CENTRE
    return float(0.5 * off @ CURVATURE @ off + 0.1 * np.sum(off**4)), CURVATURE @ off + 0.4 * off**3


def two_valleys(logs: Floats) -> tuple[float, Floats]:
    """Least values near -1 and 1, the second one lower."""
    return float((logs[0] ** 2 - 1.0) ** 2 - 0.3 * logs[0]), 4.0 * logs * (logs**2 - 1.0) - 0.3


def slope(logs: Floats) -> tuple[float, Floats]:
    """Falls for ever."""
    return -float(logs.sum()), -np.ones_like(logs)


def test_of_several_valleys_the_deepest_is_kept() -> None:
    starts = [np.array([-1.5]), np.array([0.8])]
    found = best_optimum(two_valleys, starts)
    assert found is not None
    assert found.logs[0] == pytest.approx(1.03, abs=0.02)


def test_a_search_that_knows_the_curvature_needs_few_evaluations_and_ends_at_the_same_place() -> None:
    asked: list[Floats] = []

    def counted(logs: Floats) -> tuple[float, Floats]:
        asked.append(logs)
        return bowl(logs)

    found = nearby_optimum(counted, CENTRE + 0.05, CURVATURE)
    assert found is not None
    assert np.abs(found.logs - CENTRE).max() < 10 * TOLERANCES[0]
    assert len(asked) <= 6


@pytest.mark.parametrize(
    ("objective", "curvature"),
    [(bowl, -np.eye(2)), (bowl, np.full((2, 2), np.nan)), (slope, np.eye(2))],
    ids=["a hill", "an overflow", "no optimum"],
)
def test_there_is_nothing_nearby_where_the_objective_does_not_bend_upwards(
    objective: Objective, curvature: Floats
) -> None:
    assert nearby_optimum(objective, CENTRE + 0.05, curvature) is None


def test_the_estimates_are_those_of_the_optimum_however_early_the_search_ended() -> None:
    found = best_optimum(bowl, [CENTRE + 1.0], [1e-3])
    assert found is not None
    said = judged(("p", "q"), np.array([1.0, 7.0]), found, bowl, customers=400.0)
    assert said.verdict == "ok"
    assert list(said.parameters.values()) == pytest.approx(np.exp(CENTRE) * [1.0, 7.0], rel=1e-7)
    errors = np.sqrt(np.diag(np.linalg.inv(CURVATURE)) / 400.0)
    assert list(said.standard_errors.values()) == pytest.approx(np.exp(CENTRE) * [1.0, 7.0] * errors, rel=1e-4)


def test_what_falls_for_ever_ends_at_the_limit_and_says_so() -> None:
    found = best_optimum(slope, [np.zeros(2)])
    assert found is not None
    assert found.logs.tolist() == [LOG_LIMITS[1]] * 2
    said = judged(("p", "q"), np.ones(2), found, slope, customers=10.0)
    assert (said.verdict, said.standard_errors) == ("at_bound", {})
    assert "in p, q" in said.note


def test_a_singular_curvature_has_no_standard_errors() -> None:
    assert standard_errors(np.zeros((2, 2)), 10.0) is None


def test_a_parameter_that_changes_nothing_is_not_identified() -> None:
    def flat(logs: Floats) -> tuple[float, Floats]:
        return float(0.5 * logs[0] ** 2), np.array([logs[0], 0.0])

    found = best_optimum(flat, [np.ones(2)])
    assert found is not None
    assert judged(("p", "q"), np.ones(2), found, flat, customers=10.0).verdict == "degenerate"
