"""Text files that are read where they are: one at a time, by processes that know nothing of the run.

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
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
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
from clv_pipeline.sources.errors import one_error
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.identity import Name, hashed
from clv_pipeline.sources.load import agreeing, apart_where_empty, create_table, identified
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.prepare import has_known_kind, kind_of
from clv_pipeline.sources.reach import PACKAGED
from clv_pipeline.sources.samples import sample
from clv_pipeline.sources.tables import Column, ColumnKind, RawTable, open_tables
from clv_pipeline.sources.unmapped_money import refuse_unmapped_money
from clv_pipeline.sources.written_rows import Target, write_rows

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "1GB"
"""Memory of DuckDB for one file. What does not fit goes to the worker's disk."""
ROWS_AT_ONCE = 50_000
"""Rows that a worker hands over at a time."""

_MOUNT = "mount the same folder at the same path on every worker, and let the workers' user read it"
_ROWS = "clv_rows"
_KINDS: tuple[ColumnKind, ...] = ("text", "number", "time", "zoned")

Suppress = Callable[[duckdb.DuckDBPyConnection, str], int]
"""Empties rows of a table and returns their number; it can be pickled."""


@dataclass(frozen=True)
class FarFile:
    """A file as a worker is told of it."""

    file: SourceFile
    """With an absolute path."""
    size: int
    """In bytes, as the run's process sees it."""
    source_id: int = 0

    @classmethod
    def of(cls, file: SourceFile, source_id: int = 0) -> FarFile:
        """What to tell of a file."""
        return cls(replace(file, path=file.path.absolute()), file.bytes, source_id)


