"""The individual correction: it finds who buys more than the process knows, within bounds, and moves no total."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from clv_pipeline.forecasting.correction import (
    LOG_LIMITS,
    PIECE_FEATURES,
    LinearCorrection,
    NoCorrection,
    PieceRows,
    piece_features,
)
from clv_pipeline.forecasting.families import Hybrid, ParetoNbdPath
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline.forecasting.windows import Seen
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, customers_frame, shop, varied

GROUND = Ground(shop(500).training(CUTOFF))
SEEN = Seen.of(GROUND, GROUND.process(ParetoNbd()))
assert SEEN.rows is not None
VIP = "attribute:vip"
ROWS = replace(
    SEEN.rows,
    customers=varied(SEEN.rows.customers).with_columns((pl.int_range(pl.len()) % 5 == 0).cast(pl.Float64).alias(VIP)),
)
IS_VIP = ROWS.customers[VIP].to_numpy() > 0.0
LAST = len(PIECES_DAYS) - 1


def came(log_factors: Floats, seed: int = 1) -> PieceRows:
    """The rows with purchases as the process expects them times these factors, five times as many of them."""
    mean = 5.0 * ROWS.expected * np.exp(log_factors)
    drawn = np.random.default_rng(seed).poisson(mean).astype(np.float64)
    return replace(ROWS, expected=5.0 * ROWS.expected, came=np.where(np.isfinite(ROWS.came), drawn, np.nan))


def log_factors(correction: LinearCorrection, rows: PieceRows = ROWS) -> Floats:
    return correction.log_factors(rows.customers, rows.alive, rows.expected, rows.days)


PLANTED = came(np.where(IS_VIP, 0.6, 0.0)[:, None] * np.ones(len(PIECES_DAYS)))
LEARNED = LinearCorrection.learn(PLANTED)


def test_a_feature_that_the_process_does_not_know_is_found() -> None:
    logs = log_factors(LEARNED, PLANTED)
    for piece in PLANTED.pieces[:3]:
        assert logs[IS_VIP, piece].mean() - logs[~IS_VIP, piece].mean() == pytest.approx(0.6, abs=0.1)
    told = LEARNED.parameters["coefficients"]
    assert list(told) == [str(days) for days in PIECES_DAYS]
    assert max(told["30"], key=lambda name: abs(told["30"][name])) == VIP
    assert set(PIECE_FEATURES) < set(told["30"])


def test_where_the_process_is_right_there_is_little_to_correct() -> None:
    right = came(np.zeros_like(ROWS.expected))
    logs = log_factors(LinearCorrection.learn(right), right)
    weights = right.expected[:, 0]
    assert np.average(np.abs(logs[:, 0] - np.average(logs[:, 0], weights=weights)), weights=weights) < 0.1


def test_a_curvature_from_nearby_changes_the_way_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.forecasting.correction._NEARBY", 0.0)
    anew = LinearCorrection.learn(PLANTED)
    assert anew.share == LEARNED.share
    np.testing.assert_allclose(anew.coefficients, LEARNED.coefficients, atol=2e-3)


def test_a_window_in_which_all_bought_more_teaches_nothing_of_single_customers() -> None:
    busy = (ROWS.window % 2 == 0)[:, None]
    more = replace(PLANTED, came=PLANTED.came * np.where(busy, 3.0, 1.0))
    told, before = LinearCorrection.learn(more).coefficients, LEARNED.coefficients
    place = LEARNED.features.names.index(VIP)
    assert told[0, place] == pytest.approx(before[0, place], rel=0.1)
    assert np.abs(told - before).max() < 0.15


def test_a_piece_that_no_window_has_seen_takes_less_of_the_last_one_that_was() -> None:
    short = replace(PLANTED, came=np.where(np.arange(len(PIECES_DAYS)) < LAST, PLANTED.came, np.nan))
    coefficients = LinearCorrection.learn(short).coefficients
    assert short.pieces == list(range(LAST))
    np.testing.assert_allclose(coefficients[LAST], 0.8 * coefficients[LAST - 1], rtol=1e-12)


def test_a_factor_has_limits() -> None:
    wild = replace(LEARNED, coefficients=100.0 * LEARNED.coefficients)
    logs = log_factors(wild)
    assert (logs.min(), logs.max()) == LOG_LIMITS


def test_a_little_evidence_moves_little() -> None:
    few = np.random.default_rng(1).random(len(IS_VIP)) < 0.02
    part = PieceRows(
        PLANTED.customers.filter(pl.Series(few)),
        PLANTED.window[few],
        PLANTED.alive[few],
        PLANTED.expected[few] / 5.0,
        PLANTED.days[few],
        np.floor(PLANTED.came[few] / 5.0),
    )
    logs = log_factors(LinearCorrection.learn(part), part)
    assert np.abs(logs[:, 0]).mean() < 0.35


def test_no_correction_is_none() -> None:
    logs = NoCorrection().log_factors(ROWS.customers, ROWS.alive, ROWS.expected, ROWS.days)
    assert not logs.any()
    assert logs.shape == ROWS.expected.shape


def test_who_came_after_a_window_of_last_year_did_not_stay_away_from_it() -> None:
    asked = customers_frame([3, 3, 3, 3], [200] * 4, [300, 340, 364, 400], [25.0] * 4)
    expected = np.ones((4, len(PIECES_DAYS)))
    features = piece_features(asked, np.full(4, 0.5), expected, 30.0 * expected)
    # The pieces begin 0, 30, 90 and 180 days after a year ago.
    known = np.isfinite(features[:, :, PIECE_FEATURES.index("year_ago")])
    assert known.tolist() == [
        [False, False, True, True],
        [False, True, True, True],
        [False, True, True, True],
        [True, True, True, True],
    ]
    assert features[0, 0, PIECE_FEATURES.index("log_rate")] == pytest.approx(np.log(7.0 / 30.0))
    assert features[0, 0, PIECE_FEATURES.index("log_alive")] == pytest.approx(np.log(0.5))


@given(any_customers())
@settings(max_examples=20)
def test_any_customer_has_factors_within_bounds_that_depend_on_nobody_else(customers: pl.DataFrame) -> None:
    asked = customers.with_columns(pl.lit(1.0).alias(VIP))
    n = customers.height
    alive, expected, days = np.linspace(0.0, 1.0, n), np.full((n, 4), 0.3), np.full((n, 4), 40.0)
    logs = LEARNED.log_factors(asked, alive, expected, days)
    assert np.isfinite(logs).all()
    assert (logs >= LOG_LIMITS[0]).all()
    assert (logs <= LOG_LIMITS[1]).all()
    alone = [
        LEARNED.log_factors(asked.slice(row, 1), alive[row : row + 1], expected[row : row + 1], days[row : row + 1])
        for row in range(n)
    ]
    np.testing.assert_array_equal(np.vstack(alone), logs)


def test_a_correction_redistributes_and_moves_no_total() -> None:
    customers = GROUND.training.current_customers
    corrected, plain = (model().fit(GROUND).forecast(customers, PIECES_DAYS) for model in (Hybrid, ParetoNbdPath))
    assert corrected.purchases is not None
    assert plain.purchases is not None
    np.testing.assert_allclose(corrected.purchases.sum(axis=0), plain.purchases.sum(axis=0), rtol=1e-6)
    assert np.abs(corrected.purchases[:, 1] / plain.purchases[:, 1] - 1.0).max() > 0.02
