"""Customers frames and training data made up for tests."""

from datetime import date

import numpy as np
import polars as pl
from hypothesis import strategies as st

from clv_pipeline.forecasting.protocol import CUSTOMER_COLUMNS, TrainingData

CUTOFF = date(2024, 6, 30)


def customers_frame(
    frequency: list[int],
    recency_days: list[int],
    tenure_days: list[int],
    monetary_value: list[float],
    horizon_days: int = 90,
    cutoff: date = CUTOFF,
) -> pl.DataFrame:
    """A customers frame whose other columns follow from these four in a simple way."""
    frame = pl.DataFrame(
        {
            "frequency": frequency,
            "recency_days": recency_days,
            "tenure_days": tenure_days,
            "monetary_value": monetary_value,
        },
        schema_overrides={"monetary_value": pl.Float64},
    )
    active = pl.col("tenure_days") - pl.col("recency_days") < horizon_days
    recent = pl.when(active).then(pl.min_horizontal(pl.col("frequency") + 1, 3)).otherwise(0)
    return frame.with_columns(
        pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"),
        pl.lit(cutoff).alias("cutoff"),
        (pl.col("tenure_days") - pl.col("recency_days")).alias("days_since_last"),
        (pl.col("frequency") + 1).alias("orders"),
        (pl.col("frequency") * pl.col("monetary_value") + 20.0).alias("revenue"),
        pl.lit(horizon_days).cast(pl.Int64).alias("horizon_days"),
        recent.cast(pl.Int64).alias("purchases_last_window"),
        (recent * pl.col("monetary_value")).alias("spend_last_window"),
        pl.lit(1, pl.Int64).alias("purchases_same_window_last_year"),
        pl.lit(7.5).alias("spend_same_window_last_year"),
    ).select(*CUSTOMER_COLUMNS)


def simulated(customers: int, seed: int = 1, horizon_days: int = 90, cutoff: date = CUTOFF) -> pl.DataFrame:
    """Customers of a plausible shop with outcomes: gamma rates, some of them inactive, gamma spend."""
    rng = np.random.default_rng(seed)
    tenure = rng.integers(1, 700, customers)
    rate = rng.gamma(0.7, 0.02, customers)
    watched = (tenure * rng.beta(2.0, 0.7, customers)).astype(int)
    frequency = np.minimum(rng.poisson(rate * watched), watched)
    recency = np.where(frequency > 0, np.maximum(watched, 1), 0)
    spend = np.round(rng.gamma(5.0, 6.0 / rng.gamma(4.0, 1.0, customers)) + 1.0, 2)
    alive = (recency > 0.6 * tenure) | (rng.random(customers) < 0.3)
    came = rng.poisson(rate * horizon_days * alive)
    frame = customers_frame(
        frequency.tolist(),
        np.minimum(recency, tenure).tolist(),
        tenure.tolist(),
        np.where(frequency > 0, spend, 0.0).tolist(),
        horizon_days,
        cutoff,
    )
    return frame.with_columns(
        pl.Series("actual_purchases", came), pl.Series("actual_spend", (came * spend).astype(float))
    )


def training_data(customers: pl.DataFrame, completed_windows: pl.DataFrame | None = None) -> TrainingData:
    """Reduce a customers frame as the warehouse would."""
    counts = customers.group_by("frequency", "recency_days", "tenure_days", maintain_order=True)
    repeat = customers.filter(pl.col("frequency") > 0, pl.col("monetary_value") > 0)
    spend = repeat.group_by("frequency", "monetary_value", maintain_order=True)
    return TrainingData(
        CUTOFF,
        counts.agg(pl.len().cast(pl.Int64).alias("customers")),
        spend.agg(pl.len().cast(pl.Int64).alias("customers")),
        pl.DataFrame() if completed_windows is None else completed_windows,
    )


@st.composite
def any_customers(draw: st.DrawFn, max_frequency: int = 10_000) -> pl.DataFrame:
    """Any customers that can occur: from the cutoff day itself to decades, from no repeat to 10,000."""
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        tenure = draw(st.integers(0, 15_000))
        recency = draw(st.integers(0, tenure))
        frequency = draw(st.integers(1, max_frequency)) if recency > 0 else 0
        value = draw(st.floats(-50.0, 1e6)) if frequency > 0 else 0.0
        rows.append((frequency, recency if frequency else 0, tenure, value))
    columns = [list(column) for column in zip(*rows, strict=True)]
    return customers_frame(columns[0], columns[1], columns[2], columns[3])
