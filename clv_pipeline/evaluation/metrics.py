"""From backtest forecasts to tables of accuracy: metrics, their bootstrap, calibration by decile.

`scores` defines the metrics. This module scores each cutoff, horizon and model, and draws the bootstrap. `choice` and
`champion` draw the consequences; `served` scores what would have been served.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from clv_pipeline.evaluation.scores import DECILES, SCORERS, Floats, Outcome, SpendScorer
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import OUTCOME_COLUMNS, require_columns

GROUP = ("cutoff", "horizon_days", "model")
TARGETS: Mapping[str, str] = {"spend": "expected_spend", "purchases": "expected_purchases", "purchase": "p_purchase"}
"""The targets, each with the column that forecasts it."""
INTERVAL_LEVEL = 0.95
SEED = 20_240_901

METRICS_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "model": pl.String,
        "target": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
        "lower": pl.Float64,
        "upper": pl.Float64,
        "customers": pl.Int64,
    }
)
CALIBRATION_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "model": pl.String,
        "decile": pl.Int64,
        "customers": pl.Int64,
        "predicted_mean": pl.Float64,
        "actual_mean": pl.Float64,
    }
)

# Weights (replicates × customers) scored at a time: their arrays stay in the cache, which halves the time.
_CHUNK = 50_000


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval; null where undefined."""

    value: float | None
    lower: float | None
    upper: float | None

    @property
    def size(self) -> Estimate:
        """The estimate of the metric's absolute value."""
        if self.value is None or self.lower is None or self.upper is None:
            return Estimate(None if self.value is None else abs(self.value), None, None)
        near, far = sorted((abs(self.lower), abs(self.upper)))
        return Estimate(abs(self.value), 0.0 if self.lower <= 0.0 <= self.upper else near, far)


class Scored(NamedTuple):
    """How good forecasts were."""

    metrics: pl.DataFrame
    """See `evaluate`."""
    calibration: pl.DataFrame
    """See `calibration`."""


def score(forecasts: pl.DataFrame) -> Scored:
    """Metrics and calibration of the same forecasts, which are sorted once for both."""
    rows: list[tuple[object, ...]] = []
    deciles: list[tuple[object, ...]] = []
    outcomes: _Outcomes | None = None
    for key, group in _windows(forecasts):
        found = _Outcomes.of(group)
        # Models are scored on the same customers: the outcomes are sorted once for all models.
        outcomes = outcomes if outcomes is not None and found.equals(outcomes) else found
        for target, forecast in _forecasts(group):
            scorer = SCORERS[target](forecast, outcomes.of_target(target))
            rows.extend(
                (*key, target, metric, _known(value), None, None, group.height)
                for metric, value in scorer.values().items()
            )
            if isinstance(scorer, SpendScorer):
                deciles.extend((*key, *row) for row in _calibrated(scorer))
    return Scored(
        pl.DataFrame(rows, schema=METRICS_SCHEMA, orient="row"),
        pl.DataFrame(deciles, schema=CALIBRATION_SCHEMA, orient="row"),
    )


