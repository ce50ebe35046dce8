"""The definitions of all metrics, over weighted customers, so that one definition serves value and bootstrap.

A scorer sorts its data once; called with weights (replicates × customers, e.g. how often each bootstrap replicate
drew each customer) it returns every metric, one number per replicate. Ties are exact: customers with equal
forecasts share their outcomes evenly, whatever the row order. An undefined metric is NaN.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Metrics = Mapping[str, Floats]
Scorer = Callable[[Floats], Metrics]
"""From weights (replicates × customers) to one number per metric and replicate."""
ScorerOf = Callable[[Floats, Floats], Scorer]
"""From forecasts and outcomes to their scorer."""

DECILES = 10


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Elementwise quotient, NaN where the denominator is not positive."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0.0), dtype=np.float64)


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

    def ordered(self, weights: Floats) -> Floats:
        """Weights in this order."""
        return np.take(weights, self.rows, axis=1)

    def cumulative(self, ordered: Floats) -> Floats:
        """Sum ordered values from the highest key to the end of each group; starts with 0."""
        sums = np.cumsum(ordered, axis=1)
        at_ends = sums if sums.shape[1] == len(self.group_ends) else np.take(sums, self.group_ends, axis=1)
        return np.concatenate([np.zeros((len(sums), 1)), at_ends], axis=1)


def rank_correlation(weights: Floats, a: Order, a_heads: Floats, b: Order, b_heads: Floats) -> Floats:
    """Spearman correlation from centered mid-ranks, ties equal; NaN when either side is constant.

    `a_heads` and `b_heads` are the weights cumulated in the orders `a` and `b`.
    """

    def centered_ranks(heads: Floats) -> Floats:
        return _ratio(0.5 * (heads[:, 1:] + heads[:, :-1]), heads[:, -1:]) - 0.5

    ranks_a, ranks_b = centered_ranks(a_heads), centered_ranks(b_heads)
    product = np.take(ranks_a, a.group_of_customer, axis=1)
    product *= np.take(ranks_b, b.group_of_customer, axis=1)
    squares_a = np.einsum("rg,rg,rg->r", np.diff(a_heads), ranks_a, ranks_a)
    squares_b = np.einsum("rg,rg,rg->r", np.diff(b_heads), ranks_b, ranks_b)
    spread = np.sqrt(squares_a * squares_b)
    # A constant side has mid-rank 0 up to rounding.
    return _ratio(np.einsum("rn,rn->r", weights, product), np.where(spread > 1e-12 * a_heads[:, -1], spread, 0.0))


@dataclass(frozen=True)
class GainsCurve:
    """Customers, amount forecast and actual, cumulated from the highest forecast down; linear in ties.

    Each is replicates × (groups of equal forecasts + 1) and begins with 0.
    """

    customers: Floats
    forecast: Floats
    actual: Floats

    def gini(self) -> Floats:
        """Area between the curve of the actual amount and the diagonal: 0 for a random order."""
        mean_height = 0.5 * (self.actual[:, 1:] + self.actual[:, :-1])
        area = np.einsum("rg,rg->r", np.diff(self.customers), mean_height)
        return _ratio(area, self.customers[:, -1] * self.actual[:, -1]) - 0.5

    def share_in_top(self, share: float) -> Floats:
        """Share of everything actual that the given share of customers, highest forecasts first, account for."""
        return _ratio(self._at(share * self.customers[:, -1:], self.actual)[:, 0], self.actual[:, -1])

    def deciles(self) -> tuple[Floats, Floats, Floats]:
        """Customers, amount forecast and amount actual of each tenth of the customers, highest forecasts first.

        Replicates × 10. Sizes are whole numbers that differ by at most one; with fewer than ten customers some
        are 0.
        """
        cuts = np.round(np.linspace(0.0, self.customers[:, -1], DECILES + 1, axis=1))
        return np.diff(cuts), np.diff(self._at(cuts, self.forecast)), np.diff(self._at(cuts, self.actual))

    def decile_mape(self) -> Floats:
        """Mean over deciles of |forecast - actual| / actual (Wang, Liu & Miao 2019); NaN when nobody spent.

        Deciles in which nobody spent anything have no relative error and are left out.
        """
        _, forecast, actual = self.deciles()
        # Interpolation leaves rounding dust where nothing was spent.
        spent = actual > 1e-12 * self.actual[:, -1:]
        errors = np.divide(np.abs(forecast - actual), actual, out=np.zeros(actual.shape), where=spent)
        return _ratio(errors.sum(axis=1), spent.sum(axis=1).astype(np.float64))

    def calibration_error(self) -> Floats:
        """Mean over customers of |mean forecast - mean actual| of their decile."""
        _, forecast, actual = self.deciles()
        return _ratio(np.abs(forecast - actual).sum(axis=1), self.customers[:, -1])

    def _at(self, customers: Floats, heights: Floats) -> Floats:
        """Heights of a curve where it has passed so many customers, replicate by replicate."""
        return np.array([np.interp(*points) for points in zip(customers, self.customers, heights, strict=True)])


class AmountScorer:
    """Metrics of an expected amount (spend, or a number of purchases) against the actual one."""

    def __init__(self, forecast: Floats, actual: Floats) -> None:
        error = forecast - actual
        self._moments = np.column_stack([np.abs(error), error * error, forecast, actual, actual * actual])
        self._by_forecast, self._by_actual = Order.descending(forecast), Order.descending(actual)
        self._by_error = np.argsort(np.abs(error), kind="stable")
        self._errors = np.abs(error)[self._by_error]
        self._forecast, self._actual = forecast[self._by_forecast.rows], actual[self._by_forecast.rows]
        self._perfect = actual[self._by_actual.rows]

    def curve(self, weights: Floats) -> GainsCurve:
        """Return the gains curve in the order of the forecasts."""
        ordered, cumulative = self._by_forecast.ordered(weights), self._by_forecast.cumulative
        return GainsCurve(cumulative(ordered), cumulative(ordered * self._forecast), cumulative(ordered * self._actual))

    def perfect_curve(self, weights: Floats) -> GainsCurve:
        """Return the gains curve of a forecast that knew the outcomes."""
        ordered, cumulative = self._by_actual.ordered(weights), self._by_actual.cumulative
        money = cumulative(ordered * self._perfect)
        return GainsCurve(cumulative(ordered), money, money)

    def purchases(self, weights: Floats) -> Metrics:
        """Error and rank metrics that suit counts."""
        by_forecast, by_actual = self._by_forecast, self._by_actual
        return self._common(
            weights,
            by_forecast.cumulative(by_forecast.ordered(weights)),
            by_actual.cumulative(by_actual.ordered(weights)),
        )

    def spend(self, weights: Floats) -> Metrics:
        """All metrics of spend. `score` is the primary one, lower is better, free of units.

        score = normalized MAE + (1 - normalized Gini) + |bias|: how far off per customer, how well ordered, how
        far off in sum.
        """
        total = weights.sum(axis=1)
        _, squared, _, actual, actual_squared = (weights @ self._moments).T
        half = np.cumsum(np.take(weights, self._by_error, axis=1), axis=1) >= 0.5 * total[:, None]
        curve, perfect = self.curve(weights), self.perfect_curve(weights)
        best = perfect.gini()
        scatter = actual_squared - _ratio(actual * actual, total)
        common = self._common(weights, curve.customers, perfect.customers)
        gini = _ratio(curve.gini(), np.where(best > 1e-12, best, 0.0))
        return {
            **common,
            "medae": self._errors[np.argmax(half, axis=1)],
            # Scatter within rounding of zero means that all customers spent the same.
            "r2": 1.0 - _ratio(squared, np.where(scatter > 1e-12 * actual_squared, scatter, 0.0)),
            "normalized_gini": gini,
            "score": common["normalized_mae"] + (1.0 - gini) + np.abs(common["bias"]),
            "decile_mape": curve.decile_mape(),
            "top_10_share": curve.share_in_top(0.1),
            "top_20_share": curve.share_in_top(0.2),
        }

    def _common(self, weights: Floats, forecast_heads: Floats, actual_heads: Floats) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        absolute, squared, forecast, actual, _ = (weights @ self._moments).T
        return {
            "mae": _ratio(absolute, total),
            "rmse": np.sqrt(_ratio(squared, total)),
            "bias": _ratio(forecast - actual, actual),
            "normalized_mae": _ratio(absolute, actual),
            "spearman": rank_correlation(weights, self._by_forecast, forecast_heads, self._by_actual, actual_heads),
        }


class ProbabilityScorer:
    """Metrics of a probability against whether it happened (1.0 or 0.0)."""

    def __init__(self, probability: Floats, happened: Floats) -> None:
        self._order = Order.descending(probability)
        self._probability, self._happened = probability[self._order.rows], happened[self._order.rows]
        # A certainty that turned out wrong has an infinite log loss; bounded at the precision of a float.
        tiny = np.finfo(np.float64).eps
        bounded = np.clip(probability, tiny, 1.0 - tiny)
        log_loss = -(happened * np.log(bounded) + (1.0 - happened) * np.log1p(-bounded))
        self._losses = np.column_stack([np.square(probability - happened), log_loss])

    def purchase(self, weights: Floats) -> Metrics:
        """AUC (ties count half), Brier score, log loss and expected calibration error by decile."""
        brier, log_loss = (weights @ self._losses).T
        total = weights.sum(axis=1)
        ordered, cumulative = self._order.ordered(weights), self._order.cumulative
        curve = GainsCurve(
            cumulative(ordered), cumulative(ordered * self._probability), cumulative(ordered * self._happened)
        )
        positives, negatives = curve.actual, curve.customers - curve.actual
        above = np.einsum("rg,rg->r", np.diff(negatives), 0.5 * (positives[:, 1:] + positives[:, :-1]))
        return {
            "auc": _ratio(above, positives[:, -1] * negatives[:, -1]),
            "brier": _ratio(brier, total),
            "log_loss": _ratio(log_loss, total),
            "calibration_error": curve.calibration_error(),
        }


SCORERS: Mapping[str, ScorerOf] = {
    "spend": lambda forecast, actual: AmountScorer(forecast, actual).spend,
    "purchases": lambda forecast, actual: AmountScorer(forecast, actual).purchases,
    "purchase": lambda forecast, actual: ProbabilityScorer(forecast, actual).purchase,
}
"""The scorer of every target."""
