"""What the formats of a lakehouse have in common: a snapshot, its data files, and rows that come in Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 100_000
"""Rows per batch."""

Reader = Callable[[Sequence[str]], "pa.RecordBatchReader"]
"""Gives the rows of some columns in Arrow batches."""


class Part(Protocol):
    """A data file of a snapshot, with what was deleted in it. It can be pickled: any process can read it."""

    @property
    def bytes(self) -> int:
        """Size of the file."""
        ...

    @property
    def rows(self) -> int | None:
        """Number of rows by the snapshot; None if it does not say."""
        ...

    def read(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The rows of some columns."""
        ...


@dataclass(frozen=True)
class Plan:
    """The data files of some rows, in the order in which one process would read them."""

    parts: Sequence[Part] = ()
    why_whole: str = ""
    """Why they cannot be read one by one; '' if they can."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table: all of a snapshot, or those that were added since an earlier one."""

    table: str
    """The table as it is configured."""
    format: str
    shown: str
    """Which snapshot, or which snapshots."""
    stamp: str
    """What identifies the table and the snapshot."""
    columns: list[str]
    read: Reader
    plan: Callable[[], Plan] = field(default=Plan)
    """Finds the data files."""
    reading: str = ""
    """Who reads them, if not the process of the run."""

    def of(self, part: Part) -> Self:
        """The rows of a data file."""
        return replace(self, read=part.read, plan=Plan)


@dataclass(frozen=True)
class FirstRows:
    """The first rows of some data files, which are read no further than that."""

    parts: Sequence[Part]
    most: int
    rows: None = None
    """Nobody knows without reading."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(part.bytes for part in self.parts)

    def read(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The rows of some columns."""
        import pyarrow as pa

        first = self.parts[0].read(columns)

        def batches() -> Iterator[pa.RecordBatch]:
            left = self.most
            for number, part in enumerate(self.parts):
                for batch in first if number == 0 else part.read(columns):
                    yield batch.slice(0, left)
                    left -= batch.num_rows
                    if left <= 0:
                        return

        return pa.RecordBatchReader.from_batches(first.schema, batches())


class Snapshot(Protocol):
    """A table as it was at one moment."""

    @property
    def stamp(self) -> str:
        """What identifies the table and the snapshot."""

    def whole(self) -> Rows:
        """All its rows."""

    def since(self, stamp: str) -> Rows | None:
        """The rows that were added since the snapshot with this stamp; None unless rows were only added."""
