"""The SQLAlchemy dialect through which Great Expectations can read DuckDB.

Great Expectations fetches rows after it gave the connection back to its pool (GX issues 10738 and 11579),
when DuckDB's result is gone. Here every result is fetched at once; check queries return a few rows. And what SQLAlchemy
does for a server (transactions around every query, PostgreSQL's catalog) is left out, which was a fifth of an audit.
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
"""Only names the dialect: connections come from the `creator` that goes with it."""


class _BufferedContext(PGExecutionContext_psycopg2):
    def post_exec(self) -> None:
        super().post_exec()  # type: ignore[no-untyped-call]
        if self.cursor is not None and self.cursor.description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, initial_buffer=deque(self.cursor.fetchall())
            )


class BufferedDialect(duckdb_engine.Dialect):
    """DuckDB with results fetched at execution."""

    execution_ctx_cls = _BufferedContext
    supports_statement_cache = False

    # A check is one query, which is a transaction by itself.
    def do_begin(self, connection: Any) -> None:
        """Nothing to begin."""

    def do_commit(self, connection: Any) -> None:
        """Nothing to commit."""

    def do_rollback(self, connection: Any) -> None:
        """Nothing to roll back."""

    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> list[Any]:
        """The names of a table's columns; their types are held against the contract by the audit itself."""
        names = connection.execute(text("select name from pragma_table_info(:table)"), {"table": table_name})
        return [{"name": name, "type": NullType(), "nullable": True, "default": None} for (name,) in names]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        """None: what is audited are tables and views built from a query."""
        return {"constrained_columns": [], "name": None}


registry.register("duckdb.buffered", __name__, "BufferedDialect")


def connection_arguments(connection: Any) -> dict[str, Any]:
    """`create_engine` keywords that share `connection` through cursors of its own."""
    return {"creator": lambda: duckdb_engine.ConnectionWrapper(connection.cursor())}
