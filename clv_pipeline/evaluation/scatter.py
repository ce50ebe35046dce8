"""Forecast against outcome, customer by customer, counted in bins: what a scatter plot on logarithmic axes draws.

Bins go from 1, 2 and 5 times a power of ten to the next; what is below SMALLEST counts as nothing, and has a bin of
its own.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.evaluation.scores import Floats

SMALLEST = 0.01
"""Where the lowest bin above nothing begins, in money or purchases."""

_EDGES = np.array([0.0, *(float(f"{step}e{digits}") for digits in range(-2, 24) for step in (1, 2, 5)), 1e24])

BINS_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "target": pl.String,
        **dict.fromkeys(("forecast_lower", "forecast_upper", "actual_lower", "actual_upper"), pl.Float64),
        "customers": pl.Int64,
        "forecast": pl.Float64,
        "actual": pl.Float64,
    }
)


def binned(cutoff: date, horizon_days: int, target: str, forecast: Floats, actual: Floats) -> pl.DataFrame:
    """The customers of one window by bin of forecast and of outcome, with the sums of both, in BINS_SCHEMA.

    `forecast` and `actual`: one value per customer, in money or purchases, not negative and finite.
    """
    size = len(_EDGES) - 1
    rows, columns = (np.searchsorted(_EDGES[1:-1], values, side="right") for values in (forecast, actual))
    places = rows * size + columns
    sums = [np.bincount(places, weights=weights, minlength=size * size) for weights in (None, forecast, actual)]
    filled = np.flatnonzero(sums[0])
    of_forecast, of_actual = np.divmod(filled, size)
    return pl.DataFrame(
        {
            "cutoff": cutoff,
            "horizon_days": horizon_days,
            "target": target,
            "forecast_lower": _EDGES[of_forecast],
            "forecast_upper": _EDGES[of_forecast + 1],
            "actual_lower": _EDGES[of_actual],
            "actual_upper": _EDGES[of_actual + 1],
            "customers": sums[0][filled],
            "forecast": sums[1][filled],
            "actual": sums[2][filled],
        },
        schema=BINS_SCHEMA,
    )
