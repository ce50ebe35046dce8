"""What the file gates judge, how strictly, and where they stand in a load: between reading files and letting them in.

The measuring and the judging are SQL (`file_measures`, `file_gates`). Here belongs what they are told: the measures
with their tolerances, what passed before, and the rows of a load that nobody else sees yet. They run in DuckDB on
either engine, because that is where files are read. The tolerances were chosen on some of the shops that
docs/explanation/reliability.md counts.
"""

# Only names of tables and conditions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from clv_pipeline.config.analysis import Gates, Severity
from clv_pipeline.contracts.loader import SqlModel, TableModel
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse.duckdb_engine import Session, added_name, staged_name
from clv_pipeline.warehouse.settings_table import settings_frame

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.sources.loaded import LoadedFile

ARRIVED, MEASURED, JUDGED = "arrived_files", "file_measures", "file_gates"


@dataclass(frozen=True)
class FileMeasure:
    """How one measure of a file is held against other files, and against a floor by itself.

    A file is odd when it is further off than `slack` and than `strays` times the median deviation of earlier files.
    Both are in the unit that is compared: the natural logarithm of a `ratio` and of a `mean`, as in the volume gates;
    a `share` or other `difference` itself. Means and shares stray more where a file has fewer rows. A measure that is
    often odd for good reasons is a warning at most (`gravest`).
    """

    measure: str
    label: str
    compares: Literal["ratio", "mean", "share", "difference"]
    slack: float
    strays: float
    least_rows: int = 0
    judges_below: bool = True
    judges_above: bool = True
    floor: float | None = None
    floor_rows: int | None = None
    digits: int = 2
    gravest: Severity = "error"
    reason: str | None = None


MEASURES = (
    # Of so few rows, half may be missing by chance.
    FileMeasure("rows", "rows", "ratio", 0.8, 10, least_rows=20, digits=0),
    FileMeasure(
        "hours", "hours from the first row to the last", "ratio", 0.25, 4, least_rows=20, judges_above=False, digits=1
    ),
    # It is 1 in every file, or of no use, as is the next.
    FileMeasure(
        "complete",
        "last line ended (1: yes, 0: no)",
        "difference",
        0.4,
        6,
        judges_above=False,
        digits=0,
    ),
    FileMeasure("reach", "number of the last customer, of the highest", "share", 0.1, 5, judges_above=False),
    FileMeasure("dates", "share of readable dates", "share", 0.1, 6, judges_above=False, floor=0.9, floor_rows=1),
    FileMeasure("amounts", "share of readable amounts", "share", 0.1, 6, judges_above=False, floor=0.9, floor_rows=1),
    FileMeasure(
        "customers", "share of rows with a customer", "share", 0.15, 15, judges_above=False, floor=0.02, floor_rows=20
    ),
    FileMeasure("kept", "share of rows kept", "share", 0.3, 12, judges_above=False),
    FileMeasure("known_customers", "share of rows of known customers", "share", 0.3, 6, judges_above=False),
    FileMeasure("known_products", "share of rows of known products", "share", 0.3, 5, judges_above=False),
    FileMeasure("whole_orders", "share of orders of one customer", "share", 0.2, 5, judges_above=False),
    FileMeasure("whole_quantities", "share of whole quantities", "share", 0.2, 5, judges_above=False),
    # Times of day and prices tell shops apart whose customers have the same numbers.
    FileMeasure("timed", "share of rows with a time of day", "share", 0.3, 5),
    FileMeasure("whole_amounts", "share of amounts without cents", "share", 0.3, 5),
    FileMeasure("line_amount", "usual money of a row", "mean", 0.7, 5),
    FileMeasure("quantity", "usual quantity of a row", "mean", 0.7, 5),
    FileMeasure("unit_price", "usual price", "mean", 0.7, 5),
    # Packing and further columns change it for no reason.
    FileMeasure("bytes", "bytes", "ratio", 0.7, 6, least_rows=20, digits=0, gravest="warn"),
)
"""Beside these, the share of every reason of rejection is measured and warned of."""


