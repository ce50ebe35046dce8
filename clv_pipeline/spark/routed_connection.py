"""A DuckDB connection for checks that lets Spark answer where Spark holds the table.

Great Expectations still compiles for DuckDB, and asks DuckDB for columns and types: every Spark table has a stand-in of
the same name there. SELECTs that read such a table go to Spark, translated as a whole, even if they compare it with a
small DuckDB table. Their answers are a few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import sqlglot
from sqlglot import exp

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DIALECT = "duckdb"


class Spark(Protocol):
    """Answers queries on the tables that Spark holds."""

    def is_elsewhere(self, relation: str) -> bool:
        """Whether Spark holds the table of this name."""
        ...

    def to_spark(self, sql: str, parameters: Sequence[Any]) -> pa.Table:
        """The rows of a DuckDB SELECT with `?` or `$1` for parameters; it may also read DuckDB tables."""
        ...


class RoutedConnection:
    """Takes the place of a `DuckDBPyConnection` for `Auditor` and, below it, SQLAlchemy."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, spark: Spark) -> None:
        self._connection = connection
        self._spark = spark
        self._answer: pa.Table | None = None
        """Answer of the last statement, if Spark gave it."""

    def cursor(self) -> RoutedConnection:
        """A new connection with its own result."""
        return RoutedConnection(self._connection.cursor(), self._spark)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> RoutedConnection:
        """Run one statement on the engine that holds its tables."""
        self._answer = None
        query = sqlglot.parse_one(statement, read=DIALECT)
        if not isinstance(query, exp.Query) or not self._reads_spark(query):
            self._connection.execute(statement, parameters)
        elif _is_a_glance(query, parameters):
            # No row of a stand-in can be read.
            self._connection.execute(statement, [0] * len(parameters))
        else:
            self._answer = self._spark.to_spark(statement, list(parameters))
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of the last statement."""
        if self._answer is None:
            return self._connection.fetchall()
        columns = [column.to_pylist() for column in self._answer.columns]
        return list(zip(*columns, strict=True))

    @property
    def description(self) -> list[tuple[Any, ...]] | None:
        """Columns of the last result, as PEP 249 requires; those of Spark have names only."""
        if self._answer is None:
            return self._connection.description
        return [(name, None, None, None, None, None, None) for name in self._answer.column_names]

    def __getattr__(self, name: str) -> Any:
        """Delegate transactions and everything else to DuckDB.

        Raises:
            AttributeError: a partial fetch from an answer of Spark, which is only fetched as a whole.
        """
        if name.startswith("fetch") and self._answer is not None:
            raise AttributeError(f"{name}: an answer of Spark is only fetched whole")
        return getattr(self._connection, name)

    def _reads_spark(self, query: exp.Query) -> bool:
        return any(self._spark.is_elsewhere(table.name) for table in query.find_all(exp.Table))


def _is_a_glance(query: exp.Query, parameters: Sequence[Any]) -> bool:
    """True for GX's existence probes (LIMIT 0 or 1), which need no row."""
    limit = query.args.get("limit")
    if limit is None or not isinstance(limit.expression, exp.Placeholder):
        return False
    rows = parameters[int(limit.expression.name) - 1]
    reads = {part for part, value in query.args.items() if value} - {"expressions", "limit"}
    return rows == 0 or (rows == 1 and reads == {"from_"} and isinstance(query.args["from_"].this, exp.Table))
