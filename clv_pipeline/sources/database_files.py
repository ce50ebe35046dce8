"""SQLite files, opened so that no query can change them or create or read another file. SQLite itself enforces this.

DuckDB files are opened by `database/connections.py`, like every DuckDB file. A file that is missing is never created.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clv_pipeline.errors import SourceError

READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
"""What a query on SQLite may do. Attaching, pragmas, transactions and writing are not among it."""

WRITE_AHEAD = 2
"""Value of byte 18 of a SQLite file whose changes first go into a log beside it."""


def require_file(path: Path, label: str) -> None:
    """Refuse a file that does not exist. The databases would say less, or create it.

    Raises:
        SourceError: there is no such file.
    """
    if not path.is_file():
        raise SourceError(f"{label}: there is no such file", to_do="correct the url, which takes a path and no more")


def open_sqlite(path: Path, label: str, **options: Any) -> sqlite3.Connection:
    """A read-only connection to the SQLite file; `options` are those of `sqlite3.connect`.

    Raises:
        SourceError: the file was not closed properly, and no program has it open.
    """
    if _beside(path, "-wal").exists() and not _beside(path, "-shm").exists():
        raise SourceError(
            f"{label}: has a log beside it that its program has not written back",
            to_do="open and close it once with that program, or copy it with `sqlite3 FILE '.backup COPY'`",
        )
    mode = "mode=ro&immutable=1" if _is_at_rest(path) else "mode=ro"
    connection: sqlite3.Connection = sqlite3.connect(
        f"file:{quote(str(path.resolve()))}?{mode}", **{**options, "uri": True}
    )
    connection.execute("pragma query_only = on")
    connection.set_authorizer(_only_reading)
    return connection


@contextmanager
def unchanged_sqlite(path: Path, label: str) -> Iterator[None]:
    """Refuse the result of a read during which somebody wrote to a file that was at rest.

    Raises:
        SourceError: somebody wrote to the file.
    """
    at_rest, before = _is_at_rest(path), _state(path)
    yield
    if at_rest and (_state(path), _is_at_rest(path)) != (before, True):
        raise SourceError(f"{label}: was written to while it was read", to_do="run again")


def _is_at_rest(path: Path) -> bool:
    """Whether the file uses a write-ahead log and no program has it open.

    Opened as usual, SQLite would create that log and its index beside the file. They would be owned by the user of the
    pipeline, and the shop's own program might then be unable to write to them.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    return header[18:19] == bytes([WRITE_AHEAD]) and not _beside(path, "-wal").exists()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _only_reading(action: int, name: str | None, value: str | None, *_within: str | None) -> int:
    # SQLAlchemy asks for the isolation level of the connection.
    asks = action == sqlite3.SQLITE_PRAGMA and name == "read_uncommitted" and value is None
    return sqlite3.SQLITE_OK if asks or action in READING else sqlite3.SQLITE_DENY
