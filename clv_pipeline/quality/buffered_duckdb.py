"""The SQLAlchemy dialect through which Great Expectations can read DuckDB.

Great Expectations fetches rows after it gave the connection back to its pool (GX issues 10738 and 11579),
when DuckDB's result is gone. Here every result is fetched at once; check queries return a few rows.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import duckdb_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

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


registry.register("duckdb.buffered", __name__, "BufferedDialect")


def connection_arguments(connection: Any) -> dict[str, Any]:
    """`create_engine` keywords that share `connection` through cursors of its own."""
    return {"creator": lambda: duckdb_engine.ConnectionWrapper(connection.cursor())}
