"""The file gates: what they judge and how strictly. A load passes them after files are read and before rows go live.

SQL measures and judges (`file_measures`, `file_gates`). Here belong the inputs of that SQL: the measures with their
tolerances, the files that passed before, and the new rows of a load, which no other table sees yet. The engine that has
the new rows measures, and DuckDB judges. The tolerances were chosen on some of the shops in
docs/explanation/reliability.md.
"""

# Only names of tables and conditions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from clv_pipeline.config.analysis import Gates, Severity
from clv_pipeline.contracts.loader import SqlModel, TableModel
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse import first_rejections
from clv_pipeline.warehouse.duckdb_engine import Session, added_name, staged_name
from clv_pipeline.warehouse.settings_table import settings_frame

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.sources.loaded import LoadedFile

ARRIVED, MEASURED, JUDGED = "arrived_files", "file_measures", "file_gates"


@dataclass(frozen=True)
class FileMeasure:
    """How one measure of a file is compared with other files, and with an absolute floor.

    A file is odd if it deviates by more than `slack` and by more than `strays` times the median deviation of earlier
    files. Both are in the unit of the comparison: the natural logarithm of a `ratio` or `mean`, as in the volume gates,
    and the plain value of a `share` or other `difference`. Means and shares vary more in files with fewer rows. A
    measure that is often odd for good reasons is at most a warning (`gravest`).
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
    FileMeasure("reach", "highest customer number in the last 20 rows, of all", "share", 0.1, 5, judges_above=False),
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
    # Compression and further columns change it without a fault.
    FileMeasure("bytes", "bytes", "ratio", 0.7, 6, least_rows=20, digits=0, gravest="warn"),
)
"""Measures of every file. In addition, the share of every reason of rejection is measured and at most a warning."""


def measures(reasons: Sequence[str]) -> list[FileMeasure]:
    """All measures. `reasons` are the reasons for which rows are rejected."""
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
        # It depends on the customer, not on the file.
        if reason != "forgotten customer"
    ]
    return [*MEASURES, *rejected]


def reasons_of(models: Mapping[str, TableModel]) -> list[str]:
    """The reasons for which rows are rejected at sight, as the contract of rejected_at_sight lists them."""
    contract = models["rejected_at_sight"].contract
    (known,) = (stated for stated in contract.expectations if stated.name == "reason_is_known")
    reasons: list[str] = known.kwargs["value_set"]
    return reasons


def file_gate_settings(models: Mapping[str, TableModel], gates: Gates) -> pl.DataFrame:
    """The rows of `file_gate_settings`: each measure, with the settings of `gates:` for files."""
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
    # file_gates is not a dependency in the graph, because a table cannot wait for its own dependents.
    live = session.has_table(JUDGED)
    files, judged = ("source_files", JUDGED) if live else (_no_rows(models, "source_files"), _no_rows(models, JUDGED))
    session.stage_query(
        passed,
        "select judged.source_file, files.sha256, judged.first_day, judged.last_day, judged.measure, judged.observed,"
        " judged.verdict in ('too low', 'too high') as was_odd"
        f" from {judged} as judged left join {files} as files on judged.source_file = files.source_file",
    )


def _no_rows(models: Mapping[str, TableModel], table: str) -> str:
    """SQL for the empty table."""
    columns = ", ".join(
        f"cast(null as {column.type}) as {quote_identifier(column.name)}" for column in models[table].contract.columns
    )
    return f"(select {columns} where false)"


def stage_file_gates(
    session: Session,
    models: Mapping[str, TableModel],
    there: Sequence[LoadedFile],
    files: Sequence[LoadedFile],
    complete: Sequence[bool | None],
    *,
    is_whole: bool,
    replaced: str,
) -> None:
    """Stage arrived_files, file_measures and file_gates of a load whose new rows are `added_name` of raw_transactions.

    Verdicts on other files whose rows stay are kept, under the names that the files have now. Their alarms have been
    reported.

    Args:
        session: the open warehouse. The tables of the last run are live.
        models: the models of all tables.
        there: all files of the load.
        files: those that were read; empty if nothing is new.
        complete: for each file, whether its last line has a line end; None if that cannot be known.
        is_whole: whether the load replaces all live rows.
        replaced: SQL condition that is true for live raw rows that are replaced.
    """
    first_rejections.forget(session)
    measured, judged = models[MEASURED], models[JUDGED]
    is_live = {ARRIVED, MEASURED, JUDGED} <= session.kinds().keys()
    earlier = _earlier_verdicts(session, there) if is_live else None
    if not files:
        for model in (models[ARRIVED], measured):
            kept = quote_identifier(model.name) if is_live else _no_rows(models, model.name)
            session.stage_frame(model.contract, session.read(f"select * from {kept}"))
        session.stage_frame(judged.contract, _frame(session, earlier or f"select * from {_no_rows(models, JUDGED)}"))
        return
    session.stage_frame(models[ARRIVED].contract, _arrivals(session, files, complete))
    is_all = is_whole and session.builds_in_duckdb and _are_all(files, there)
    with (
        ExitStack() as brought,
        _arrived(session, models, brought, is_whole=is_whole, is_all=is_all, replaced=replaced) as instead,
    ):
        session.stage_frame(measured.contract, session.read(_sql(measured).reading(instead)))
    if is_all:
        first_rejections.keep(session)
    new = quote_identifier(staged_name(MEASURED))
    verdicts = _sql(judged).reading({MEASURED: staged_name(MEASURED)})
    if earlier is not None:
        verdicts = (
            "select * replace (false as is_alarm,"
            " case when is_alarm then 'passed before' else excused_because end as excused_because)"
            f" from ({earlier}) where source_file not in (select source_file from {new}) union all by name ({verdicts})"
        )
    session.stage_frame(judged.contract, _frame(session, verdicts))


def _are_all(files: Sequence[LoadedFile], there: Sequence[LoadedFile]) -> bool:
    """Whether the new rows are all rows, under the names that `source_files` will have."""
    return [*files] == [*there] and not any(file.is_query for file in files)


def _earlier_verdicts(session: Session, there: Sequence[LoadedFile]) -> str:
    """SQL for the live verdicts on files whose rows stay, under today's names; the loads of a query all stay."""
    session.connection.execute("create or replace temp table files_there (source_id integer, source_file varchar)")
    session.connection.execute(
        "insert into files_there select unnest(?), unnest(?)",
        [[file.source_id for file in there], [file.source_file for file in there]],
    )
    return (
        f"select judged.* replace (files_there.source_file as source_file) from {JUDGED} as judged"
        " inner join source_files as known on judged.source_file = known.source_file"
        " inner join files_there on known.source_id = files_there.source_id"
        f" union all select * from {JUDGED} where source_file not in (select source_file from source_files)"
    )


