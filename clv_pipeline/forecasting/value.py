"""The value of a customer's purchase: a robust mean of their own purchases, shrunk to that of similar customers.

One absurd order is capped and affects nobody else. Frequent buyers may spend more or less per purchase than one-time
buyers. The mean of a newcomer is shrunk to the mean of customers with as many purchases, not to the mean of all
purchases, which frequent buyers dominate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats, floats

CAP = 3.0
"""Deviations of a customer's purchases above their level at which the largest one is capped."""

PSEUDO_PURCHASES = 1.5
"""Least weight of the mean of similar customers, in purchases, against a customer's own purchases."""

FEWEST_PURCHASES = 30

_FEATURES = ("level", "own_mean", "last", "lines_per_order")
_PRIOR_SD = (0.3, 0.02, 0.1, 0.05)
_SLOPE_SD = 0.3
_WINDOW_SD, _WINDOW_FLOOR, _WINDOW_OVERLAP, _HALF_LIFE = 0.15, 0.05, 4.0, 365.0
_SMALLEST = 0.01


@dataclass(frozen=True, eq=False)
class ValueModel:
    """Money per purchase of a customer, from the customers frame alone.

    `level`, `slope`: mean log spend of customers, and its change with the log of their purchases. `within`, `between`:
    variances of log spend between the purchases of a customer, and between customers' levels. `coefficients` belong to
    `_FEATURES`. `excess`: factor that gives the capped money back to all; the largest excess is left out.
    """

    level: float
    slope: float
    within: float
    between: float
    coefficients: Floats
    excess: float

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the model that are worth reporting."""
        return {
            "mean_log_spend": self.level,
            "log_spend_by_log_purchases": self.slope,
            "variance_within_customers": self.within,
            "variance_between_customers": self.between,
            "excess": self.excess,
            **dict(zip(_FEATURES, self.coefficients.tolist(), strict=True)),
        }

    def per_purchase(self, customers: pl.DataFrame) -> Floats:
        """Expected money per purchase, shape (n,)."""
        features = self.features(customers)
        logs = np.clip(np.einsum("ij,j->i", features, self.coefficients), -20.0, 25.0)
        return np.asarray(np.exp(logs) * self.excess, dtype=np.float64)

    def features(self, customers: pl.DataFrame) -> Floats:
        """`_FEATURES`, shape (n, 4)."""
        base = np.log(self._mean(customers))
        last = np.log(np.maximum(floats(customers, "last_spend"), _SMALLEST))
        lines = np.log(np.maximum(floats(customers, "lines_per_order"), 1e-3))
        return np.column_stack(
            [np.ones_like(base), base, np.clip(last + 0.5 * self.within - base, -3.0, 3.0), np.clip(lines, -3.0, 5.0)]
        )

    def shrunk_log(self, customers: pl.DataFrame) -> Floats:
        """A customer's level: the mean of log spends, shrunk to that of customers with as many purchases."""
        n = floats(customers, "frequency") + 1.0
        weight = self.within / self.between
        alike = self.level + self.slope * np.log(n)
        return np.asarray((floats(customers, "log_spend") + weight * alike) / (n + weight), dtype=np.float64)

    def cap(self, customers: pl.DataFrame) -> Floats:
        """The most that one purchase of a customer counts."""
        return np.asarray(np.exp(self.shrunk_log(customers) + CAP * np.sqrt(self.within)), dtype=np.float64)

    def capped_excess(self, customers: pl.DataFrame) -> Floats:
        """The part of the largest purchase above the cap."""
        return np.maximum(floats(customers, "largest_spend") - self.cap(customers), 0.0)

    def _mean(self, customers: pl.DataFrame) -> Floats:
        n = floats(customers, "frequency") + 1.0
        own = np.maximum(floats(customers, "revenue") - self.capped_excess(customers), n * _SMALLEST)
        alike = np.exp(self.level + self.slope * np.log(n) + 0.5 * (self.between + self.within))
        pseudo = PSEUDO_PURCHASES
        return np.asarray((own + pseudo * alike) / (n + pseudo), dtype=np.float64)


