"""A query against a database, as a table.

Here belongs everything that handles database URLs. Rows are streamed in chunks into a temporary table of
text columns, so that no driver's types change the meaning of a value. Databases are read and never written:
files are opened for reading only, and servers get read-only transactions if they have them. Credentials appear in
no label and no error.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from clv_pipeline.config.secret_text import censored, without_credentials
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.database_files import open_sqlite, require_file, unchanged_sqlite
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.one_select import one_select
from clv_pipeline.sources.tables import Column, RawTable

if TYPE_CHECKING:
    import polars as pl
    import sqlalchemy

CHUNK_ROWS = 100_000

_STAGE = "clv_query_result"

READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}
"""SQL that makes transactions read-only, by kind of server. PostgreSQL's driver has an option of its own for it. SQL
Server and cloud warehouses have neither, so there only the rights of the user count."""


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
    """The rows of `query`, staged in a temporary table of `con`.

    A relative file in a sqlite or duckdb URL starts at `base_dir`. A query on DuckDB spills to `work_dir` what does not
    fit into memory.

    Raises:
        SourceError: the query is not one SELECT, or it failed. The text is the database's own, without secrets.
    """
    label = query_label(url)
    database = url.partition(":")[0].partition("+")[0]
    forget_query(con)
    try:
        query = one_select(query, database, label)
        names = (
            _from_duckdb(con, url, query, base_dir, work_dir, since)
            if database == "duckdb"
            else _from_any(con, url, query, base_dir, since)
        )
    except SourceError:
        raise
    except Exception as error:
        # Drivers raise any exception, and some put the whole URL into its text. Neither the URL nor the cause is shown.
        raise SourceError(f"{label}: the query failed", quoted=censored(first_line(error), url)) from None
    return RawTable(
        source_file=label,
        scan=_STAGE,
        parameters={},
        columns={name: Column(f"c{names.index(name)}") for name in names},
        format=f"query on {url.partition(':')[0]}",
        first_line=1,
        localised=False,
        repeated=frozenset(name for name in names if names.count(name) > 1),
    )


def forget_query(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary table of a query, if there is one."""
    con.execute(f"DROP TABLE IF EXISTS {_STAGE}")


def _from_any(con: duckdb.DuckDBPyConnection, url: str, query: str, base_dir: Path, since: Since | None) -> list[str]:
    import sqlalchemy

    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return _answer(con, sqlalchemy.create_engine(parsed, poolclass=sqlalchemy.pool.NullPool), query, since)
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SourceError(
            f"{without_credentials(url)}: with this driver it is not certain that the file is only read",
            to_do="write sqlite:///",
        )
    path = base_dir / (parsed.database or "")
    require_file(path, without_credentials(url))
    engine = sqlalchemy.create_engine(parsed, poolclass=sqlalchemy.pool.NullPool)

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def _opened(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> Any:
        return open_sqlite(path, without_credentials(url), **options)

    with unchanged_sqlite(path, without_credentials(url)):
        return _answer(con, engine, query, since)


def _answer(con: duckdb.DuckDBPyConnection, engine: "sqlalchemy.Engine", query: str, since: Since | None) -> list[str]:
    """Stage the rows that the database returns, and return the names of their columns."""
    import polars as pl
    import sqlalchemy

    backend = engine.dialect.name
    options: dict[str, Any] = {"postgresql_readonly": True} if backend == "postgresql" else {}
    with engine.connect().execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS, **options) as connection:
        if backend in READ_ONLY:
            connection.exec_driver_sql(READ_ONLY[backend])
        if since is None:
            result = connection.exec_driver_sql(query)
        else:
            rows: Any = (
                sqlalchemy.text(query.replace(":", r"\:")).columns(sqlalchemy.column(since.column)).subquery("q")
            )
            # SQLite has no dates: its values are text, so this one must be text too.
            day = since.day.isoformat() if backend == "sqlite" else since.day
            condition = rows.c[since.column] >= sqlalchemy.literal(day)
            result = connection.execute(sqlalchemy.select(sqlalchemy.text("*")).select_from(rows).where(condition))
        names = list(result.keys())
        columns = [f"c{position}" for position in range(len(names))]
        _create_stage(con, len(names))
        for rows in result.partitions(CHUNK_ROWS):
            values = [
                pl.Series(name, column, strict=False)
                for name, column in zip(columns, zip(*rows, strict=True), strict=True)
            ]
            _append(con, pl.DataFrame(values))
    engine.dispose()
    return names


def _from_duckdb(
    con: duckdb.DuckDBPyConnection, url: str, query: str, base_dir: Path, work_dir: Path, since: Since | None
) -> list[str]:
    path = base_dir / url.removeprefix("duckdb:///")
    require_file(path, without_credentials(url))
    with open_read_only(path, spill=work_dir / "spill") as other:
        if since is None:
            result = other.sql(query)
        else:
            newer = f"SELECT * FROM ({query}) AS q WHERE {quote_identifier(since.column)} >= CAST($day AS TIMESTAMP)"
            result = other.sql(newer, params={"day": since.day})
        names = result.columns
        _create_stage(con, len(names))
        for batch in result.to_arrow_reader(CHUNK_ROWS):
            _append(con, batch)
    return list(names)


def _create_stage(con: duckdb.DuckDBPyConnection, width: int) -> None:
    con.execute(f"CREATE TEMP TABLE {_STAGE} ({', '.join(f'c{position} VARCHAR' for position in range(width))})")


def _append(con: duckdb.DuckDBPyConnection, chunk: "pl.DataFrame | Any") -> None:
    con.register("clv_query_chunk", chunk)
    con.execute(f"INSERT INTO {_STAGE} SELECT * FROM clv_query_chunk")
    con.unregister("clv_query_chunk")
