"""Files that are read where they are, also those of lakes: one at a time, by processes that know nothing of the run.

The run's process decides, with what these processes tell: hashes, the distinct values in the first rows of a file,
short answers about whole columns, and what a load remembers about a file. Rows never pass through it. A file is opened
anew for each question, by the same code that the run's process would use.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from clv_pipeline.config.source import CostSource, CustomerSource, TableSource
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.changes import Content
from clv_pipeline.sources.conventions import Conventions, judged_columns
from clv_pipeline.sources.errors import one_error, without_secrets
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.identity import Name, hashed
from clv_pipeline.sources.lake_rows import FirstRows, Part, Plan, Rows
from clv_pipeline.sources.lakehouse import described_rows, staged, told
from clv_pipeline.sources.load import (
    agreeing,
    apart_where_empty,
    create_table,
    identified,
    refuse_disagreements,
)
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.prepare import has_known_kind, kind_of
from clv_pipeline.sources.prepared_rows import to_be_judged
from clv_pipeline.sources.reach import PACKAGED
from clv_pipeline.sources.samples import SAMPLE_ROWS, sample
from clv_pipeline.sources.tables import Column, ColumnKind, RawTable, open_tables, row_groups, some_rows
from clv_pipeline.sources.unmapped_money import refuse_unmapped_money
from clv_pipeline.sources.written_rows import Target, write_rows

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "1GB"
"""Memory of DuckDB for one file. What does not fit goes to the worker's disk."""
ROWS_AT_ONCE = 50_000
"""Rows that a worker hands over at a time."""

_MOUNT = "mount the same folder at the same path on every worker, and let the workers' user read it"
PIECE = 128_000_000
"""Size in bytes of the pieces in which tasks read a Parquet file of two or more of them: whole row groups."""

_ALL: tuple[Piece | None, ...] = (None,)
"""The pieces of a file that is not shared out."""
_ONE_TABLE_EACH = ("csv", "jsonl", "parquet")
"""Kinds of files that are one table, and not several: those that workers read."""
_ROWS = "clv_rows"
_KINDS: tuple[ColumnKind, ...] = ("text", "number", "time", "zoned")

Suppress = Callable[[duckdb.DuckDBPyConnection, str], int]
"""Empties rows of a table and returns their number; it can be pickled."""


@dataclass(frozen=True)
class Piece:
    """Row groups of a Parquet file that follow one another."""

    first: int
    """Position of the first row, from 0."""
    rows: int
    of: int
    """Number of pieces of the file."""


@dataclass(frozen=True)
class FarFile:
    """A file as a worker is told of it."""

    file: SourceFile
    """With an absolute path."""
    size: int
    """In bytes, as the run's process sees it."""
    source_id: int = 0
    time_zone: str = ""
    """Of the run's process: in it, times with a zone become text."""
    piece: Piece | None = None
    """What is read of it; None: all."""

    @property
    def to_read(self) -> int:
        """How much a task has to read, about, in bytes."""
        return self.size if self.piece is None else self.size // self.piece.of

    @classmethod
    def of(cls, file: SourceFile, source_id: int = 0) -> FarFile:
        """What to tell of a file."""
        return cls(replace(file, path=file.path.absolute()), file.bytes, source_id)


@dataclass(frozen=True)
class FarRows:
    """Rows of a table of a lakehouse as a worker is told of them: those of one data file, or the first of all."""

    rows: Rows
    size: int
    """In bytes."""
    source_id: int = 0
    first_line: int = 1
    time_zone: str = ""
    """As of a file."""

    @property
    def to_read(self) -> int:
        """How much a task has to read, in bytes."""
        return self.size


Far = FarFile | FarRows
"""What one worker reads at a time."""


