"""What the open database itself knows of the columns of a table or view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """The names of its columns, in order; empty if there is no such table or view."""
    rows = connection.execute(
        "select column_name from duckdb_columns() where table_name = ? and database_name = current_database()"
        " order by column_index",
        [relation],
    ).fetchall()
    return [name for (name,) in rows]
