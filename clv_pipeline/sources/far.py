"""Files that are read where they are, also those of lakes: one at a time, by processes that know nothing of the run.

The run's process decides, with what these processes tell: hashes, the distinct values in the first rows of a file,
short answers about whole columns, and what a load remembers about a file. Rows never pass through it. What is done on
the other side is in `worker`.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from clv_pipeline.config.source import CostSource, CustomerSource, TableSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.changes import Content
from clv_pipeline.sources.conventions import Conventions, judged_columns
from clv_pipeline.sources.errors import one_error, without_secrets
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.identity import Name
from clv_pipeline.sources.lake_rows import FirstRows, Part, Plan, Rows
from clv_pipeline.sources.lakehouse import described_rows
from clv_pipeline.sources.load import (
    apart_where_empty,
    identified,
    refuse_disagreements,
)
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.prepare import has_known_kind, kind_of
from clv_pipeline.sources.reach import PACKAGED
from clv_pipeline.sources.samples import SAMPLE_ROWS
from clv_pipeline.sources.tables import Column, RawTable
from clv_pipeline.sources.worker import (
    MOUNT,
    Far,
    FarFile,
    FarRows,
    Look,
    Piece,
    Suppress,
    answer_of,
    hashes_of,
    look_at,
    rows_in,
    rows_of,
)

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 128_000_000
"""Size in bytes of the pieces in which tasks read a Parquet file of two or more of them: whole row groups."""

_ALL: tuple[Piece | None, ...] = (None,)
"""The pieces of a file that is not shared out."""
_ONE_TABLE_EACH = ("csv", "jsonl", "parquet")
"""Kinds of files that are one table, and not several: those that workers read."""


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

    def _judged(self, source: TableSource, number: int, looks: Sequence[Look], items: Sequence[Far]) -> RawTable:
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
            return _without_errors(self.workers.each(partial(answer_of, source=source, question=question), items))

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
        function = partial(rows_of, source=source, conventions=conventions, suppress=self.suppress)
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
        found = _without_errors(self.workers.each(hashes_of, self._items(files)))
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
        looking = partial(look_at, source=source, shared_from=2 * PIECE)
        looks = [Look(**look) for look in _without_errors(self.workers.each(looking, files))]
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
        looks = [Look(**look) for look in _without_errors(self.workers.each(partial(look_at, source=source), [first]))]
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
        counting = partial(rows_in, column=own_columns(source)[0])
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
    unseen = [problem for problem in shown if problem.to_do == MOUNT]
    if len(unseen) > 1:
        # A folder is missing as a whole. What is wrong with other files can wait.
        raise SourceError(
            f"workers do not see {len(unseen):,} of {len(results):,} files as they are here, such as {unseen[0].what}",
            quoted=unseen[0].quoted,
            to_do=MOUNT,
        )
    if shown:
        raise one_error(shown)
    return list(results)
