"""From backtest forecasts to tables of accuracy: metrics with uncertainty, calibration by decile.

Definitions are in `scores`; here is what is scored, per cutoff, horizon and model, and how the bootstrap
draws.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.evaluation.scores import DECILES, AmountScorer, Floats, ProbabilityScorer
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import OUTCOME_COLUMNS, require_columns

GROUP = ("cutoff", "horizon_days", "model")
INTERVAL_LEVEL = 0.95

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

Scorer = Callable[[Floats], Mapping[str, float]]


def evaluate(
    forecasts: pl.DataFrame,
    *,
    replicates: int = 200,
    bootstrap_customers: int = 5_000,
    seed: int = 20_240_901,
) -> pl.DataFrame:
    """Score forecasts: one row per cutoff, horizon, model, target and metric (METRICS_SCHEMA).

    `forecasts`: cutoff, horizon_days, model, customer_id, expected_purchases, expected_spend, p_purchase,
    actual_purchases, actual_spend. Target "purchase" (did they buy at all) only where p_purchase is not null.
    An undefined metric (e.g. AUC when everybody bought) is null.

    `lower`, `upper`: 95 % percentile interval of a seeded bootstrap over customers. Above
    `bootstrap_customers` it draws from a seeded sample of m of the n customers, and the interval shrinks by
    sqrt(m / n) around the value. The same draws serve all models of one population, so their replicates are
    paired. The result does not depend on the order of rows.
    """
    rows: list[tuple[object, ...]] = []
    draws = _Draws(replicates, bootstrap_customers, seed)
    for key, group in _groups(forecasts):
        for target, scorer_of in _scorers(group).items():
            scored = _with_intervals(scorer_of, group.height, draws)
            rows.extend(
                (*key, target, metric, *map(_defined, numbers), group.height) for metric, numbers in scored.items()
            )
    return pl.DataFrame(rows, schema=METRICS_SCHEMA, orient="row")


def calibration(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Mean spend forecast and spent per decile of the forecast (10 highest), in CALIBRATION_SCHEMA.

    Customers with equal forecasts are spread evenly over the deciles that they touch, as in `decile_mape`.
    """
    rows: list[tuple[object, ...]] = []
    for key, group in _groups(forecasts):
        scorer = AmountScorer(floats(group, "expected_spend"), floats(group, "actual_spend"))
        sizes, forecast, actual = scorer.curve(np.ones(group.height)).deciles()
        rows.extend(
            (*key, DECILES - i, int(sizes[i]), float(forecast[i] / sizes[i]), float(actual[i] / sizes[i]))
            for i in range(DECILES)
            if sizes[i] > 0
        )
    return pl.DataFrame(rows, schema=CALIBRATION_SCHEMA, orient="row")


def _groups(forecasts: pl.DataFrame) -> Iterator[tuple[tuple[object, ...], pl.DataFrame]]:
    columns = [*GROUP, "customer_id", "expected_purchases", "expected_spend", "p_purchase", *OUTCOME_COLUMNS]
    require_columns(forecasts, columns, "forecasts")
    # Sorted by customer, the sums, and with them the last digits, do not depend on the order of rows.
    ordered = forecasts.select(columns).sort(*GROUP, "customer_id")
    if ordered.is_empty():
        return
    repeated = ordered.select(*GROUP, "customer_id").is_duplicated()
    if repeated.any():
        example = ordered.filter(repeated).select(*GROUP, "customer_id").row(0)
        raise ValueError(f"forecasts repeat a customer within one cutoff, horizon and model: {example}")
    yield from ordered.partition_by(GROUP, as_dict=True, maintain_order=True).items()


def _scorers(group: pl.DataFrame) -> dict[str, Callable[[NDArray[np.intp] | slice], Scorer]]:
    """Return, per target, what builds the scorer of some of the group's customers."""
    purchases, actual_purchases = floats(group, "expected_purchases"), floats(group, "actual_purchases")
    spend, actual_spend = floats(group, "expected_spend"), floats(group, "actual_spend")
    for name, values in (("expected_purchases", purchases), ("expected_spend", spend)):
        if not np.isfinite(values).all():
            raise ValueError(f"forecasts hold {name} that are null or not finite (model {group['model'][0]})")
    scorers: dict[str, Callable[[NDArray[np.intp] | slice], Scorer]] = {
        "spend": lambda some: AmountScorer(spend[some], actual_spend[some]).spend,
        "purchases": lambda some: AmountScorer(purchases[some], actual_purchases[some]).purchases,
    }
    if group["p_purchase"].null_count() < group.height:
        probability = floats(group, "p_purchase")
        if not np.isfinite(probability).all():
            raise ValueError(f"p_purchase is null for some customers only (model {group['model'][0]})")
        bought = (actual_purchases > 0).astype(np.float64)
        scorers["purchase"] = lambda some: ProbabilityScorer(probability[some], bought[some]).purchase
    return scorers


class _Draws:
    """Bootstrap draws, the same for every population of the same size."""

    def __init__(self, replicates: int, limit: int, seed: int) -> None:
        self._replicates, self._limit, self._seed = replicates, limit, seed
        self._size = -1
        self._sample: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._weights: NDArray[np.uint16] = np.empty((0, 0), dtype=np.uint16)

    def of(self, customers: int) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
        """Return sampled rows and weights (replicates × sampled rows); kept until the size changes."""
        if customers != self._size:
            rng = np.random.default_rng([self._seed, customers])
            m = min(customers, self._limit)
            self._sample = np.sort(rng.permutation(customers)[:m])
            counts = [np.bincount(rng.integers(0, m, m), minlength=m) for _ in range(self._replicates)]
            self._weights = np.array(counts, dtype=np.uint16).reshape(self._replicates, m)
            self._size = customers
        return self._sample, self._weights


def _with_intervals(
    scorer_of: Callable[[NDArray[np.intp] | slice], Scorer], customers: int, draws: _Draws
) -> dict[str, tuple[float, float, float]]:
    values = scorer_of(slice(None))(np.ones(customers))
    sample, weights = draws.of(customers)
    scorer = scorer_of(sample)
    replicates = [scorer(row.astype(np.float64)) for row in weights]
    centre = values if len(sample) == customers else scorer(np.ones(len(sample)))
    tail = 0.5 * (1.0 - INTERVAL_LEVEL)
    scored = {}
    for metric, value in values.items():
        found = np.array([replicate[metric] for replicate in replicates])
        found = found[np.isfinite(found)]
        if not math.isfinite(value) or len(found) == 0:
            scored[metric] = (value, math.nan, math.nan)
            continue
        low, high = np.quantile(found, [tail, 1.0 - tail])
        shrink = math.sqrt(len(sample) / customers)
        low, high = (value + shrink * (float(edge) - centre[metric]) for edge in (low, high))
        scored[metric] = (value, low, high)
    return scored


def _defined(number: float) -> float | None:
    return number if math.isfinite(number) else None
