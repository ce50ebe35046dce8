"""The SQLAlchemy dialect through which Great Expectations can read DuckDB.

Great Expectations fetches rows after it has returned the connection to its pool (GX issues 10738 and 11579), and
DuckDB's result is gone by then. This dialect fetches every result at once; check queries return a few rows. It also
leaves out SQLAlchemy's work for a server (a transaction around every query, PostgreSQL's catalog), which took a fifth
of an audit.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import duckdb_engine
from sqlalchemy import text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.types import NullType

URL = "duckdb+buffered:///:memory:"
"""A URL that only names the dialect. Connections come from the `creator` that is passed with it."""


class _BufferedContext(PGExecutionContext_psycopg2):
    def post_exec(self) -> None:
        super().post_exec()  # type: ignore[no-untyped-call]
        if self.cursor is not None and self.cursor.description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, initial_buffer=deque(self.cursor.fetchall())
            )


class BufferedDialect(duckdb_engine.Dialect):
    """A DuckDB dialect that fetches results at execution."""

    execution_ctx_cls = _BufferedContext
    supports_statement_cache = False

    # A check is one query, which is its own transaction.
    def do_begin(self, connection: Any) -> None:
        """Do nothing: there is nothing to begin."""

    def do_commit(self, connection: Any) -> None:
        """Do nothing: there is nothing to commit."""

    def do_rollback(self, connection: Any) -> None:
        """Do nothing: there is nothing to roll back."""

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """The names of a table's columns. The audit itself compares their types with the contract."""
        names = connection.execute(text("select name from pragma_table_info(:table)"), {"table": table_name})
        return [{"name": name, "type": NullType(), "nullable": True, "default": None} for (name,) in names]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """No key: audited tables and views are built from a query."""
        return {"constrained_columns": [], "name": None}


registry.register("duckdb.buffered", __name__, "BufferedDialect")


def connection_arguments(connection: Any) -> dict[str, Any]:
    """`create_engine` keywords that share `connection` through cursors of its own."""
    return {"creator": lambda: duckdb_engine.ConnectionWrapper(connection.cursor())}
