"""The definitions of all metrics, over weighted customers, so that one definition serves value and bootstrap.

A scorer sorts its data once; called with weights (one per customer, e.g. how often a bootstrap drew them) it
returns every metric. Ties are exact: customers with equal forecasts share their outcomes evenly, whatever the
row order. An undefined metric is NaN.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

DECILES = 10


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0.0 else math.nan


@dataclass(frozen=True)
class Order:
    """Customers ordered by a key, highest first, with ties kept as groups."""

    rows: Integers
    group_ends: Integers
    group_of_customer: Integers

    @classmethod
    def descending(cls, key: Floats) -> "Order":
        """Order by `key`; `group_ends` are the last positions of the groups of equal keys."""
        rows = np.argsort(-key, kind="stable")
        new_group = np.diff(key[rows]) != 0.0
        group_of_position = np.concatenate([[0], np.cumsum(new_group)])
        group_of_customer = np.empty_like(rows)
        group_of_customer[rows] = group_of_position
        return cls(rows, np.append(np.flatnonzero(new_group), len(key) - 1), group_of_customer)

    def cumulative(self, ordered: Floats) -> Floats:
        """Sum ordered values from the highest key to the end of each group; starts with 0."""
        sums = np.cumsum(ordered)
        return np.concatenate([[0.0], sums if len(sums) == len(self.group_ends) else sums[self.group_ends]])

    def centered_ranks(self, heads: Floats) -> Floats:
        """Return each customer's mid-rank in [-1/2, 1/2] from cumulated weights; ties are equal."""
        middle = 0.5 * (heads[1:] + heads[:-1]) / heads[-1] - 0.5
        return np.asarray(middle[self.group_of_customer], dtype=np.float64)


def rank_correlation(weights: Floats, a: Floats, b: Floats) -> float:
    """Spearman correlation from centered mid-ranks; NaN when either side is constant."""
    wa = weights * a
    spread = math.sqrt(float(wa @ a) * float(np.square(b) @ weights))
    # A constant side has mid-rank 0 up to rounding.
    return float(wa @ b) / spread if spread > 1e-12 * float(weights.sum()) else math.nan


@dataclass(frozen=True)
class GainsCurve:
    """Customers, money forecast and spent, cumulated from the highest forecast down; linear in ties."""

    customers: Floats
    forecast: Floats
    actual: Floats

    def gini(self) -> float:
        """Area between the curve of actual money and the diagonal: 0 for a random order."""
        mean_height = 0.5 * (self.actual[1:] + self.actual[:-1])
        area = float(np.diff(self.customers) @ mean_height)
        return _ratio(area, float(self.customers[-1] * self.actual[-1])) - 0.5

    def share_in_top(self, share: float) -> float:
        """Share of all money that the given share of customers, highest forecasts first, spent."""
        spent = np.interp(share * self.customers[-1], self.customers, self.actual)
        return _ratio(float(spent), float(self.actual[-1]))

    def deciles(self) -> tuple[Floats, Floats, Floats]:
        """Customers, money forecast and money spent of each tenth of the customers, highest forecasts first.

        Sizes are whole numbers that differ by at most one; with fewer than ten customers some are 0.
        """
        cuts = np.round(np.linspace(0.0, self.customers[-1], DECILES + 1))
        forecast = np.interp(cuts, self.customers, self.forecast)
        return np.diff(cuts), np.diff(forecast), np.diff(np.interp(cuts, self.customers, self.actual))

    def decile_mape(self) -> float:
        """Mean over deciles of |forecast - actual| / actual (Wang, Liu & Miao 2019); NaN when nobody spent.

        Deciles in which nobody spent anything have no relative error and are left out.
        """
        _, forecast, actual = self.deciles()
        # Interpolation leaves rounding dust where nothing was spent.
        spent = actual > 1e-12 * self.actual[-1]
        if not spent.any():
            return math.nan
        return float(np.mean(np.abs(forecast[spent] - actual[spent]) / actual[spent]))


