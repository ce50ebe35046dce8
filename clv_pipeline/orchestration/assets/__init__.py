"""The graph: every table of `dbt_like_sql/` and `extensions.sql` as a Dagster asset behind its gate; the publication.

Each module holds the Python tables of the layer with its name. Asset bodies pass frames between the warehouse and pure
functions; everything that needs no Dagster is computed elsewhere.
"""

from __future__ import annotations

import dagster as dg

from clv_pipeline.contracts.loader import SqlModel
from clv_pipeline.orchestration.assets import (
    cleaning,
    evaluation,
    features,
    forecasting,
    ingestion,
    insights,
    segmentation,
    serving,
)
from clv_pipeline.orchestration.cron import check_schedule
from clv_pipeline.orchestration.gated_step import sql_table
from clv_pipeline.orchestration.plots import PLOTS
from clv_pipeline.pipeline import Pipeline

__all__ = ["all_assets"]


def all_assets(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """The whole graph: SQL tables as their files say, tables built in Python, and the publication.

    Raises:
        ConfigError: configured models are unknown, extensions unusable, or cron expressions invalid. It is better to
            know now than after the backtest.
    """
    from clv_pipeline.forecasting.registry import check_models

    check_models(pipeline.settings.models, pipeline.settings.extensions)
    check_schedule(pipeline.settings)
    sql_tables = [
        sql_table(pipeline, model, PLOTS.get(name))
        for name, model in pipeline.models.items()
        if isinstance(model, SqlModel) and model.contract.staged_with is None
    ]
    return [
        *sql_tables,
        *ingestion.tables(pipeline),
        cleaning.tables(pipeline),
        *segmentation.tables(pipeline),
        features.tables(pipeline),
        *forecasting.tables(pipeline),
        *evaluation.tables(pipeline),
        *insights.tables(pipeline),
        serving.published_marts(pipeline),
    ]
