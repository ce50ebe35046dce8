"""Where the graph begins: the source records, and the settings that SQL models read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.settings import Settings
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """parameters, raw_transactions."""
    settings = pipeline.settings

    def build_parameters(session: Session) -> Mapping[str, Metadata]:
        import polars as pl

        today = datetime.now(ZoneInfo(settings.schedule.timezone)).date()
        row = parameter_row(settings, today)
        frame = pl.DataFrame([row], schema_overrides={"exclude_products": pl.List(pl.String), "as_of": pl.Date})
        session.stage_frame(pipeline.contract("parameters"), frame)
        return {"parameters": {name: str(value) for name, value in row.items()}}

    def build_raw_transactions(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.sources import load_transactions

        files = load_transactions(
            session.connection,
            staged_name("raw_transactions"),
            settings.source.transactions,
            settings.base_dir,
            pipeline.warehouse.work_dir,
        )
        records = [
            dg.TableRecord(
                {
                    "source file": file.source_file,
                    "rows": file.rows,
                    "unreadable rows": file.unreadable_rows,
                    "bytes": file.bytes,
                    "sha256": file.sha256,
                }
            )
            for file in files
        ]
        return {
            "raw_transactions": {
                "source files": len(files),
                "files": dg.MetadataValue.table(records),
                "unreadable rows": sum(file.unreadable_rows for file in files),
            }
        }

    return [
        gated_step(pipeline, ["parameters"], reads=[], kinds={"python"}, build=build_parameters),
        gated_step(pipeline, ["raw_transactions"], reads=[], kinds={"python"}, build=build_raw_transactions),
    ]


def parameter_row(settings: Settings, today: date) -> dict[str, object]:
    """The one row of `parameters`; `today` is the day of the run in the schedule's timezone."""
    configured = settings.forecast.as_of
    as_of = {"latest": None, "today": today}.get(configured) if isinstance(configured, str) else configured
    return {
        "today": today,
        "as_of": as_of,
        "deduplicate": settings.cleaning.deduplicate,
        "returns": settings.cleaning.returns,
        "outliers": settings.cleaning.outliers,
        "exclude_products": settings.cleaning.exclude_products,
    }
