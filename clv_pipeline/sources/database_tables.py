"""A proposal for a table of a database: which tables there are, how many rows, and the first of them.

`guess` looks at these rows as at those of a file. Everything is asked as a run asks it, so it only reads.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline.config.config_file import expand_variables, refuse_written_secrets
from clv_pipeline.config.secret_text import without_credentials
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError, did_you_mean
from clv_pipeline.sources.databases import backend_of, query_table, reading, telling
from clv_pipeline.sources.drivers import SERVERS
from clv_pipeline.sources.guess import propose_table
from clv_pipeline.sources.proposal import Proposal
from clv_pipeline.sources.tables import RawTable

ROWS_LOOKED_AT = 100_000
"""The rows of a table that a proposal is made from."""

_MOST_COUNTED = 1_000_000
_MOST_TABLES = 50
"""Most tables that are counted and looked at, when none is named."""

_ENDINGS = (".db", ".sqlite", ".sqlite3", ".duckdb")
_BEGINNINGS = {b"SQLite format 3\0": "sqlite", b"DUCK": "duckdb"}


@dataclass(frozen=True)
class DatabaseTable:
    """A table or a view."""

    name: str
    """As `--table` takes it: with its schema, if that is not the usual one."""
    schema: str | None
    plain_name: str


@dataclass(frozen=True)
class Chosen:
    """The table that a proposal is made for."""

    table: str
    proposal: Proposal
    others: list[str]
    """The tables that were there too, if this one was chosen because no other could hold transactions."""


def database_url(named: str, base_dir: Path) -> str | None:
    """The URL of the database that is named by its URL or file; None if it is no database.

    Raises:
        SourceError: a file is called as databases are, and is none.
    """
    if "://" in named:
        return named if backend_of(named) in (*SERVERS, "sqlite", "duckdb") else None
    path = base_dir / Path(named).expanduser()
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        head = stream.read(16)
    kind = next((kind for begin, kind in _BEGINNINGS.items() if begin in (head, head[8:12])), None)
    if kind is None and path.suffix.lower() in _ENDINGS:
        raise SourceError(f"{named}: is no database of SQLite or DuckDB", to_do="get the file again")
    return f"{kind}:///{named}" if kind is not None else None


def propose_from_database(url: str, table: str | None, base_dir: Path) -> Chosen:
    """A proposal for `table`, or for the only table that can hold transactions.

    Args:
        url: as it is written to `clv.yaml`: secrets are `${VARIABLE}`, which the environment completes.
        table: its name; None if there is but one that can be meant.
        base_dir: where relative paths start.

    Raises:
        SourceError: there is no such table, or several may hold transactions; the text lists them with their rows.
    """
    refuse_written_secrets({"url": url}, "clv init")
    complete = str(expand_variables({"url": url}, "clv init", os.environ)["url"])
    with tempfile.TemporaryDirectory() as folder:
        look = _Look(complete, base_dir, Path(folder))
        tables = look.tables(table)
        if table is not None:
            chosen = look.proposal(look.named(table, tables), ROWS_LOOKED_AT)
            others = []
        else:
            found = [(each, look.proposal(each, 1_000)) for each in tables[:_MOST_TABLES]]
            plausible = [each for each, proposal in found if _is_plausible(proposal)]
            if len(plausible) != 1 or len(tables) > _MOST_TABLES:
                raise look.question(tables)
            table = plausible[0].name
            chosen = look.proposal(plausible[0], ROWS_LOOKED_AT)
            others = [each.name for each in tables if each.name != table]
    if not chosen.transactions.rows:
        raise SourceError(f"{look.label}: the table {table} holds no record", to_do="name another one by --table")
    chosen.transactions.url = url
    return Chosen(table, chosen, others)


def _is_plausible(proposal: Proposal) -> bool:
    """Whether the rows can be transactions: who, when and how much are recognised."""
    known = set(proposal.transactions.mapping)
    return {"customer_id", "ordered_at"} <= known and bool({"amount", "unit_price"} & known)


class _Look:
    """What is asked of one database. Its `label` holds no credentials."""

    def __init__(self, url: str, base_dir: Path, work_dir: Path) -> None:
        self._url, self._base_dir, self._work_dir = url, base_dir, work_dir
        self.label = without_credentials(url)

    def tables(self, named: str | None) -> list[DatabaseTable]:
        """The tables and views; those of another schema only if `named` has it before a dot.

        Raises:
            SourceError: the database cannot be read, or holds no table.
        """
        with telling(self._url, self.label):
            found = self._of_duckdb() if backend_of(self._url) == "duckdb" else self._of_any(named)
        if not found:
            raise SourceError(f"{self.label}: holds no table that this user may read", to_do="correct the url")
        return found

    def named(self, name: str, tables: list[DatabaseTable]) -> DatabaseTable:
        """The table of this name.

        Raises:
            SourceError: there is none.
        """
        for each in tables:
            if each.name == name:
                return each
        names = [each.name for each in tables]
        raise SourceError(
            f"{self.label}: has no table {name!r}{did_you_mean(name, names)}",
            quoted=f"tables: {', '.join(names[:_MOST_TABLES])}",
            to_do="correct --table; of another schema write SCHEMA.TABLE",
        )

    def proposal(self, table: DatabaseTable, rows: int) -> Proposal:
        """What the first rows of a table look like."""
        with open_scratch(None, [self._work_dir]) as con:
            proposal = propose_table(con, self._ask(con, self._select(table, rows)))
        proposal.transactions.query = self._select(table, None)
        return proposal

    def question(self, tables: list[DatabaseTable]) -> SourceError:
        """The error that asks for the table and lists them with their rows."""
        listed = [f"{each.name} {self._count(each)}" for each in tables[:_MOST_TABLES]]
        if len(tables) > len(listed):
            listed.append(f"and {len(tables) - len(listed):,} more")
        return SourceError(
            f"{self.label}: it is not certain which table holds the transactions",
            quoted=", ".join(listed),
            to_do=f"name it, for example `--table {tables[0].name}`",
        )

    def _count(self, table: DatabaseTable) -> str:
        with open_scratch(None, [self._work_dir]) as con:
            raw = self._ask(con, f"SELECT count(*) AS n FROM ({self._select(table, _MOST_COUNTED + 1)}) q")
            ((rows,),) = con.execute(f"SELECT c0 FROM {raw.scan}", raw.parameters).fetchall()
        more = int(rows) > _MOST_COUNTED
        return f"more than {_MOST_COUNTED:,} rows" if more else f"{int(rows):,} rows"

    def _ask(self, con: duckdb.DuckDBPyConnection, query: str) -> RawTable:
        return query_table(con, self._url, query, self._base_dir, self._work_dir)

    def _of_duckdb(self) -> list[DatabaseTable]:
        listing = (
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal UNION ALL"
            " SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
        )
        with open_scratch(None, [self._work_dir]) as con:
            raw = self._ask(con, listing)
            rows = con.execute(f"FROM {raw.scan}", raw.parameters).fetchall()
        return [
            DatabaseTable(name, None, name) if schema == "main" else DatabaseTable(f"{schema}.{name}", schema, name)
            for schema, name in rows
        ]

    def _of_any(self, named: str | None) -> list[DatabaseTable]:
        import sqlalchemy

        with reading(self._url, self._base_dir) as connection:
            asked = sqlalchemy.inspect(connection)
            found: list[tuple[str | None, str]] = [
                (None, name) for name in (*asked.get_table_names(), *asked.get_view_names())
            ]
            schema, dot, _ = (named or "").rpartition(".")
            if dot:
                found += [(schema, name) for name in (*asked.get_table_names(schema), *asked.get_view_names(schema))]
        return [DatabaseTable(name if of is None else f"{of}.{name}", of, name) for of, name in found]

    def _select(self, table: DatabaseTable, rows: int | None) -> str:
        """The SELECT of the first rows of a table, or of all, in the words of its database."""
        if backend_of(self._url) == "duckdb":
            name = ".".join(map(quote_identifier, filter(None, (table.schema, table.plain_name))))
            return f"SELECT * FROM {name}" + ("" if rows is None else f" LIMIT {rows}")
        import sqlalchemy

        source = sqlalchemy.table(table.plain_name, schema=table.schema)
        selected: Any = sqlalchemy.select(sqlalchemy.text("*")).select_from(source)
        dialect = sqlalchemy.make_url(self._url).get_dialect()()
        literally = {"literal_binds": True}
        worded = dialect.statement_compiler(dialect, selected.limit(rows), compile_kwargs=literally)
        return str(worded).replace(" \n", " ").replace("\n", " ").strip()
