"""The CDNOW 1/10 sample as the published results use it: calibration 39 weeks, holdout 39 weeks."""

from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from clv_pipeline.forecasting.protocol import PAST_DAYS, TrainingData
from clv_pipeline_tests.forecasting.examples import daily_totals

CUTOFF = date(1997, 9, 30)
HOLDOUT_DAYS = 39 * 7


def purchase_days() -> pl.DataFrame:
    """customer_id, day, spend: one row per customer and purchase day."""
    spec = find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt").read_text()
    fields = pl.DataFrame({"line": text.splitlines()}).select(
        pl.col("line").str.strip_chars().str.split_exact(" ", 0).struct[0].alias("customer_id"),
        pl.col("line").str.extract(r"\s(\d{8})\s").str.to_date("%Y%m%d").alias("day"),
        pl.col("line").str.extract(r"([\d.]+)\s*$").cast(pl.Float64).alias("spend"),
    )
    return fields.group_by("customer_id", "day").agg(pl.col("spend").sum()).sort("customer_id", "day")


def customers_frame(days: pl.DataFrame, cutoff: date, horizon_days: int) -> pl.DataFrame:
    """The customers frame as of a cutoff (orders counted as purchase days; products and countries not known)."""
    history = days.filter(pl.col("day") <= cutoff).sort("customer_id", "day")
    first = pl.col("day").min()
    year_back = cutoff - timedelta(days=365)

    def window(start: date) -> pl.Expr:
        end = min(start + timedelta(days=horizon_days), cutoff)
        return (pl.col("day") > start) & (pl.col("day") <= end)

    gaps = pl.col("day").diff().dt.total_days()
    past = {days_back: pl.col("day") > cutoff - timedelta(days=days_back) for days_back in PAST_DAYS}
    recent, last_year = window(cutoff - timedelta(days=horizon_days)), window(year_back)
    return (
        history.group_by("customer_id")
        .agg(
            pl.lit(cutoff).first().alias("cutoff"),
            (pl.len().cast(pl.Int64) - 1).alias("frequency"),
            (pl.col("day").max() - first).dt.total_days().alias("recency_days"),
            (pl.lit(cutoff) - first).dt.total_days().alias("tenure_days"),
            (pl.lit(cutoff) - pl.col("day").max()).dt.total_days().alias("days_since_last"),
            pl.len().cast(pl.Int64).alias("orders"),
            pl.col("spend").sum().alias("revenue"),
            pl.col("spend").filter(pl.col("day") > first).mean().fill_null(0.0).alias("monetary_value"),
            pl.lit(horizon_days).first().cast(pl.Int64).alias("horizon_days"),
            recent.sum().cast(pl.Int64).alias("purchases_last_window"),
            pl.col("spend").filter(recent).sum().alias("spend_last_window"),
            last_year.sum().cast(pl.Int64).alias("purchases_same_window_last_year"),
            pl.col("spend").filter(last_year).sum().alias("spend_same_window_last_year"),
            *(within.sum().cast(pl.Int64).alias(f"purchases_{d}_days") for d, within in past.items()),
            *(pl.col("spend").filter(within).sum().alias(f"spend_{d}_days") for d, within in past.items()),
            gaps.mean().alias("mean_gap_days"),
            gaps.std().alias("gap_deviation_days"),
            pl.lit(1.0).first().alias("lines_per_order"),
            pl.lit(None, pl.Int64).first().alias("products"),
            first.alias("first_purchase_date"),
            pl.lit(None, pl.String).first().alias("country"),
        )
        .sort("customer_id")
    )


def outcomes_frame(days: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """What each of the customers did within the horizon after the cutoff."""
    cutoff, horizon_days = customers.select("cutoff", "horizon_days").row(0)
    after = days.filter(pl.col("day") > cutoff, pl.col("day") <= cutoff + timedelta(days=horizon_days))
    bought = after.group_by("customer_id").agg(
        pl.len().cast(pl.Int64).alias("actual_purchases"), pl.col("spend").sum().alias("actual_spend")
    )
    return (
        customers.select("customer_id", "cutoff", "horizon_days")
        .join(bought, on="customer_id", how="left", maintain_order="left")
        .with_columns(pl.col("actual_purchases", "actual_spend").fill_null(0))
    )


def training_data(customers: pl.DataFrame, completed_windows: pl.DataFrame | None = None) -> TrainingData:
    """The sufficient statistics of a customers frame."""
    counts = customers.group_by("frequency", "recency_days", "tenure_days").agg(
        pl.len().cast(pl.Int64).alias("customers")
    )
    spend = (
        customers.filter(pl.col("frequency") > 0, pl.col("monetary_value") > 0)
        .group_by("frequency", "monetary_value")
        .agg(pl.len().cast(pl.Int64).alias("customers"))
    )
    cutoff: date = customers["cutoff"][0]
    windows = pl.DataFrame() if completed_windows is None else completed_windows
    return TrainingData(
        cutoff,
        counts.sort("frequency", "recency_days", "tenure_days"),
        spend.sort("frequency", "monetary_value"),
        windows,
        daily_totals(customers),
    )
