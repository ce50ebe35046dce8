"""DuckDB connections that reach only what they have to.

Everything that opens DuckDB opens it here or passes its connection through `restrict`. A statement that slipped in
through a file, a name or a query then finds no other file, no network, no extension and no setting to change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

RESTRICTED: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    # A frame in some Python scope is no table: what SQL may read is registered by name.
    "python_enable_replacements": False,
    # DuckDB 2.0.0 takes the bounds of a column for those of its sum where a join has one row on a side, as every
    # `= (select max(…) …)` does. It then leaves out rows by them, or wraps the sum to 16 bits: test_connections.py
    # shows it. Without the bounds our SQL takes 3 to 4 % more processor time.
    "disabled_optimizers": "statistics_propagation",
}
"""Settings that a connection has to be opened with."""


def restrict(connection: duckdb.DuckDBPyConnection, directories: Sequence[Path]) -> None:
    """Let the database reach files below `directories` only, besides its own; nothing can widen it again.

    Links are followed before a path is judged. Everything that shares the database (cursors) is restricted too.
    """
    connection.execute("set allowed_directories = $directories", {"directories": [str(d) for d in directories]})
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def open_read_only(
    database: Path, directories: Sequence[Path] = (), spill: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """The database file for reading, and nothing else but `directories`.

    What does not fit into memory goes into the folder `spill`, by default one beside the database.
    """
    import duckdb

    temporary = {} if spill is None else {"temp_directory": str(spill)}
    # Through the link, so that a publication that is flipped meanwhile stays the one that was opened.
    connection = duckdb.connect(str(database.resolve()), read_only=True, config={**RESTRICTED, **temporary})
    restrict(connection, directories)
    return connection


def open_scratch(
    database: Path | None,
    directories: Sequence[Path],
    settings: Mapping[str, str | int] | None = None,
    time_zone: str = "",
) -> duckdb.DuckDBPyConnection:
    """A database for one piece of work, in memory or at `database`, that reaches `directories`.

    Times with a zone become text in this machine's zone, or in `time_zone`.
    """
    import duckdb

    config = {**RESTRICTED, **(settings or {})}
    connection = duckdb.connect(":memory:" if database is None else str(database), config=config)
    if time_zone:
        # No setting that a database can be opened with.
        connection.execute("set TimeZone = $zone", {"zone": time_zone})
    restrict(connection, directories)
    return connection
