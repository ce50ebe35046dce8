"""What a worker does with a file, or with a data file of a lake: it knows nothing of the run but what it is told.

An item is opened anew for each question, by the same code that the run's process would use. Functions can be pickled,
and so can items. What they tell is what JSON can hold; `far` asks them.
"""

# Only identifiers that this package wrote itself enter the SQL.
# ruff: noqa: S608

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb

from clv_pipeline.config.source import TableSource
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.conventions import Conventions, judged_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.identity import hashed
from clv_pipeline.sources.lake_rows import Rows
from clv_pipeline.sources.lakehouse import staged, told
from clv_pipeline.sources.load import agreeing, create_table
from clv_pipeline.sources.prepared_rows import to_be_judged
from clv_pipeline.sources.samples import sample
from clv_pipeline.sources.tables import ColumnKind, RawTable, open_tables, row_groups, some_rows
from clv_pipeline.sources.unmapped_money import refuse_unmapped_money
from clv_pipeline.sources.written_rows import Target, write_rows

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "1GB"
"""Memory of DuckDB for one file. What does not fit goes to the worker's disk."""
ROWS_AT_ONCE = 50_000
"""Rows that a worker hands over at a time."""
MOUNT = "mount the same folder at the same path on every worker, and let the workers' user read it"
"""What to do where a worker does not see a file as it is."""

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


@dataclass(frozen=True)
class Look:
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
        raise SourceError(f"{item.file.label}: {_here()} cannot read it", quoted=str(error), to_do=MOUNT) from error
    if size != item.size:
        raise SourceError(f"{item.file.label}: has {item.size:,} bytes here and {size:,} on {_here()}", to_do=MOUNT)


def hashes_of(item: FarFile) -> list[tuple[str, str | None, str | None]]:
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


def rows_in(item: FarRows, *, column: str) -> int:
    """The number of rows of a data file, by reading one column."""
    with told(item.rows.table, _here()):
        return sum(batch.num_rows for batch in item.rows.read([column]))


def look_at(item: Far, *, source: TableSource, shared_from: int | None = None) -> dict[str, Any]:
    """The fields of a `Look`. A Parquet file of `shared_from` bytes or more is to be shared out.

    Raises:
        SourceError: the item cannot be opened, its columns do not agree, or money in it is not mapped.
    """
    with _opened(item, source) as (con, raw):
        refuse_unmapped_money(con, [raw], source)
        names = judged_columns(source)
        kinds = [raw.columns[name].kind for name in names]
        values = [sample(con, raw, name, "true", _KINDS) for name in names]
        is_shared = shared_from is not None and item.size >= shared_from and raw.format == "Parquet"
        # Values are filled down within a file.
        groups = row_groups(con, raw) if is_shared and source.fill_down is None else []
        return asdict(Look(raw.source_file, raw.localised, kinds, values, groups))


def answer_of(item: Far, *, source: TableSource, question: Callable[[duckdb.DuckDBPyConnection, RawTable], Any]) -> Any:
    """What a question about all rows of the item is answered."""
    with _opened(item, source) as (con, raw):
        return question(con, raw)


def rows_of(
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