class Workers(Protocol):
    """Processes that read files, and the table that their rows go to.

    Whatever they are given can be pickled. What they tell is what JSON can hold, so that nothing of it is ever run.
    """

    def each(self, function: Callable[[Any], Any], files: Sequence[Far]) -> list[Any]:
        """The small results of a function, in the order of the files. A SourceError that it raises is a result."""
        ...

    def add(
        self,
        function: Callable[[Any, Sequence[str]], Iterator[pa.RecordBatch | dict[str, Any] | SourceError]],
        files: Sequence[Far],
        *,
        is_whole: bool,
    ) -> list[Any]:
        """Write the batches that a function gives of files, with these columns, and return what it tells beside them.

        The rows are then readable as the new ones, or with `is_whole` as all rows.
        """
        ...

    def carry_over(self, query: str) -> None:
        """Add the rows of a query on the live table to the new ones."""
        ...


def why_here(source: TableSource, files: Sequence[SourceFile]) -> str:
    """Why workers cannot read the files of a source; '' if they can."""
    if reason := _why_not(source):
        return reason
    for file in files:
        if type(file) is not SourceFile or file.label.startswith(PACKAGED):
            return f"{file.label} is no file in a folder"
        if has_known_kind(file.label) and kind_of(file.label)[0] not in _ONE_TABLE_EACH:
            return f"{file.label} is none of CSV, JSON lines and Parquet"
    return ""


def why_rows_here(source: TableSource, plan: Plan) -> str:
    """Why workers cannot read these data files of a table of a lakehouse; '' if they can."""
    if reason := _why_not(source) or plan.why_whole:
        return reason
    if source.fill_down is not None:
        return "fill_down fills from one data file into the next"
    return "" if plan.parts else "there is no data file"


def _why_not(source: TableSource) -> str:
    if isinstance(source, CustomerSource):
        return "columns of demographics are known only from all files together"
    return "costs are few" if isinstance(source, CostSource) else ""


@dataclass
class _Read:
    """What workers read into a table, and its values from which is decided."""

    con: duckdb.DuckDBPyConnection
    """Holds these values."""
    table: str
    """What the new rows are readable as."""
    workers: Workers
    ask: Callable[[str], list[tuple[Any, ...]]]
    """Answers on `table`."""
    suppress: Suppress | None
    suppressed: int = 0

    @cached_property
    def _time_zone(self) -> str:
        [(zone,)] = self.con.execute("SELECT current_setting('TimeZone')").fetchall()
        return str(zone)

    def _judged(self, source: TableSource, number: int, looks: Sequence[_Look], items: Sequence[Far]) -> RawTable:
        """One table for these items, of which it holds the first values. Questions about all rows go to the workers."""
        values = f"clv_first_values_{number}"
        names = judged_columns(source)
        found = {
            f"h{position}": sorted({value for look in looks for value in look.values[position]})
            for position in range(len(names))
        }
        columns = ", ".join(f"unnest(CAST(${name} AS VARCHAR[])) AS {name}" for name in found)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {values} AS SELECT {columns or 'NULL AS h0'}", found)

        def of_each(question: Callable[[duckdb.DuckDBPyConnection, RawTable], Any]) -> list[Any]:
            return _without_errors(self.workers.each(partial(_answer, source=source, question=question), items))

        table = RawTable(
            source_file=looks[0].source_file,
            scan=values,
            parameters={},
            columns={name: Column(f"h{position}", looks[0].kinds[position]) for position, name in enumerate(names)},
            format="",
            first_line=1,
            localised=looks[0].localised,
            far=of_each,
        )
        return replace(table, head=table)

    def _written(
        self, source: TableSource, conventions: Conventions, items: Sequence[Far], *, is_whole: bool
    ) -> list[LoadedFile]:
        """What workers tell about the items whose rows they wrote."""
        function = partial(_rows_of, source=source, conventions=conventions, suppress=self.suppress)
        results = _without_errors(self.workers.add(function, items, is_whole=is_whole))
        self.suppressed = sum(read["suppressed"] for read in results)
        return [LoadedFile(**read["loaded"]) for read in results]

    def _refuse_missing(self, loaded: Sequence[LoadedFile]) -> None:
        """Hold what workers have read against what is written, file by file.

        Raises:
            SourceError: rows of a file are missing, or there are more.
        """  # noqa: DOC501  (`one_error` makes the error)
        query = f"SELECT source_id, count(*) AS written FROM {quote_identifier(self.table)} GROUP BY source_id"
        written = dict(self.ask(query))
        problems = [
            SourceError(
                f"{file.source_file}: workers read {file.rows:,} rows, and {written.get(file.source_id, 0):,} of them"
                " were written",
                to_do="run again",
            )
            for file in loaded
            if file.rows != written.get(file.source_id, 0)
        ]
        if problems:
            raise one_error(problems)


