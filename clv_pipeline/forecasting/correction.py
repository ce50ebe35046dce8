"""How customers differ from the process: a factor per customer and piece of the future.

Learned on completed windows with the process as offset, so that it adds only what the process does not know. It
compares customers within a window, so that it redistributes purchases and never changes their total. The meaning of
features may drift with the season; shares drift less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.design_matrix import CLIP, DesignMatrix
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import PIECES_DAYS

STEP_DAYS = 30
"""Days between the cutoffs of training windows. Longer pieces overlap, and count for less."""

MINIMUM_PURCHASES = 50
"""Fewest purchases in completed windows from which anything is learned about single customers."""

LOG_LIMITS = (-2.0, 0.7)
"""A factor stays within exp(-2) and exp(0.7). Otherwise the past alone would more than double a few wholesalers."""

PIECE_FEATURES = ("log_rate", "year_ago", "log_alive")

_POOLED_SD, _PIECE_SD = 0.25, 0.1
_SETTLED = 1e-3  # a coefficient that moves less says the same
_NEARBY = 0.1  # a shorter step rests on a curvature from nearby, while steps
_SHRINKING = 0.5  # become this much shorter one by one
_BEYOND = 0.8  # share of a correction that is kept in pieces without training data

_TURNS, _SHARES = 2, (0.0, 0.25, 0.5, 0.75, 1.0)  # shares of a correction that are tried on validation customers

Integers = NDArray[np.int64]


def overlap_of(piece: int) -> float:
    """How many windows share a day of a piece; the weight of their rows is divided by it."""
    return max(1.0, (PIECES_DAYS[piece] - (0, *PIECES_DAYS)[piece]) / STEP_DAYS)


@dataclass(frozen=True, eq=False)
class PieceRows:
    """Rows of completed windows with the purchases that the process expects in each piece.

    `customers`: n rows, windows of several cutoffs; `window`: which cutoff, 0, 1, …; `alive`: shape (n,);
    `expected`, `days`: expected purchases and days of the clock, shape (n, pieces); `came`: actual purchases, NaN where
    the piece was not over.
    """

    customers: pl.DataFrame
    window: Integers
    alive: Floats
    expected: Floats
    days: Floats
    came: Floats

    def is_over(self, piece: int) -> NDArray[np.bool_]:
        """Rows whose piece was over by the cutoff of the training."""
        return np.isfinite(self.came[:, piece])

    @property
    def pieces(self) -> list[int]:
        """Pieces that were over for some rows."""
        return [piece for piece in range(self.came.shape[1]) if self.is_over(piece).any()]


class Correction(Protocol):
    """The learned differences between single customers."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the correction that are worth reporting, as JSON can carry them."""
        ...

    def log_factors(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """Log factors on expected purchases, shape (n, pieces), within LOG_LIMITS; rows are independent."""
        ...


@dataclass(frozen=True)
class NoCorrection:
    """No correction: the process unchanged."""

    @property
    def parameters(self) -> dict[str, Any]:
        """No parameters."""
        return {}

    def log_factors(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """Log factors of 0."""
        return np.zeros_like(expected)


@dataclass(frozen=True, eq=False)
class PieceFeatures:
    """The design matrix that all pieces share, and the features that vary from piece to piece, standardised."""

    matrix: DesignMatrix
    means: Floats
    scales: Floats

    @classmethod
    def learn(cls, rows: PieceRows) -> PieceFeatures:
        """Learn means and scales over all pieces that were over."""
        return cls.learn_and_apply(rows)[0]

    @classmethod
    def learn_and_apply(cls, rows: PieceRows) -> tuple[PieceFeatures, Floats, Floats]:
        """Learn means and scales over all pieces that were over; with the features of the rows, common and by piece."""
        each = piece_features(rows.customers, rows.alive, rows.expected, rows.days)
        seen = np.concatenate([each[rows.is_over(piece), piece] for piece in rows.pieces])
        with np.errstate(invalid="ignore"):
            known = np.isfinite(seen)
            count = np.maximum(known.sum(axis=0), 1)
            means = np.where(known, seen, 0.0).sum(axis=0) / count
            scales = np.sqrt(np.where(known, seen - means, 0.0).__pow__(2).sum(axis=0) / count)
        matrix, common = DesignMatrix.learn_and_apply(rows.customers)
        learned = cls(matrix, means, scales)
        return learned, common, learned._scaled(each)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features: the common ones, then those of each piece."""
        return (*self.matrix.standardised_names, *PIECE_FEATURES)

    def common(self, customers: pl.DataFrame) -> Floats:
        """The features that are the same in all pieces, shape (n, k)."""
        return self.matrix.standardised(customers)

    def of_pieces(self, customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
        """The features that vary by piece, shape (n, pieces, len(PIECE_FEATURES))."""
        return self._scaled(piece_features(customers, alive, expected, days))

    def _scaled(self, each: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            scaled = np.clip((each - self.means) / np.maximum(self.scales, 1e-9), -CLIP, CLIP)
        scaled[np.isnan(scaled) | (self.scales <= 1e-6)] = 0.0
        return np.asarray(scaled, dtype=np.float64)


def piece_features(customers: pl.DataFrame, alive: Floats, expected: Floats, days: Floats) -> Floats:
    """PIECE_FEATURES, unscaled, (n, pieces, 3): the process's rate, purchases in the piece a year ago, P(alive)."""
    year_ago = [floats(customers, f"purchases_{days}_days_year_ago") for days in PIECES_DAYS[:-1]]
    by_then = np.column_stack([*year_ago, floats(customers, "purchases_365_days")])
    in_piece = np.log1p(np.maximum(np.diff(by_then, axis=1, prepend=0.0), 0.0))
    # Newer customers had no chance to buy then; zero would say that they stayed away.
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
    share: float

    @classmethod
    def learn(cls, rows: PieceRows) -> LinearCorrection:
        """Learn the ridges, and the share of their log factors that predicts validation customers best; it may be 0."""
        features, *learned = PieceFeatures.learn_and_apply(rows)
        designs = _designs(rows, *learned)
        ridges = _Ridges.of(designs)
        share = _trusted_share(designs, ridges)
        found: list[Floats] = []
        for piece in range(rows.expected.shape[1]):
            unseen = _BEYOND * found[-1] if found else ridges.shared
            found.append(ridges.of_piece.get(piece, unseen))
        return cls(features, share * np.array(found), ridges.dispersion, share)

    @property
    def parameters(self) -> dict[str, Any]:
        """Standardised coefficients of each piece, by the day on which the piece ends."""
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
        # einsum sums each row independently: a matrix product may round a row differently in another batch.
        logs = np.einsum("ij,pj->ip", self.features.common(customers), self.coefficients[:, :-shared])
        logs += np.einsum("ipf,pf->ip", each, self.coefficients[:, -shared:])
        return np.asarray(np.clip(logs, *LOG_LIMITS), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Design:
    """Rows of a Poisson regression with an offset and a level per window; windows ascend.

    A subset has the same rows, where those left out expect nothing and nothing came: `count` are the others.
    """

    features: Floats
    came: Floats
    expected: Floats
    window: Integers
    customer: Integers
    count: int

    def part(self, first: int, end: int) -> _Design:
        """Consecutive rows."""
        of = slice(first, end)
        return _Design(
            self.features[of], self.came[of], self.expected[of], self.window[of], self.customer[of], end - first
        )

    def only(self, chosen: NDArray[np.bool_]) -> _Design:
        """The subset of the chosen rows. Nothing is copied that has the size of the features."""
        return replace(self, came=self.came * chosen, expected=self.expected * chosen, count=int(chosen.sum()))

    @cached_property
    def starts(self) -> Integers:
        """First row of each window."""
        return np.flatnonzero(np.diff(self.window, prepend=-1))

    def mean(self, logs: Floats) -> Floats:
        """Expected purchases, each window scaled to its actual total; half a purchase keeps empty windows finite."""
        raw = self.expected * np.exp(np.clip(logs, -4.0, 4.0))
        level = (np.add.reduceat(self.came, self.starts) + 0.5) / (np.add.reduceat(raw, self.starts) + 0.5)
        return np.asarray(raw * np.repeat(level, np.diff([*self.starts, len(raw)])), dtype=np.float64)

    def curvature(self, mean: Floats) -> Floats:
        """Curvature of the negative log-likelihood, with the levels profiled out."""
        width = self.features.shape[1]
        total, sums = np.zeros((width, width)), np.empty((len(self.starts), width))
        for place, (first, end) in enumerate(pairwise([*self.starts, len(mean)])):
            rows, weights = self.features[first:end], mean[first:end]
            # A product of a matrix with itself takes half the time of one of two matrices.
            rooted = rows * np.sqrt(weights)[:, np.newaxis]
            total += rooted.T @ rooted
            sums[place] = weights @ rows
        of_window = np.add.reduceat(mean, self.starts)
        return np.asarray(total - (sums.T / np.maximum(of_window, 1e-9)) @ sums, dtype=np.float64)

    def dispersion(self, b: Floats) -> float:
        """Pearson's dispersion over customers, protected against customers with expectations near 0."""
        mean = self.mean(self.features @ b)
        return max(1.0, float(np.sum((self.came - mean) ** 2 / np.maximum(mean, 0.02))) / self.count)

    def solve(self, prior: Floats, deviation: float, dispersion: float, near: _Solution) -> _Solution:
        """Coefficients by Newton's method with a normal prior, from those of a similar regression.

        A curvature from nearby serves while steps are short and become shorter: it changes the way, not the end.
        """
        b, curvature, precision = near.coefficients, near.curvature, deviation**-2
        longest = _NEARBY
        for _ in range(20):
            mean = self.mean(self.features @ b)
            gradient = self.features.T @ (self.came - mean) / dispersion - precision * (b - prior)

            step = None if curvature is None else _step(curvature / dispersion, precision, gradient)
            if step is None or np.abs(step).max() > longest:
                curvature = self.curvature(mean)
                step = _step(curvature / dispersion, precision, gradient)
            moved = float(np.abs(step).max())
            b, longest = b + step, min(_NEARBY, max(_SHRINKING * moved, _SETTLED))
            if moved < _SETTLED:
                break
        return _Solution(b, curvature)


@dataclass(frozen=True, eq=False)
class _Solution:
    """Coefficients with the curvature of the negative log-likelihood nearby; None where it is not known."""

    coefficients: Floats
    curvature: Floats | None = None

    def of_share(self, share: float) -> _Solution:
        """About the solution of this share of the rows."""
        return _Solution(self.coefficients, None if self.curvature is None else share * self.curvature)


def _step(curvature: Floats, precision: float, gradient: Floats) -> Floats:
    """Newton's step of a ridge, of limited length."""
    step = np.linalg.solve(curvature + precision * np.eye(len(gradient)), gradient)
    return np.asarray(step * min(1.0, 0.7 / max(float(np.abs(step).max()), 1e-12)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Designs:
    """The design of each piece that was over for some rows, and the pooled design."""

    of_piece: Mapping[int, _Design]
    pooled: _Design

    def only(self, chosen: NDArray[np.bool_]) -> _Designs:
        """The subset of the chosen rows of the pooled design; pieces without rows are left out."""
        places = np.split(chosen, np.cumsum([len(design.came) for design in self.of_piece.values()])[:-1])
        parts = zip(self.of_piece.items(), places, strict=True)
        return _Designs({piece: design.only(of) for (piece, design), of in parts if of.any()}, self.pooled.only(chosen))


def _designs(rows: PieceRows, common: Floats, each: Floats) -> _Designs:
    """The designs from the features of the rows: those that are common to all pieces, and those by piece."""
    customer = rows.customers["customer_id"].rank("dense").to_numpy().astype(np.int64)
    over = {piece: np.flatnonzero(rows.is_over(piece)) for piece in rows.pieces}
    ends = np.cumsum([0, *map(len, over.values())])
    width = common.shape[1]
    matrix = np.empty((ends[-1], width + each.shape[2]))
    windows = int(rows.window.max()) + 1
    for (piece, of), first, end in zip(over.items(), ends[:-1], ends[1:], strict=True):
        matrix[first:end, :width], matrix[first:end, width:] = common[of], each[of, piece]
    pooled = _Design(
        matrix,
        came=np.concatenate([rows.came[of, piece] for piece, of in over.items()]),
        expected=np.concatenate([np.maximum(rows.expected[of, piece], 1e-9) for piece, of in over.items()]),
        window=np.concatenate([rows.window[of] + piece * windows for piece, of in over.items()]),
        customer=np.concatenate([customer[of] for of in over.values()]),
        count=len(matrix),
    )
    bounds = zip(over, ends[:-1], ends[1:], strict=True)
    return _Designs({piece: pooled.part(first, end) for piece, first, end in bounds}, pooled)


@dataclass(frozen=True, eq=False)
class _Ridges:
    """Coefficients common to all pieces, deviations of each piece, and the dispersion of purchases."""

    common: _Solution
    of_pieces: Mapping[int, _Solution]
    dispersion: float

    @property
    def shared(self) -> Floats:
        """Coefficients common to all pieces."""
        return self.common.coefficients

    @property
    def of_piece(self) -> dict[int, Floats]:
        """The coefficients of each piece."""
        return {piece: solution.coefficients for piece, solution in self.of_pieces.items()}

    @classmethod
    def of(cls, designs: _Designs, near: _Ridges | None = None) -> _Ridges:
        """Poisson ridges with the process as offset and a level per window.

        Common coefficients come first; each piece may then deviate a little. The penalty is that of a normal prior.
        Dispersion and the overlap of windows reduce the weight of purchases. `near`: the ridges of all rows, of which
        these are some, as a start.
        """
        pooled = designs.pooled
        none, together = np.zeros(pooled.features.shape[1]), float(np.mean([*map(overlap_of, designs.of_piece)]))
        share = pooled.count / len(pooled.came)
        rough = near.common.of_share(share) if near else pooled.solve(none, _POOLED_SD, together, _Solution(none))
        dispersion = pooled.dispersion(rough.coefficients) * together
        common = pooled.solve(none, _POOLED_SD, dispersion, rough)
        of_pieces = {}
        for piece, design in designs.of_piece.items():
            own = design.dispersion(common.coefficients) * overlap_of(piece)
            start = near.of_pieces[piece].of_share(share) if near else _Solution(common.coefficients)
            of_pieces[piece] = design.solve(common.coefficients, _PIECE_SD, own, start)
        return cls(common, of_pieces, dispersion)


def _trusted_share(designs: _Designs, near: _Ridges) -> float:
    """The share of the ridges' log factors with the least loss on validation customers, over all turns."""
    from scipy.special import xlogy

    turns = designs.pooled.customer % _TURNS
    losses = np.zeros(len(_SHARES))
    for turn in range(_TURNS):
        teach, judge = designs.only(turns != turn), designs.only(turns == turn)
        if not teach.of_piece or not judge.of_piece:
            return 0.0
        taught = _Ridges.of(teach, near)
        for piece, design in judge.of_piece.items():
            logs = np.clip(design.features @ taught.of_piece.get(piece, taught.shared), *LOG_LIMITS)
            means = [design.mean(share * logs) for share in _SHARES]
            losses += [np.sum(mean - xlogy(design.came, mean)) / overlap_of(piece) for mean in means]
    return _SHARES[int(np.argmin(losses))]