class AmountScorer:
    """Metrics of an expected amount (spend, or a number of purchases) against the actual one."""

    def __init__(self, forecast: Floats, actual: Floats) -> None:
        error = forecast - actual
        self._moments = np.vstack([np.abs(error), error * error, forecast, actual, actual * actual])
        self._by_forecast, self._by_actual = Order.descending(forecast), Order.descending(actual)
        self._by_error = np.argsort(np.abs(error), kind="stable")
        self._errors = np.abs(error)[self._by_error]
        self._forecast, self._actual = forecast[self._by_forecast.rows], actual[self._by_forecast.rows]
        self._perfect = actual[self._by_actual.rows]

    def curve(self, weights: Floats) -> GainsCurve:
        """Return the gains curve in the order of the forecasts."""
        ordered, cumulative = weights[self._by_forecast.rows], self._by_forecast.cumulative
        return GainsCurve(cumulative(ordered), cumulative(ordered * self._forecast), cumulative(ordered * self._actual))

    def perfect_curve(self, weights: Floats) -> GainsCurve:
        """Return the gains curve of a forecast that knew the outcomes."""
        ordered, cumulative = weights[self._by_actual.rows], self._by_actual.cumulative
        money = cumulative(ordered * self._perfect)
        return GainsCurve(cumulative(ordered), money, money)

    def purchases(self, weights: Floats) -> dict[str, float]:
        """Error and rank metrics that suit counts."""
        by_forecast, by_actual = self._by_forecast, self._by_actual
        return self._common(
            weights,
            by_forecast.cumulative(weights[by_forecast.rows]),
            by_actual.cumulative(weights[by_actual.rows]),
        )

    def spend(self, weights: Floats) -> dict[str, float]:
        """All metrics of spend."""
        total = float(weights.sum())
        _, squared, _, actual, actual_squared = (self._moments @ weights).tolist()
        half = np.searchsorted(np.cumsum(weights[self._by_error]), 0.5 * total)
        curve, perfect = self.curve(weights), self.perfect_curve(weights)
        best = perfect.gini()
        scatter = actual_squared - actual * actual / total
        return {
            **self._common(weights, curve.customers, perfect.customers),
            "medae": float(self._errors[half]),
            # Scatter within rounding of zero means that all customers spent the same.
            "r2": 1.0 - _ratio(squared, scatter if scatter > 1e-12 * actual_squared else 0.0),
            "normalized_gini": _ratio(curve.gini(), best if best > 1e-12 else 0.0),
            "decile_mape": curve.decile_mape(),
            "top_10_share": curve.share_in_top(0.1),
            "top_20_share": curve.share_in_top(0.2),
        }

    def _common(self, weights: Floats, forecast_heads: Floats, actual_heads: Floats) -> dict[str, float]:
        total = float(weights.sum())
        absolute, squared, forecast, actual, _ = (self._moments @ weights).tolist()
        return {
            "mae": absolute / total,
            "rmse": math.sqrt(squared / total),
            "bias": _ratio(forecast - actual, actual),
            "normalized_mae": _ratio(absolute, actual),
            "spearman": rank_correlation(
                weights,
                self._by_forecast.centered_ranks(forecast_heads),
                self._by_actual.centered_ranks(actual_heads),
            ),
        }


class ProbabilityScorer:
    """Metrics of a probability against whether it happened (1.0 or 0.0)."""

    def __init__(self, probability: Floats, happened: Floats) -> None:
        self._order = Order.descending(probability)
        self._happened = happened[self._order.rows]
        # A certainty that turned out wrong has an infinite log loss; bounded at the precision of a float.
        tiny = np.finfo(np.float64).eps
        bounded = np.clip(probability, tiny, 1.0 - tiny)
        log_loss = -(happened * np.log(bounded) + (1.0 - happened) * np.log1p(-bounded))
        self._losses = np.vstack([np.square(probability - happened), log_loss])

    def purchase(self, weights: Floats) -> dict[str, float]:
        """AUC (ties count half), Brier score and log loss."""
        brier, log_loss = (self._losses @ weights / weights.sum()).tolist()
        ordered = weights[self._order.rows]
        positives = self._order.cumulative(ordered * self._happened)
        negatives = self._order.cumulative(ordered) - positives
        above = float(np.diff(negatives) @ (0.5 * (positives[1:] + positives[:-1])))
        return {
            "auc": _ratio(above, float(positives[-1] * negatives[-1])),
            "brier": brier,
            "log_loss": log_loss,
        }
