"""What the formats of a lakehouse have in common: a snapshot, and rows that come in Arrow batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 100_000
"""Rows per batch."""

Reader = Callable[[Sequence[str]], "pa.RecordBatchReader"]
"""Gives the rows of some columns in Arrow batches."""


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


class Snapshot(Protocol):
    """A table as it was at one moment."""

    @property
    def stamp(self) -> str:
        """What identifies the table and the snapshot."""

    def whole(self) -> Rows:
        """All its rows."""

    def since(self, stamp: str) -> Rows | None:
        """The rows that were added since the snapshot with this stamp; None unless rows were only added."""
