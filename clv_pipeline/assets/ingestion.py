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
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.sources import LoadedFile

SHOWN_FILES = 100
"""Files that the metadata in the UI lists at most; the table has them all."""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """parameters; raw_transactions with source_files."""
    settings = pipeline.settings

    def build_parameters(session: Session) -> Mapping[str, Metadata]:
        frame = parameter_frame(settings, datetime.now(ZoneInfo(settings.schedule.timezone)).date())
        session.stage_frame(pipeline.contract("parameters"), frame)
        return {"parameters": {name: str(value) for name, value in frame.row(0, named=True).items()}}

    def build_raw_transactions(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.sources import load_transactions

        files = load_transactions(
            session.connection,
            staged_name("raw_transactions"),
            settings.source.transactions,
            settings.base_dir,
            pipeline.warehouse.work_dir,
        )
        session.stage_frame(pipeline.contract("source_files"), source_file_frame(files))
        records = [dg.TableRecord(asdict(file)) for file in files[:SHOWN_FILES]]
        return {
            "raw_transactions": {"unreadable rows": sum(file.unreadable_rows for file in files)},
            "source_files": {"files": dg.MetadataValue.table(records)},
        }

    return [
        gated_step(pipeline, ["parameters"], reads=[], kinds={"python"}, build=build_parameters),
        gated_step(
            pipeline,
            ["raw_transactions", "source_files"],
            reads=[],
            kinds={"python"},
            build=build_raw_transactions,
        ),
    ]


def source_file_frame(files: Sequence[LoadedFile]) -> pl.DataFrame:
    """The rows of `source_files`."""
    import polars as pl

    texts = {"source_file": pl.String, "sha256": pl.String, "format": pl.String, "bytes": pl.Int64}
    return pl.DataFrame([asdict(file) for file in files], schema_overrides=texts)


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
