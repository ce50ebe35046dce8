"""Spark and its Iceberg tables, played by a second DuckDB: the same queries, snapshots and branches, and no Java.

That Spark itself does the same is in acceptance/test_spark_engine.py.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot

from clv_pipeline.errors import ClusterError
from clv_pipeline.spark.connect import TOLD
from clv_pipeline.spark.lake import Snapshot
from clv_pipeline.spark.session import SessionOnSpark
from clv_pipeline.warehouse import Warehouse


def duckdb_sql(query: str) -> str:
    """Spark SQL, as DuckDB understands it."""
    [translated] = sqlglot.transpile(query, read="spark", write="duckdb")
    return translated.replace("XXHASH64(", "HASH(")


def _connected() -> duckdb.DuckDBPyConnection:
    """A database that knows the functions of Spark which have no translation."""
    connection = duckdb.connect()
    connection.execute("create macro format_number(value, digits) as printf('%,.*f', digits, value)")
    return connection


@dataclass
class Table:
    """The snapshots of a table: each is a table of DuckDB."""

    owner: str
    branch: int | None = None
    main: int | None = None
    snapshots: set[int] = field(default_factory=set)
    added: dict[int, tuple[int | None, pa.Table]] = field(default_factory=dict)
    """By snapshot that only added rows: the one before, and the rows."""


@dataclass
class Storage:
    """What outlives a session: the tables in the catalog."""

    connection: duckdb.DuckDBPyConnection = field(default_factory=_connected)
    tables: dict[str, Table] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    lost: int = 0
    """How many rows of each write a worker puts where nobody finds them."""
    fails: Callable[[str, str], None] = field(default=lambda what, table: None)
    """Called before everything that is done to a table; it may raise."""
    shown: list[str] = field(default_factory=list)
    """Tables whose snapshots others were shown, in order."""


class Cluster:
    """A session on the storage."""

    is_local = True

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.queries: list[str] = []
        self._views: set[str] = set()

    def frame(self, query: str) -> pa.Table:
        self.queries.append(query)
        return self.storage.connection.sql(duckdb_sql(query)).to_arrow_table()

    rows = frame

    def frame_of_rows(self, rows: pa.Table, columns: str) -> pa.Table:
        return rows

    def fetched(self, frame: pa.Table) -> pa.Table:
        return frame

    @contextmanager
    def batches(self, query: str) -> Iterator[pa.RecordBatchReader]:
        yield self.frame(query).to_reader()

    def mapped(self, query: str, function: Callable[[pl.DataFrame], pl.DataFrame], schema: pa.Schema, _: str) -> Any:
        return function(pl.DataFrame(self.frame(query))).select(schema.names).to_arrow().cast(schema)

    def streamed(self, query: str, function: Callable[[Any], Any], _: str) -> pa.Table:
        # As workers get it, and send it.
        function = pickle.loads(pickle.dumps(function))  # noqa: S301
        numbers = re.sub(r"range\(0, (\d+), 1, \1\)", r"range(0, \1) as numbers (id)", query)
        return pa.Table.from_batches(list(function(iter(self.frame(numbers).to_batches()))))

    def most_tasks(self) -> int:
        return 3

    def parted(self, frame: pa.Table) -> tuple[pa.Table, Callable[[], list[str]]]:
        is_row = pc.is_null(frame[TOLD])
        told = frame.filter(pc.invert(is_row))[TOLD].to_pylist()
        return frame.filter(is_row).drop_columns([TOLD]), lambda: told

    def view_of_query(self, name: str, query: str) -> None:
        self.define(name, duckdb_sql(query))

    def copy_of_query(self, name: str, query: str) -> None:
        self.view_of_rows(name, self.frame(query), "")

    def drop_copy(self, name: str) -> None:
        """Views go with the session."""

    def view_of_rows(self, name: str, rows: pa.Table, _: str) -> None:
        kept = f"rows_of_{next(self.storage.numbers)}"
        self.storage.connection.register("incoming", rows)
        self.storage.connection.execute(f"create table {kept} as from incoming")
        self.define(name, f"select * from {kept}")

    def define(self, name: str, query: str) -> None:
        self.storage.connection.execute(f'create or replace view "{name}" as {query}')
        self._views.add(name)

    def close(self) -> None:
        for name in self._views:
            self.storage.connection.execute(f'drop view if exists "{name}"')
        self._views.clear()


class Lake:
    """The tables of one warehouse."""

    def __init__(self, cluster: Cluster, owner: str) -> None:
        self._cluster = cluster
        self._storage = cluster.storage
        self._owner = owner

    def _run(self, statement: str) -> None:
        self._storage.connection.execute(statement)

    def _new(self, table: str, query: str, incoming: pa.Table | None = None) -> int:
        number = next(self._storage.numbers)
        if incoming is not None:
            self._storage.connection.register("incoming", incoming)
        self._run(f'create table "{table}@{number}" as {query}')
        self._storage.tables[table].snapshots.add(number)
        self._storage.tables[table].branch = number
        return number

    def tables(self) -> list[str]:
        return [name for name, table in self._storage.tables.items() if table.owner == self._owner]

    def prepare(self, table: str, columns: Mapping[str, str], base: int | None) -> None:
        self._storage.fails("prepare", table)
        known = self._storage.tables.setdefault(table, Table(self._owner))
        if known.owner != self._owner:
            raise ClusterError(f"the table {table} in the catalog's namespace belongs to another warehouse")
        known.branch = base
        if base is None:
            nulls = ", ".join(f'cast(null as {type_}) as "{name}"' for name, type_ in columns.items())
            self._new(table, f"select {nulls} where false")

    def overwrite(self, table: str, frame: pa.Table, day: str | None = None) -> int:
        self._storage.fails("write", table)
        columns = ", ".join(f'"{name}"' for name in self._columns(table))
        kept = frame.slice(0, max(frame.num_rows - self._storage.lost, 0))
        self._new(table, f"select {columns} from incoming", kept)
        return int(frame.num_rows)

    def append(self, table: str, frame: pa.Table, day: str | None = None) -> int:
        self._storage.fails("write", table)
        known = self._storage.tables[table]
        before = known.branch
        kept = frame.slice(0, max(frame.num_rows - self._storage.lost, 0))
        number = self._new(table, f'from "{table}@{before}" union all by name from incoming', kept)
        known.added[number] = before, kept
        return int(frame.num_rows)

    def delete(self, table: str, alias: str, condition: str) -> None:
        self._storage.fails("delete", table)
        branch = self._storage.tables[table].branch
        where = duckdb_sql(f"select 1 from x where {condition}").partition(" WHERE ")[2]
        self._new(table, f'select * from "{table}@{branch}" as "{alias}" where not coalesce({where}, false)')

    def update(self, table: str, alias: str, assignments: Mapping[str, str], condition: str) -> None:
        self._storage.fails("update", table)
        branch = self._storage.tables[table].branch
        self._new(table, f'from "{table}@{branch}"')
        branch = self._storage.tables[table].branch
        where = duckdb_sql(f"select 1 from x where {condition}").partition(" WHERE ")[2]
        values = {name: duckdb_sql(f"select {value}").partition("SELECT ")[2] for name, value in assignments.items()}
        changed = ", ".join(f'"{name}" = {value}' for name, value in values.items())
        self._run(f'update "{table}@{branch}" as "{alias}" set {changed} where {where}')

    def head(self, table: str, branch: str = "staged") -> Snapshot | None:
        known = self._storage.tables[table]
        number = known.branch if branch == "staged" else known.main
        if number is None:
            return None
        [(rows,)] = self._storage.connection.execute(f'select count(*) from "{table}@{number}"').fetchall()
        return Snapshot(number, rows)

    def whole(self, table: str, expected: int) -> Snapshot:
        snapshot = self.head(table)
        assert snapshot is not None
        if snapshot.rows != expected:
            raise ClusterError(f"{table}: {expected:,} rows were written, and Spark finds {snapshot.rows:,} of them")
        return snapshot

    def view(self, name: str, table: str, snapshot: int, since: int | None) -> None:
        if since is None:
            self._cluster.define(name, f'select * from "{table}@{snapshot}"')
            return
        known, parts = self._storage.tables[table], []
        number: int | None = snapshot
        while number is not None and number != since:
            number, rows = known.added[number]
            parts.append(rows)
        self._cluster.view_of_rows(name, pa.concat_tables(parts), "")

    def show(self, table: str, snapshot: int) -> None:
        self._storage.fails("show", table)
        self._storage.tables[table].main = snapshot
        self._storage.shown.append(table)

    def drop_branch(self, table: str) -> None:
        if table in self._storage.tables:
            self._storage.tables[table].branch = None

    def expire(self, table: str, older_than: str) -> None:
        known = self._storage.tables[table]
        for number in known.snapshots - {known.main, known.branch}:
            self._run(f'drop table "{table}@{number}"')
            known.snapshots.discard(number)

    def drop(self, table: str) -> None:
        del self._storage.tables[table]

    def remove_strays(self, table: str) -> None:
        """There are none."""

    def _columns(self, table: str) -> list[str]:
        branch = self._storage.tables[table].branch
        return list(self._storage.connection.sql(f'from "{table}@{branch}" limit 0').columns)


def warehouse(path: Path, storage: Storage, *folders: Path, stays_here: tuple[str, ...] = ()) -> Warehouse:
    """A warehouse whose tables are in the storage."""

    def new_session(connection: duckdb.DuckDBPyConnection) -> SessionOnSpark:
        cluster: Any = Cluster(storage)
        new_lake: Any = lambda owner: Lake(cluster, owner)  # noqa: E731
        return SessionOnSpark(connection, cluster, new_lake, keep_days=7, stays_here=stays_here)

    return Warehouse(path, [path.parent, *folders], new_session=new_session)
