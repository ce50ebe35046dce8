"""A query against a database, as a table.

Here belongs everything that asks a database. Rows are streamed in Arrow batches into a temporary Parquet file of text
columns: memory holds one batch, and no driver's types change the meaning of a value. Databases are read and never
written: files are opened for reading only, and servers get read-only transactions if they have them. Credentials
appear in no label and no error.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from clv_pipeline.config.secret_text import censored, without_credentials
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.database_files import open_sqlite, require_file, unchanged_sqlite
from clv_pipeline.sources.drivers import engine_of, missing_driver
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.one_select import one_select
from clv_pipeline.sources.tables import Column, RawTable

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy

BATCH_ROWS = 20_000
"""Rows that memory holds at a time. Of lines of ten columns these are about 30 MB of Python values; more rows are not
faster."""

READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}
"""SQL that makes transactions read-only, by kind of server. PostgreSQL's driver has an option of its own for it. SQL
Server and cloud warehouses have neither, so there only the rights of the user count."""

TIMESTAMPTZ = 1184
"""PostgreSQL's number of the type `timestamp with time zone`, which all of its drivers tell."""


@dataclass(frozen=True)
class Since:
    """A filter for rows from a day on. The database compares `column` of the query with that day."""

    column: str
    day: date


def query_label(url: str) -> str:
    """The label of a query's rows: `<url without credentials>#query`."""
    return f"{without_credentials(url)}#query"


def query_table(
    con: duckdb.DuckDBPyConnection,
    url: str,
    query: str,
    base_dir: Path,
    work_dir: Path,
    since: Since | None = None,
) -> RawTable:
    """The rows of `query`, in a Parquet file in `work_dir`.

    A relative file in a sqlite or duckdb URL starts at `base_dir`. A query on DuckDB spills to `work_dir` what does not
    fit into memory.

    Raises:
        SourceError: the query is not one SELECT, or it failed. The text is the database's own, without secrets.
    """
    label = query_label(url)
    copy = work_dir / f"query_{len(list(work_dir.glob('query_*'))):05d}.parquet"
    with telling(url, label):
        query = one_select(query, backend_of(url), label)
        with (
            _from_duckdb(url, query, base_dir, work_dir, since)
            if backend_of(url) == "duckdb"
            else _from_any(url, query, base_dir, since)
        ) as (names, batches):
            _write(con, batches, len(names), copy)
    return RawTable(
        source_file=label,
        scan="read_parquet($path, hive_partitioning = false)",
        parameters={"path": glob.escape(str(copy))},
        columns={name: Column(f"c{names.index(name)}") for name in names},
        format=f"query on {url.partition(':')[0]}",
        first_line=1,
        localised=False,
        repeated=frozenset(name for name in names if names.count(name) > 1),
        temporary=[copy],
    )


def backend_of(url: str) -> str:
    """SQLAlchemy's name of the database, such as `postgresql`."""
    return url.partition(":")[0].partition("+")[0]


@contextmanager
def telling(url: str, label: str) -> Iterator[None]:
    """Turn whatever a driver raises into an error without secrets.

    Raises:
        SourceError: something was raised.
    """  # noqa: DOC501  (`missing_driver` makes the other one)
    import sqlalchemy

    try:
        yield
    except SourceError:
        raise
    except ImportError as error:
        raise missing_driver(sqlalchemy.make_url(url), label, error) from None
    except Exception as error:
        # Drivers raise any exception, and some put the whole URL into its text. Neither the URL nor the cause is shown.
        raise SourceError(f"{label}: the query failed", quoted=censored(first_line(error), url)) from None


