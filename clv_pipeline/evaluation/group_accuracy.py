"""Forecasts and ranges of one window against the outcome: metrics of all customers, and of groups of them.

Groups are made from sums over their customers, so that tenths, segments, countries, ages and classes of P(buy) take one
pass. Which forecasts and ranges a window has is decided in `served`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from clv_pipeline.evaluation.metrics import Estimate, bootstrap
from clv_pipeline.evaluation.scores import DECILES, Floats, Integers, Order
from clv_pipeline.forecasting.frames import floats

BEST_SHARE = 0.01
"""Share of best customers that are a group of their own."""

_AGES = ("0-30 days", "31-90 days", "91-365 days", "over 365 days")
_P_CLASSES = tuple(f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f}" for tenth in range(10))

_COLUMNS = ("expected_spend", "actual_spend", "expected_purchases", "actual_purchases", "p_purchase", "p_alive")
_SUMMED = (
    "customers",
    "spend",
    "spent",
    "error",
    "squared_error",
    "purchases",
    "came",
    "p",
    "bought",
    "brier",
    "alive",
    "inside",
    "width",
    "interval_score",
)
"""Sums from which metrics of groups are computed."""

SMALL_SHARE, SMALL_GROUP = 0.01, 30
"""Groups with a smaller share of the customers, or fewer of them, say nothing by themselves."""

Found = Mapping[tuple[str, str], Estimate]
"""Estimates by target and metric."""


@dataclass(frozen=True)
class Window:
    """The forecasts of one horizon, with the ranges of customers (spend_lower, spend_upper) and of the total.

    Without money there are no ranges: those columns and `total` are null.
    """

    horizon_days: int
    forecasts: pl.DataFrame
    level: float
    total: tuple[float, float] | None

    def groups(self) -> Iterator[tuple[str, str, int, Found]]:
        """Kind and name of every group, its customers, and its metrics."""
        summed = self._summed()
        everybody = {**self._readings(summed.sum(axis=1)), **self._quoted(), **self._covers()}
        yield "all", "all", self.forecasts.height, everybody
        for kind, values in self._ordered():
            for name, sums in _tenths(summed, Order.descending(values)):
                yield kind, name, round(sums[0]), self._readings(sums)
        for kind, names, places in self._labels():
            of_groups = np.stack([np.bincount(places, weights=row, minlength=len(names)) for row in summed], axis=1)
            for name, sums in zip(names, of_groups, strict=True):
                if sums[0] > 0.0:
                    yield kind, name, round(sums[0]), self._readings(sums)

    def judged(self) -> tuple[Floats, Floats]:
        """Forecast and outcome of every customer: spend, without money purchases."""
        target = "purchases" if self.total is None else "spend"
        return floats(self.forecasts, f"expected_{target}"), floats(self.forecasts, f"actual_{target}")

    def _ordered(self) -> Iterator[tuple[str, Floats]]:
        """The kinds of groups that are tenths, with what customers are ordered by."""
        yield "decile", self.judged()[0]
        revenues = floats(self.forecasts, "revenue")
        if np.isfinite(revenues).all() and len(revenues) >= DECILES * SMALL_GROUP:
            yield "value", revenues

    def _readings(self, sums: Floats) -> Found:
        """Metrics of a group; without money, none of spend."""
        found = _readings(sums)
        return found if self.total is not None else {key: value for key, value in found.items() if key[0] != "spend"}

    def _summed(self) -> Floats:
        """Sums over the customers of a group: _SUMMED, one row each; NaN where unknown."""
        spend, spent, purchases, came, p, alive = (floats(self.forecasts, column) for column in _COLUMNS)
        bought = (came > 0.0).astype(np.float64)
        lower, upper = floats(self.forecasts, "spend_lower"), floats(self.forecasts, "spend_upper")
        width, outside = upper - lower, np.maximum(lower - spent, 0.0) + np.maximum(spent - upper, 0.0)
        rows = {
            "customers": np.ones(len(spent)),
            "spend": spend,
            "spent": spent,
            "error": np.abs(spend - spent),
            "squared_error": np.square(spend - spent),
            "purchases": purchases,
            "came": came,
            "p": p,
            "bought": bought,
            "brier": np.square(p - bought),
            "alive": alive,
            "inside": (outside == 0.0).astype(np.float64),
            "width": width,
            # Gneiting & Raftery 2007, J. Am. Stat. Assoc. 102, eq. 43.
            "interval_score": width + 2.0 / (1.0 - self.level) * outside,
        }
        return np.stack([rows[name] for name in _SUMMED])

    def _quoted(self) -> Found:
        """The quoted metrics of all customers, with their intervals; for biases also the absolute value."""
        found: dict[tuple[str, str], Estimate] = {}
        for target, metrics in bootstrap(self.forecasts).items():
            found |= {(target, metric): estimate for metric, estimate in metrics.items()}
            if "bias" in metrics:
                found[target, "absolute_bias"] = metrics["bias"].size
        return found

    def _covers(self) -> Found:
        """1 when the range of the total held the actual total, else 0; nothing without money."""
        if self.total is None:
            return {}
        lower, upper = self.total
        held = lower <= float(floats(self.forecasts, "actual_spend").sum()) <= upper
        return {("spend", "total_covered"): Estimate(float(held), None, None)}

    def _labels(self) -> Iterator[tuple[str, Sequence[str], Integers]]:
        """The kinds of groups with labelled customers: the names, and the place of each customer's name."""
        segments, countries = self.forecasts["segment"], self.forecasts["country"]
        if segments.null_count() == 0:
            yield "segment", *_places(segments)
        if countries.null_count() < len(countries):
            yield "country", *_places(_merged(countries.fill_null("unknown")))
        ages = floats(self.forecasts, "tenure_days")
        yield "age", _AGES, np.searchsorted([31.0, 91.0, 366.0], ages, side="right")
        p = floats(self.forecasts, "p_purchase")
        if np.isfinite(p).all():
            yield "p_class", _P_CLASSES, np.searchsorted(np.arange(1, 10) / 10, p, side="right")


