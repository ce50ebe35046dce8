"""A query against a database, as a table.

Here belongs everything that knows of database URLs. Rows are streamed in chunks into a temporary table of
text columns, so that no driver's idea of types changes what a value means. Credentials appear in no label
and in no error.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb

from clv_pipeline.config.config_file import SECRET_PARAMETER, without_credentials
from clv_pipeline.database.connections import open_read_only
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.tables import Column, RawTable

if TYPE_CHECKING:
    import polars as pl

CHUNK_ROWS = 100_000

_STAGE = "clv_query_result"


@dataclass(frozen=True)
class Since:
    """Only rows from a day on: the database compares `column` of the query with it."""

    column: str
    day: date


def query_label(url: str) -> str:
    """What the rows of a query are labelled: `<url without credentials>#query`."""
    return f"{without_credentials(url)}#query"


def query_table(
    con: duckdb.DuckDBPyConnection, url: str, query: str, base_dir: Path, since: Since | None = None
) -> RawTable:
    """The rows of `query`, staged in a temporary table of `con`.

    A relative file in a sqlite or duckdb URL starts at `base_dir`.

    Raises:
        SourceError: the query failed; with the database's own words, but never with a password.
    """
    label = query_label(url)
    forget_query(con)
    try:
        names = (
            _from_duckdb(con, url, query, base_dir, since)
            if url.startswith("duckdb:")
            else _from_any(con, url, query, base_dir, since)
        )
    except SourceError:
        raise
    except Exception as error:
        # Drivers raise what they like, and some put the whole URL into the text: neither it nor the cause
        # is shown.
        raise SourceError(f"{label}: the query failed", quoted=_censored(error, url)) from None
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
    """Drops the temporary table of a query, if there is one."""
    con.execute(f"DROP TABLE IF EXISTS {_STAGE}")


def _from_any(con: duckdb.DuckDBPyConnection, url: str, query: str, base_dir: Path, since: Since | None) -> list[str]:
    import polars as pl
    import sqlalchemy

    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        path = base_dir / parsed.database
        if not path.is_file():  # sqlite would create an empty database
            raise SourceError(f"{without_credentials(url)}: there is no such file", to_do="correct the url")
        parsed = parsed.set(database=str(path))
    engine = sqlalchemy.create_engine(parsed, poolclass=sqlalchemy.pool.NullPool)
    with engine.connect().execution_options(stream_results=True, max_row_buffer=CHUNK_ROWS) as connection:
        if since is None:
            result = connection.exec_driver_sql(query)
        else:
            rows: Any = (
                sqlalchemy.text(query.replace(":", r"\:")).columns(sqlalchemy.column(since.column)).subquery("q")
            )
            # SQLite has no dates: theirs is text, and so must ours be.
            day = since.day.isoformat() if parsed.get_backend_name() == "sqlite" else since.day
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
    con: duckdb.DuckDBPyConnection, url: str, query: str, base_dir: Path, since: Since | None
) -> list[str]:
    path = base_dir / url.removeprefix("duckdb:///")
    with open_read_only(path, [path.resolve().parent]) as other:
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


def _censored(error: Exception, url: str) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    credentials = url.partition("://")[2].rpartition("@")[0]
    secrets = [credentials.partition(":")[2], *SECRET_PARAMETER.findall(url)]
    for secret in (url, credentials, *secrets, *map(unquote, secrets)):
        if secret:
            text = text.replace(secret, "…")
    return text
