"""The two jobs, their schedules, and the rule for which is due.

`nightly_refresh` covers the whole graph; its schedule leaves the model review out unless it is due, because the search
for a better model has its own schedule and budget.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import dagster as dg

from clv_pipeline.orchestration.gated_step import EVALUATION
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.publication.write import CURRENT, DATABASE

_log = logging.getLogger(__name__)

REVIEWED = dg.AssetSelection.groups(EVALUATION)

nightly_refresh = dg.define_asset_job(
    "nightly_refresh",
    selection=dg.AssetSelection.all(),
    description="Load, clean, segment, forecast with the champions, publish; the first time with the model review.",
)

model_review = dg.define_asset_job(
    "model_review",
    selection=REVIEWED,
    description="Backtest every configured model on the features of the last refresh and choose the champions.",
)


def review_is_due(pipeline: Pipeline) -> bool:
    """Whether the published review no longer fits today's models, horizons or contracts.

    True when there is no readable publication yet, when the leaderboard has other models or horizons than the
    configuration, or when a table of the review was audited under another version of its contract (after an upgrade of
    this package).
    """
    import duckdb

    from clv_pipeline.database.connections import open_read_only

    settings = pipeline.settings
    database = settings.published_dir / CURRENT / DATABASE
    if not database.exists():
        return True
    contracts = [model.contract for model in pipeline.models.values()]
    today = {(c.table, c.hash) for c in contracts if c.layer == EVALUATION and c.published}
    try:
        with open_read_only(database) as published:
            listed: list[tuple[str]] = published.execute("select tables from publication").fetchall()
            audited = {(table["table"], table.get("contract_hash")) for table in json.loads(listed[0][0])}
            if not today <= audited:
                return True
            reviewed = set(published.execute("select horizon_days, model from model_leaderboard").fetchall())
    except duckdb.Error as error:
        # An error in a schedule's tick would start no run and alert nobody; the run publishes anew.
        _log.warning("%s cannot be read (%s): the whole graph is due", database, error)
        return True
    return reviewed != {(h, model) for h in settings.forecast.horizons_days for model in settings.models}


def due_tonight(pipeline: Pipeline) -> dg.AssetSelection:
    """The selection of the nightly run: everything except the model review, and that, too, when it is due."""
    everything = dg.AssetSelection.all()
    return everything if review_is_due(pipeline) else everything - REVIEWED


def schedules(pipeline: Pipeline, assets: list[dg.AssetsDefinition]) -> list[dg.ScheduleDefinition]:
    """The schedules of both jobs, in the configured timezone; switched on in the UI."""
    settings = pipeline.settings

    @dg.schedule(
        name="nightly_refresh_schedule",
        job=nightly_refresh,
        cron_schedule=settings.schedule.cron,
        execution_timezone=settings.schedule.timezone,
        description="Refreshes and publishes; includes the model review when models or horizons have changed.",
    )
    def nightly(_: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        yield dg.RunRequest(asset_selection=sorted(due_tonight(pipeline).resolve(assets)))

    review = dg.ScheduleDefinition(
        name="model_review_schedule",
        job=model_review,
        cron_schedule=settings.schedule.review_cron,
        execution_timezone=settings.schedule.timezone,
        description="Backtests every model and chooses the champions.",
    )
    return [nightly, review]
