"""Repeat purchases week by week, actual and expected: where a forecast fits a shop, and where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from clv_pipeline.forecasting.cohorts import CohortTable

TRACKING_SCHEMA = pl.Schema(
    {
        "week_ends": pl.Date,
        "purchases": pl.Int64,
        "expected": pl.Float64,
        "expected_process": pl.Float64,
        "cumulative_purchases": pl.Int64,
        "cumulative_expected": pl.Float64,
        "cumulative_process": pl.Float64,
    }
)


def tracking(table: CohortTable, days: int) -> pl.DataFrame:
    """The weeks of the cohort table and those of (cutoff, cutoff + days], which have no outcome yet (TRACKING_SCHEMA).

    Only whole weeks, so that all are comparable.
    """
    ahead = days // 7
    expected = table.by_week(7 * ahead) * np.exp(table.recent)
    ends = np.concatenate([table.week_ends, table.cutoff + 7 * (1 + np.arange(ahead))])
    weeks = pl.DataFrame(
        {
            "week_ends": pl.Series(ends, dtype=pl.Int32).cast(pl.Date),
            "purchases": pl.Series([*table.came.astype(np.int64).tolist(), *[None] * ahead], dtype=pl.Int64),
            "expected": np.concatenate([table.expected, expected]),
            "expected_process": np.concatenate([table.by_process, table.process_by_week(7 * ahead)]),
        }
    )
    return weeks.with_columns(
        pl.col("purchases").cum_sum().alias("cumulative_purchases"),
        pl.col("expected").cum_sum().alias("cumulative_expected"),
        pl.col("expected_process").cum_sum().alias("cumulative_process"),
    ).cast(TRACKING_SCHEMA)
