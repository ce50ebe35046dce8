"""Storage faults and what to do about them, recognised by DuckDB's messages.

The faults are a damaged file, a stray log, a full disk, too little memory and missing permissions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clv_pipeline.errors import StorageError

_DAMAGED = ("Corrupt database file", "not a valid DuckDB database file")
_STRAY_LOG = ("replaying WAL file", "This WAL was created for")
_FULL = ("No space left on device", "File too large", "Disk quota exceeded", "Could not write file")


@contextmanager
def storage_faults_told(warehouse: Path) -> Iterator[None]:
    """Turn errors of DuckDB and the disk about the file `warehouse` into a StorageError. Other errors stay.

    Raises:
        duckdb.Error: an error that is not about storage.
        OSError: an error that is not about storage.
    """
    try:
        yield
    except (duckdb.Error, OSError) as error:
        if (told := storage_error(error, warehouse)) is not None:
            raise told from error
        raise


def storage_error(error: BaseException | None, warehouse: Path) -> StorageError | None:
    """The StorageError for an `error` about the file `warehouse` or its disk; None for any other error."""
    if not isinstance(error, duckdb.Error | OSError):
        return None
    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return StorageError(
            "the work needs more memory, or more disk for what does not fit into it, than it may take",
            quoted=text.strip(),
            to_do="raise storage.memory_gb and storage.spill_gb in clv.yaml, as far as the machine has them; tables and"
            " publications are as they were",
        )
    if any(words in text for words in _DAMAGED):
        return StorageError(
            f"{warehouse} is damaged",
            quoted=text,
            to_do="put a backup in its place, or move it away and run `clv run --full-refresh`: everything is built"
            " again from the source, but rows of source files that are gone are lost, and the history of past forecasts"
            " and champions begins anew. What is served stays as it is",
        )
    if any(words in text for words in _STRAY_LOG):
        return StorageError(
            f"{warehouse}.wal is not the log of {warehouse.name}",
            quoted=text,
            to_do="if one of them was restored or copied here, put its own companion beside it; otherwise move the .wal"
            " away: the warehouse is then as it was when it was last closed",
        )
    if any(words in text for words in _FULL):
        return StorageError(
            f"the disk is full, or a quota is reached, below {warehouse.parent.parent}",
            quoted=text,
            to_do="free some space and run again; tables and publications are as they were",
        )
    if "Permission denied" in text and str(warehouse.parent) in text:
        return StorageError(
            "the warehouse cannot be opened",
            quoted=text,
            to_do=f"give the user who runs the pipeline the right to read and write {warehouse.parent} and what is in"
            " it",
        )
    return None
