"""From backtest forecasts to tables of accuracy: metrics with uncertainty, calibration by decile.

Definitions are in `scores`; here is what is scored, per cutoff, horizon and model, and how the bootstrap draws.
What follows from the scores, which model is better than which, is said in `comparison`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.evaluation.scores import DECILES, SCORERS, AmountScorer, Floats, Integers, ScorerOf
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import OUTCOME_COLUMNS, require_columns

GROUP = ("cutoff", "horizon_days", "model")
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
REPLICATES_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "model": pl.String,
        "replicate": pl.Int64,
        "mae": pl.Float64,
        "score": pl.Float64,
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

# Weights (replicates × customers) that are scored at a time: their arrays stay in the cache, which halves the time.
_CHUNK = 50_000


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` finds.

    `metrics` (METRICS_SCHEMA): one row per cutoff, horizon, model, target and metric. `replicates`
    (REPLICATES_SCHEMA): per cutoff, horizon and model that forecasts spend, its MAE and score: the values as
    replicate 0, then the bootstrap replicates. Replicate k drew the same customers for every model and cutoff of
    a horizon, so differences are paired. Null where undefined.
    """

    metrics: pl.DataFrame
    replicates: pl.DataFrame


def evaluate(
    forecasts: pl.DataFrame, *, replicates: int = 200, bootstrap_customers: int = 5_000, seed: int = SEED
) -> Evaluation:
    """Score forecasts, with 95 % percentile intervals of a seeded bootstrap over customers.

    `forecasts`: cutoff, horizon_days, model, customer_id, expected_purchases, expected_spend, p_purchase,
    actual_purchases, actual_spend. Targets are spend, purchases and purchase (did they buy at all); one that a
    model does not forecast (all null) is left out. An undefined metric (e.g. AUC when everybody bought) is null.

    The bootstrap draws whole customers, with their windows of all cutoffs of a horizon, because a customer's
    errors resemble each other. Above `bootstrap_customers` it draws from a seeded sample, m of the n customers
    of a window, and the interval shrinks by sqrt(m / n) around the value. The result does not depend on the
    order of rows. ValueError when a customer is repeated or a forecast is not finite.
    """
    rows: list[tuple[object, ...]] = []
    drawn: list[pl.DataFrame] = [pl.DataFrame(schema=REPLICATES_SCHEMA)]
    ordered = _ordered(forecasts)
    for of_horizon in ordered.partition_by("horizon_days", maintain_order=True):
        numbered = of_horizon.with_columns((pl.col("customer_id").rank("dense") - 1).cast(pl.Int64).alias("number"))
        draws = _Draws.of(numbered["number"].n_unique(), replicates, bootstrap_customers, seed)
        for key, group in numbered.partition_by(GROUP, as_dict=True, maintain_order=True).items():
            for target, scored in _score(group, draws).items():
                rows.extend(
                    (*key, target, metric, *_interval(*numbers), group.height) for metric, numbers in scored.items()
                )
                if target == "spend":
                    drawn.append(_replicates(key, scored))
    return Evaluation(pl.DataFrame(rows, schema=METRICS_SCHEMA, orient="row"), pl.concat(drawn))


