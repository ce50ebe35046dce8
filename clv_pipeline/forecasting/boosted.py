"""Boosted trees behind the linear correction: differences between customers that are not linear.

Few leaves and a strong penalty. Trees are added only while they improve forecasts of held-out customers: often none
are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie
from clv_pipeline.forecasting.correction import MINIMUM_PURCHASES, Correction, LinearCorrection, PieceRows
from clv_pipeline.forecasting.family import Family, linear_correction
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground, one_thread
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.residual import SEED, Flags, Residual, ResidualCorrection

TREES: dict[str, Any] = {
    "learning_rate": 0.1,
    "max_leaf_nodes": 6,
    "min_samples_leaf": 100,
    "l2_regularization": 50.0,
    "max_bins": 127,
    "random_state": SEED,
}
MOST_TREES = 40
PATIENCE = 8
"""Trees without an improvement on the validation customers before growing stops."""


class BoostedCorrection(ResidualCorrection):
    """The linear correction with boosted trees on top."""

    @classmethod
    def learn(cls, linear: LinearCorrection, rows: PieceRows) -> Correction:
        """Boost with Poisson loss and the linear correction as offset; with too little data, only the correction."""
        residual = Residual.of(linear.features, linear, rows)
        if residual.came.sum() < MINIMUM_PURCHASES:
            return linear
        description: dict[str, Any] = {"trees": 0}
        trees = None
        with _one_thread():
            if number := _trees_worth_growing(residual):
                trees = _grown(residual, np.ones(len(residual.came), dtype=np.bool_), max_iter=number)
                description = {"trees": number, **residual.described(_said(trees, residual.inputs))}
        return cls(linear.features, linear, max(rows.pieces), trees, description)

    def added(self, inputs: Floats) -> Floats:
        """The trees' log factors."""
        with _one_thread():
            return _said(self.learned, inputs)


class HybridBoosted(Family):
    """Pareto/NBD with a linear individual correction, and boosted trees on top."""

    name = "hybrid_boosted"

    def process(self, ground: Ground) -> BuyTillYouDie:
        """Pareto/NBD."""
        return ParetoNbd()

    def learn_correction(self, ground: Ground, rows: PieceRows) -> Correction:
        """Learn the linear correction first, then the trees."""
        return BoostedCorrection.learn(linear_correction(ground, rows), rows)


def _one_thread() -> AbstractContextManager[object]:
    # Loads the thread pools that the trees use, so that they are limited, too.
    import sklearn.ensemble  # noqa: F401

    return one_thread()


def _trees_worth_growing(residual: Residual) -> int:
    """Number of trees with the least loss on the validation customers, over all turns."""
    losses = []
    for teach, judge in residual.folds():
        if not residual.came[teach].any() or not residual.came[judge].any():
            return 0
        judged = dict(zip(("X_val", "y_val", "sample_weight_val"), _regression(residual, judge), strict=True))
        stopping = {"max_iter": MOST_TREES, "early_stopping": True, "n_iter_no_change": PATIENCE}
        grown = _grown(residual, teach, judged, **stopping)
        losses.append(-grown.validation_score_ * judged["sample_weight_val"].sum())
    shortest = min(map(len, losses))
    return int(np.argmin(np.sum([loss[:shortest] for loss in losses], axis=0)))


def _grown(residual: Residual, teach: Flags, judged: Mapping[str, Floats] | None = None, **growth: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    inputs, ratio, weight = _regression(residual, teach)
    trees = HistGradientBoostingRegressor(loss="poisson", **{"early_stopping": False, **TREES, **growth})
    return trees.fit(inputs, ratio, sample_weight=weight, **judged or {})


def _regression(residual: Residual, rows: Flags) -> tuple[Floats, Floats, Floats]:
    # The ratio of actual to expected purchases, weighted by the expected ones, has the likelihood of purchases with an
    # offset.
    ratio = residual.came[rows] / residual.expected[rows]
    return _coarse(residual.inputs[rows]), ratio, residual.expected[rows] * residual.weight[rows]


def _said(trees: Any, inputs: Floats) -> Floats:
    return np.asarray(np.log(trees.predict(_coarse(inputs))), dtype=np.float64)


def _coarse(inputs: Floats) -> Floats:
    """Round to tenths of a deviation: so few values need no quantiles, which take longer than the trees."""
    return np.round(inputs, 1)
