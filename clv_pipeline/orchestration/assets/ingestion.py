"""The beginning of the graph: source records, and the settings that SQL models read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dagster as dg

from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import CostSource, CustomerSource, EventSource, TableSource, TransactionSource
from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import TableModel
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.text import displayed
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.currency import stage_currency
from clv_pipeline.warehouse.duckdb_engine import added_name, day_of, staged_name
from clv_pipeline.warehouse.file_gates import stage_file_gate_inputs, stage_file_gates
from clv_pipeline.warehouse.gate import built_by
from clv_pipeline.warehouse.settings_table import settings_frame

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.sources import Load, LoadedFile
    from clv_pipeline.sources.worker import Suppress

REPLACED = "gate.replaced_sources"
"""Table of the live rows that a load of changes replaces: all rows of a source, or those since a day."""

RENAMED = "gate.renamed_sources"
"""Table of the sources whose file has a new name since the last load."""

FILE_GATES = ["arrived_files", "file_measures", "file_gates"]
"""Tables that are built together with raw_transactions, and admitted together with it or not at all."""

SHOWN_FILES = 100
"""Most files in the metadata of the UI; the table holds all files."""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """The tables of settings, and for every source its raw table with the table of its files.

    The latter two are empty where the source is not configured.
    """
    settings = pipeline.settings

    def build_parameters(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        contract = pipeline.contract("parameters")
        frame = settings_frame(contract, settings.parameters)
        session.stage_frame(contract, frame)
        return {"parameters": {name: str(value) for name, value in frame.row(0, named=True).items()}}

    def build_run_day(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        today = datetime.now(ZoneInfo(settings.schedule.timezone)).date()
        stage_run_day(session, pipeline.contract("run_day"), settings, today)
        return {"run_day": {"today": str(today)}}

    def build_file_gate_inputs(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        stage_file_gate_inputs(session, pipeline.models, settings.gates)
        return {}

    def build_currency(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        return {"currency_rates": {"rates": stage_currency(session, pipeline.models, settings)}}

    source = settings.source
    currency = ["currency_settings", "currency_rates"]
    gate_inputs = ["file_gate_settings", "passed_files"]
    return [
        gated_step(pipeline, ["parameters"], reads=[], kinds={"python"}, build=build_parameters),
        gated_step(pipeline, ["run_day"], reads=[], kinds={"python"}, build=build_run_day),
        gated_step(pipeline, currency, reads=[], kinds={"python"}, build=build_currency),
        gated_step(pipeline, gate_inputs, reads=[], kinds={"python"}, build=build_file_gate_inputs),
        _loading_step(pipeline, "raw_transactions", "source_files", TransactionSource, source.transactions),
        _loading_step(pipeline, "raw_customers", "customer_files", CustomerSource, source.customers),
        _loading_step(pipeline, "raw_events", "event_files", EventSource, source.events),
        _loading_step(pipeline, "raw_costs", "cost_files", CostSource, source.costs),
    ]


def _loading_step(
    pipeline: Pipeline, table: str, files_table: str, kind: type[TableSource], source: TableSource | None
) -> dg.AssetsDefinition:
    """The step that loads one source. Without the source both tables exist and are empty, and the graph is the same."""
    contracts = pipeline.contract(table), pipeline.contract(files_table)
    judged = FILE_GATES if kind is TransactionSource else []

    def build(session: Session, refresh: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.privacy.register import Register

        if source is None:
            stage_no_source(session, contracts, kind)
            return {table: {"source": f"{kind.key} is not configured"}}
        load = load_source(
            session,
            contracts,
            source,
            pipeline.settings.base_dir,
            pipeline.warehouse.work_dir,
            refresh=refresh,
            recipe=pipeline.recipe,
            suppress=Register(pipeline.settings.privacy_dir).suppression() if "customer_id" in kind.known else None,
        )
        if kind is CostSource:
            from clv_pipeline.sources.cost_records import refuse_unread_costs

            refuse_unread_costs(session.connection, added_name(table), load.files)
        if judged:
            stage_gates_of(session, pipeline.models, source, pipeline.settings.base_dir, load)
        stage_load(session, contracts, source, load)
        told = f"{len(load.read)} of {len(load.files)} files read"
        if load.read and pipeline.settings.storage.engine == "spark":
            who = f"this process, not Spark's workers: {load.why_here}" if load.why_here else "Spark's workers"
            dg.get_dagster_logger().info(displayed(f"{kind.key} was read by {who}"))
        for label in load.gone:
            rows = "kept" if source.removed_files == "keep" else "removed"
            dg.get_dagster_logger().info(displayed(f"{label} is no longer there; its rows are {rows}"))
        for label in load.left_out:
            dg.get_dagster_logger().info(displayed(f"{label} is left out: it is of no kind that is read"))
        records = [dg.TableRecord(asdict(file)) for file in load.files[:SHOWN_FILES]]
        return {
            table: {
                "load": told,
                "unreadable rows": sum(file.unreadable_rows for file in load.files),
                "files that are gone": len(load.gone),
                "rows of forgotten customers": load.suppressed,
            },
            files_table: {"files": dg.MetadataValue.table(records)},
        }

    return gated_step(pipeline, [table, files_table, *judged], reads=[], kinds={"python"}, build=build)


def stage_no_source(session: Session, contracts: tuple[Contract, Contract], kind: type[TableSource]) -> None:
    """Stage an empty raw table and an empty table of its files."""
    from clv_pipeline.sources import create_table

    create_table(session.connection, staged_name(contracts[0].table), kind)
    session.stage_frame(contracts[1], source_file_frame(contracts[1], []))


def load_source(
    session: Session,
    contracts: tuple[Contract, Contract],
    source: TableSource,
    base_dir: Path,
    work_dir: Path,
    *,
    refresh: Refresh,
    recipe: str,
    suppress: Suppress | None = None,
) -> Load:
    """Read new records of a source into `added_name` of the raw table.

    Args:
        session: the open warehouse.
        contracts: contracts of the raw table and of the table of its files.
        source: the configured source.
        base_dir: the folder from which relative paths start.
        work_dir: holds temporary copies.
        refresh: what to read although it has not changed.
        recipe: today's recipe; what the live tables read under another one is read again.
        suppress: empties the rows of customers who are to be forgotten.

    Raises:
        SourceError: whatever is wrong with the source.
    """
    from clv_pipeline.sources import LoadedFile, load_changes

    raw, files = contracts
    known: list[LoadedFile] = []
    if session.has_table(files.table):
        rows = session.read(f"select * from {quote_identifier(files.table)} order by source_id")  # noqa: S608
        known = list(map(LoadedFile.from_row, rows.iter_rows(named=True)))
    return load_changes(
        session.connection,
        added_name(raw.table),
        source,
        base_dir,
        work_dir,
        live=raw.table,
        known=known,
        anew=refresh.full or not built_by(session, raw.table, recipe),
        days=refresh.days,
        rows=session,
        workers=session.readers(raw),
        suppress=suppress,
    )


def stage_load(session: Session, contracts: tuple[Contract, Contract], source: TableSource, load: Load) -> None:
    """Stage the result of `load_source`: the raw table, whole or as changes, and the table of its files."""
    raw, files = contracts
    session.stage_frame(files, source_file_frame(files, load.files))
    if load.is_whole:
        session.stage_added(raw)
    else:
        session.stage_changes(raw, _note_replaced(session, source, load))
        if load.renamed and session.changed_days is not None:
            # Rejected rows carry the name of their file, and the name decides which of two equal rows counts.
            session.execute(f"create or replace table {RENAMED} as select unnest(?) as renamed_id", [load.renamed])
            session.changed_days += (
                f" union select {day_of(raw)} from {quote_identifier(raw.table)}"  # noqa: S608
                f" where source_id in (select renamed_id from {RENAMED})"
            )


def stage_gates_of(
    session: Session,
    models: Mapping[str, TableModel],
    source: TableSource,
    base_dir: Path,
    load: Load,
    is_judged: Callable[[LoadedFile], bool] = lambda _: True,
) -> None:
    """Stage the file gates of the transactions that `load_source` read, before `stage_load` moves them."""
    from clv_pipeline.sources.prepare import ends_a_line

    has_rows = session.count(added_name("raw_transactions")) > 0
    # load.read names a query even if it returned nothing new.
    read = [
        file
        for file in load.files
        if file.source_file in load.read and (has_rows or not file.is_query) and is_judged(file)
    ]
    replaced = "false" if load.is_whole else _note_replaced(session, source, load)
    complete = [ends_a_line(file, base_dir) for file in read]
    stage_file_gates(session, models, load.files, read, complete, is_whole=load.is_whole, replaced=replaced)


def _note_replaced(session: Session, source: TableSource, load: Load) -> str:
    """SQL condition that is true of the live rows that a load of changes replaces."""
    session.execute(f"create or replace table {REPLACED} (replaced_id integer, since date)")
    for part in load.replaced:
        session.execute(f"insert into {REPLACED} values (?, ?)", [part.source_id, part.since])  # noqa: S608
    since = f"r.since is null or {source.time} >= r.since" if source.time is not None else "true"
    return f"exists (select 1 from {REPLACED} as r where r.replaced_id = source_id and ({since}))"  # noqa: S608


def source_file_frame(contract: Contract, files: Sequence[LoadedFile]) -> pl.DataFrame:
    """The rows of a table of source files: the columns of its contract."""
    import polars as pl

    schema = {
        "source_id": pl.Int32,
        "source_file": pl.String,
        "rows": pl.Int64,
        "unreadable_rows": pl.Int64,
        "bytes": pl.Int64,
        "sha256": pl.String,
        "format": pl.String,
        "path": pl.String,
        "stamp": pl.String,
        "conventions": pl.String,
        "present": pl.Boolean,
        "content": pl.String,
        "copies": pl.String,
        "copies_known": pl.String,
        "read_with": pl.String,
        "lines": pl.Int64,
        "joined_lines": pl.Int64,
        "currency": pl.String,
    }
    frame = pl.DataFrame([{**asdict(file), "currency": file.currency} for file in files], schema=schema)
    return frame.select(column.name for column in contract.columns)


def stage_run_day(session: Session, contract: Contract, settings: Settings, today: date) -> None:
    """Stage the one row of `run_day`; `today` is the day of the run in the schedule's timezone.

    The changed days are those that lay in the future at the last run and no longer do (or the reverse, when a clock is
    set back).
    """
    import polars as pl

    configured = settings.forecast.as_of
    as_of = {"latest": None, "today": today}.get(configured) if isinstance(configured, str) else configured
    session.stage_frame(contract, pl.DataFrame({"today": [today], "as_of": [as_of]}))
    if session.has_table(contract.table):
        staged = staged_name(contract.table)
        session.changed_days = (
            f"with days as (select today from {contract.table} union all select today from {staged}),"  # noqa: S608
            " span as (select min(today) + 1 as first_day, max(today) as last_day from days)"
            " select cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as day from span"
        )
