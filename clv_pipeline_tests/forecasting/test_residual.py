"""What is left over: rows at the level of their windows, drawn so that nobody's place depends on others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting import residual
from clv_pipeline.forecasting.correction import LinearCorrection, NoCorrection, PieceFeatures, PieceRows
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline.forecasting.residual import FOLDS, Residual
from clv_pipeline_tests.forecasting.planted import AGE, VIP, came, has, is_of_middle_age, rows

PLANTED = came(np.where(has(VIP), 0.6, 0.0))
LEARNED = LinearCorrection.learn(PLANTED)
# With all that the lines say: how much of it is to be trusted of so few customers is no matter here.
LINEAR = replace(LEARNED, coefficients=LEARNED.coefficients / LEARNED.share, share=1.0)
LEFT = Residual.of(LINEAR.features, LINEAR, PLANTED)


def only(chosen: np.ndarray) -> PieceRows:
    return PieceRows(
        PLANTED.customers.filter(pl.Series(chosen)),
        PLANTED.window[chosen],
        PLANTED.alive[chosen],
        PLANTED.expected[chosen],
        PLANTED.days[chosen],
        PLANTED.came[chosen],
    )


def test_every_window_and_piece_is_at_the_level_that_came() -> None:
    place = 0
    for piece in PLANTED.pieces:
        over = PLANTED.is_over(piece)
        part, window = slice(place, place + int(over.sum())), PLANTED.window[over]
        told, seen = np.bincount(window, LEFT.expected[part]), np.bincount(window, LEFT.came[part])
        np.testing.assert_allclose(told[seen > 50.0], seen[seen > 50.0], rtol=0.01)
        place = part.stop
    assert place == len(LEFT.came) == len(LEFT.inputs)


def test_what_the_base_knows_is_no_longer_left() -> None:
    plain = Residual.of(LINEAR.features, NoCorrection(), PLANTED)
    vip = LEFT.inputs[:, LEFT.names.index(VIP)] > 0.0
    ratios = [one.came[vip].sum() / one.expected[vip].sum() for one in (plain, LEFT)]
    assert ratios[0] > 1.15
    assert ratios[1] == pytest.approx(1.0, abs=0.05)


def test_pieces_longer_than_the_step_between_windows_count_for_less() -> None:
    lengths = np.diff(PIECES_DAYS, prepend=0)
    counted = [1.0 / max(1.0, length / 30.0) for length in lengths]
    piece = np.rint(LEFT.inputs[:, LEFT.names.index("piece")] + 1.5).astype(int)
    np.testing.assert_allclose(LEFT.weight, np.array(counted)[piece])


def test_a_customer_never_teaches_and_judges_in_one_turn_and_judges_once() -> None:
    judged = np.zeros(len(LEFT.came), dtype=int)
    for teach, judge in LEFT.folds():
        assert not set(LEFT.customer[teach]) & set(LEFT.customer[judge])
        assert judge.sum() == pytest.approx(len(judge) / FOLDS, rel=0.2)
        judged += judge
    assert (judged == 1).all()


def test_the_rows_of_many_windows_are_drawn_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual, "ROWS_TO_LEARN", 1_000)
    features = PieceFeatures.learn(PLANTED)
    few = Residual.of(features, NoCorrection(), PLANTED)
    assert len(few.came) <= 1_000 * len(PIECES_DAYS)
    assert len(np.unique(few.customer)) > 300
    others = np.random.default_rng(1).random(len(PLANTED.window)) < 0.9
    again = Residual.of(features, NoCorrection(), only(others))
    ours, theirs = ({row.tobytes() for row in one.inputs} for one in (few, again))
    assert len(ours & theirs) > 0.85 * len(ours)


def test_it_is_said_what_is_added_and_to_whom() -> None:
    added = 0.1 * LEFT.inputs[:, LEFT.names.index(AGE)] + 3.0
    told = LEFT.described(added)
    assert told["rows"] == len(added)
    assert told["spread"] == pytest.approx(0.1, rel=0.1)
    assert next(iter(told["goes_with"])) == AGE
    assert told["goes_with"][AGE] == pytest.approx(1.0)


def test_a_bend_is_left_by_lines() -> None:
    bent = replace(came(np.where(is_of_middle_age(), 0.5, -0.5)), customers=rows().customers)
    linear = LinearCorrection.learn(bent)
    logs = linear.log_factors(bent.customers, bent.alive, bent.expected, bent.days)[:, 0]
    assert abs(logs[is_of_middle_age()].mean() - logs[~is_of_middle_age()].mean()) < 0.15
