"""Boosted trees behind the lines: they find what bends, add nothing where there is nothing, and move no total."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from clv_pipeline.forecasting.boosted import MOST_TREES, BoostedCorrection, HybridBoosted
from clv_pipeline.forecasting.correction import LOG_LIMITS, LinearCorrection, PieceRows
from clv_pipeline.forecasting.families import Hybrid, ParetoNbdPath
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline_tests.forecasting.planted import (
    AGE,
    VIP,
    came,
    ground,
    has,
    is_of_middle_age,
    log_factors,
    rows,
    with_attributes,
)
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, shop


def learned(planted: PieceRows) -> BoostedCorrection:
    correction = BoostedCorrection.learn(LinearCorrection.learn(planted), planted)
    assert isinstance(correction, BoostedCorrection)
    return correction


BENT = came(np.where(is_of_middle_age(), 0.5, -0.5))
TREES = learned(BENT)


def test_a_bend_is_found_that_lines_cannot_have() -> None:
    logs, middle = log_factors(TREES, BENT), is_of_middle_age()
    for piece in BENT.pieces[:3]:
        assert logs[middle, piece].mean() - logs[~middle, piece].mean() == pytest.approx(0.9, abs=0.25)
    assert 0 < TREES.description["trees"] <= MOST_TREES
    assert AGE in TREES.base.parameters["coefficients"]["30"]


def test_who_buys_twice_as_much_is_found_by_the_lines_alone() -> None:
    planted = came(np.where(has(VIP), np.log(2.0), 0.0))
    both = learned(planted)
    logs = log_factors(both, planted)
    assert logs[has(VIP), 0].mean() - logs[~has(VIP), 0].mean() == pytest.approx(np.log(2.0), abs=0.1)
    assert np.abs(logs - log_factors(both.base, planted)).mean() < 0.05


def test_where_the_process_is_right_hardly_a_tree_grows() -> None:
    right = came(np.zeros(len(rows().window)))
    both = learned(right)
    assert both.description["trees"] <= 3
    np.testing.assert_allclose(log_factors(both, right), log_factors(both.base, right), atol=0.1)


def test_without_purchases_there_are_only_lines() -> None:
    none = replace(BENT, came=np.where(np.isfinite(BENT.came), 0.0, np.nan))
    linear = LinearCorrection.learn(none)
    assert BoostedCorrection.learn(linear, none) is linear


def test_purchases_of_a_single_customer_grow_no_tree() -> None:
    first = (BENT.customers["customer_id"] == BENT.customers["customer_id"][0]).to_numpy()[:, np.newaxis]
    one = replace(BENT, came=np.where(np.isfinite(BENT.came), np.where(first, 30.0, 0.0), np.nan))
    assert learned(one).description["trees"] == 0


def test_learned_again_it_is_the_same() -> None:
    again = learned(BENT)
    assert again.parameters == TREES.parameters
    np.testing.assert_array_equal(log_factors(again, BENT), log_factors(TREES, BENT))


def test_a_piece_that_no_window_has_seen_is_taken_for_the_last_that_was() -> None:
    last = len(PIECES_DAYS) - 1
    short = replace(BENT, came=np.where(np.arange(len(PIECES_DAYS)) < last, BENT.came, np.nan))
    both = learned(short)
    added = log_factors(both, short) - log_factors(both.base, short)
    middle = is_of_middle_age()
    assert added[middle, last].mean() - added[~middle, last].mean() > 0.5


@given(any_customers())
@settings(max_examples=20)
def test_any_customer_has_factors_within_bounds_that_depend_on_nobody_else(customers: pl.DataFrame) -> None:
    asked = with_attributes(customers)
    n = customers.height
    alive, expected, days = np.linspace(0.0, 1.0, n), np.full((n, 4), 0.3), np.full((n, 4), 40.0)
    logs = TREES.log_factors(asked, alive, expected, days)
    assert ((logs >= LOG_LIMITS[0]) & (logs <= LOG_LIMITS[1])).all()
    alone = [
        TREES.log_factors(asked[row : row + 1], alive[row : row + 1], expected[row : row + 1], days[row : row + 1])
        for row in range(n)
    ]
    np.testing.assert_array_equal(np.vstack(alone), logs)


def test_the_family_redistributes_and_does_not_contradict_itself() -> None:
    customers = ground().training.current_customers
    boosted, plain = (
        family().fit(ground()).forecast(customers, PIECES_DAYS) for family in (HybridBoosted, ParetoNbdPath)
    )
    boosted.require_coherence()
    assert boosted.purchases is not None
    assert plain.purchases is not None
    np.testing.assert_allclose(boosted.purchases.sum(axis=0), plain.purchases.sum(axis=0), rtol=1e-6)


def test_the_report_says_what_lines_say_and_what_trees_add() -> None:
    told = HybridBoosted().fit(ground()).report.parameters["correction"]
    assert set(told) == {*Hybrid().fit(ground()).report.parameters["correction"], "added"}
    assert "trees" in told["added"]
    assert json.loads(json.dumps(TREES.parameters)) == TREES.parameters


def test_the_lines_are_learned_once_for_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    one, learn = Ground(shop(200).training(CUTOFF)), LinearCorrection.learn
    fits: list[PieceRows] = []

    def counted(planted: PieceRows) -> LinearCorrection:
        fits.append(planted)
        return learn(planted)

    monkeypatch.setattr(LinearCorrection, "learn", counted)
    Hybrid().fit(one)
    HybridBoosted().fit(one)
    assert len(fits) == 1


def test_too_few_purchases_leave_the_process() -> None:
    few = Ground(shop(12).training(CUTOFF))
    boosted, plain = (family().fit(few) for family in (HybridBoosted, ParetoNbdPath))
    assert "the process stands" in boosted.report.notes
    customers = few.training.current_customers
    assert boosted.forecast(customers, [90]).frame().equals(plain.forecast(customers, [90]).frame())