@contextmanager
def reading(url: str, base_dir: Path) -> Iterator[sqlalchemy.Connection]:
    """A connection that only reads to any database but DuckDB. It streams what it is asked for.

    Raises:
        SourceError: there is no such file or driver, or it is not certain that the database is only read.
    """
    import sqlalchemy

    parsed, label = sqlalchemy.make_url(url), without_credentials(url)
    if parsed.get_backend_name() != "sqlite":
        with _only_reading(engine_of(parsed, label)) as connection:
            yield connection
        return
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SourceError(
            f"{label}: with this driver it is not certain that the file is only read", to_do="write sqlite:///"
        )
    path = base_dir / (parsed.database or "")
    require_file(path, label)
    engine = engine_of(parsed, label)

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def _opened(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> Any:
        return open_sqlite(path, label, **options)

    with unchanged_sqlite(path, label), _only_reading(engine) as connection:
        yield connection


@contextmanager
def _only_reading(engine: sqlalchemy.Engine) -> Iterator[sqlalchemy.Connection]:
    backend = engine.dialect.name
    options: dict[str, Any] = {"postgresql_readonly": True} if backend == "postgresql" else {}
    streamed = engine.connect().execution_options(stream_results=True, max_row_buffer=BATCH_ROWS, **options)
    with streamed as connection:
        if backend in READ_ONLY:
            connection.exec_driver_sql(READ_ONLY[backend])
        yield connection
    engine.dispose()


@contextmanager
def _from_any(
    url: str, query: str, base_dir: Path, since: Since | None
) -> Iterator[tuple[list[str], Iterator[pa.RecordBatch]]]:
    """The names of the columns and the rows in batches."""
    import sqlalchemy

    with reading(url, base_dir) as connection:
        if since is None:
            # Without parameters, a % of the query is one.
            result = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
        else:
            rows: Any = (
                sqlalchemy.text(query.replace(":", r"\:")).columns(sqlalchemy.column(since.column)).subquery("q")
            )
            selected = sqlalchemy.select(sqlalchemy.text("*")).select_from(rows)
            first = _first_instant(connection, selected, since)
            result = connection.execute(selected.where(rows.c[since.column] >= first))
        names = list(result.keys())
        yield names, (_batch(rows) for rows in result.partitions(BATCH_ROWS))


def _first_instant(connection: sqlalchemy.Connection, selected: Any, since: Since) -> Any:
    """The beginning of the day, as the database compares it with the column."""
    import sqlalchemy

    backend = connection.dialect.name
    if backend == "sqlite":
        # SQLite has no dates: its values are text, so this one must be text too.
        return sqlalchemy.literal(since.day.isoformat())
    if backend == "postgresql":
        with connection.execute(selected.limit(0)) as nothing:
            types = {column[0]: column[1] for column in nothing.cursor.description}
        if types.get(since.column) == TIMESTAMPTZ:
            # Instants are read in UTC. The server would take a date for midnight in its own time zone.
            return sqlalchemy.cast(f"{since.day.isoformat()} 00:00:00+00", sqlalchemy.DateTime(timezone=True))
    return sqlalchemy.literal(since.day)


def _batch(rows: Sequence[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [_column(values) for values in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names=_aliases(len(columns)))


def _column(values: Sequence[Any]) -> pa.Array:
    """The values in Arrow. What Arrow would guess differently from batch to batch is text, each value by itself."""
    import pyarrow as pa

    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) <= 1 and not kinds & {dict, list, Decimal}:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):  # such as a whole number of more than 64 bits
            pass
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


@contextmanager
def _from_duckdb(
    url: str, query: str, base_dir: Path, work_dir: Path, since: Since | None
) -> Iterator[tuple[list[str], Iterator[pa.RecordBatch]]]:
    """The names of the columns and the rows in batches."""
    path = base_dir / url.removeprefix("duckdb:///")
    require_file(path, without_credentials(url))
    with open_read_only(path, spill=work_dir / "spill") as other:
        if since is None:
            result = other.sql(query)
        else:
            newer = f"SELECT * FROM ({query}) AS q WHERE {quote_identifier(since.column)} >= CAST($day AS TIMESTAMP)"
            result = other.sql(newer, params={"day": since.day})
        aliases = _aliases(len(result.columns))
        yield list(result.columns), (batch.rename_columns(aliases) for batch in result.to_arrow_reader(BATCH_ROWS))


def _aliases(width: int) -> list[str]:
    """The names in the copy, because a query may give two columns the same name."""
    return [f"c{position}" for position in range(width)]


def _write(con: duckdb.DuckDBPyConnection, batches: Iterator[pa.RecordBatch], width: int, copy: Path) -> None:
    """Write the batches to a Parquet file in which every column is text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(alias, pa.string()) for alias in _aliases(width)])
    # A cursor, because the connection may have a result that nobody has read to its end.
    with pq.ParquetWriter(copy, schema) as writer, con.cursor() as own:
        for batch in batches:
            texts = ", ".join(map(_as_text, batch.schema))
            own.register("clv_query_batch", pa.Table.from_batches([batch]))
            writer.write_table(own.sql(f"SELECT {texts} FROM clv_query_batch").to_arrow_table().cast(schema))


def _as_text(field: pa.Field) -> str:
    """SQL for a column as text. Instants are written in UTC, whatever the time zone of this machine."""
    is_instant = str(field.type).startswith("timestamp[") and field.type.tz is not None
    value = f"timezone('UTC', {field.name})" if is_instant else field.name
    offset = " || '+00'" if is_instant else ""
    return f"CAST({value} AS VARCHAR){offset} AS {field.name}"