def fit(customers: pl.DataFrame, windows: pl.DataFrame, cutoff: Any) -> ValueModel:
    """Fit on the customers of the cutoff, and on later spend per purchase of customers in completed windows.

    `windows`: customers frames with actual_purchases and actual_spend of their longest completed piece up to 180 days,
    and `piece_days`.
    """
    if customers.is_empty():
        return ValueModel(0.0, 0.0, 0.25, 0.25, np.array([0.0, 1.0, 0.0, 0.0]), 1.0)
    n, logs, squares = (floats(customers, name) for name in ("frequency", "log_spend", "squared_log_spend"))
    n = n + 1.0
    mean = logs / n
    within = max(float(np.sum(np.maximum(squares - logs**2 / n, 0.0)) / max(np.sum(n - 1.0), 1.0)), 1e-3)
    level, slope, between = _levels(n, mean, within)
    plain = ValueModel(level, slope, within, between, np.array([0.0, 1.0, 0.0, 0.0]), 1.0)
    excess = plain.capped_excess(customers)
    kept = float(np.sum(floats(customers, "revenue") - excess))
    # A single order affects nobody else: the largest excess is left out.
    given_back = 1.0 + (float(excess.sum()) - float(excess.max())) / kept if kept > 0.0 else 1.0
    model = ValueModel(level, slope, within, between, plain.coefficients, min(given_back, 1.5))
    return model if windows.is_empty() else _learned(model, windows, cutoff)


def shrunk_level(log_ratios: Floats, ages_days: Floats) -> float:
    """The mean log ratio of money, recent windows weighted most, shrunk to 0 by its uncertainty.

    Windows a month apart share most of their days: _WINDOW_OVERLAP of them count as one.
    """
    weights = 0.5 ** (ages_days / _HALF_LIFE)
    mean = float(weights @ log_ratios / weights.sum())
    effective = max(float(weights.sum() ** 2 / (weights @ weights)) / _WINDOW_OVERLAP, 0.5)
    variance = (float(weights @ (log_ratios - mean) ** 2 / weights.sum()) + _WINDOW_FLOOR**2) / effective
    return mean * _WINDOW_SD**2 / (_WINDOW_SD**2 + variance)


def _levels(n: Floats, mean: Floats, within: float) -> tuple[float, float, float]:
    """Mean and variance of customers' levels of log spend, and their slope in log purchases, by moments."""
    slope, between = 0.0, 0.25
    level = float(np.mean(mean))
    logs = np.log(n)
    for _ in range(10):
        weights = 1.0 / (between + within / n)
        centre, middle = np.average(mean, weights=weights), np.average(logs, weights=weights)
        scatter = float(weights @ (logs - middle) ** 2)
        slope = float(weights @ ((logs - middle) * (mean - centre))) / (scatter + _SLOPE_SD**-2)
        level = float(centre - slope * middle)
        residual = mean - level - slope * logs
        between = max(float(np.average(residual**2 - within / n, weights=weights)), 0.02)
    return level, slope, between


def _learned(model: ValueModel, windows: pl.DataFrame, cutoff: Any) -> ValueModel:
    """The model updated by completed windows: Gamma quasi-likelihood on the log scale, then the level of money."""
    bought = windows.filter(pl.col("actual_purchases") > 0, pl.col("actual_spend") > 0)
    purchases, spend = floats(bought, "actual_purchases"), floats(bought, "actual_spend")
    if purchases.sum() < FEWEST_PURCHASES:
        return model
    age = bought.select((pl.lit(cutoff) - pl.col("cutoff")).dt.total_days() - pl.col("piece_days")).to_series()
    overlap = np.maximum(floats(bought, "piece_days") / 30.0, 1.0)
    weights = purchases / overlap * 0.5 ** (age.cast(pl.Float64).to_numpy() / _HALF_LIFE)
    features = model.features(bought)
    each = np.minimum(spend / purchases, model.cap(bought) * np.exp(0.5 * model.within))
    prior, precision = model.coefficients, np.array(_PRIOR_SD) ** -2.0
    b = prior.copy()
    dispersion = 1.0
    for turn in range(30):
        mean = np.exp(np.clip(features @ b, -20.0, 25.0))
        residual = each / mean - 1.0
        if turn in (3, 8):
            dispersion = max(float(np.sum(weights * residual**2) / weights.sum()), 0.05)
        gradient = features.T @ (weights * residual) / dispersion - precision * (b - prior)
        curvature = (features.T * (weights / dispersion)) @ features + np.diag(precision)
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, 0.7 / max(float(np.abs(step).max()), 1e-12))
        b = b + step
        if np.abs(step).max() < 1e-6 and turn > 9:
            break
    return ValueModel(model.level, model.slope, model.within, model.between, b, model.excess)
