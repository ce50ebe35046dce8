"""Definitions of all metrics, over weighted customers, so that one definition serves both value and bootstrap.

A scorer sorts its forecasts once; called with weights (replicates × customers, e.g. how often each bootstrap replicate
drew each customer) it returns the quoted metrics, one number per replicate; `values` are all metrics over all
customers. Ties are exact: customers with equal forecasts share their outcomes evenly, whatever the row order. An
undefined metric is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
Metrics = Mapping[str, Floats]

DECILES = 10

FLOOR = 0.01
"""Least forecast in a deviance, as a share of the mean outcome.

A rule that forecasts 0 for someone who then buys would otherwise be infinitely wrong.
"""


class Scorer(Protocol):
    """The metrics of a forecast: the quoted ones over weighted customers, all of them over all customers."""

    def __call__(self, weights: Floats) -> Metrics:
        """Compute the quoted metrics from weights (replicates × customers), one number per replicate."""
        ...

    def values(self) -> Mapping[str, float]:
        """All metrics of all customers."""
        ...


def _sums(weights: Floats, rows: Floats) -> Floats:
    """Weighted sums of each row of numbers of customers; not by BLAS, whose threads cost more than they save here."""
    return np.asarray(np.einsum("rn,kn->kr", weights, rows), dtype=np.float64)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Elementwise quotient, NaN where the denominator is not positive."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0.0), dtype=np.float64)


@dataclass(frozen=True)
class Order:
    """Customers ordered by a key, highest first, with ties kept as groups."""

    rows: Integers
    group_ends: Integers

    @classmethod
    def descending(cls, key: Floats) -> Order:
        """Order by `key`; `group_ends` are the last positions of the groups of equal keys."""
        rows = np.argsort(-key)
        ordered = key[rows]
        return cls(rows, np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(key) - 1))

    @cached_property
    def group_sizes(self) -> Integers:
        """How many customers are in each group of equal keys."""
        return np.diff(self.group_ends, prepend=-1)

    @cached_property
    def centered_ranks(self) -> Floats:
        """Mid-ranks by customer, ties equal, with mean 0."""
        middle = self.group_ends - 0.5 * (self.group_sizes - 1)
        ranks = np.empty(len(self.rows))
        ranks[self.rows] = np.repeat(middle - 0.5 * (len(self.rows) - 1), self.group_sizes)
        return ranks

    def ordered(self, weights: Floats) -> Floats:
        """Weights in the sorted order."""
        return np.take(weights, self.rows, axis=1)

    def cumulative(self, ordered: Floats) -> Floats:
        """Sum ordered values from the highest key to the end of each group; starts with 0."""
        sums = np.cumsum(ordered, axis=1)
        at_ends = sums if sums.shape[1] == len(self.group_ends) else np.take(sums, self.group_ends, axis=1)
        return np.concatenate([np.zeros((len(sums), 1)), at_ends], axis=1)

    def correlation(self, other: Order) -> float:
        """Spearman correlation with another order of the same customers; NaN when either is constant."""
        own, others = self.centered_ranks, other.centered_ranks
        spread = np.sqrt(np.sum(own * own) * np.sum(others * others))
        return float(np.sum(own * others) / spread) if spread > 0.0 else np.nan


@dataclass(frozen=True)
class GainsCurve:
    """Cumulative customers, forecast and actual amount, from the highest forecast down; linear within ties.

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
        """Share of the actual amount that the given share of customers, highest forecasts first, account for."""
        return _ratio(self._at(share * self.customers[:, -1:], self.actual)[:, 0], self.actual[:, -1])

    def deciles(self) -> tuple[Floats, Floats, Floats]:
        """Customers, forecast amount and actual amount of each tenth of the customers, highest forecasts first.

        Replicates × 10. Sizes are whole numbers that differ by at most one; with fewer than ten customers some are 0.
        """
        cuts = np.round(np.linspace(0.0, self.customers[:, -1], DECILES + 1, axis=1))
        return np.diff(cuts), np.diff(self._at(cuts, self.forecast)), np.diff(self._at(cuts, self.actual))

    def decile_mape(self) -> Floats:
        """Mean over deciles of |forecast - actual| / actual (Wang, Liu & Miao 2019); NaN when nobody spent anything.

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
        """Heights of a curve at this many customers, replicate by replicate."""
        return np.array([np.interp(*points) for points in zip(customers, self.customers, heights, strict=True)])


@dataclass(frozen=True)
class Deviance:
    """A loss whose mean is lowest for the true mean: twice the Bregman divergence of a convex potential.

    Unit deviances are such losses (Jørgensen 1997); no other losses have the property (Gneiting 2011, J. Am. Stat.
    Assoc. 106).
    """

    potential: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]

    def losses(self, forecast: Floats, outcome: Outcome) -> Floats:
        """One loss per customer; forecasts are at least `FLOOR` times the mean outcome; NaN when all outcomes are 0."""
        if outcome.mean == 0.0:
            return np.full(len(forecast), np.nan)
        forecast = np.maximum(forecast, FLOOR * outcome.mean)
        gap = self.potential(outcome.values) - self.potential(forecast)
        return np.maximum(2.0 * (gap - self.slope(forecast) * (outcome.values - forecast)), 0.0)

    def skill(self, loss: Floats, potential: Floats, mean: Floats) -> Floats:
        """1 - mean loss / mean loss of forecasting the mean outcome for everybody; NaN where all outcomes are the same.

        `potential` and `mean`: the means over customers of the outcomes' potentials and of the outcomes.
        """
        of_mean = self.potential(mean)
        constant = 2.0 * (potential - of_mean)
        # A difference within rounding of the two terms is not scatter.
        return 1.0 - _ratio(loss, np.where(constant > 1e-12 * np.abs(of_mean), constant, 0.0))


TWEEDIE = Deviance(lambda y: -4.0 * np.sqrt(y), lambda mean: -2.0 / np.sqrt(mean))
"""Tweedie deviance of power 1.5, between counts and Gamma amounts: for money with many zeros and a long tail."""

POISSON = Deviance(lambda y: y * np.log(np.maximum(y, np.finfo(np.float64).tiny)), lambda mean: 1.0 + np.log(mean))
"""Poisson deviance, for counts."""

_SQUARED = Deviance(lambda y: 0.5 * y * y, lambda mean: mean)


class Outcome:
    """Outcomes of the customers of a window, sorted once for all forecasts."""

    def __init__(self, values: Floats) -> None:
        self.values = values
        self.mean = float(values.mean()) if len(values) else 0.0

    @cached_property
    def order(self) -> Order:
        """The order of a perfect forecast."""
        return Order.descending(self.values)

    @cached_property
    def descending(self) -> Floats:
        """The outcomes, highest first."""
        return self.values[self.order.rows]

    def gini(self, weights: Floats) -> Floats:
        """The Gini of a perfect forecast."""
        ordered = self.order.ordered(weights)
        money = self.order.cumulative(ordered * self.descending)
        return GainsCurve(self.order.cumulative(ordered), money, money).gini()


def curve(order: Order, forecast: Floats, actual: Floats, weights: Floats) -> GainsCurve:
    """The gains curve for an order of forecasts."""
    ordered, rows = order.ordered(weights), order.rows
    return GainsCurve(
        order.cumulative(ordered),
        order.cumulative(ordered * forecast[rows]),
        order.cumulative(ordered * actual[rows]),
    )


class _Amounts:
    """Common parts of the errors of spend and of purchases."""

    def __init__(self, forecast: Floats, outcome: Outcome, deviance: Deviance) -> None:
        error = forecast - outcome.values
        self._forecast, self._outcome, self._deviance = forecast, outcome, deviance
        self._absolute = np.abs(error)
        self._squared, self._losses = error * error, deviance.losses(forecast, outcome)
        self._rows = np.stack(
            [
                self._absolute,
                self._squared,
                forecast,
                outcome.values,
                self._losses,
                deviance.potential(outcome.values),
            ]
        )

    @cached_property
    def order(self) -> Order:
        """The customers ordered by forecast."""
        return Order.descending(self._forecast)

    @property
    def _everybody(self) -> Floats:
        return np.ones((1, len(self._forecast)))

    def _common(self, weights: Floats, skill: str) -> dict[str, Floats]:
        total = weights.sum(axis=1)
        absolute, squared, forecast, actual, losses, potential = _sums(weights, self._rows)
        loss, mean = _ratio(losses, total), _ratio(actual, total)
        return {
            "mae": _ratio(absolute, total),
            "rmse": np.sqrt(_ratio(squared, total)),
            "bias": _ratio(forecast - actual, actual),
            "normalized_mae": _ratio(absolute, actual),
            skill: self._deviance.skill(loss, _ratio(potential, total), mean),
        }

    def _values(self, quoted: Metrics, deviance: str) -> dict[str, float]:
        found = {metric: float(value[0]) for metric, value in quoted.items()}
        found["spearman"] = self.order.correlation(self._outcome.order)
        found[deviance] = float(self._losses.mean())
        return found


class SpendScorer(_Amounts):
    """Metrics of expected against actual money."""

    def __init__(self, forecast: Floats, outcome: Outcome) -> None:
        super().__init__(forecast, outcome, TWEEDIE)

    def curve(self, weights: Floats) -> GainsCurve:
        """Return the gains curve in the order of the forecasts."""
        return curve(self.order, self._forecast, self._outcome.values, weights)

    @cached_property
    def gains(self) -> GainsCurve:
        """The gains curve of all customers."""
        return self.curve(self._everybody)

    def __call__(self, weights: Floats) -> Metrics:
        """Errors, order, deciles and skill."""
        return self._quoted(weights, self.curve(weights))

    def values(self) -> Mapping[str, float]:
        """All metrics, with median error, r2, what the best tenths hold, and `score`.

        score = normalized MAE + (1 - normalized Gini) + |bias|, lower is better: error per customer, ranking, error of
        the total. It is reported and decides nothing, because a wrong mean can lower it.
        """
        found = self._values(self._quoted(self._everybody, self.gains), "tweedie_deviance")
        middle = (len(self._absolute) - 1) // 2
        actual = self._outcome.values
        squares = float(np.sum(actual * actual))
        scatter = squares - len(actual) * self._outcome.mean**2
        found["medae"] = float(np.partition(self._absolute, middle)[middle])
        # Scatter within rounding of zero means that all customers spent the same.
        found["r2"] = 1.0 - float(self._squared.sum()) / scatter if scatter > 1e-12 * squares else np.nan
        found["score"] = found["normalized_mae"] + (1.0 - found["normalized_gini"]) + abs(found["bias"])
        found["top_10_share"] = float(self.gains.share_in_top(0.1)[0])
        found["top_20_share"] = float(self.gains.share_in_top(0.2)[0])
        return found

    def _quoted(self, weights: Floats, gains: GainsCurve) -> dict[str, Floats]:
        best = self._outcome.gini(weights)
        return {
            **self._common(weights, "tweedie_skill"),
            "normalized_gini": _ratio(gains.gini(), np.where(best > 1e-12, best, 0.0)),
            "decile_mape": gains.decile_mape(),
        }


class PurchasesScorer(_Amounts):
    """Metrics of an expected against the actual number of purchases."""

    def __init__(self, forecast: Floats, outcome: Outcome) -> None:
        super().__init__(forecast, outcome, POISSON)

    def __call__(self, weights: Floats) -> Metrics:
        """Errors and skill."""
        return self._common(weights, "poisson_skill")

    def values(self) -> Mapping[str, float]:
        """All metrics, with the rank correlation."""
        return self._values(self(self._everybody), "poisson_deviance")


class PurchaseScorer:
    """Metrics of a probability against the outcome (1.0 or 0.0)."""

    def __init__(self, probability: Floats, outcome: Outcome) -> None:
        self._probability, self._happened = probability, outcome.values
        # A certainty that turned out wrong has an infinite log loss; bounded at the precision of a float.
        tiny = np.finfo(np.float64).eps
        bounded = np.clip(probability, tiny, 1.0 - tiny)
        log_loss = -(self._happened * np.log(bounded) + (1.0 - self._happened) * np.log1p(-bounded))
        self._rows = np.stack([np.square(probability - self._happened), log_loss, self._happened])

    @cached_property
    def _order(self) -> Order:
        return Order.descending(self._probability)

    def __call__(self, weights: Floats) -> Metrics:
        """AUC (ties count half), Brier score and its skill, log loss and expected calibration error by decile."""
        total = weights.sum(axis=1)
        brier, log_loss, share = (_ratio(summed, total) for summed in _sums(weights, self._rows))
        gains = curve(self._order, self._probability, self._happened, weights)
        positives, negatives = gains.actual, gains.customers - gains.actual
        above = np.einsum("rg,rg->r", np.diff(negatives), 0.5 * (positives[:, 1:] + positives[:, :-1]))
        return {
            "auc": _ratio(above, positives[:, -1] * negatives[:, -1]),
            "brier": brier,
            "brier_skill": _SQUARED.skill(brier, 0.5 * share, share),
            "log_loss": log_loss,
            "calibration_error": gains.calibration_error(),
        }

    def values(self) -> Mapping[str, float]:
        """All metrics: the quoted ones."""
        return {metric: float(value[0]) for metric, value in self(np.ones((1, len(self._probability)))).items()}


SCORERS: Mapping[str, Callable[[Floats, Outcome], Scorer]] = {
    "spend": SpendScorer,
    "purchases": PurchasesScorer,
    "purchase": PurchaseScorer,
}
"""The scorer of every target."""