@dataclass
class FarFiles(_Read):
    """The files of a source, read by workers."""

    _: KW_ONLY
    pieces: dict[str, list[Piece]] = field(default_factory=dict)
    """How large Parquet files that were opened are shared out, by label."""

    def hashing(self, files: Sequence[SourceFile]) -> list[list[Name]]:
        """The names of what is in each file."""
        found = _without_errors(self.workers.each(_hashed, self._items(files)))
        return [[Name(file, *name) for name in names] for file, names in zip(files, found, strict=True)]

    def open(
        self, source: TableSource, contents: Sequence[Content], there: Sequence[Content], copies: str
    ) -> tuple[TableSource, list[RawTable]]:
        """One table for all files whose values are read alike, with those in their first rows.

        Raises:
            SourceError: a file cannot be opened, or its columns do not agree with the mapping.
        """
        own_columns(source)  # an expression that is not allowed is told once, before any file is read
        files = self._items([content.name.file for content in contents])
        looking = partial(_look, source=source, shared_from=2 * PIECE)
        looks = [_Look(**look) for look in _without_errors(self.workers.each(looking, files))]
        for file, look in zip(files, looks, strict=True):
            self.pieces[file.file.label] = _pieces(look.row_groups, file.size // PIECE)
        alike: dict[object, list[int]] = {}
        for position, look in enumerate(looks):
            alike.setdefault((look.localised, *look.kinds), []).append(position)
        return source, [
            self._judged(source, number, [looks[at] for at in same], [files[at] for at in same])
            for number, same in enumerate(alike.values())
        ]

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
        """Let workers write the records of the contents, whose sources are numbered from `first_id`.

        Raises:
            SourceError: a file cannot be read, lines are lost in it, or rows are missing that a worker has read.
        """
        files = [
            replace(file, piece=piece)
            for file in self._items([content.name.file for content in contents], first_id)
            for piece in (self.pieces[file.file.label] or _ALL)
        ]
        parts: dict[int, list[LoadedFile]] = {}
        for part in self._written(source, conventions, files, is_whole=is_whole):
            parts.setdefault(part.source_id, []).append(part)
        loaded = list(map(_joined, parts.values()))
        self._refuse_missing(loaded)
        loaded = [
            # Times of a file are those that this process will compare it by.
            identified(replace(file, stamp=content.name.file.stamp()), content)
            for file, content in zip(loaded, contents, strict=True)
        ]
        return apart_where_empty(loaded, {content.name.label: content for content in contents})

    def _items(self, files: Sequence[SourceFile], first_id: int = 0) -> list[FarFile]:
        zone = self._time_zone
        return [replace(FarFile.of(file, number), time_zone=zone) for number, file in enumerate(files, first_id)]


@dataclass
class FarTable(_Read):
    """A table of a lakehouse, read by workers data file by data file."""

    _: KW_ONLY
    rows: Rows
    """As planned by the run's process."""
    parts: Sequence[Part]

    def open(self, source: TableSource) -> tuple[TableSource, list[RawTable]]:
        """As `FarFiles.open`; what is decided is decided from the very first rows of the table.

        Raises:
            SourceError: the table's columns do not agree with the mapping, or it cannot be read.
        """
        own_columns(source)
        refuse_disagreements([described_rows(self.rows)], source)
        first = self._item(FirstRows(self.parts, SAMPLE_ROWS))
        looks = [_Look(**look) for look in _without_errors(self.workers.each(partial(_look, source=source), [first]))]
        return source, [self._judged(source, 0, looks, list(map(self._item, self.parts)))]

    def load(
        self,
        source: TableSource,
        tables: Sequence[RawTable],
        conventions: Conventions,
        first_id: int,
        *,
        is_whole: bool,
    ) -> list[LoadedFile]:
        """Let workers write the records of the table as those of one source. Lines go on from data file to data file.

        Raises:
            SourceError: a data file cannot be read, or rows are missing.
        """
        lengths = self._lengths(source)
        before = [0, *accumulate(lengths)]
        items = [
            replace(self._item(part), source_id=first_id, first_line=1 + start)
            for part, start in zip(self.parts, before, strict=False)
        ]
        read = self._written(source, conventions, items, is_whole=is_whole)
        for file, rows in zip(read, lengths, strict=True):
            if file.rows != rows:
                raise SourceError(
                    f"{file.source_file}: a data file has {file.rows:,} rows, and {rows:,} by the snapshot",
                    to_do="see what has written to it",
                )
        whole = _joined(read)
        self._refuse_missing([whole])
        return [whole]

    def _item(self, part: Part) -> FarRows:
        return FarRows(self.rows.of(part), part.bytes, time_zone=self._time_zone)

    def _lengths(self, source: TableSource) -> list[int]:
        """The number of rows of each data file, which workers count where the snapshot does not tell."""
        unknown = [part for part in self.parts if part.rows is None]
        counting = partial(_counted, column=own_columns(source)[0])
        counted = iter(_without_errors(self.workers.each(counting, list(map(self._item, unknown)))))
        return [part.rows if part.rows is not None else next(counted) for part in self.parts]


def _joined(parts: Sequence[LoadedFile]) -> LoadedFile:
    """What several tasks read of one source."""
    rows, unreadable = sum(part.rows for part in parts), sum(part.unreadable_rows for part in parts)
    return replace(parts[0], rows=rows, unreadable_rows=unreadable)


def _pieces(row_groups: Sequence[int], most: int) -> list[Piece]:
    """At most so many pieces of about as many rows, each of whole row groups; none if it would be a single one."""
    found: list[tuple[int, int]] = []
    total, first, end = sum(row_groups), 0, 0
    for rows in row_groups:
        end += rows
        # The piece is as long as pieces are to be, or it is the last.
        if end * most >= total * (len(found) + 1):
            found.append((first, end - first))
            first = end
    return [Piece(first, rows, len(found)) for first, rows in found] if len(found) > 1 else []


def _without_errors(results: Sequence[Any]) -> list[Any]:
    """The results, of which none is an error.

    Raises:
        SourceError: workers do not see files, or something is wrong with one.
    """  # noqa: DOC501  (`one_error` makes the error)
    problems = [error for result in results if isinstance(result, SourceError) for error in result.each]
    # A worker does not know all secrets that an address may hold.
    shown = [SourceError(e.what, quoted=without_secrets(e.quoted, ""), to_do=e.to_do) for e in problems]
    unseen = [problem for problem in shown if problem.to_do == _MOUNT]
    if len(unseen) > 1:
        # A folder is missing as a whole. What is wrong with other files can wait.
        raise SourceError(
            f"workers do not see {len(unseen):,} of {len(results):,} files as they are here, such as {unseen[0].what}",
            quoted=unseen[0].quoted,
            to_do=_MOUNT,
        )
    if shown:
        raise one_error(shown)
    return list(results)


# --- on a worker ---


@dataclass(frozen=True)
class _Look:
    """What is decided from: of bounded size, however long the file is."""

    source_file: str
    localised: bool
    kinds: list[ColumnKind]
    """Of the columns that are judged."""
    values: list[list[str]]
    """Distinct values in the first rows, of each of them."""
    row_groups: list[int]
    """Numbers of rows of the row groups, if the file is to be shared out."""


def _require(item: FarFile) -> None:
    """Make sure that this process sees the file that the run's process sees.

    Raises:
        SourceError: it does not.
    """
    try:
        size = item.file.path.stat().st_size
    except OSError as error:
        raise SourceError(f"{item.file.label}: {_here()} cannot read it", quoted=str(error), to_do=_MOUNT) from error
    if size != item.size:
        raise SourceError(f"{item.file.label}: has {item.size:,} bytes here and {size:,} on {_here()}", to_do=_MOUNT)


def _hashed(item: FarFile) -> list[tuple[str, str | None, str | None]]:
    """Of each name of what is in the file: the label, and the hashes of the file and of the content."""
    _require(item)
    return [(name.label, name.sha256, name.content) for name in hashed(item.file)]


@contextmanager
def _opened(item: Far, source: TableSource) -> Iterator[tuple[duckdb.DuckDBPyConnection, RawTable]]:
    """A database and the table of the item in it, whose columns agree with the mapping.

    Raises:
        SourceError: the item cannot be opened, or its columns do not agree.
    """
    if isinstance(item, FarFile):
        _require(item)
    with TemporaryDirectory(prefix="clv_") as folder:
        # A task has one core.
        settings: Mapping[str, str | int] = {"threads": 1, "memory_limit": MEMORY, "temp_directory": folder}
        path = item.file.path if isinstance(item, FarFile) else Path(folder)
        with open_scratch(None, [Path(folder), path.parent, path.resolve().parent], settings, item.time_zone) as con:
            if isinstance(item, FarFile):
                tables, problems = open_tables(con, [item.file], (), source, Path(folder) / "copies")
                [raw] = agreeing(con, tables, source, problems)
                yield con, raw if item.piece is None else some_rows(raw, item.piece.first, item.piece.rows)
            else:
                rows = replace(item.rows, reading=_here())
                raw = to_be_judged(con, staged(con, rows, source), source)
                yield con, replace(raw, first_line=item.first_line)


def _here() -> str:
    return f"the worker on {socket.gethostname()}"


def _counted(item: FarRows, *, column: str) -> int:
    with told(item.rows.table, _here()):
        return sum(batch.num_rows for batch in item.rows.read([column]))


def _look(item: Far, *, source: TableSource, shared_from: int | None = None) -> dict[str, Any]:
    with _opened(item, source) as (con, raw):
        refuse_unmapped_money(con, [raw], source)
        names = judged_columns(source)
        kinds = [raw.columns[name].kind for name in names]
        values = [sample(con, raw, name, "true", _KINDS) for name in names]
        is_shared = shared_from is not None and item.size >= shared_from and raw.format == "Parquet"
        # Values are filled down within a file.
        groups = row_groups(con, raw) if is_shared and source.fill_down is None else []
        return asdict(_Look(raw.source_file, raw.localised, kinds, values, groups))


def _answer(item: Far, *, source: TableSource, question: Callable[[duckdb.DuckDBPyConnection, RawTable], Any]) -> Any:
    with _opened(item, source) as (con, raw):
        return question(con, raw)


def _rows_of(
    item: Far,
    columns: Sequence[str],
    *,
    source: TableSource,
    conventions: Conventions,
    suppress: Suppress | None,
) -> Iterator[pa.RecordBatch | dict[str, Any] | SourceError]:
    """The rows of a file, and then what is to be remembered about it; or only what is wrong with it."""
    try:
        with _opened(item, source) as (con, raw):
            create_table(con, _ROWS, type(source))
            [loaded] = write_rows(con, Target(_ROWS, source, conventions), {item.source_id: raw})
            suppressed = suppress(con, _ROWS) if suppress is not None else 0
            yield from con.sql(f"SELECT {', '.join(map(quote_identifier, columns))} FROM {_ROWS}").arrow(ROWS_AT_ONCE)
            yield {"loaded": asdict(loaded), "suppressed": suppressed}
    except SourceError as error:
        yield error
