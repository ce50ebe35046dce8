"""What a run would say about the source: its first steps, with the same SQL and contracts, in a scratch warehouse.

Here belongs which steps these are and which results are kept. What passed before is copied from the real warehouse, so
that a file or a day is judged as in tonight's run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import duckdb

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import WarehouseBusyError
from clv_pipeline.orchestration.bare_steps import STEPS, stage_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.quality import CheckResult
from clv_pipeline.warehouse import Limits, Session, Warehouse, admit
from clv_pipeline.warehouse.duckdb_engine import added_name, staged_name

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.sources import Load
    from clv_pipeline.sources.inspect import Survey

REHEARSED = STEPS[: STEPS.index(("customer_days",)) + 1]
"""The steps from the files to the first table that is computed from them."""

OF_COSTS = (("history_span",), ("known_days",), ("shop_margin",))
"""Further ones where the source states costs: whether they can be read, shop_margin says."""

PASSED = ("file_gates", "source_files", "volume_gates")
"""Tables of the real warehouse that record what passed before."""


@dataclass(frozen=True)
class OddFile:
    """One measure of one file that raises an alarm."""

    source_file: str
    measure: str
    severity: str
    finding: str


@dataclass(frozen=True)
class OddCustomer:
    """An id that may stand for nobody in particular."""

    customer_id: str
    share: float
    """Share of all orders."""


@dataclass
class Rehearsal:
    """What a run would say."""

    survey: Survey = field(init=False)
    failed: list[CheckResult] = field(default_factory=list)
    """Checks that fail, including those that only warn."""
    odd_files: list[OddFile] = field(default_factory=list)
    """Odd measures of files: the newest file first, and the worst measure of a file first."""
    odd_customers: list[OddCustomer] = field(default_factory=list)

    @property
    def stops(self) -> bool:
        """Whether a run would stop."""
        return any(result.blocks for result in self.failed)


def rehearse(settings: Settings) -> Rehearsal:
    """Read the source and take the first steps of a run in a scratch warehouse.

    Raises:
        SourceError: the source cannot be read.
        WarehouseBusyError: a run is at work.
    """
    pipeline = Pipeline.of(settings)
    storage = settings.storage
    outcome = Rehearsal()
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(
            Path(folder) / "clv.duckdb",
            pipeline.warehouse.directories,
            Limits(storage.memory_gb, storage.spill_gb, storage.threads),
        )
        try:
            session = warehouse.open("clv check")
            _copy_passed(session, pipeline)
            costs = OF_COSTS if settings.source.transactions.has_costs else ()
            for tables in (*REHEARSED, *costs):
                _take(session, pipeline, warehouse, tables, outcome)
                if outcome.stops:
                    break
        finally:
            warehouse.close()
    return outcome


def _copy_passed(session: Session, pipeline: Pipeline) -> None:
    """Copy what passed before, if there is a warehouse.

    Raises:
        WarehouseBusyError: a run is at work.
    """
    path = pipeline.settings.warehouse_path
    if not path.exists():
        return
    try:
        with open_read_only(path, pipeline.warehouse.directories) as live:
            there = {name for (name,) in live.execute("select table_name from information_schema.tables").fetchall()}
            # A warehouse of an earlier version has no table to compare files with.
            frames: dict[str, pl.DataFrame] = {
                table: live.sql(f"from {quote_identifier(table)}").pl() for table in PASSED if set(PASSED) <= there
            }
    except duckdb.IOException as error:
        raise WarehouseBusyError(
            f"{path} cannot be read, so nothing can be compared with what passed before; a run is probably at work",
            quoted=str(error),
            to_do="run `clv check` again when it has ended",
        ) from error
    for table, frame in frames.items():
        session.stage_frame(pipeline.contract(table), frame)
        session.replace_live(pipeline.contract(table))


def _take(
    session: Session, pipeline: Pipeline, warehouse: Warehouse, tables: Sequence[str], outcome: Rehearsal
) -> None:
    contracts = [pipeline.contract(table) for table in tables]
    model = pipeline.models[tables[0]]
    reads = model.dependencies if isinstance(model, SqlModel) else []
    build = partial(_stage, pipeline=pipeline, warehouse=warehouse, table=tables[0], outcome=outcome)
    admission = admit(session, contracts, build, reads=reads, run_id="clv check")
    outcome.failed += [result for results in admission.results.values() for result in results if not result.passed]


def _stage(session: Session, pipeline: Pipeline, warehouse: Warehouse, table: str, outcome: Rehearsal) -> None:
    settings = pipeline.settings
    today = datetime.now(ZoneInfo(settings.schedule.timezone)).date()
    survey = partial(_survey, session, settings, warehouse.work_dir, outcome)
    passed = _passed_contents(session) if table == "raw_transactions" else frozenset()
    stage_step(
        *(session, table, pipeline.models, settings, warehouse.work_dir),
        today=today,
        refresh=Refresh(full=True),
        recipe="",
        loaded=survey,
        is_judged=lambda file: file.content is None or file.content not in passed,
    )
    if table == "raw_transactions":
        outcome.odd_files = _odd_files(session)
    elif table == "customer_days":
        outcome.odd_customers = _odd_customers(session, pipeline)


def _passed_contents(session: Session) -> frozenset[str]:
    """What the real warehouse has loaded: a run reads only what it does not know."""
    if not session.has_table("source_files"):
        return frozenset()
    rows = session.execute("select content from source_files where content is not null").fetchall()
    return frozenset(content for (content,) in rows)


def _survey(session: Session, settings: Settings, work_dir: Path, outcome: Rehearsal, load: Load) -> None:
    from clv_pipeline.sources.inspect import survey_of

    added = added_name("raw_transactions")
    outcome.survey = survey_of(
        session.connection, added, load.files, settings.source, settings.base_dir, work_dir, load.left_out
    )


def _odd_files(session: Session) -> list[OddFile]:
    odd = session.read(
        "select source_file, measure, severity, finding"  # noqa: S608
        f" from {quote_identifier(staged_name('file_gates'))} where is_alarm"
        " order by last_day desc nulls first, source_file, severity,"
        " abs(observed - expected) / nullif(abs(coalesce(lower, upper) - expected), 0) desc nulls first, measure"
    )
    return [OddFile(**row) for row in odd.iter_rows(named=True)]


def _odd_customers(session: Session, pipeline: Pipeline) -> list[OddCustomer]:
    """The unexpected rows of the check `customers_are_somebody`."""
    (check,) = (c for c in pipeline.contract("customer_days").expectations if c.name == "customers_are_somebody")
    query: Mapping[str, str] = check.kwargs
    batch = quote_identifier(staged_name("customer_days"))
    rows = session.read(query["unexpected_rows_query"].replace("{batch}", batch))
    return [
        OddCustomer(row["customer_id"], row["share"])
        for row in rows.sort("share", descending=True).iter_rows(named=True)
    ]
