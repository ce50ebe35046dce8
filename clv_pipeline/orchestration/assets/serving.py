"""The publication: the asset that hands the published tables to BI tools."""

from typing import Any

import dagster as dg

from clv_pipeline.orchestration.gated_step import KEPT, OWNERS, REFRESH, WRITER_POOL, expected_failures, open_warehouse
from clv_pipeline.pipeline import Pipeline

EVALUATION = "evaluation"
"""The group of the model review, which keeps a slower rhythm than the nightly refresh."""


def published_marts(pipeline: Pipeline) -> dg.AssetsDefinition:
    """The asset that writes a new version of the published database and points BI tools at it."""
    contracts = [model.contract for model in pipeline.models.values() if model.contract.published]

    @dg.asset(
        deps=[contract.table for contract in contracts if contract.table != "publication"],
        description=(
            "An immutable copy of every published table as a DuckDB file and as Parquet, with the report that is"
            " made from it, verified by reading it back; `published/current` then points to it. Refuses while any"
            " table has not passed its gate.\n\n"
            "Grain: one version per run."
        ),
        group_name="serving",
        owners=OWNERS,
        kinds={"duckdb", "parquet", "html"},
        pool=WRITER_POOL,
        required_resource_keys={REFRESH},
    )
    def published_marts(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from clv_pipeline.privacy.keyed_hash import pseudonyms_of
        from clv_pipeline.publication.report import summary_lines, write_report
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
                always=context.resources.refresh.asked().full,
                known=pipeline.models.keys(),
                may_lag=[m.name for m in pipeline.models.values() if m.contract.layer == EVALUATION],
                write_report=write_report,
            )
        return dg.MaterializeResult(
            metadata={
                **({} if publication.is_new else {KEPT: "nothing has changed since this version was published"}),
                "summary": dg.MetadataValue.md("\n".join(f"- {line}" for line in summary_lines(publication.database))),
                "report": dg.MetadataValue.path(publication.report),
                "report bytes": publication.report.stat().st_size,
                "database": dg.MetadataValue.path(publication.database),
                "tables": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"table": table, "rows": rows, "content hash": content_hash})
                        for table, (rows, content_hash) in publication.tables.items()
                    ]
                ),
            }
        )

    return published_marts
