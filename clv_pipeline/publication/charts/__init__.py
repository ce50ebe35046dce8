"""The charts of the report and of the asset pages: one function per chart, a polars frame in, a chart out.

Here: aggregation to what is drawn. Not here: queries, Dagster, files, colours (look). A chart holds only what
it draws: never a customer id and never a row per customer, because specifications and pictures are kept in
metadata that everybody with access to the UI can read. Money is in the currency of the source.

Every function raises ValueError if its frame is empty or lacks a column.
"""

from __future__ import annotations

from clv_pipeline.publication.charts.accuracy import (
    calibration_by_decile,
    fit_by_frequency,
    forecast_against_actual,
    leaderboard,
    probabilities,
)
from clv_pipeline.publication.charts.bars import ranking
from clv_pipeline.publication.charts.customers import rfm_heatmap, segment_map
from clv_pipeline.publication.charts.forecasts import (
    forecast_distribution,
    revenue_ahead,
    totals_by_horizon,
    tracking,
)
from clv_pipeline.publication.charts.sales import (
    cohort_heatmap,
    customers_by_month,
    daily_revenue,
    ledger_flow,
    revenue_by_tenth,
)

__all__ = [
    "calibration_by_decile",
    "cohort_heatmap",
    "customers_by_month",
    "daily_revenue",
    "fit_by_frequency",
    "forecast_against_actual",
    "forecast_distribution",
    "leaderboard",
    "ledger_flow",
    "probabilities",
    "ranking",
    "revenue_ahead",
    "revenue_by_tenth",
    "rfm_heatmap",
    "segment_map",
    "totals_by_horizon",
    "tracking",
]