def calibration(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Mean spend forecast and spent per decile of the forecast (10 highest), in CALIBRATION_SCHEMA.

    Customers with equal forecasts are spread evenly over the deciles that they touch, as in `decile_mape`.
    """
    rows: list[tuple[object, ...]] = []
    ordered = _ordered(forecasts.filter(pl.col("expected_spend").is_not_null()))
    for key, group in ordered.partition_by(GROUP, as_dict=True, maintain_order=True).items():
        scorer = AmountScorer(floats(group, "expected_spend"), floats(group, "actual_spend"))
        sizes, forecast, actual = (numbers[0] for numbers in scorer.curve(np.ones((1, group.height))).deciles())
        rows.extend(
            (*key, DECILES - i, int(sizes[i]), float(forecast[i] / sizes[i]), float(actual[i] / sizes[i]))
            for i in range(DECILES)
            if sizes[i] > 0
        )
    return pl.DataFrame(rows, schema=CALIBRATION_SCHEMA, orient="row")


def percentile_interval(replicates: Floats) -> tuple[float | None, float | None]:
    """The 95 % percentile interval of bootstrap replicates, undefined ones left out; nulls when none is left."""
    found = replicates[np.isfinite(replicates)]
    if len(found) == 0:
        return None, None
    tail = 0.5 * (1.0 - INTERVAL_LEVEL)
    low, high = np.quantile(found, [tail, 1.0 - tail])
    return float(low), float(high)


def _ordered(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Sorted by customer, the sums, and with them the last digits, do not depend on the order of rows."""
    columns = [*GROUP, "customer_id", "expected_purchases", "expected_spend", "p_purchase", *OUTCOME_COLUMNS]
    require_columns(forecasts, columns, "forecasts")
    ordered = forecasts.select(columns).sort(*GROUP, "customer_id")
    key = pl.struct(*GROUP, "customer_id")
    repeated = ordered.filter(key == key.shift())
    if not repeated.is_empty():
        example = repeated.select(*GROUP, "customer_id").row(0)
        raise ValueError(f"forecasts repeat a customer within one cutoff, horizon and model: {example}")
    return ordered


def _targets(group: pl.DataFrame) -> Iterator[tuple[str, ScorerOf, Floats, Floats]]:
    """Of each target that the group's model forecasts: its name, its scorer, the forecasts and the outcomes."""
    actual_purchases = floats(group, "actual_purchases")
    outcomes = {
        "spend": ("expected_spend", floats(group, "actual_spend")),
        "purchases": ("expected_purchases", actual_purchases),
        "purchase": ("p_purchase", (actual_purchases > 0).astype(np.float64)),
    }
    for target, (column, actual) in outcomes.items():
        if group[column].null_count() == group.height:
            continue
        forecast = floats(group, column)
        if not np.isfinite(forecast).all():
            raise ValueError(f"forecasts hold {column} that are null or not finite (model {group['model'][0]})")
        yield target, SCORERS[target], forecast, actual


def _score(group: pl.DataFrame, draws: _Draws) -> dict[str, dict[str, tuple[float, Floats]]]:
    """Per target and metric: the value, and its replicates moved and shrunk from the sample to all customers."""
    rows, weights = draws.of_customers(group["number"].to_numpy())
    shrink = np.sqrt(len(rows) / group.height)
    scored = {}
    for target, scorer_of, forecast, actual in _targets(group):
        values = scorer_of(forecast, actual)(np.ones((1, group.height)))
        drawn = {metric: np.full(len(weights), np.nan) for metric in values}
        if len(rows) > 0:
            scorer = scorer_of(forecast[rows], actual[rows])
            centre = scorer(np.ones((1, len(rows))))
            step = max(_CHUNK // len(rows), 1)
            for first in range(0, len(weights), step):
                chunk = slice(first, first + step)
                for metric, found in scorer(weights[chunk].astype(np.float64)).items():
                    drawn[metric][chunk] = values[metric] + shrink * (found - centre[metric])
        scored[target] = {metric: (float(values[metric][0]), drawn[metric]) for metric in values}
    return scored


def _replicates(key: tuple[object, ...], scored: Mapping[str, tuple[float, Floats]]) -> pl.DataFrame:
    columns = {metric: np.append(*scored[metric]) for metric in ("mae", "score")}
    return (
        pl.DataFrame(columns, nan_to_null=True)
        .with_row_index("replicate")
        .with_columns(pl.lit(part).alias(column) for column, part in zip(GROUP, key, strict=True))
        .select(REPLICATES_SCHEMA.names())
        .cast(REPLICATES_SCHEMA)
    )


@dataclass(frozen=True)
class _Draws:
    """How often each replicate drew each sampled customer, for a population numbered from 0."""

    position: Integers
    weights: NDArray[np.uint16]

    @classmethod
    def of(cls, customers: int, replicates: int, limit: int, seed: int) -> _Draws:
        """Draw from at most `limit` of the customers; `position` is -1 for those not sampled."""
        rng = np.random.default_rng([seed, customers])
        m = min(customers, limit)
        position = np.full(customers, -1, dtype=np.intp)
        position[np.sort(rng.permutation(customers)[:m])] = np.arange(m)
        counts = [np.bincount(rng.integers(0, m, m), minlength=m) for _ in range(replicates)]
        return cls(position, np.array(counts, dtype=np.uint16).reshape(replicates, m))

    def of_customers(self, numbers: Integers) -> tuple[Integers, NDArray[np.uint16]]:
        """Rows of these customers that are sampled, and their weights (replicates × rows)."""
        positions = self.position[numbers]
        rows = np.flatnonzero(positions >= 0)
        return rows, self.weights[:, positions[rows]]


def _interval(value: float, replicates: Floats) -> tuple[float | None, float | None, float | None]:
    if not np.isfinite(value):
        return None, None, None
    return value, *percentile_interval(replicates)
