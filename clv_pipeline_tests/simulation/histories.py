"""What a simulated shop's transactions say about its customers, reduced with polars instead of the pipeline's SQL."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from clv_pipeline_tests.forecasting.examples import customers_frame


def customers_as_of(transactions: pl.DataFrame, cutoff: date, horizon_days: int) -> pl.DataFrame:
    """The customers known at the cutoff with their outcomes in (cutoff, cutoff + horizon], by customer_id."""
    days = (
        transactions.with_columns(day=pl.col("ordered_at").dt.date(), spend=pl.col("quantity") * pl.col("unit_price"))
        .group_by("customer_id", "day")
        .agg(pl.col("spend").sum())
        .sort("customer_id", "day")
    )
    past = days.filter(pl.col("day") <= cutoff).group_by("customer_id", maintain_order=True)
    known = past.agg(
        frequency=pl.len().cast(pl.Int64) - 1,
        recency_days=(pl.col("day").last() - pl.col("day").first()).dt.total_days(),
        tenure_days=(cutoff - pl.col("day").first()).dt.total_days(),
        monetary_value=pl.col("spend").slice(1).mean().fill_null(0.0),
    )
    ends = cutoff + timedelta(days=horizon_days)
    future = days.filter(pl.col("day").is_between(cutoff, ends, closed="right")).group_by("customer_id")
    outcomes = future.agg(actual_purchases=pl.len().cast(pl.Int64), actual_spend=pl.col("spend").sum())
    came = known.select("customer_id").join(outcomes, on="customer_id", how="left", maintain_order="left").fill_null(0)
    frame = customers_frame(
        frequency=known["frequency"].to_list(),
        recency_days=known["recency_days"].to_list(),
        tenure_days=known["tenure_days"].to_list(),
        monetary_value=known["monetary_value"].to_list(),
        horizon_days=horizon_days,
        cutoff=cutoff,
    )
    return frame.with_columns(came)