def measures(reasons: Sequence[str]) -> list[FileMeasure]:
    """All measures; `reasons` are those for which rows are rejected."""
    rejected = [
        FileMeasure(
            f"rejected: {reason}",
            f"share rejected ({reason})",
            *("share", 0.2, 6),
            judges_below=False,
            gravest="warn",
            reason=reason,
        )
        for reason in reasons
        # It tells of the customer, not of the file.
        if reason != "forgotten customer"
    ]
    return [*MEASURES, *rejected]


def reasons_of(models: Mapping[str, TableModel]) -> list[str]:
    """The reasons for which rows are rejected, as the contract of rejected_transactions lists them."""
    contract = models["rejected_transactions"].contract
    (known,) = (stated for stated in contract.expectations if stated.name == "reason_is_known")
    reasons: list[str] = known.kwargs["value_set"]
    return reasons


def file_gate_settings(models: Mapping[str, TableModel], gates: Gates) -> pl.DataFrame:
    """The rows of `file_gate_settings`: each measure, and what `gates:` says of files."""
    rows = [
        [asdict(measure), {"severity": _severity(measure, gates), "accepted_files": gates.accepted_files}]
        for measure in measures(reasons_of(models))
    ]
    return settings_frame(models["file_gate_settings"].contract, *rows)


def _severity(measure: FileMeasure, gates: Gates) -> Severity:
    return measure.gravest if gates.files == "error" else gates.files


def stage_file_gate_inputs(session: Session, models: Mapping[str, TableModel], gates: Gates) -> None:
    """Stage `file_gate_settings` and `passed_files`."""
    settings, passed = models["file_gate_settings"].contract, models["passed_files"].contract
    session.stage_frame(settings, file_gate_settings(models, gates))
    # file_gates is no dependency in the graph: a table cannot wait for what waits for it.
    live = session.has_table(JUDGED)
    files, judged = ("source_files", JUDGED) if live else (_no_rows(models, "source_files"), _no_rows(models, JUDGED))
    session.stage_query(
        passed,
        "select judged.source_file, files.sha256, judged.first_day, judged.last_day, judged.measure, judged.observed,"
        " judged.verdict in ('too low', 'too high') as was_odd"
        f" from {judged} as judged left join {files} as files on judged.source_file = files.source_file",
    )


def _no_rows(models: Mapping[str, TableModel], table: str) -> str:
    """SQL for the table without rows."""
    columns = ", ".join(
        f"cast(null as {column.type}) as {quote_identifier(column.name)}" for column in models[table].contract.columns
    )
    return f"(select {columns} where false)"


def stage_file_gates(
    session: Session,
    models: Mapping[str, TableModel],
    files: Sequence[LoadedFile],
    complete: Sequence[bool | None],
    *,
    is_whole: bool,
    replaced: str,
) -> None:
    """Stage arrived_files, file_measures and file_gates of a load whose new rows are `added_name` of raw_transactions.

    What was said of other files stays; their alarms have been told.

    Args:
        session: the open warehouse; what the last run built is live.
        models: of all tables.
        files: those that were read; none: nothing is new.
        complete: of each, whether its last line is ended; None where that cannot be told.
        is_whole: nothing of the live rows stays.
        replaced: SQL condition that is true of live raw rows which make way.
    """
    measured, judged = models[MEASURED], models[JUDGED]
    is_live = {ARRIVED, MEASURED, JUDGED} <= session.kinds().keys()
    if not files:
        for model in (models[ARRIVED], measured, judged):
            kept = quote_identifier(model.name) if is_live else _no_rows(models, model.name)
            session.stage_frame(model.contract, session.read(f"select * from {kept}"))
        return
    session.stage_frame(models[ARRIVED].contract, _arrivals(session, files, complete))
    with _arrived(session, models, is_whole=is_whole, replaced=replaced) as instead:
        session.stage_frame(measured.contract, _frame(session, _sql(measured).reading(instead)))
    new = quote_identifier(staged_name(MEASURED))
    verdicts = _sql(judged).reading({MEASURED: staged_name(MEASURED)})
    if is_live:
        verdicts = (
            "select * replace (false as is_alarm,"
            " case when is_alarm then 'passed before' else excused_because end as excused_because)"
            f" from {JUDGED} where source_file not in (select source_file from {new}) union all by name ({verdicts})"
        )
    session.stage_frame(judged.contract, _frame(session, verdicts))


