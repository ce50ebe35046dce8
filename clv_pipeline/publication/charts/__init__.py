"""The charts of the report and of the asset pages: one function per chart, a polars frame in, a chart out.

Here: aggregation to what is drawn. Not here: queries, Dagster, files, colours (look). A chart holds only what
it draws: never a customer id and never a row per customer, because specifications and pictures are kept in
metadata that everybody with access to the UI can read. Money is in the currency of the source.

Every function raises ValueError if its frame is empty or lacks a column. Its words and numbers are written by
`display`; names of the rows are said by `display.term`.
"""

from __future__ import annotations

from clv_pipeline.publication.charts.accuracy import (
    calibration_by_decile,
    fit_by_frequency,
    forecast_against_actual,
    leaderboard,
)
from clv_pipeline.publication.charts.acquisition import acquisition_value, payback
from clv_pipeline.publication.charts.bars import ranking
from clv_pipeline.publication.charts.campaigns import campaign_results
from clv_pipeline.publication.charts.clusters import cluster_profiles, cluster_scatter, clusters_by_segment
from clv_pipeline.publication.charts.cohorts import cohort_heatmap, retention_curves
from clv_pipeline.publication.charts.concentration import revenue_by_tenth, revenue_concentration
from clv_pipeline.publication.charts.customers import rfm_heatmap, segment_map
from clv_pipeline.publication.charts.errors import error_by_group, forecast_scatter, gain_curve
from clv_pipeline.publication.charts.forecasts import forecast_distribution, revenue_ahead, revenue_fan, tracking
from clv_pipeline.publication.charts.orders import order_gaps, order_hours, order_sizes, order_values
from clv_pipeline.publication.charts.probabilities import p_alive_by_recency_and_frequency, reliability
from clv_pipeline.publication.charts.sales import customers_by_month, daily_revenue, ledger_flow, revenue_by_month
from clv_pipeline.publication.charts.segments import segment_flows, segment_sizes

__all__ = [
    "acquisition_value",
    "calibration_by_decile",
    "campaign_results",
    "cluster_profiles",
    "cluster_scatter",
    "clusters_by_segment",
    "cohort_heatmap",
    "customers_by_month",
    "daily_revenue",
    "error_by_group",
    "fit_by_frequency",
    "forecast_against_actual",
    "forecast_distribution",
    "forecast_scatter",
    "gain_curve",
    "leaderboard",
    "ledger_flow",
    "order_gaps",
    "order_hours",
    "order_sizes",
    "order_values",
    "p_alive_by_recency_and_frequency",
    "payback",
    "ranking",
    "reliability",
    "retention_curves",
    "revenue_ahead",
    "revenue_by_month",
    "revenue_by_tenth",
    "revenue_concentration",
    "revenue_fan",
    "rfm_heatmap",
    "segment_flows",
    "segment_map",
    "segment_sizes",
    "tracking",
]
