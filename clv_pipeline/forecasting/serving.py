"""From the champions' forecasts to the rows that are served: intervals, discounted value, rank."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import polars as pl

from clv_pipeline.forecasting.protocol import FitReport, FittedModel


def serve(
    champions: Mapping[int, FittedModel],
    customers_for: Callable[[int], pl.DataFrame],
    add_intervals: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    annual_discount_rate: float,
    margin: float,
) -> pl.DataFrame:
    """One row per customer and horizon, with the columns of `clv_forecasts`.

    Args:
        champions: the fitted model of every horizon (days).
        customers_for: the customers frame of a horizon as of today.
        add_intervals: adds spend_lower, spend_upper and interval_level to forecasts of one model and horizon.
        annual_discount_rate: per year of 365.25 days.
        margin: share of spend that is earned; clv = margin × discounted expected spend.
    """
    frames = []
    for horizon, fitted in champions.items():
        customers = customers_for(horizon)
        forecast = fitted.forecast(customers, horizon, annual_discount_rate).with_columns(
            as_of=pl.lit(fitted.report.as_of),
            horizon_days=pl.lit(horizon, dtype=pl.Int64),
            model=pl.lit(fitted.report.model),
            clv=margin * pl.col("discounted_spend"),
        )
        frames.append(
            add_intervals(forecast)
            .drop("discounted_spend")
            .with_columns(clv_rank=pl.col("clv").rank("min", descending=True))
        )
    return pl.concat(frames)


def fit_rows(reports: Sequence[FitReport], skipped_horizons: Mapping[tuple[str, date], list[int]]) -> pl.DataFrame:
    """Fit reports as rows of `fitted_models`: estimates become JSON, never pickle."""
    return pl.DataFrame(
        [
            {
                "model": report.model,
                "as_of": report.as_of,
                "verdict": report.verdict,
                "notes": report.notes,
                "customers": report.customers,
                "log_likelihood": report.log_likelihood,
                "parameters": json.dumps(report.parameters),
                "standard_errors": json.dumps(report.standard_errors),
                "skipped_horizons": sorted(skipped_horizons.get((report.model, report.as_of), [])),
            }
            for report in reports
        ],
        schema={
            "model": pl.String,
            "as_of": pl.Date,
            "verdict": pl.String,
            "notes": pl.String,
            "customers": pl.Int64,
            "log_likelihood": pl.Float64,
            "parameters": pl.String,
            "standard_errors": pl.String,
            "skipped_horizons": pl.List(pl.Int64),
        },
    )
