"""Forecast frames: their schema, the one place that builds and checks them, and the discount factor."""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

DAYS_PER_YEAR = 365.25

FORECAST_SCHEMA = pl.Schema(
    {
        "customer_id": pl.String,
        "expected_purchases": pl.Float64,
        "expected_spend": pl.Float64,
        "p_purchase": pl.Float64,
        "p_alive": pl.Float64,
        "discounted_spend": pl.Float64,
    }
)

Floats = NDArray[np.float64]


def floats(frame: pl.DataFrame, column: str) -> Floats:
    """Return a column as a float64 array; nulls become NaN, which `forecast_frame` refuses."""
    return frame[column].cast(pl.Float64).to_numpy().astype(np.float64)


def forecast_frame(
    model: str,
    customers: pl.DataFrame,
    *,
    expected_purchases: Floats | None = None,
    expected_spend: Floats | None = None,
    discounted_spend: Floats | None = None,
    p_purchase: Floats | None = None,
    p_alive: Floats | None = None,
) -> pl.DataFrame:
    """Assemble a forecast in `FORECAST_SCHEMA`, row by row as in `customers`; null where nothing is given.

    ValueError names the model, the column and a customer when a value is not finite, negative, or (a
    probability) above 1: a wrong number must not reach a table.
    """
    columns = {
        "expected_purchases": expected_purchases,
        "expected_spend": expected_spend,
        "p_purchase": p_purchase,
        "p_alive": p_alive,
        "discounted_spend": discounted_spend,
    }
    for name, values in columns.items():
        if values is None:
            continue
        limit = 1.0 if name.startswith("p_") else np.inf
        bad = ~np.isfinite(values) | (values < 0.0) | (values > limit)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"{model}: {name} of customer {customers['customer_id'][row]} is {values[row]}; "
                f"{int(bad.sum())} of {len(values)} rows are not finite and within [0, {limit}]"
            )
    return pl.DataFrame(
        [customers["customer_id"].cast(pl.String)]
        + [
            pl.Series(name, [None] * customers.height if values is None else values, dtype=pl.Float64)
            for name, values in columns.items()
        ]
    )


def uniform_discount(horizon_days: int, annual_discount_rate: float) -> float:
    """Present value of one unit of money that flows evenly over the horizon.

    The mean of (1 + d)^(-t / 365.25) for t in (0, horizon]: (1 - (1 + d)^(-h)) / (h ln(1 + d)) with h in
    years.
    """
    force = math.log1p(annual_discount_rate) * horizon_days / DAYS_PER_YEAR
    return 1.0 if force == 0.0 else -math.expm1(-force) / force