def _readings(sums: Floats) -> Found:
    """Metrics of a group from the sums over its customers, as in _SUMMED."""
    of = dict(zip(_SUMMED, sums.tolist(), strict=True))

    def ratio(amount: float, to: str = "customers") -> Estimate:
        return Estimate(_known(amount / of[to]) if of[to] > 0.0 else None, None, None)

    bias, of_purchases = ratio(of["spend"] - of["spent"], "spent"), ratio(of["purchases"] - of["came"], "came")
    squared = ratio(of["squared_error"]).value
    return {
        ("spend", "predicted_mean"): ratio(of["spend"]),
        ("spend", "actual_mean"): ratio(of["spent"]),
        ("spend", "bias"): bias,
        ("spend", "absolute_bias"): bias.size,
        ("spend", "mae"): ratio(of["error"]),
        ("spend", "normalized_mae"): ratio(of["error"], "spent"),
        ("spend", "rmse"): Estimate(None if squared is None else math.sqrt(squared), None, None),
        ("spend", "coverage"): ratio(of["inside"]),
        ("spend", "interval_width"): ratio(of["width"]),
        ("spend", "interval_score"): ratio(of["interval_score"]),
        ("purchases", "predicted_mean"): ratio(of["purchases"]),
        ("purchases", "actual_mean"): ratio(of["came"]),
        ("purchases", "bias"): of_purchases,
        ("purchases", "absolute_bias"): of_purchases.size,
        ("purchase", "predicted_mean"): ratio(of["p"]),
        ("purchase", "bought"): ratio(of["bought"]),
        ("purchase", "brier"): ratio(of["brier"]),
        ("purchase", "calibration_error"): ratio(of["p"] - of["bought"]).size,
        ("alive", "predicted_mean"): ratio(of["alive"]),
        ("alive", "bought"): ratio(of["bought"]),
    }


def _tenths(summed: Floats, best_first: Order) -> Iterator[tuple[str, Floats]]:
    """Sums over each tenth of the customers and over the best of them; equal forecasts share their sums evenly."""
    ordered, sizes = summed[:, best_first.rows], best_first.group_sizes
    means = np.add.reduceat(ordered, best_first.group_ends - sizes + 1, axis=1) / sizes
    shared = np.repeat(means, sizes, axis=1)
    n = shared.shape[1]
    cuts = np.round(np.linspace(0, n, DECILES + 1)).astype(np.intp)
    for tenth in range(DECILES):
        if cuts[tenth] < cuts[tenth + 1]:
            yield str(tenth + 1), shared[:, cuts[tenth] : cuts[tenth + 1]].sum(axis=1)
    yield "best 1 %", shared[:, : max(round(BEST_SHARE * n), 1)].sum(axis=1)


def _places(labels: pl.Series) -> tuple[list[str], Integers]:
    """The distinct labels in their order, and the place of each customer's label."""
    names = labels.unique().sort()
    return names.to_list(), labels.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.intp)


def _merged(labels: pl.Series) -> pl.Series:
    """The labels, with those of small groups told as one."""
    sizes = pl.len().over("label")
    is_small = (sizes < SMALL_GROUP) | (sizes < SMALL_SHARE * len(labels))
    return labels.to_frame("label").select(pl.when(is_small).then(pl.lit("other")).otherwise("label")).to_series()


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