class Workers(Protocol):
    """Processes that read files, and the table that their rows go to.

    Whatever they are given can be pickled. What they tell is what JSON can hold, so that nothing of it is ever run.
    """

    def each(self, function: Callable[[FarFile], Any], files: Sequence[FarFile]) -> list[Any]:
        """The small results of a function, in the order of the files. A SourceError that it raises is a result."""
        ...

    def add(
        self,
        function: Callable[[FarFile, Sequence[str]], Iterator[pa.RecordBatch | dict[str, Any] | SourceError]],
        files: Sequence[FarFile],
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
    if isinstance(source, CustomerSource):
        return "columns of demographics are known only from all files together"
    if isinstance(source, CostSource):
        return "costs are few"
    for file in files:
        if type(file) is not SourceFile or file.label.startswith(PACKAGED):
            return f"{file.label} is no file in a folder"
        if has_known_kind(file.label) and kind_of(file.label)[0] not in ("csv", "jsonl"):
            return f"{file.label} is neither CSV nor JSON lines"
    return ""


@dataclass
class FarFiles:
    """The files of a source, read by workers."""

    con: duckdb.DuckDBPyConnection
    """Holds the values from which is decided."""
    table: str
    """What the new rows are readable as."""
    workers: Workers
    ask: Callable[[str], list[tuple[Any, ...]]]
    """Answers on `table`."""
    suppress: Suppress | None
    suppressed: int = 0

    def hashing(self, files: Sequence[SourceFile]) -> list[list[Name]]:
        """The names of what is in each file."""
        found = _without_errors(self.workers.each(_hashed, [FarFile.of(file) for file in files]))
        return [[Name(file, *name) for name in names] for file, names in zip(files, found, strict=True)]

    def open(
        self, source: TableSource, contents: Sequence[Content], there: Sequence[Content], copies: str
    ) -> tuple[TableSource, list[RawTable]]:
        """One table for all files whose numbers are read alike, with the values in their first rows.

        Raises:
            SourceError: a file cannot be opened, or its columns do not agree with the mapping.
        """
        own_columns(source)  # an expression that is not allowed is told once, before any file is read
        files = [FarFile.of(content.name.file) for content in contents]
        looks = [_Look(**look) for look in _without_errors(self.workers.each(partial(_look, source=source), files))]
        return source, [
            self._table_of(source, localised, alike, files)
            for localised in (True, False)
            if (alike := [look for look in looks if look.localised == localised])
        ]

    def _table_of(
        self, source: TableSource, localised: bool, looks: Sequence[_Look], files: Sequence[FarFile]
    ) -> RawTable:
        values = f"clv_first_values_{'text' if localised else 'json'}"
        names = judged_columns(source)
        found = {
            f"h{position}": sorted({value for look in looks for value in look.values[position]})
            for position in range(len(names))
        }
        columns = ", ".join(f"unnest(CAST(${name} AS VARCHAR[])) AS {name}" for name in found)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE {values} AS SELECT {columns or 'NULL AS h0'}", found)

        def of_each(question: Callable[[duckdb.DuckDBPyConnection, RawTable], Any]) -> list[Any]:
            asked = [file for file, look in zip(files, of_files, strict=True) if look]
            return _without_errors(self.workers.each(partial(_answer, source=source, question=question), asked))

        labels = {look.source_file for look in looks}
        of_files = [file.file.label in labels for file in files]
        table = RawTable(
            source_file=looks[0].source_file,
            scan=values,
            parameters={},
            columns={name: Column(f"h{position}", looks[0].kinds[position]) for position, name in enumerate(names)},
            format="",
            first_line=1,
            localised=localised,
            far=of_each,
        )
        return replace(table, head=table)

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
        numbered = list(zip(count(first_id), contents))
        files = [FarFile.of(content.name.file, number) for number, content in numbered]
        function = partial(_rows_of, source=source, conventions=conventions, suppress=self.suppress)
        told = _without_errors(self.workers.add(function, files, is_whole=is_whole))
        self.suppressed = sum(read["suppressed"] for read in told)
        loaded = [LoadedFile(**read["loaded"]) for read in told]
        self._refuse_missing(loaded)
        loaded = [
            # Times of a file are those that this process will compare it by.
            identified(replace(file, stamp=content.name.file.stamp()), content)
            for file, content in zip(loaded, contents, strict=True)
        ]
        return apart_where_empty(loaded, {content.name.label: content for content in contents})

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


def _without_errors(results: Sequence[Any]) -> list[Any]:
    """The results, of which none is an error.

    Raises:
        SourceError: workers do not see files, or something is wrong with one.
    """  # noqa: DOC501  (`one_error` makes the error)
    problems = [result for result in results if isinstance(result, SourceError)]
    unseen = [problem for problem in problems if problem.to_do == _MOUNT]
    if len(unseen) > 1:
        # A folder is missing as a whole. What is wrong with other files can wait.
        raise SourceError(
            f"workers do not see {len(unseen):,} of {len(results):,} files as they are here, such as {unseen[0].what}",
            quoted=unseen[0].quoted,
            to_do=_MOUNT,
        )
    if problems:
        raise one_error(problems)
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


def _require(item: FarFile) -> None:
    """Make sure that this process sees the file that the run's process sees.

    Raises:
        SourceError: it does not.
    """
    worker = socket.gethostname()
    try:
        size = item.file.path.stat().st_size
    except OSError as error:
        raise SourceError(
            f"{item.file.label}: the worker on {worker} cannot read it", quoted=str(error), to_do=_MOUNT
        ) from error
    if size != item.size:
        raise SourceError(
            f"{item.file.label}: has {item.size:,} bytes here and {size:,} on the worker on {worker}", to_do=_MOUNT
        )


def _hashed(item: FarFile) -> list[tuple[str, str | None, str | None]]:
    """Of each name of what is in the file: the label, and the hashes of the file and of the content."""
    _require(item)
    return [(name.label, name.sha256, name.content) for name in hashed(item.file)]


@contextmanager
def _opened(item: FarFile, source: TableSource) -> Iterator[tuple[duckdb.DuckDBPyConnection, RawTable]]:
    """A database and the table of the file in it, whose columns agree with the mapping.

    Raises:
        SourceError: the file cannot be opened, or its columns do not agree.
    """
    _require(item)
    with TemporaryDirectory(prefix="clv_") as folder:
        # A task has one core.
        settings: Mapping[str, str | int] = {"threads": 1, "memory_limit": MEMORY, "temp_directory": folder}
        path = item.file.path
        with open_scratch(None, [Path(folder), path.parent, path.resolve().parent], settings) as con:
            tables, problems = open_tables(con, [item.file], (), source, Path(folder) / "copies")
            [raw] = agreeing(con, tables, source, problems)
            yield con, raw


def _look(item: FarFile, *, source: TableSource) -> dict[str, Any]:
    with _opened(item, source) as (con, raw):
        refuse_unmapped_money(con, [raw], source)
        names = judged_columns(source)
        kinds = [raw.columns[name].kind for name in names]
        values = [sample(con, raw, name, "true", _KINDS) for name in names]
        return asdict(_Look(raw.source_file, raw.localised, kinds, values))


def _answer(
    item: FarFile, *, source: TableSource, question: Callable[[duckdb.DuckDBPyConnection, RawTable], Any]
) -> Any:
    with _opened(item, source) as (con, raw):
        return question(con, raw)


def _rows_of(
    item: FarFile,
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
