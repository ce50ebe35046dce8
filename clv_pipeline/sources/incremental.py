"""Loading only what is new: new and changed files, or the rows of a query since a day.

The result is the same as after reading everything. New files are therefore first compared with the conventions under
which the others were read. If they do not agree, all files are judged together again.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import duckdb

from clv_pipeline.config.source import CustomerSource, TableSource
from clv_pipeline.database.columns import columns_of
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.catalog import exists, find_files
from clv_pipeline.sources.changes import Changes, Content, compare
from clv_pipeline.sources.conventions import Conventions, still_hold
from clv_pipeline.sources.databases import Since, query_table
from clv_pipeline.sources.far import FarFiles, FarTable, Workers, why_here, why_rows_here
from clv_pipeline.sources.identity import Hashing, names_of, with_contents
from clv_pipeline.sources.lake_rows import Rows
from clv_pipeline.sources.lakehouse import open_snapshot, told
from clv_pipeline.sources.load import (
    agreeing,
    conventions_of,
    create_table,
    held_still,
    lake_table,
    load_tables,
    no_record,
    open_source,
    prepared,
    with_every_column,
)
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.tables import RawTable
from clv_pipeline.sources.worker import Suppress


class LiveRows(Protocol):
    """Answers queries on the live table of the last load, wherever its rows are."""

    def ask(self, query: str, parameters: Mapping[str, Any] = ...) -> list[tuple[Any, ...]]:
        """The few rows of a query."""
        ...

    def brought(self, query: str) -> AbstractContextManager[str]:
        """The rows of a query within statements of DuckDB, as SQL that stands for a relation."""
        ...


@dataclass(frozen=True)
class _RowsInDuckDB:
    """The live rows in the very database that the new ones are loaded into."""

    con: duckdb.DuckDBPyConnection

    def ask(self, query: str, parameters: Mapping[str, Any] = MappingProxyType({})) -> list[tuple[Any, ...]]:
        return self.con.execute(query, dict(parameters)).fetchall()

    def brought(self, query: str) -> AbstractContextManager[str]:
        return nullcontext(f"({query})")


@dataclass(frozen=True)
class Replaced:
    """Live rows that are replaced: all rows of a source, or the rows of a query since a day."""

    source_id: int
    since: date | None = None


@dataclass(frozen=True)
class Load:
    """What a load of changes found."""

    files: list[LoadedFile]
    """All files of the source after the load."""
    read: list[str]
    """Labels of the files that were read."""
    gone: list[str]
    """Labels of the files that are no longer there."""
    replaced: list[Replaced]
    is_whole: bool
    """Whether the new table holds all records of the source and replaces the live one completely."""
    renamed: list[int] = field(default_factory=list)
    """Numbers of the files that were not read again and have a new name."""
    left_out: list[str] = field(default_factory=list)
    """Labels of the files in named folders that are of no kind that is read."""
    suppressed: int = 0
    """Number of rows that `suppress` has emptied."""
    why_here: str = ""
    """Why this process reads the source although there are workers; '' if they do, or if there are none."""


def load_changes(
    con: duckdb.DuckDBPyConnection,
    table: str,
    source: TableSource,
    base_dir: Path,
    work_dir: Path,
    *,
    live: str,
    known: Sequence[LoadedFile],
    anew: bool = False,
    days: tuple[date, date] | None = None,
    rows: LiveRows | None = None,
    workers: Workers | None = None,
    suppress: Suppress | None = None,
) -> Load:
    """Creates or replaces `table` with the records that are new since the last load, as `load_records` would.

    Args:
        con: a connection that sees the live table too, or at least its columns.
        table: takes the new records.
        source: what is configured.
        base_dir: where relative paths start.
        work_dir: takes temporary copies.
        live: the table of the last load; not read if `known` is empty.
        known: the files of the last load; empty if everything is new.
        anew: read everything that is there again. Rows whose file is gone are copied from the live table as they are.
        days: first and last day. Files with records of these days are read again in any case.
        rows: answers on the live table; None: `con` does.
        workers: processes that read files where they are; None: this one reads everything.
        suppress: empties the new rows of customers who are to be forgotten, where they are, and returns their number.

    Raises:
        SourceError: whatever is wrong with the source.
    """  # noqa: DOC501  (`no_record` makes the error)
    rows = rows or _RowsInDuckDB(con)
    with prepared(con, work_dir) as copies:
        load = (
            _load_query(con, table, source, base_dir, copies, live, known, anew, days, rows)
            if source.url is not None
            else _load_lake(con, table, source, base_dir, known, anew or days is not None, rows, workers, suppress)
            if source.table is not None
            else _load_files(con, table, source, base_dir, copies, live, known, anew, days, rows, workers, suppress)
        )
    if workers is not None and source.url is not None:
        load = replace(load, why_here="it is a query")
    by_workers = workers if workers is not None and not load.why_here else None
    if load.is_whole:
        _carry_over(con, rows, live, table, [file for file in load.files if not file.present], by_workers)
    if suppress is not None and by_workers is None:
        load = replace(load, suppressed=suppress(con, table))
    if not any(file.rows for file in load.files):
        raise no_record(load.files[0].source_file)
    return load


def _load_files(
    con: duckdb.DuckDBPyConnection,
    table: str,
    source: TableSource,
    base_dir: Path,
    copies: Path,
    live: str,
    known: Sequence[LoadedFile],
    anew: bool,
    days: tuple[date, date] | None,
    rows: LiveRows,
    workers: Workers | None,
    suppress: Suppress | None,
) -> Load:
    found = find_files(source, base_dir, copies)
    files = found.files
    reason = why_here(source, files) if workers is not None else ""
    reader: _Reader = (
        _FilesHere(con, table, base_dir, copies)
        if workers is None or reason
        else FarFiles(con, table, workers, rows.ask, suppress)
    )
    with held_still(files):
        # Files that are read again are hashed again.
        names = names_of(files, () if anew else known, reader.hashing)
        known = with_contents(known, names)
        changes = compare(
            names,
            known,
            _files_holding(rows, live, source, known, days) if days is not None and not anew else set(),
            keep_removed=source.removed_files == "keep",
            exists=partial(exists, source=source, base_dir=base_dir),
        )
        if anew:
            changes = changes.reading_all()
        if not changes.read:
            create_table(con, table, type(source))
            read = []
        else:
            source, tables, conventions, changes = _judged(con, source, changes, known, reader)
            is_whole = anew or not changes.kept
            read = reader.load(source, tables, conventions, _next_id(known), changes.read, is_whole=is_whole)
    return Load(
        files=[*changes.kept, *read],
        read=[file.source_file for file in read],
        gone=changes.gone,
        replaced=[Replaced(file.source_id) for file in changes.replaced],
        is_whole=anew or not changes.kept,
        renamed=changes.renamed,
        left_out=found.left_out,
        suppressed=reader.suppressed,
        why_here=reason,
    )


class _Reader(Protocol):
    """Who reads the files."""

    @property
    def suppressed(self) -> int:
        """Number of rows that it has emptied while it loaded."""
        ...

    @property
    def hashing(self) -> Hashing | None:
        """Hashes files; None: this process does."""
        ...

    def open(
        self, source: TableSource, contents: Sequence[Content], there: Sequence[Content], copies: str
    ) -> tuple[TableSource, list[RawTable]]:
        """As `open_source`; the tables are to be judged, and may stand for several files."""
        ...

    def load(
        self,
        source: TableSource,
        tables: Sequence[RawTable],
        conventions: Conventions,
        first_id: int,
        contents: Sequence[Content],
        *,
        is_whole: bool,
    ) -> list[LoadedFile]:
        """As `load_tables`, of the contents."""
        ...


@dataclass(frozen=True)
class _FilesHere:
    """This process reads the files."""

    con: duckdb.DuckDBPyConnection
    table: str
    base_dir: Path
    copies: Path
    hashing: None = None
    suppressed: int = 0

    def open(
        self, source: TableSource, contents: Sequence[Content], there: Sequence[Content], copies: str
    ) -> tuple[TableSource, list[RawTable]]:
        return open_source(self.con, source, contents, there, self.base_dir, self.copies / copies)

    def load(
        self,
        source: TableSource,
        tables: Sequence[RawTable],
        conventions: Conventions,
        first_id: int,
        contents: Sequence[Content],
        *,
        is_whole: bool,
    ) -> list[LoadedFile]:
        wanted = {content.name.label for content in contents}
        tables = [raw for raw in tables if raw.name in wanted]
        return load_tables(self.con, self.table, source, tables, conventions, first_id=first_id, contents=contents)


def _judged(
    con: duckdb.DuckDBPyConnection,
    source: TableSource,
    changes: Changes,
    known: Sequence[LoadedFile],
    reader: _Reader,
) -> tuple[TableSource, list[RawTable], Conventions, Changes]:
    """The opened source, its opened tables, their conventions, and the changes to load.

    If the new files change how any file is read, all files are read.
    """
    present = [file for file in changes.kept if file.present]
    remembered = Conventions(**json.loads(present[0].conventions)) if present else None
    # Any file may bring another customer attribute, so demographics are read together.
    apart = remembered is not None and not isinstance(source, CustomerSource)
    if apart and remembered is not None:
        _, tables = reader.open(source, changes.read, changes.there, "new")
        if still_hold(con, remembered, tables, source):
            return source, tables, remembered, changes
    source, tables = reader.open(source, changes.there, changes.there, "all")
    conventions = conventions_of(con, tables, source)
    if apart and conventions == remembered:
        return source, tables, conventions, changes
    return source, tables, conventions, changes.reading_all()


def _carry_over(
    con: duckdb.DuckDBPyConnection,
    rows: LiveRows,
    live: str,
    table: str,
    files: Sequence[LoadedFile],
    workers: Workers | None,
) -> None:
    """Copy the live rows of `files` to `table` unchanged. An earlier version may have had other columns."""
    if not files:
        return
    ours = set(columns_of(con, table))
    both = [name for name in columns_of(con, live) if name in ours]
    ids = ", ".join(str(file.source_id) for file in files)
    kept = f"SELECT {', '.join(map(quote_identifier, both))} FROM {quote_identifier(live)} WHERE source_id IN ({ids})"
    if workers is not None:
        workers.carry_over(kept)
        return
    with rows.brought(kept) as brought:
        con.execute(f"INSERT INTO {quote_identifier(table)} BY NAME SELECT * FROM {brought}")


def _load_query(
    con: duckdb.DuckDBPyConnection,
    table: str,
    source: TableSource,
    base_dir: Path,
    copies: Path,
    live: str,
    known: Sequence[LoadedFile],
    anew: bool,
    days: tuple[date, date] | None,
    rows: LiveRows,
) -> Load:
    """The rows of a query. With a lookback, only those since the newest known record minus the lookback.

    Raises:
        SourceError: the query returned rows from before the requested day.
    """
    assert source.url is not None and source.query is not None  # noqa: S101, PT018  (the settings see to it)
    gone = _gone_before_the_query(source, known, base_dir)
    before = next((file for file in known if file.is_query), None) if not anew else None
    since = (
        _since(rows, source, live, before.source_id, days)
        if before is not None and source.lookback_days is not None
        else None
    )
    if before is None or since is None or source.time is None:
        opened, tables = open_source(con, source, [], [], base_dir, copies)
        read = load_tables(con, table, opened, tables, conventions_of(con, tables, opened), _next_id(known))
        labels = [file.source_file for file in read]
        return Load([*read, *gone], labels, [file.path for file in gone], [], is_whole=True)
    raw = query_table(con, source.url, source.query, base_dir, copies, Since(source.columns[source.time], since))
    remembered = Conventions(**json.loads(before.conventions))
    if not still_hold(con, remembered, agreeing(con, [raw], source), source):
        return _load_query(con, table, source, base_dir, copies, live, known, anew=True, days=None, rows=rows)
    new_table = quote_identifier(table)
    ((kept_rows, last_line),) = rows.ask(
        f"SELECT count(*) AS kept_rows, coalesce(max(source_line), 0) AS last_line FROM {quote_identifier(live)}"
        f" WHERE source_id = $id AND NOT coalesce({source.time} >= $since, false)",
        {"since": since, "id": before.source_id},
    )
    [part] = load_tables(
        con, table, source, [replace(raw, first_line=last_line + 1)], remembered, first_id=before.source_id
    )
    older = f"SELECT count(*) FROM {new_table} WHERE {source.time} < $since OR {source.time} IS NULL"
    if con.execute(older, {"since": since}).fetchall() != [(0,)]:
        raise SourceError(
            f"{part.source_file}: was asked for rows since {since} and gave older ones: its column"
            f" {source.columns[source.time]!r} does not compare as a date",
            to_do=f"make it one in {source.key}.query, or remove lookback_days",
        )
    missing = [file.path for file in gone]
    if _holds_the_same(con, rows, live, table, before.source_id, source.time, since):
        con.execute(f"DELETE FROM {new_table}")
        return Load([before, *gone], [part.source_file], missing, [], is_whole=False)
    now = replace(part, rows=kept_rows + part.rows)
    replaced = [Replaced(before.source_id, since)]
    return Load([now, *gone], [part.source_file], missing, replaced, is_whole=False)


def _load_lake(
    con: duckdb.DuckDBPyConnection,
    table: str,
    source: TableSource,
    base_dir: Path,
    known: Sequence[LoadedFile],
    anew: bool,
    rows: LiveRows,
    workers: Workers | None,
    suppress: Suppress | None,
) -> Load:
    """The rows of a table of a lakehouse: those that were added since the last load, or all of them."""
    assert source.table is not None  # noqa: S101  (the caller sees to it)
    label = source.table.label
    gone = _gone_before_the_query(source, known, base_dir)
    missing = [file.path for file in gone]
    before = [file for file in known if file.path == label and file.stamp and file.is_query and not anew]
    snapshot = open_snapshot(source.table, base_dir)
    if before and before[-1].stamp == snapshot.stamp:
        create_table(con, table, type(source))
        return Load([*before, *gone], [], missing, [], is_whole=False)

    def reading(part: Rows) -> tuple[_TableHere | FarTable, str]:
        if workers is None:
            return _TableHere(con, table, part), ""
        with told(label):
            plan = part.plan()
        if reason := why_rows_here(source, plan):
            return _TableHere(con, table, part), reason
        return FarTable(con, table, workers, rows.ask, suppress, rows=part, parts=plan.parts), ""

    added = snapshot.since(before[-1].stamp) if before and not isinstance(source, CustomerSource) else None
    if added is not None:
        reader, reason = reading(added)
        _, tables = reader.open(source)
        remembered = Conventions(**json.loads(before[-1].conventions))
        if still_hold(con, remembered, tables, source):
            read = reader.load(source, tables, remembered, _next_id(known), is_whole=False)
            labels = [file.source_file for file in read]
            found = [*before, *read, *gone]
            return Load(found, labels, missing, [], is_whole=False, suppressed=reader.suppressed, why_here=reason)
    reader, reason = reading(snapshot.whole())
    opened, tables = reader.open(source)
    read = reader.load(opened, tables, conventions_of(con, tables, opened), _next_id(known), is_whole=True)
    labels = [file.source_file for file in read]
    return Load([*read, *gone], labels, missing, [], is_whole=True, suppressed=reader.suppressed, why_here=reason)


@dataclass(frozen=True)
class _TableHere:
    """This process reads the table of a lakehouse."""

    con: duckdb.DuckDBPyConnection
    table: str
    rows: Rows
    suppressed: int = 0

    def open(self, source: TableSource) -> tuple[TableSource, list[RawTable]]:
        return with_every_column(source, [lake_table(self.con, source, self.rows)])

    def load(
        self,
        source: TableSource,
        tables: Sequence[RawTable],
        conventions: Conventions,
        first_id: int,
        *,
        is_whole: bool,
    ) -> list[LoadedFile]:
        return load_tables(self.con, self.table, source, tables, conventions, first_id)


def _gone_before_the_query(source: TableSource, known: Sequence[LoadedFile], base_dir: Path) -> list[LoadedFile]:
    """The files that were the source before the query or table, if only the warehouse still has their rows."""
    if source.removed_files != "keep":
        return []
    gone = [file for file in known if not file.is_query and not exists(file.path, source, base_dir)]
    return [replace(file, present=False) for file in gone]


def _since(
    rows: LiveRows, source: TableSource, live: str, source_id: int, days: tuple[date, date] | None
) -> date | None:
    """The first day to ask for again; None if no record has a date yet."""
    ((newest,),) = rows.ask(
        f"SELECT CAST(max({source.time}) AS DATE) AS newest FROM {quote_identifier(live)} WHERE source_id = $id",
        {"id": source_id},
    )
    if newest is None:
        return None
    # A date in the future is a mistake and must not hide the days before it.
    since: date = min(newest, date.today()) - timedelta(days=source.lookback_days or 0)
    return min(since, days[0]) if days is not None else since


def _holds_the_same(
    con: duckdb.DuckDBPyConnection, rows: LiveRows, live: str, table: str, source_id: int, time: str, since: date
) -> bool:
    """Whether the live rows since a day equal those of `table`, apart from their numbers."""
    live_since = f"SELECT * FROM {quote_identifier(live)} WHERE source_id = {source_id} AND {time} >= DATE '{since}'"
    with rows.brought(live_since) as brought:
        old = f"SELECT * EXCLUDE (source_line) FROM {brought}"
        new = f"SELECT * EXCLUDE (source_line) FROM {quote_identifier(table)}"
        differs = f"SELECT EXISTS (({old}) EXCEPT ALL ({new})) OR EXISTS (({new}) EXCEPT ALL ({old}))"
        return con.execute(differs).fetchall() == [(False,)]


def _files_holding(
    rows: LiveRows,
    live: str,
    source: TableSource,
    known: Sequence[LoadedFile],
    days: tuple[date, date],
) -> set[int]:
    """Numbers of the files with records of these days."""
    if source.time is None or not known:
        return set()
    found = rows.ask(
        f"SELECT DISTINCT source_id FROM {quote_identifier(live)}"
        f" WHERE {source.time} >= $first AND {source.time} < CAST($last AS DATE) + 1",
        {"first": days[0], "last": days[1]},
    )
    return {source_id for (source_id,) in found}


def _next_id(known: Sequence[LoadedFile]) -> int:
    return max((file.source_id for file in known), default=0) + 1
