"""How customers differ from what the process says of them: a factor per customer and piece of the future.

Learned on completed windows with the process as offset, so that it says only what the process does not know; within a
window, so that it redistributes and never says how much all buy together. What features mean may drift with the
season; shares drift less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.design_matrix import CLIP, DesignMatrix
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import PIECES_DAYS

STEP_DAYS = 30
"""Days between the cutoffs of windows that models learn from; longer pieces overlap, and count for less."""

MINIMUM_PURCHASES = 50
"""Purchases in completed windows without which nothing is learned of single customers."""

LOG_LIMITS = (-2.0, 0.7)
"""A factor stays within exp(-2) and exp(0.7): a few wholesalers would be doubled and more by their past alone."""

PIECE_FEATURES = ("log_rate", "year_ago", "log_alive")

_POOLED_SD, _PIECE_SD = 0.25, 0.1
_SETTLED = 1e-3  # a coefficient that moves less says the same
_BEYOND = 0.8  # what is left of a correction in pieces that were never seen

_TURNS, _SHARES = 2, (0.0, 0.25, 0.5, 0.75, 1.0)  # what is tried of a correction, on customers who did not teach it

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PieceRows:
    """Rows of completed windows with what the process expects of them in each piece.

    `customers`: n rows, windows of several cutoffs; `window`: which cutoff, 0, 1, …; `alive`: shape (n,);
    `expected`, `days`: expected purchases and days of the clock, shape (n, pieces); `came`: purchases, NaN where the
    piece was not over.
    """

    customers: pl.DataFrame
    window: Integers
    alive: Floats
    expected: Floats
    days: Floats
    came: Floats

    def of(self, chosen: NDArray[np.bool_]) -> PieceRows:
        """Some of the rows."""
        _, window = np.unique(self.window[chosen], return_inverse=True)
        parts = (self.alive[chosen], self.expected[chosen], self.days[chosen], self.came[chosen])
        return PieceRows(self.customers.filter(pl.Series(chosen)), window, *parts)

    def is_over(self, piece: int) -> NDArray[np.bool_]:
        """Rows whose piece was over by the cutoff of the training."""
        return np.isfinite(self.came[:, piece])

    @property
    def pieces(self) -> list[int]:
        """Pieces that were over for some rows."""
        return [piece for piece in range(self.came.shape[1]) if self.is_over(piece).any()]


class Correction(Protocol):
    """What was learned of single customers."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What a reader wants to know of it, in values that JSON can carry."""
        ...

    def log_factors(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """Log factors on expected purchases, shape (n, pieces), within LOG_LIMITS; each row by itself."""
        ...


@dataclass(frozen=True)
class NoCorrection:
    """The process as it is."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def log_factors(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """No difference."""
        return np.zeros_like(expected)


@dataclass(frozen=True, eq=False)
class PieceFeatures:
    """The design matrix of all pieces, and what else varies from piece to piece, standardised."""

    matrix: DesignMatrix
    means: Floats
    scales: Floats

    @classmethod
    def learn(cls, rows: PieceRows) -> PieceFeatures:
        """Means and scales over all pieces that were over."""
        each = piece_features(rows.customers, rows.alive, rows.expected, rows.days)
        seen = np.concatenate([each[rows.is_over(piece), piece] for piece in rows.pieces])
        with np.errstate(invalid="ignore"):
            known = np.isfinite(seen)
            count = np.maximum(known.sum(axis=0), 1)
            means = np.where(known, seen, 0.0).sum(axis=0) / count
            scales = np.sqrt(np.where(known, seen - means, 0.0).__pow__(2).sum(axis=0) / count)
        return cls(DesignMatrix.learn(rows.customers), means, scales)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features: those of all pieces, then those of each."""
        return (*self.matrix.standardised_names, *PIECE_FEATURES)

    def common(self, customers: pl.DataFrame) -> Floats:
        """The features that are the same in all pieces, shape (n, k)."""
        return self.matrix.standardised(customers)

    def of_pieces(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """Those of each piece, shape (n, pieces, len(PIECE_FEATURES))."""
        each = piece_features(customers, alive, expected, days)
        with np.errstate(invalid="ignore"):
            scaled = np.clip((each - self.means) / np.maximum(self.scales, 1e-9), -CLIP, CLIP)
        return np.where(self.scales > 1e-6, np.nan_to_num(scaled, nan=0.0), 0.0)


def piece_features(customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
    """PIECE_FEATURES as they are, (n, pieces, 3): the process's rate, purchases in the piece a year ago, P(alive)."""
    year_ago = [floats(customers, f"purchases_{days}_days_year_ago") for days in PIECES_DAYS[:-1]]
    by_then = np.column_stack([*year_ago, floats(customers, "purchases_365_days")])
    in_piece = np.log1p(np.maximum(np.diff(by_then, axis=1, prepend=0.0), 0.0))
    # Who came later had no chance to buy then; zero would say that they stayed away.
    known = floats(customers, "tenure_days")[:, None] >= 365.0 - np.array([0, *PIECES_DAYS[:-1]])
    pieces = expected.shape[1]
    rate = np.log(np.maximum(expected / np.maximum(days, 1e-9) * 7.0, 1e-5))
    logged = np.broadcast_to(np.log(np.clip(alive, 0.01, 1.0))[:, None], rate.shape)
    return np.stack([rate, np.where(known, in_piece, np.nan)[:, :pieces], logged], axis=-1)


@dataclass(frozen=True, eq=False)
class LinearCorrection:
    """Log factors as linear functions of features; one vector of coefficients per piece."""

    features: PieceFeatures
    coefficients: Floats
    dispersion: float
    share: float = 1.0

    @classmethod
    def learn(cls, rows: PieceRows) -> LinearCorrection:
        """The share of what lines say of all rows that foretells best customers who did not teach them: maybe none."""
        whole, share = cls.of_all(rows), _trusted_share(rows)
        return replace(whole, coefficients=share * whole.coefficients, share=share)

    @classmethod
    def of_all(cls, rows: PieceRows) -> LinearCorrection:
        """Poisson ridges with the process as offset and a level per window.

        Coefficients common to all pieces first; each piece then may deviate from them a little. The penalty is that of
        a normal prior, and purchases count less for their dispersion and for the overlap of windows. Pieces that no
        window has seen take less of the last one's.
        """
        features = PieceFeatures.learn(rows)
        common = features.common(rows.customers)
        each = features.of_pieces(rows.customers, rows.alive, rows.expected, rows.days)
        designs = {}
        for piece in rows.pieces:
            over = rows.is_over(piece)
            designs[piece] = _Design(
                np.hstack([common[over], each[over, piece]]),
                rows.came[over, piece],
                np.maximum(rows.expected[over, piece], 1e-9),
                rows.window[over] + piece * (int(rows.window.max()) + 1),
            )
        pooled = _Design(*(np.concatenate(parts) for parts in zip(*(d.columns for d in designs.values()), strict=True)))
        overlap = {piece: max(1.0, (PIECES_DAYS[piece] - ([0, *PIECES_DAYS][piece])) / STEP_DAYS) for piece in designs}
        mean_overlap = float(np.mean(list(overlap.values())))
        prior, width = np.zeros(len(features.names)), np.full(len(features.names), _POOLED_SD**-2)
        rough, mean = pooled.solve(prior, width, mean_overlap)
        dispersion = _dispersion(pooled.came, mean) * mean_overlap
        shared, _ = pooled.solve(prior, width, dispersion, start=rough)
        found: list[Floats] = []
        for piece in range(rows.expected.shape[1]):
            design = designs.get(piece)
            if design is None:
                found.append(_BEYOND * found[-1] if found else shared)
                continue
            own = _dispersion(design.came, design.mean(shared)) * overlap[piece]
            found.append(design.solve(shared, np.full(len(shared), _PIECE_SD**-2), own, start=shared)[0])
        return cls(features, np.array(found), dispersion)

    @property
    def parameters(self) -> dict[str, Any]:
        """Standardised coefficients of each piece, by the day that it ends."""
        pieces = zip(PIECES_DAYS, self.coefficients, strict=True)
        return {
            "dispersion": self.dispersion,
            "share": self.share,
            "coefficients": {str(days): dict(zip(self.features.names, b.tolist(), strict=True)) for days, b in pieces},
        }

    def log_factors(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """The linear functions, within LOG_LIMITS."""
        each = self.features.of_pieces(customers, alive, expected, days)
        shared = each.shape[2]
        # einsum sums each row by itself: a matrix product may round a row differently in another batch.
        logs = np.einsum("ij,pj->ip", self.features.common(customers), self.coefficients[:, :-shared])
        logs += np.einsum("ipf,pf->ip", each, self.coefficients[:, -shared:])
        return np.asarray(np.clip(logs, *LOG_LIMITS), dtype=np.float64)


def _trusted_share(rows: PieceRows) -> float:
    """The share of the lines' log factors at which the loss of judging customers is least, over all turns."""
    customer = rows.customers["customer_id"].rank("dense").to_numpy()
    losses = np.zeros(len(_SHARES))
    for turn in range(_TURNS):
        judges = customer % _TURNS == turn
        judge, teach = rows.of(judges), rows.of(~judges)
        if not judge.pieces or not teach.pieces:
            return 0.0
        lines = LinearCorrection.of_all(teach)
        logs = lines.log_factors(judge.customers, judge.alive, judge.expected, judge.days)
        for piece in judge.pieces:
            over = judge.is_over(piece)
            told = _Design(
                logs[over, piece, np.newaxis],
                judge.came[over, piece],
                np.maximum(judge.expected[over, piece], 1e-9),
                judge.window[over],
            )
            overlap = max(1.0, (PIECES_DAYS[piece] - ([0, *PIECES_DAYS][piece])) / STEP_DAYS)
            means = [told.mean(np.array([share])) for share in _SHARES]
            losses += np.array([np.sum(mean - told.came * np.log(mean)) for mean in means]) / overlap
    return _SHARES[int(np.argmin(losses))]


def _dispersion(came: Floats, mean: Floats) -> float:
    """Pearson's, of single customers; those of whom next to nothing is expected are kept from deciding it."""
    return max(1.0, float(np.mean((came - mean) ** 2 / np.maximum(mean, 0.02))))


@dataclass(frozen=True, eq=False)
class _Design:
    """Rows of a Poisson regression with an offset and a level per window."""

    features: Floats
    came: Floats
    expected: Floats
    window: Integers

    @property
    def columns(self) -> Sequence[Any]:
        return self.features, self.came, self.expected, self.window

    def _sums(self, values: Floats) -> Floats:
        return np.bincount(self.window, weights=values, minlength=int(self.window.max()) + 1).astype(np.float64)

    def mean(self, b: Floats) -> Floats:
        """Expected purchases, each window at the level that came in it; half a purchase keeps an empty one finite."""
        raw = self.expected * np.exp(np.clip(self.features @ b, -4.0, 4.0))
        level = (self._sums(self.came) + 0.5) / (self._sums(raw) + 0.5)
        return np.asarray(raw * level[self.window], dtype=np.float64)

    def solve(
        self, prior: Floats, precision: Floats, dispersion: float, start: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Coefficients by Newton's method, and the means; the levels are profiled out."""
        b = prior.copy() if start is None else start.copy()
        order = np.argsort(self.window, kind="stable")
        firsts = np.flatnonzero(np.diff(self.window[order], prepend=-1))
        sorted_features = self.features[order]
        for _ in range(20):
            mean = self.mean(b)
            gradient = self.features.T @ (self.came - mean) / dispersion - precision * (b - prior)
            weights = mean[order]
            sums = np.add.reduceat(sorted_features * weights[:, None], firsts, axis=0)
            of_window = np.add.reduceat(weights, firsts)
            curvature = (sorted_features.T * weights) @ sorted_features - (sums.T / np.maximum(of_window, 1e-9)) @ sums
            step = np.linalg.solve(curvature / dispersion + np.diag(precision), gradient)
            step *= min(1.0, 0.7 / max(float(np.abs(step).max()), 1e-12))
            b = b + step
            if np.abs(step).max() < _SETTLED:
                break
        return b, self.mean(b)
