"""The residual of the process or of its correction: training rows for non-linear models, and what these add.

One row is a customer, a window and a piece of the future. The offset is the expectation of the `base`, scaled to the
actual level of the window. The model therefore only redistributes: its log factor is added to those of the `base`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.correction import LOG_LIMITS, Correction, PieceFeatures, PieceRows, overlap_of
from clv_pipeline.forecasting.frames import Floats

SEED = 20_240_901

ROWS_TO_LEARN = 20_000
"""Most rows of completed windows to learn from, drawn by hash; each has up to four pieces."""

FOLDS = 2
"""Turns that determine how long to learn; in each, validation customers judge what the others teach.

On Online Retail II and CDNOW, more rows and more turns took longer and predicted no better.
"""

Flags = NDArray[np.bool_]

_LEAST_EXPECTED = 1e-4
_FOLLOWED = 5


@dataclass(frozen=True, eq=False)
class Residual:
    """Rows of a Poisson regression with an offset.

    `inputs`, shape (n, k), are named by `names`. `came`: actual purchases; `expected`: purchases by the base, at the
    level of the window; `weight`: 1, and less where windows overlap; `customer`: the customer of the row, as a number.
    """

    names: tuple[str, ...]
    inputs: Floats
    came: Floats
    expected: Floats
    weight: Floats
    customer: NDArray[np.int64]

    @classmethod
    def of(cls, features: PieceFeatures, base: Correction, rows: PieceRows) -> Residual:
        """Draw rows, and take their pieces that were over."""
        drawn = _drawn(rows.customers)
        customers, window = rows.customers[drawn], rows.window[drawn]
        seen = (rows.alive[drawn], rows.expected[drawn], rows.days[drawn])
        inputs = _inputs(features, max(rows.pieces), customers, *seen)
        mean = np.maximum(seen[1], _LEAST_EXPECTED) * np.exp(base.log_factors(customers, *seen))
        customer = customers["customer_id"].rank("dense").cast(pl.Int64).to_numpy()
        parts = []
        for piece in rows.pieces:
            over = np.isfinite(rows.came[drawn, piece])
            came, said, which = rows.came[drawn, piece][over], mean[over, piece], window[over]
            level = (np.bincount(which, came) + 0.5) / (np.bincount(which, said) + 0.5)
            weight = np.full(len(came), 1.0 / overlap_of(piece))
            parts.append((inputs[over, piece], came, said * level[which], weight, customer[over]))
        return cls((*features.names, "piece"), *map(np.concatenate, zip(*parts, strict=True)))

    def folds(self) -> Iterator[tuple[Flags, Flags]]:
        """Training and validation rows, turn by turn: all rows of a customer stay together."""
        for turn in range(FOLDS):
            judge = self.customer % FOLDS == turn
            yield ~judge, judge

    def described(self, added: Floats) -> dict[str, Any]:
        """A description of the added log factors: their spread over purchases, and their most correlated features."""
        share = self.expected / self.expected.sum()
        along = share * (added - share @ added)
        spread = float(np.sqrt(along @ added))
        deviations = np.sqrt(np.maximum(share @ self.inputs**2 - (share @ self.inputs) ** 2, 0.0))
        correlations = (along @ self.inputs) / np.maximum(deviations * spread, 1e-12)
        most = np.argsort(-np.abs(correlations), kind="stable")[:_FOLLOWED]
        return {
            "rows": len(added),
            "spread": spread,
            "goes_with": {self.names[place]: float(correlations[place]) for place in most},
        }


@dataclass(frozen=True, eq=False)
class ResidualCorrection(ABC):
    """A model of the residual of `base`, together with `base`.

    `learned`: None where nothing improved forecasts; pieces after `last_piece` had no training data; `description`:
    values worth reporting.
    """

    features: PieceFeatures
    base: Correction
    last_piece: int
    learned: Any | None
    description: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the base, and the description of what is added."""
        return {**self.base.parameters, "added": self.description}

    @abstractmethod
    def added(self, inputs: Floats) -> Floats:
        """Added log factors, shape (n,), from inputs of shape (n, k); each row independent of the others."""

    def log_factors(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """The sum of both log factors, within LOG_LIMITS."""
        logs = self.base.log_factors(customers, alive, expected, days)
        if self.learned is None:
            return logs
        inputs = _inputs(self.features, self.last_piece, customers, alive, expected, days)
        added = self.added(inputs.reshape(-1, inputs.shape[-1])).reshape(expected.shape)
        return np.asarray(np.clip(logs + added, *LOG_LIMITS), dtype=np.float64)


def _drawn(customers: pl.DataFrame) -> NDArray[np.int64]:
    """Positions of the sampled rows, in order."""
    if customers.height <= ROWS_TO_LEARN:
        return np.arange(customers.height)
    tickets = customers.select(pl.struct("customer_id", "cutoff").hash(SEED)).to_series().to_numpy()
    return np.sort(np.argsort(tickets, kind="stable")[:ROWS_TO_LEARN])


def _inputs(
    features: PieceFeatures, last_piece: int, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats
) -> Floats:
    """The features and the number of the piece, shape (n, pieces, k); pieces never seen count as the last known one."""
    common = features.common(customers)
    each = features.of_pieces(customers, alive, expected, days)
    n, pieces = expected.shape
    piece = np.minimum(np.arange(pieces), last_piece) - 1.5
    return np.concatenate(
        [
            np.broadcast_to(common[:, np.newaxis], (n, pieces, common.shape[1])),
            each,
            np.broadcast_to(piece[np.newaxis, :, np.newaxis], (n, pieces, 1)),
        ],
        axis=-1,
    )