def _arrivals(session: Session, files: Sequence[LoadedFile], complete: Sequence[bool | None]) -> pl.DataFrame:
    """The rows of `arrived_files`. A query has one name for all its loads, so the day distinguishes its loads."""
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
    session: Session,
    models: Mapping[str, TableModel],
    brought: ExitStack,
    *,
    is_whole: bool,
    is_all: bool,
    replaced: str,
) -> Iterator[dict[str, str]]:
    """The relations that `file_measures` reads instead of live tables: the new rows, and what cleaning does to them.

    What cleaning rejects is left behind for `first_rejections` if the new rows are all rows (`is_all`).
    """
    added, live = quote_identifier(added_name("raw_transactions")), "raw_transactions"
    made: list[str] = []

    def make(name: str, query: str, *, is_read_once: bool = False) -> None:
        made.append(name)
        session.define(name, query, is_read_once=is_read_once)

    instead = {"raw_transactions": added_name("raw_transactions"), ARRIVED: staged_name(ARRIVED)}
    rows = f"select * from {added}"

    def brought_beside(query: str) -> str:
        """The rows of a query on live tables, beside the new ones."""
        is_elsewhere = session.is_elsewhere(added_name("raw_transactions"))
        return f"({query})" if is_elsewhere else brought.enter_context(session.brought(query))

    if not is_whole:
        # A row may be a duplicate of an existing row, and then both are of the same day.
        make("arrived_days", f"select distinct cast(ordered_at as date) as day from {added}")
        same_days = brought_beside(
            f"select * from {live} where not coalesce({replaced}, false)"
            " and cast(ordered_at as date) in (select day from arrived_days)"
        )
        rows += f" union all by name select * from {same_days} as same_days"
    make("arrived_rows", rows, is_read_once=True)
    arrivals = quote_identifier(staged_name(ARRIVED))
    earlier = f"source_id not in (select source_id from {arrivals})"
    # A whole load may carry over the rows of files that are gone.
    known = f"select customer_id, product_id from {added} where {'false' if is_all else earlier}"
    if not is_whole:
        for column in ("customer_id", "product_id"):
            make(f"arrived_{column}s", f"select distinct {column} from {added}")
        known = f"select * from {brought_beside(_known_before(replaced))} as known"
    make("arrived_known", known)
    # The names of both files decide which of two copies is rejected.
    names = f"select source_id, source_file from {arrivals}"
    if session.has_table("source_files"):
        names += f" union all select source_id, source_file from source_files where {earlier}"
    make("arrived_names", names, is_read_once=True)
    rates = _sql(models["daily_rates"]).reading({"raw_transactions": "arrived_rows"})
    make("arrived_rates", rates)
    converted = {"raw_transactions": "arrived_rows", "daily_rates": "arrived_rates"}
    make("arrived_money", _sql(models["converted_transactions"]).reading(converted), is_read_once=True)
    screening = {"converted_transactions": "arrived_money", "source_files": "arrived_names"}
    if is_whole or not session.has_table("outlier_fence"):
        make("arrived_fence", _sql(models["outlier_fence"]).reading(screening))
    else:
        make("arrived_fence", f"select * from {brought_beside('select * from outlier_fence')} as fence")
    screening["outlier_fence"] = "arrived_fence"
    rejected = _sql(models["rejected_at_sight"]).reading(screening)
    # That a currency has no rate is told by `currencies`, with sums.
    reasons = "select source_id, reason from {} as rejected where reason <> 'no rate'"
    if is_all:
        kept = quote_identifier(first_rejections.ROWS)
        session.execute(f"create or replace table {kept} as {rejected}")
        make("arrived_rejects", reasons.format(kept), is_read_once=True)
    else:
        make("arrived_rejects", reasons.format(f"({rejected})"))
    try:
        yield {**instead, "rejected_at_sight": "arrived_rejects", "cleaned_transactions": "arrived_known"}
    finally:
        for name in reversed(made):
            session.undefine(name)


def _known_before(replaced: str) -> str:
    """SQL for customers and products of live rows that stay, as far as new rows name them, and the highest number."""
    stays = f"from raw_transactions where not coalesce({replaced}, false)"
    return (
        f"select distinct customer_id, cast(null as varchar) as product_id {stays}"
        " and customer_id in (select customer_id from arrived_customer_ids)"
        f" union all select distinct cast(null as varchar) as customer_id, product_id {stays}"
        " and product_id in (select product_id from arrived_product_ids)"
        " union all select arg_max(customer_id, try_cast(customer_id as double)) as customer_id,"
        f" cast(null as varchar) as product_id {stays}"
    )


def _frame(session: Session, query: str) -> pl.DataFrame:
    frame: pl.DataFrame = session.connection.sql(query).pl()
    return frame


def _sql(model: TableModel) -> SqlModel:
    assert isinstance(model, SqlModel)  # noqa: S101  (the repository's own)
    return model