def evaluate(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Score forecasts: one row per cutoff, horizon, model, target and metric, in METRICS_SCHEMA.

    `forecasts`: cutoff, horizon_days, model, customer_id, expected_purchases, expected_spend, p_purchase,
    actual_purchases, actual_spend. Targets are spend, purchases and purchase (did they buy at all); a target that a
    model does not forecast (all null) is left out. An undefined metric (e.g. AUC when everybody bought) is null.
    `lower` and `upper` are null: only served forecasts get intervals (`bootstrap`). The result does not depend on the
    order of rows.

    Raises:
        ValueError: a customer is repeated, or a forecast is not finite.
    """
    return score(forecasts).metrics


def calibration(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Mean forecast and actual spend per decile of the forecast (10 highest), in CALIBRATION_SCHEMA.

    Customers with equal forecasts are spread evenly over the deciles that they touch, as in `decile_mape`.
    """
    return score(forecasts).calibration


def bootstrap(
    window: pl.DataFrame, *, replicates: int = 100, customers: int = 5_000, seed: int = SEED
) -> dict[str, dict[str, Estimate]]:
    """The quoted metrics of one window, by target, with 95 % percentile intervals over customers.

    `window`: forecasts of one cutoff, horizon and model as in `evaluate`. Draws are seeded. With more than `customers`
    customers they use a seeded sample, m of the n customers, and the interval shrinks by sqrt(m / n) around the value.
    """
    [(_, ordered)] = _windows(window)
    outcomes, n = _Outcomes.of(ordered), ordered.height
    m = min(n, customers)
    rows = np.sort(np.random.default_rng([seed, n]).permutation(n)[:m])
    sampled = _Outcomes(outcomes.spend.values[rows], outcomes.purchases.values[rows])
    weights, shrink, step = _draws(m, replicates, seed), np.sqrt(m / n), max(_CHUNK // max(m, 1), 1)
    found: dict[str, dict[str, Estimate]] = {}
    for target, forecast in _forecasts(ordered):
        values = SCORERS[target](forecast, outcomes.of_target(target))(np.ones((1, n)))
        scorer = SCORERS[target](forecast[rows], sampled.of_target(target))
        centre = scorer(np.ones((1, m)))
        drawn = [scorer(weights[first : first + step].astype(np.float64)) for first in range(0, replicates, step)]
        found[target] = {
            metric: _estimate(
                float(value[0]), shrink * (np.concatenate([part[metric] for part in drawn]) - centre[metric])
            )
            for metric, value in values.items()
        }
    return found


def _calibrated(scorer: SpendScorer) -> Iterator[tuple[int, int, float, float]]:
    """Decile, customers, mean forecast and mean actual spend of the deciles that anybody is in."""
    sizes, forecast, actual = (numbers[0] for numbers in scorer.gains.deciles())
    for i in np.flatnonzero(sizes > 0):
        yield DECILES - int(i), int(sizes[i]), float(forecast[i] / sizes[i]), float(actual[i] / sizes[i])


class _Outcomes:
    """Outcomes of the customers of a window, by target."""

    def __init__(self, spend: Floats, purchases: Floats) -> None:
        self.spend, self.purchases = Outcome(spend), Outcome(purchases)

    @classmethod
    def of(cls, group: pl.DataFrame) -> _Outcomes:
        """Outcomes from a frame with actual_spend and actual_purchases."""
        return cls(floats(group, "actual_spend"), floats(group, "actual_purchases"))

    @cached_property
    def purchase(self) -> Outcome:
        """Whether they bought at all."""
        return Outcome((self.purchases.values > 0.0).astype(np.float64))

    def of_target(self, target: str) -> Outcome:
        """The outcomes of a target."""
        if target == "spend":
            return self.spend
        return self.purchases if target == "purchases" else self.purchase

    def equals(self, other: _Outcomes) -> bool:
        """Whether both hold the same outcomes, customer by customer."""
        # Without money the spend of everybody is unknown.
        return np.array_equal(self.spend.values, other.spend.values, equal_nan=True) and np.array_equal(
            self.purchases.values, other.purchases.values
        )


def _windows(forecasts: pl.DataFrame) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    """The key and the rows of every cutoff, horizon and model, in their order; rows ordered by customer.

    Sums, to the last digit, therefore do not depend on the order of rows.

    Raises:
        ValueError: a customer is repeated within a window.
    """
    columns = [*GROUP, "customer_id", *TARGETS.values(), *OUTCOME_COLUMNS]
    require_columns(forecasts, columns, "forecasts")
    # To tell windows apart is cheaper than to sort, because customers mostly are in order.
    windows = forecasts.select(columns).partition_by(GROUP, maintain_order=True, as_dict=True)
    for key, window in sorted(windows.items()):
        if _rises(window["customer_id"]):
            yield key, window
            continue
        ordered = window.sort("customer_id")
        if not _rises(ordered["customer_id"]):
            example = ordered.filter(ordered["customer_id"].is_duplicated()).select(*GROUP, "customer_id").row(0)
            raise ValueError(f"forecasts repeat a customer within one cutoff, horizon and model: {example}")
        yield key, ordered


def _rises(ids: pl.Series) -> bool:
    """Whether ids are in order, and none is repeated."""
    return bool((ids > ids.shift()).all())


def _forecasts(group: pl.DataFrame) -> Iterator[tuple[str, Floats]]:
    """The targets that the group's model forecasts, with the forecasts.

    Raises:
        ValueError: a forecast is not finite.
    """
    for target, column in TARGETS.items():
        if group[column].null_count() == group.height:
            continue
        forecast = floats(group, column)
        if not np.isfinite(forecast).all():
            raise ValueError(f"forecasts hold {column} that are null or not finite (model {group['model'][0]})")
        yield target, forecast


@lru_cache(maxsize=1)
def _draws(customers: int, replicates: int, seed: int) -> np.typing.NDArray[np.uint16]:
    """How often each replicate drew each customer; cached, because windows of a shop often have equally many."""
    rng = np.random.default_rng([seed, customers])
    counts = [np.bincount(rng.integers(0, customers, customers), minlength=customers) for _ in range(replicates)]
    return np.array(counts, dtype=np.uint16).reshape(replicates, customers)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _estimate(value: float, deviations: Floats) -> Estimate:
    """The percentile interval of bootstrap replicates around the value, without undefined ones."""
    found = deviations[np.isfinite(deviations)]
    if not np.isfinite(value) or len(found) == 0:
        return Estimate(_known(value), None, None)
    tail = 0.5 * (1.0 - INTERVAL_LEVEL)
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return Estimate(value, value + float(low), value + float(high))
