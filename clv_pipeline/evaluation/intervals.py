"""Predictive intervals of spend, learned from how past forecasts of a model and horizon came out.

Split-conformal prediction within bins of the forecast (Mondrian: Vovk, Gammerman & Shafer 2005, ch. 4).
Coverage holds within each bin as far as the past resembles the future; seasonality is what breaks it, so
track it.
"""

import math
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.evaluation.scores import Floats
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import require_columns

INTERVALS_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "horizon_days": pl.Int64,
        "forecast_from": pl.Float64,
        "lower_score": pl.Float64,
        "upper_score": pl.Float64,
        "offset": pl.Float64,
        "interval_level": pl.Float64,
        "customers": pl.Int64,
    }
)


def learn_intervals(
    forecasts: pl.DataFrame, *, level: float = 0.8, bins: int = 10, bin_customers: int = 100
) -> pl.DataFrame:
    """Learn interval widths from backtest forecasts; one row per model, horizon and bin, in INTERVALS_SCHEMA.

    `forecasts`: model, horizon_days, expected_spend, actual_spend; all cutoffs are pooled. A bin begins at
    the forecast
    `forecast_from`; equal forecasts share a bin; a bin has at least `bin_customers` rows, or the model and
    horizon get no bins at all. Scores are (actual - forecast) / (forecast + offset), offset the mean
    forecast: relative for large forecasts, absolute for small ones. Where more than (1 - level) / 2 of a bin
    spent nothing, the lower end is 0 and all of 1 - level lies above the upper end; otherwise it is split
    evenly. ValueError unless 0 < level < 1.
    """
    require_columns(forecasts, ["model", "horizon_days", "expected_spend", "actual_spend"], "forecasts")
    if not 0.0 < level < 1.0:
        raise ValueError(f"the interval level must lie between 0 and 1, not {level}")
    rows: list[tuple[object, ...]] = []
    ordered = forecasts.sort("model", "horizon_days", "expected_spend")
    groups = ordered.partition_by("model", "horizon_days", as_dict=True, maintain_order=True)
    for (model, horizon), group in groups.items():
        forecast, actual = floats(group, "expected_spend"), floats(group, "actual_spend")
        offset = float(forecast.mean())
        if offset <= 0.0:
            # Nothing was forecast for anybody, so there is no scale of money but that of the outcomes.
            offset = max(float(np.abs(actual).mean()), 1.0)
        scores = (actual - forecast) / (forecast + offset)
        for start, end in pairwise(_bin_edges(forecast, bins, bin_customers)):
            lower, upper = _score_range(scores[start:end], actual[start:end], level)
            first = 0.0 if start == 0 else float(forecast[start])
            rows.append((model, horizon, first, lower, upper, offset, level, end - start))
    return pl.DataFrame(rows, schema=INTERVALS_SCHEMA, orient="row")


def add_intervals(forecasts: pl.DataFrame, intervals: pl.DataFrame) -> pl.DataFrame:
    """Add spend_lower, spend_upper and interval_level to forecasts (model, horizon_days, expected_spend).

    Row order is kept. Null where `intervals` (from `learn_intervals`) know nothing of the model and horizon.
    The expected spend is a mean and may lie above the interval where most buy nothing and few buy much.
    """
    require_columns(forecasts, ["model", "horizon_days", "expected_spend"], "forecasts")
    learned = intervals.select(INTERVALS_SCHEMA.names()).drop("customers").sort("forecast_from")
    row, forecast = "__row", pl.col("expected_spend")

    def edge(score: str) -> pl.Expr:
        return (forecast + pl.col(score) * (forecast + pl.col("offset"))).clip(lower_bound=0.0)

    return (
        forecasts.with_row_index(row)
        .with_columns(pl.col("horizon_days").cast(pl.Int64))
        .sort("expected_spend")
        .join_asof(
            learned,
            left_on="expected_spend",
            right_on="forecast_from",
            by=["model", "horizon_days"],
            strategy="backward",
            check_sortedness=False,
        )
        .sort(row)
        .with_columns(edge("lower_score").alias("spend_lower"), edge("upper_score").alias("spend_upper"))
        .select(*forecasts.columns, "spend_lower", "spend_upper", "interval_level")
    )


def _bin_edges(sorted_forecast: Floats, bins: int, bin_customers: int) -> list[int]:
    """Positions where bins begin, and the end: ties together, none smaller than asked."""
    n = len(sorted_forecast)
    if n < bin_customers:
        return []
    cuts = np.round(np.linspace(0, n, bins + 1)[1:-1]).astype(np.intp)
    # Each cut moves down to the first of the forecasts that are equal to the one at the cut.
    starts: NDArray[np.intp] = np.unique(np.searchsorted(sorted_forecast, sorted_forecast[cuts], side="left"))
    edges = [0]
    for start in starts.tolist():
        if start - edges[-1] >= bin_customers and n - start >= bin_customers:
            edges.append(start)
    return [*edges, n]


def _score_range(scores: Floats, actual: Floats, level: float) -> tuple[float, float]:
    """Scores between which a new customer of the bin falls with probability `level`."""
    n, miss = len(scores), 1.0 - level
    ordered = np.sort(scores)

    def upper(share: float) -> float:
        return float(ordered[min(math.ceil((n + 1) * (1.0 - share)), n) - 1])

    if np.mean(actual <= 0.0) > miss / 2.0:
        # A score of -1 leads below 0 for every forecast, where the interval is cut off.
        return -1.0, upper(miss)
    return float(ordered[max(math.floor((n + 1) * miss / 2.0), 1) - 1]), upper(miss / 2.0)
