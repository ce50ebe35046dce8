"""Customers frames and training data made up for tests."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import strategies as st

from clv_pipeline.forecasting.protocol import CUSTOMER_COLUMNS, OUTCOME_COLUMNS, PAST_DAYS, TrainingData

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
    repeats = pl.col("frequency")
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
        *(_past(days).alias(f"purchases_{days}_days") for days in PAST_DAYS),
        *((_past(days) * pl.col("monetary_value")).alias(f"spend_{days}_days") for days in PAST_DAYS),
        pl.when(repeats > 0).then(pl.col("recency_days") / repeats).alias("mean_gap_days"),
        pl.when(repeats > 1).then(pl.col("recency_days") / repeats / 2.0).alias("gap_deviation_days"),
        (1.0 + pl.int_range(pl.len()) % 3).alias("lines_per_order"),
        (repeats + 1).cast(pl.Int64).alias("products"),
        (pl.lit(cutoff) - pl.duration(days=pl.col("tenure_days"))).cast(pl.Date).alias("first_purchase_date"),
        pl.when(pl.int_range(pl.len()) % 7 > 0).then(pl.lit("France")).alias("country"),
    ).select(*CUSTOMER_COLUMNS)


def _past(days: int) -> pl.Expr:
    """Purchase days within the last `days`: the repeats spread evenly over the time that was watched."""
    watched = pl.max_horizontal(pl.col("tenure_days"), pl.lit(1))
    idle = pl.col("tenure_days") - pl.col("recency_days")
    share = (days - idle).clip(lower_bound=0) / watched
    return ((pl.col("frequency") + 1) * share).ceil().clip(upper_bound=pl.col("frequency") + 1).cast(pl.Int64)


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
        daily_totals(customers),
        customers.drop(OUTCOME_COLUMNS, strict=False),
    )


def daily_totals(customers: pl.DataFrame) -> pl.DataFrame:
    """The daily totals of a customers frame whose customers spread their repeat purchases evenly over time."""
    purchases = customers.select(
        "cutoff",
        "tenure_days",
        "recency_days",
        "frequency",
        pl.col("revenue") / (pl.col("frequency") + 1),
        pl.int_ranges(0, pl.col("frequency") + 1).alias("repeat"),
    ).explode("repeat")
    share = pl.col("repeat") / pl.max_horizontal(pl.col("frequency"), pl.lit(1))
    days_ago = pl.col("tenure_days") - (pl.col("recency_days") * share).round().cast(pl.Int64)
    return (
        purchases.group_by((pl.col("cutoff") - pl.duration(days=days_ago)).alias("day"), maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("purchases"),
            (pl.col("repeat") == 0).sum().cast(pl.Int64).alias("new_customers"),
            pl.col("revenue").sum().alias("spend"),
        )
        .sort("day")
    )


def completed_windows(cutoffs: int, customers: int, horizon_days: int = 90, seed: int = 2) -> pl.DataFrame:
    """Completed windows of a chain of cutoffs that ends one horizon before CUTOFF, other customers in each."""
    windows = [
        simulated(customers, seed + k, horizon_days, CUTOFF - timedelta(days=(k + 1) * horizon_days)).with_columns(
            pl.format("{}-{}", pl.lit(k), "customer_id").alias("customer_id")
        )
        for k in range(cutoffs)
    ]
    return pl.concat(windows)


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
