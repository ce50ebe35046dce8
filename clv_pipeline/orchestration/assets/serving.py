"""The publication: the asset that hands the published tables to BI tools."""

from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import dagster as dg

from clv_pipeline.config.settings import Schedule
from clv_pipeline.contracts.loader import published_views
from clv_pipeline.orchestration.failures import expected_failures
from clv_pipeline.orchestration.gated_step import KEPT, WRITER_POOL, open_warehouse, reviewed
from clv_pipeline.orchestration.resources import RefreshOptions
from clv_pipeline.pipeline import Pipeline

LATE_AFTER = timedelta(hours=6)
"""Delay after a missed refresh from which the publication counts as too old: the time a run may take (`dagster.yaml`).
"""


def freshness(schedule: Schedule) -> dg.FreshnessPolicy | None:
    """The publication is fresh up to the longest pause of the nightly schedule plus `LATE_AFTER`.

    None where refreshes are so rare that two months show no pause.
    """
    # The minute changes no pause by an hour, and all minutes of two months would take seconds. `@daily` has none.
    minute, *others = schedule.cron.split()
    hourly = " ".join(["0", *others]) if others else minute
    written = "%Y-%m-%d %H:%M"
    first = datetime(2024, 1, 1)
    ticks = dg.TimeWindowPartitionsDefinition(start=first, fmt=written, cron_schedule=hourly)
    due = [datetime.strptime(tick, written) for tick in ticks.get_partition_keys(first + timedelta(days=62))]
    pauses = [later - earlier for earlier, later in pairwise(due)]
    return dg.FreshnessPolicy.time_window(fail_window=max(pauses) + LATE_AFTER) if pauses else None


def published_marts(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that writes a new version of the published database and makes it the current one for BI tools."""
    contracts = [model.contract for model in pipeline.models.values() if model.contract.published]

    @dg.asset(
        deps=[contract.table for contract in contracts if contract.table != "publication"],
        description=(
            "An immutable copy of every published table as a DuckDB file and as Parquet, with the report and the"
            " page to explore that are made from it, verified by reading it back; `published/current` then points to"
            " it. Refuses while any table has not passed its gate.\n\n"
            "Grain: one version per run."
        ),
        group_name="serving",
        owners=pipeline.settings.owners,
        kinds={"duckdb", "parquet", "html"},
        pool=WRITER_POOL,
        code_version=pipeline.recipe,
        freshness_policy=freshness(pipeline.settings.schedule),
    )
    def published_marts(context: dg.AssetExecutionContext, refresh: RefreshOptions) -> dg.MaterializeResult[Any]:
        from clv_pipeline.privacy.keyed_hash import pseudonyms_of
        from clv_pipeline.publication.pages import write_pages
        from clv_pipeline.publication.report import summary_lines
        from clv_pipeline.publication.write import publish

        with expected_failures(pipeline.warehouse):
            publication = publish(
                open_warehouse(pipeline, context),
                contracts,
                pipeline.settings.published_dir,
                run_id=context.run.run_id,
                config_hash=pipeline.settings.config_hash,
                keep=pipeline.settings.storage.keep_versions,
                pseudonyms=pseudonyms_of(pipeline.settings) if pipeline.settings.privacy.pseudonyms else None,
                always=refresh.asked().full,
                known=pipeline.models.keys(),
                may_lag=reviewed(pipeline),
                views=published_views(pipeline.models),
                write_pages=partial(write_pages, display=pipeline.display, warn=context.log.warning),
            )
        pages: dict[str, Any] = {}
        if publication.left_out:
            context.log.warning(
                f"not published, because one file is too small for them: {', '.join(publication.left_out)}; BI reads"
                " them in the catalog, and there is no report"
            )
        else:
            pages = {
                "summary": dg.MetadataValue.md(
                    "\n".join(f"- {line}" for line in summary_lines(publication.database, pipeline.display))
                ),
                "report": dg.MetadataValue.path(publication.report),
                "report bytes": publication.report.stat().st_size,
                "explore": dg.MetadataValue.path(publication.explore),
                "explore bytes": publication.explore.stat().st_size,
            }
        return dg.MaterializeResult(
            data_version=dg.DataVersion(publication.directory.name),
            metadata={
                **({} if publication.is_new else {KEPT: "nothing has changed since this version was published"}),
                **pages,
                "database": dg.MetadataValue.path(publication.database),
                "tables": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"table": table, "rows": rows, "content hash": content_hash})
                        for table, (rows, content_hash) in publication.tables.items()
                    ]
                ),
            },
        )

    return published_marts