def _arrivals(session: Session, files: Sequence[LoadedFile], complete: Sequence[bool | None]) -> pl.DataFrame:
    """The rows of `arrived_files`. A query has one name for all of its loads, so a load is told by its day."""
    import polars as pl

    ((today,),) = session.execute("select cast(max(today) as varchar) from run_day").fetchall()
    names = [file.source_file if file.bytes is not None else f"{file.source_file} {today}" for file in files]
    return pl.DataFrame(
        {
            "source_id": [file.source_id for file in files],
            "source_file": names,
            "sha256": [file.sha256 for file in files],
            "bytes": [file.bytes for file in files],
            "is_complete": list(complete),
        }
    )


@contextmanager
def _arrived(
    session: Session, models: Mapping[str, TableModel], *, is_whole: bool, replaced: str
) -> Iterator[dict[str, str]]:
    """What `file_measures` reads in the place of live tables: the rows that arrived, and what becomes of them."""
    execute = session.connection.execute
    added, live = quote_identifier(added_name("raw_transactions")), "raw_transactions"
    instead = {"raw_transactions": added_name("raw_transactions"), ARRIVED: staged_name(ARRIVED)}
    rows = f"select * from {added}"
    if not is_whole:
        # A row may be a duplicate of one that is there already, and then both are of one day.
        rows += (
            f" union all by name select * from {live} where not coalesce({replaced}, false)"
            f" and cast(ordered_at as date) in (select cast(ordered_at as date) from {added})"
        )
    execute(f"create or replace temp view arrived_rows as {rows}")
    arrivals = quote_identifier(staged_name(ARRIVED))
    earlier = f"source_id not in (select source_id from {arrivals})"
    # A whole load takes over the rows of files that are gone.
    known = f"{added} where {earlier}" if is_whole else f"{live} where not coalesce({replaced}, false)"
    execute(f"create or replace temp view known_rows as select customer_id, product_id from {known}")
    # Which of two copies is rejected depends on the names of both files.
    names = f"select source_id, source_file from {arrivals}"
    if session.has_table("source_files"):
        names += f" union all select source_id, source_file from source_files where {earlier}"
    execute(f"create or replace temp view arrived_names as {names}")
    screening = {"raw_transactions": "arrived_rows", "source_files": "arrived_names"}
    if is_whole or not session.has_table("outlier_fence"):
        fence = _sql(models["outlier_fence"]).reading(screening)
        execute(f"create or replace temp table arrived_fence as {fence}")
        screening["outlier_fence"] = "arrived_fence"
    rejected = _sql(models["rejected_transactions"]).reading(screening)
    execute(f"create or replace temp table arrived_rejects as select source_id, reason from ({rejected})")
    try:
        yield {**instead, "rejected_transactions": "arrived_rejects", "cleaned_transactions": "known_rows"}
    finally:
        for view in ("arrived_rows", "arrived_names", "known_rows"):
            execute(f"drop view if exists {view}")
        for table in ("arrived_fence", "arrived_rejects"):
            execute(f"drop table if exists {table}")


def _frame(session: Session, query: str) -> pl.DataFrame:
    frame: pl.DataFrame = session.connection.sql(query).pl()
    return frame


def _sql(model: TableModel) -> SqlModel:
    assert isinstance(model, SqlModel)  # noqa: S101  (the repository's own)
    return model
