"""Where the graph begins: the source records, and the settings that SQL models read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.settings import Settings
from clv_pipeline.source_settings import CustomerSource, EventSource, TableSource, TransactionSource
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.sources import LoadedFile

SHOWN_FILES = 100
"""Files that the metadata in the UI lists at most; the table has them all."""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """parameters; the raw table of every source with the table of its files, empty where none is configured."""
    settings = pipeline.settings

    def build_parameters(session: Session) -> Mapping[str, Metadata]:
        frame = parameter_frame(settings, datetime.now(ZoneInfo(settings.schedule.timezone)).date())
        session.stage_frame(pipeline.contract("parameters"), frame)
        return {"parameters": {name: str(value) for name, value in frame.row(0, named=True).items()}}

    source = settings.source
    return [
        gated_step(pipeline, ["parameters"], reads=[], kinds={"python"}, build=build_parameters),
        _loading_step(pipeline, "raw_transactions", "source_files", TransactionSource, source.transactions),
        _loading_step(pipeline, "raw_customers", "customer_files", CustomerSource, source.customers),
        _loading_step(pipeline, "raw_events", "event_files", EventSource, source.events),
    ]


def _loading_step(
    pipeline: Pipeline, table: str, files_table: str, kind: type[TableSource], source: TableSource | None
) -> dg.AssetsDefinition:
    """The step that loads one source; without one, both tables are there and empty, and the graph is the same."""

    def build(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.privacy import Register, suppress
        from clv_pipeline.sources import create_table, load_records

        files: list[LoadedFile] = []
        if source is None:
            create_table(session.connection, staged_name(table), kind)
        else:
            files = load_records(
                session.connection,
                staged_name(table),
                source,
                pipeline.settings.base_dir,
                pipeline.warehouse.work_dir,
            )
        forgotten = suppress(session.connection, staged_name(table), Register(pipeline.settings.privacy_dir))
        session.stage_frame(pipeline.contract(files_table), source_file_frame(files))
        records = [dg.TableRecord(asdict(file)) for file in files[:SHOWN_FILES]]
        shown: Metadata = {"unreadable rows": sum(file.unreadable_rows for file in files)}
        if forgotten:
            shown["rows of forgotten customers"] = forgotten
        if source is None:
            shown = {"source": f"{kind.key} is not configured"}
        return {table: shown, files_table: {"files": dg.MetadataValue.table(records)} if records else {}}

    return gated_step(pipeline, [table, files_table], reads=[], kinds={"python"}, build=build)


def source_file_frame(files: Sequence[LoadedFile]) -> pl.DataFrame:
    """The rows of a table of source files."""
    import polars as pl

    schema = {
        "source_id": pl.Int32,
        "source_file": pl.String,
        "rows": pl.Int64,
        "unreadable_rows": pl.Int64,
        "bytes": pl.Int64,
        "sha256": pl.String,
        "format": pl.String,
    }
    return pl.DataFrame([asdict(file) for file in files], schema=schema)


def parameter_frame(settings: Settings, today: date) -> pl.DataFrame:
    """The one row of `parameters`; `today` is the day of the run in the schedule's timezone."""
    import polars as pl

    configured = settings.forecast.as_of
    as_of = {"latest": None, "today": today}.get(configured) if isinstance(configured, str) else configured
    row = {
        "today": today,
        "as_of": as_of,
        "deduplicate": settings.cleaning.deduplicate,
        "returns": settings.cleaning.returns,
        "outliers": settings.cleaning.outliers,
        "exclude_products": settings.cleaning.exclude_products,
    }
    return pl.DataFrame([row], schema_overrides={"exclude_products": pl.List(pl.String), "as_of": pl.Date})
