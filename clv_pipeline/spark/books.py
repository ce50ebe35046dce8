"""The gate's books on Spark's tables, in the private DuckDB file: which snapshot of a table a name stands for.

Every table of Spark has a stand-in in DuckDB: a view of the same name with the same columns and types, which fails when
somebody reads it. Staging under another name and promoting in one transaction therefore work as with DuckDB's own
tables.
"""

# Only quoted names and DuckDB types enter the SQL; values are parameters.

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse.duckdb_engine import added_name, staged_name

if TYPE_CHECKING:
    import duckdb

_RECORDS = """
create schema if not exists gate;
create table if not exists gate.lake (owner varchar not null);
create table if not exists gate.lake_tables (
    relation varchar not null, table_name varchar not null, snapshot bigint not null, since bigint,
    rows bigint not null, is_shown boolean not null
);
create table if not exists gate.lake_expiries (table_name varchar not null, expired_at timestamp not null);
"""


def is_on_spark(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether Spark holds tables of this warehouse."""
    known = connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'gate' and table_name = 'lake_tables'"
        " and database_name = current_database()"
    ).fetchall()
    return bool(known and connection.execute("select 1 from gate.lake_tables limit 1").fetchall())


@dataclass(frozen=True)
class Entry:
    """What a relation of DuckDB stands for."""

    relation: str
    table: str
    """Name of the Iceberg table."""
    snapshot: int
    since: int | None
    """Where given, only the rows that were added after this snapshot."""
    rows: int

    @property
    def content(self) -> str:
        """Identifies the rows, which never change."""
        return f"{self.table}@{self.since or ''}-{self.snapshot}"


class Books:
    """The records on Spark's tables in one warehouse."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The books in the file of `connection`."""
        self._connection = connection
        connection.execute(_RECORDS)

    @property
    def owner(self) -> str:
        """The id of this warehouse, by which its tables in the catalog are known."""
        if not (found := self._connection.execute("select owner from gate.lake").fetchall()):
            found = [(uuid.uuid4().hex,)]
            self._connection.execute("insert into gate.lake values (?)", list(found[0]))
        return str(found[0][0])

    def find(self, relation: str) -> Entry | None:
        """What a relation stands for; None if it is DuckDB's own."""
        rows = self._connection.execute(
            "select relation, table_name, snapshot, since, rows from gate.lake_tables where relation = ?", [relation]
        ).fetchall()
        return Entry(*rows[0]) if rows else None

    def all(self) -> list[Entry]:
        """All entries."""
        rows = self._connection.execute(
            "select relation, table_name, snapshot, since, rows from gate.lake_tables order by relation"
        ).fetchall()
        return [Entry(*row) for row in rows]

    def write(
        self, relation: str, table: str, columns: Mapping[str, str], snapshot: int, rows: int, since: int | None = None
    ) -> None:
        """Let `relation` stand for a snapshot of `table` with these columns (DuckDB types)."""
        nulls = ", ".join(f"cast(null as {type_}) as {quote_identifier(name)}" for name, type_ in columns.items())
        self._connection.execute(
            f"create or replace view {quote_identifier(relation)} as select {nulls}"
            " where error('the rows of this table are in the catalog, and Spark reads them')"
        )
        self._connection.execute("delete from gate.lake_tables where relation = ?", [relation])
        self._connection.execute(
            "insert into gate.lake_tables values (?, ?, ?, ?, ?, false)", [relation, table, snapshot, since, rows]
        )

    def move(self, relation: str, snapshot: int, rows: int) -> None:
        """Let a live relation stand for another snapshot of its table."""
        self._connection.execute(
            "update gate.lake_tables set snapshot = ?, rows = ?, is_shown = false where relation = ?",
            [snapshot, rows, relation],
        )

    def rename(self, relation: str, to: str) -> None:
        """Let `to` stand for what `relation` stood for. The view is renamed too."""
        self._connection.execute(f"alter view {quote_identifier(relation)} rename to {quote_identifier(to)}")
        self._connection.execute("update gate.lake_tables set relation = ? where relation = ?", [to, relation])

    def drop(self, relation: str) -> None:
        """Forget what a relation stands for. The view goes too."""
        self._connection.execute("delete from gate.lake_tables where relation = ?", [relation])
        self._connection.execute(f"drop view if exists {quote_identifier(relation)}")

    def not_shown(self) -> list[Entry]:
        """The live tables whose snapshot is not yet what others see in the catalog."""
        rows = self._connection.execute(
            "select relation, table_name, snapshot, since, rows from gate.lake_tables where not is_shown"
        ).fetchall()
        entries = [Entry(*row) for row in rows]
        return [entry for entry in entries if not entry.relation.endswith((staged_name(""), added_name("")))]

    def show_again(self) -> None:
        """Note that it is not known of any table what others see."""
        self._connection.execute("update gate.lake_tables set is_shown = false")

    def shown(self, entry: Entry) -> None:
        """Note that others see the snapshot now."""
        self._connection.execute(
            "update gate.lake_tables set is_shown = true where relation = ? and snapshot = ?",
            [entry.relation, entry.snapshot],
        )

    def is_due(self, table: str, days: int) -> bool:
        """Whether snapshots of a table were last expired so many days ago; notes that it is done now."""
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = self._connection.execute(
            "select max(expired_at) from gate.lake_expiries where table_name = ?", [table]
        ).fetchall()
        last = rows[0][0]
        if last is not None and (now - last).days < days:
            return False
        self._connection.execute("delete from gate.lake_expiries where table_name = ?", [table])
        self._connection.execute("insert into gate.lake_expiries values (?, ?)", [table, now])
        # Of a new table there is nothing to expire yet.
        return last is not None
