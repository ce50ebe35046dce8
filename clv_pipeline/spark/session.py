"""The warehouse on Spark: Spark writes and reads Iceberg tables; DuckDB keeps the books of the gate and small tables.

A table of Spark has a stand-in in the private DuckDB file (`books.py`), so that staging under another name, promoting
in one transaction and publishing work as on DuckDB alone. Small tables built by Python stay in DuckDB, and are sent
along with the queries that read them; queries that read nothing else are DuckDB's.
"""

# Only quoted names of contracts and conditions that this package wrote itself enter the SQL.
# ruff: noqa: S608

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.loader import DIALECT
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.quality import Auditor
from clv_pipeline.spark.books import Books, Entry, is_on_spark
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.lake import Lake, server_settings, spark_columns
from clv_pipeline.spark.readers import FileReaders
from clv_pipeline.spark.routed_connection import RoutedConnection
from clv_pipeline.spark.translate import Parameters, translate
from clv_pipeline.warehouse.duckdb_engine import (
    NO_DAY,
    Session,
    added_name,
    day_of,
    fingerprint,
    require_declared,
    staged_name,
)

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

    from clv_pipeline.config.operation import Catalog, Spark
    from clv_pipeline.contracts import Contract
    from clv_pipeline.sources.far import Workers

ROWS_HERE = 20_000
"""Most rows of a table built by Python that stays in DuckDB and is sent along with queries."""

ROWS_AT_ONCE = 100_000
"""Rows that go from this process to Spark at a time."""


@dataclass(frozen=True)
class _Relation:
    """What a name in a query refers to."""

    name: str
    """Its name in queries for Spark."""
    here: str
    """Its quoted name in DuckDB."""
    columns: Mapping[str, str]
    """DuckDB types by name."""
    entry: Entry | None = None
    """What it stands for, if Spark holds it."""
    query: exp.Expr | None = None
    """Its SELECT, if it is a view of other relations. Without entry and query, DuckDB holds the rows."""


class SessionOnSpark(Session):
    """An open warehouse whose SQL models run on Spark."""

    builds_in_duckdb = False
    most_published_rows = 50_000_000
    """One machine writes the published DuckDB file and verifies it; BI reads larger tables in the catalog."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        cluster: Cluster,
        new_lake: Callable[[str], Lake],
        keep_days: int,
        stays_here: Collection[str] = (),
    ) -> None:
        """A session over the books in `connection`.

        Args:
            connection: connection to the private DuckDB file.
            cluster: the Spark session that runs queries.
            new_lake: makes the tables of the warehouse with this id.
            keep_days: how long a snapshot stays after it was replaced, at least.
            stays_here: names of small tables that others read in the DuckDB file while no Spark is there.
        """
        super().__init__(connection)
        self.auditor = Auditor(RoutedConnection(connection, self))
        self._cluster = cluster
        self._books = Books(connection)
        self._lake = new_lake(self._books.owner)
        self._keep_days = keep_days
        self._stays_here = stays_here
        self._sent: dict[str, str] = {}
        """Definitions that Spark already knows, by name."""
        self._definitions: dict[str, str] = {}
        """The queries that are readable under a name for a while."""
        self._copied: set[str] = set()
        """Those of which Spark makes a copy."""
        self._queries: dict[str, str] = {}
        """By table whose changes are staged: the query for its new rows, as Spark SQL."""

    def close(self) -> None:
        """Close the connection and end the Spark session."""
        super().close()
        self._cluster.close()

    # --- reading ---

    def read(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Rows of a query as a frame: from Spark, unless the query reads only what DuckDB holds."""
        if self._is_for_duckdb(query):
            return super().read(query, parameters)
        import polars as pl

        return pl.DataFrame(self.to_spark(query, parameters))

    def ask(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The few rows of a query, from Spark or DuckDB."""
        if self._is_for_duckdb(query):
            return super().ask(query, parameters)
        answer = self.to_spark(query, parameters)
        return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))

    @contextmanager
    def brought(self, query: str) -> Iterator[str]:
        """The rows of a query, which Spark's batches fill into a temporary table of DuckDB."""
        if self._is_for_duckdb(query):
            with super().brought(query) as rows:
                yield rows
            return
        name = f"brought_{uuid.uuid4().hex}"
        self._bring(query, f"temp table {name}")
        try:
            yield name
        finally:
            self.execute(f"drop table {name}")

    def _bring(self, query: str, table: str) -> None:
        with self._cluster.batches(self._for_spark(query)) as arriving:
            self.connection.register("arriving_rows", arriving)
            try:
                self.execute(f"create or replace {table} as select * from arriving_rows")
            finally:
                self.connection.unregister("arriving_rows")

    def to_spark(self, query: str, parameters: Parameters = ()) -> pa.Table:
        """Rows of a DuckDB query that Spark runs."""
        return self._cluster.rows(self._for_spark(query, parameters))

    def define(self, name: str, query: str, *, is_read_once: bool = False) -> None:
        """Make the rows of a query readable as `name`; of what Spark holds, its workers keep the copy."""
        if self._is_for_duckdb(query):
            super().define(name, query, is_read_once=is_read_once)
            return
        self.execute(f"create or replace view {quote_identifier(name)} as {query}")
        # DuckDB would give it back in other words.
        self._definitions[name] = query
        if not is_read_once:
            self._copied.add(name)

    def undefine(self, name: str) -> None:
        """Remove what `define` made, if it did."""
        if self._definitions.pop(name, None) is not None:
            self.execute(f"drop view {quote_identifier(name)}")
            self._copied.discard(name)
            self._sent.pop(name, None)
            self._cluster.drop_copy(name)
        else:
            super().undefine(name)

    def is_elsewhere(self, relation: str) -> bool:
        """Whether Spark, and not DuckDB, holds the rows of a relation."""
        return not self._is_native(self._relation(exp.table_(relation)))

    def count(self, table: str) -> int:
        """Number of rows of a table: of Spark's tables the books know it, views of them are counted by Spark."""
        if (entry := self._books.find(table)) is not None:
            return entry.rows
        if self.is_elsewhere(table):
            return int(self.ask(f"select count(*) as n from {quote_identifier(table)}")[0][0])
        return super().count(table)

    def fingerprint_of(self, table: str) -> tuple[int, str]:
        """Number of rows of a small table, and a hash of its content as DuckDB would have it."""
        columns = self._relation(exp.table_(table)).columns
        typed = ", ".join(
            f"cast({quote_identifier(name)} as {type_}) as {quote_identifier(name)}" for name, type_ in columns.items()
        )
        with self.brought(f"select * from {quote_identifier(table)}") as rows:
            return fingerprint(self.connection, f"(select {typed} from {rows})")

    # --- staging ---

    def stage_query(self, contract: Contract, query: str) -> None:
        """Build the contract's table on Spark under its staging name; for a view, only its definition."""
        if contract.materialized == "view":
            self._stage_in_duckdb(contract, query)
        elif self._is_for_duckdb(query):
            self._stage_in_duckdb(contract, query)
            self._hand_over_if_large(contract)
        elif contract.table in self._stays_here:
            with self.brought(query) as rows:
                typed = ", ".join(f"cast({quote_identifier(c.name)} as {c.type}) as {c.name}" for c in contract.columns)
                self._stage_in_duckdb(contract, f"select {typed} from {rows}")
        else:
            query = self._for_spark(query, columns=_declared(contract))
            self._prepare(contract, base=None)
            written = self._lake.overwrite(contract.table, self._cluster.frame(query), contract.day_column)
            self._note_staged(contract, written)

    def stage_frame(self, contract: Contract, frame: pl.DataFrame) -> None:
        """Build the contract's table from a frame: in DuckDB, unless it has many rows."""
        super().stage_frame(contract, frame)
        self._hand_over_if_large(contract)

    def append_frame(self, contract: Contract, frame: pl.DataFrame) -> None:
        """Add rows to a staged table, which goes to Spark once it has many rows."""
        staged = staged_name(contract.table)
        if (entry := self._books.find(staged)) is None:
            super().append_frame(contract, frame)
            self._hand_over_if_large(contract)
            return
        require_declared(contract, frame)
        ordered = frame.select(list(_declared(contract)))
        with self._incoming(ordered):
            written = self._upload(contract, "incoming_frame", is_whole=False)
        self._note_staged(contract, entry.rows + written)

    def stage_added(self, contract: Contract) -> None:
        """Turn the rows in `added_name(table)` into the whole staged table: workers have written them, or DuckDB."""
        added = added_name(contract.table)
        if (entry := self._books.find(added)) is None:
            self._hand_over(contract, added)
            return
        self._drop(added)
        self._note_staged(contract, entry.rows)

    def readers(self, contract: Contract) -> Workers:
        """Spark's workers, which read files into `added_name(table)`."""
        save, carry_over = partial(self._add_read, contract), partial(self._add_kept, contract)
        return FileReaders(
            self._cluster, self._arrow_schema(contract), spark_columns(_declared(contract)), save, carry_over
        )

    def _arrow_schema(self, contract: Contract) -> pa.Schema:
        types = ", ".join(f"cast(null as {c.type}) as {quote_identifier(c.name)}" for c in contract.columns)
        return self.connection.sql(f"select {types} limit 0").to_arrow_table().schema

    def _add_read(self, contract: Contract, frame: Any, is_whole: bool) -> list[str]:
        """Write what workers read on the branch, as the only rows or beside the live ones; what they tell beside it."""
        table, added = contract.table, added_name(contract.table)
        live = None if is_whole else self._books.find(table)
        rows, told = self._cluster.parted(frame)
        self._prepare(contract, base=None if live is None else live.snapshot)
        if live is None:
            written, before = self._lake.overwrite(table, rows), None
        else:
            written, before = self._lake.append(table, rows), live.snapshot
        snapshot = self._lake.whole(table, written + (0 if live is None else live.rows))
        self._drop(added)
        self._note_added(added, table, _declared(contract), before, snapshot.id, written)
        return told()

    def _add_kept(self, contract: Contract, query: str) -> None:
        """Add rows of the live table to those that workers read as the only ones."""
        table, added, columns = contract.table, added_name(contract.table), _declared(contract)
        entry = self._books.find(added)
        known = self._relation(exp.table_(table)).columns
        nulls = "".join(f", null as {quote_identifier(name)}" for name in columns if name not in known)
        frame = self._cluster.frame(self._for_spark(f"select *{nulls} from ({query}) as kept", columns=columns))
        written = self._lake.append(table, frame) + (0 if entry is None else entry.rows)
        snapshot = self._lake.whole(table, written)
        self._drop(added)
        self._note_added(added, table, columns, None, snapshot.id, written)

    def add_query(self, contract: Contract, query: str) -> None:
        """Note the query for the new rows of a table; Spark runs it when the changes are staged."""
        self._queries[contract.table] = self._for_spark(query, columns=_declared(contract))

    def copy_of_days(self, contract: Contract, days: str, copy: str) -> None:
        """Make the rows of a live table on some days readable as `copy`, which is only a definition."""
        column = quote_identifier(str(contract.day_column))
        ((first, last, undated),) = self.execute(
            f"select min(day) filter (day <> {NO_DAY}), max(day) filter (day <> {NO_DAY}),"
            f" count(*) filter (day = {NO_DAY}) > 0 from {days}"
        ).fetchall()
        condition = f"{day_of(contract)} in (select day from {days})"
        if not undated and first is not None:
            # Files of other days are not opened.
            condition += f" and {column} >= date '{first}' and {column} < date '{last + timedelta(days=1)}'"
        self.execute(
            f"create or replace view {quote_identifier(copy)} as select * from {quote_identifier(contract.table)}"
            f" where {condition}"
        )

    def drop_copy(self, copy: str) -> None:
        """Remove what `copy_of_days` made."""
        self.execute(f"drop view {quote_identifier(copy)}")

    def stage_changes(self, contract: Contract, replaced: str) -> None:
        """Stage the live table with its changes, as rows deleted and added on the branch."""
        table, added = contract.table, added_name(contract.table)
        live = self._books.find(table)
        if live is None:
            self._stage_changes_of_duckdb(contract, replaced)
            return
        condition = self._condition(table, replaced)
        there = self._books.find(added)
        if there is None:
            self._prepare(contract, base=live.snapshot)
        # What workers read is on the branch already. It has other numbers than what is replaced.
        self._lake.delete(table, table, condition)
        deleted = self._lake.head(table)
        assert deleted is not None  # noqa: S101  (the branch is at the live snapshot)
        written = 0
        if (query := self._queries.pop(table, None)) is not None:
            written = self._lake.append(table, self._cluster.frame(query), contract.day_column)
        elif there is None and (rows := super().count(added)):
            written = self._upload(contract, quote_identifier(added), is_whole=False)
            assert written == rows  # noqa: S101
        staged = self._lake.whole(table, deleted.rows + written)
        columns = _declared(contract)
        self._books.write(staged_name(table), table, columns, staged.id, staged.rows)
        if there is None and (written or super().kinds().get(added) != "table"):
            self._drop(added)
            self._note_added(added, table, columns, deleted.id, staged.id, written)
        self._replaced[table] = replaced
        self.changed_days = f"select distinct {day_of(contract)} as day from ({self.staged_changes(contract)})"

    def _stage_changes_of_duckdb(self, contract: Contract, replaced: str) -> None:
        """Stage the changes of a table that DuckDB still holds, as it does after the engine was changed: whole."""
        live, added = quote_identifier(contract.table), quote_identifier(added_name(contract.table))
        self.execute(
            f"create or replace temp table kept_rows as select * from {live} where not coalesce({replaced}, false)"
        )
        if (there := self._books.find(added_name(contract.table))) is not None:
            written = self._upload(contract, "kept_rows", is_whole=False)
            self.execute("drop table kept_rows")
            self._drop(added_name(contract.table))
            self._note_staged(contract, there.rows + written)
            return
        self.execute(f"insert into {added} by name select * from kept_rows")
        self.execute("drop table kept_rows")
        self.stage_added(contract)

    def _note_added(
        self, added: str, table: str, columns: Mapping[str, str], since: int | None, snapshot: int, rows: int
    ) -> None:
        if rows:
            self._books.write(added, table, columns, snapshot, rows, since)
            return
        listed = ", ".join(f"{quote_identifier(name)} {type_}" for name, type_ in columns.items())
        self.execute(f"create table {quote_identifier(added)} ({listed})")

    def map_batches(
        self,
        contract: Contract,
        query: str,
        function: Callable[[pl.DataFrame], pl.DataFrame],
        parameters: Sequence[Any] = (),
    ) -> None:
        """Apply `function` to a query's rows on Spark's workers, and add the result to the contract's staged table."""
        frame = self._cluster.mapped(
            self._for_spark(query, parameters),
            function,
            self._arrow_schema(contract),
            spark_columns(_declared(contract)),
        )
        before = self._books.find(staged_name(contract.table))
        if before is None:
            self._prepare(contract, base=None)
            written = self._lake.overwrite(contract.table, frame)
        else:
            written = before.rows + self._lake.append(contract.table, frame)
        self._note_staged(contract, written)

    def _prepare(self, contract: Contract, base: int | None) -> None:
        self._lake.prepare(contract.table, _declared(contract), base)

    def _note_staged(self, contract: Contract, rows: int) -> None:
        """Hold what workers wrote against what the snapshot has, and let the staging name stand for it."""
        snapshot = self._lake.whole(contract.table, rows)
        self._books.write(staged_name(contract.table), contract.table, _declared(contract), snapshot.id, snapshot.rows)

    def _hand_over_if_large(self, contract: Contract) -> None:
        if contract.table not in self._stays_here and super().count(staged_name(contract.table)) > ROWS_HERE:
            self._hand_over(contract, staged_name(contract.table))

    def _hand_over(self, contract: Contract, loaded: str) -> None:
        """Write a table of DuckDB to the staged table of Spark, and drop it."""
        self._prepare(contract, base=None)
        written = self._upload(contract, quote_identifier(loaded), is_whole=True)
        self._drop(loaded)
        self._note_staged(contract, written)

    def _upload(self, contract: Contract, relation: str, *, is_whole: bool) -> int:
        """Write rows of DuckDB on the branch, a bounded number at a time; returns how many the workers wrote."""
        import pyarrow as pa

        columns = _declared(contract)
        ordered = ", ".join(map(quote_identifier, columns))
        written, first = 0, is_whole
        for batch in self.connection.sql(f"select {ordered} from {relation}").arrow(ROWS_AT_ONCE):
            written += self._save(contract, pa.Table.from_batches([batch]), is_first=first)
            first = False
        if first:
            empty = self.connection.sql(f"select {ordered} from {relation} limit 0").to_arrow_table()
            self._save(contract, empty, is_first=True)
        return written

    def _save(self, contract: Contract, rows: pa.Table, *, is_first: bool) -> int:
        frame = self._cluster.frame_of_rows(rows, spark_columns(_declared(contract)))
        return (self._lake.overwrite if is_first else self._lake.append)(contract.table, frame)

    # --- promoting ---

    def replace_live(self, contract: Contract) -> None:
        """Replace the live table by the staged one, with its comments. Call it in a transaction."""
        live, staged = contract.table, staged_name(contract.table)
        self._replaced.pop(live, None)
        kind = self.kinds()[staged]
        self._drop(live)
        if self._books.find(staged) is not None:
            self._books.rename(staged, live)
        else:
            self.execute(f"alter {kind} {quote_identifier(staged)} rename to {quote_identifier(live)}")
        self.comment(quote_identifier(live), contract, kind)

    def drop_staged(self, contracts: Iterable[Contract]) -> None:
        """Forget what was staged and not promoted, and show others what was."""
        self.changed_days = None
        for contract in contracts:
            self._replaced.pop(contract.table, None)
            self._queries.pop(contract.table, None)
            staged, added = staged_name(contract.table), added_name(contract.table)
            if self._books.find(staged) is not None or self._books.find(added) is not None:
                self._lake.drop_branch(contract.table)
            self._drop(staged)
            self._drop(added)
        self._show_promoted()

    def drop_leftovers(self) -> None:
        """Forget what killed runs had staged, and show others what they had promoted."""
        for name in self.kinds():
            if name.endswith((staged_name(""), added_name(""), "__affected")):
                entry = self._books.find(name)
                if entry is not None and name in (staged_name(entry.table), added_name(entry.table)):
                    self._lake.drop_branch(entry.table)
                self._drop(name)
        self._show_promoted()

    def show_live(self) -> None:
        """Let the catalog follow the books in every table: those of a backup name other snapshots than it shows."""
        self._books.show_again()
        self._show_promoted()

    def _show_promoted(self) -> None:
        """Let the catalog follow the books. If this is stopped, the next open does it."""
        for entry in self._books.not_shown():
            self._lake.show(entry.table, entry.snapshot)
            self._books.shown(entry)
            if self._books.is_due(entry.table, self._keep_days):
                before = datetime.now(UTC) - timedelta(days=self._keep_days)
                self._lake.expire(entry.table, f"{before:%Y-%m-%d %H:%M:%S}")

    def _drop(self, name: str) -> None:
        if self._books.find(name) is not None:
            self._books.drop(name)
        else:
            super()._drop(name)

    def take_back(self) -> None:
        """Copy every live table of Spark into DuckDB, and remove it from the catalog: the engine was changed."""
        self.drop_leftovers()
        entries = self._books.all()
        self.execute("begin transaction")
        try:
            for entry in entries:
                typed = ", ".join(
                    f"cast({quote_identifier(name)} as {type_}) as {quote_identifier(name)}"
                    for name, type_ in self._relation(exp.table_(entry.relation)).columns.items()
                )
                with self.brought(f"select * from {quote_identifier(entry.relation)}") as rows:
                    self._books.drop(entry.relation)
                    self.execute(f"create table {quote_identifier(entry.relation)} as select {typed} from {rows}")
            self.execute("commit")
        except BaseException:
            self.execute("rollback")
            raise
        for entry in entries:
            self._lake.drop(entry.table)

    def end_spark(self) -> None:
        """End the Spark session; the connection stays."""
        self.auditor.close()
        self._cluster.close()

    # --- erasing ---

    def tables_elsewhere(self) -> dict[str, list[str]]:
        """Columns of the live tables that Spark holds, by name."""
        return {
            entry.relation: list(self._relation(exp.table_(entry.relation)).columns)
            for entry in self._books.all()
            if entry.relation == entry.table
        }

    def customers_elsewhere(self, is_meant: Callable[[str], bool]) -> list[str]:
        """Ids for which `is_meant` holds in tables of Spark; its workers look for them."""
        import pyarrow as pa

        tables = [table for table, columns in self.tables_elsewhere().items() if "customer_id" in columns]
        if not tables:
            return []
        every = " union ".join(f"select customer_id from {quote_identifier(table)}" for table in tables)
        query = self._for_spark(f"select customer_id from ({every}) as everybody where customer_id is not null")
        schema = pa.schema([("customer_id", pa.string())])
        found = self._cluster.fetched(self._cluster.mapped(query, _Meant(is_meant), schema, "customer_id string"))
        return sorted(found["customer_id"].to_pylist())

    def delete_rows(self, table: str, condition: str) -> int:
        """Delete rows of a live table; the transaction decides whether it stays live with or without them."""
        if (entry := self._books.find(table)) is None:
            return super().delete_rows(table, condition)
        there = self._condition(table, condition)
        self._branch_at(entry)
        self._lake.delete(table, table, there)
        return self._moved(entry)

    def update_rows(self, table: str, assignments: Mapping[str, str], condition: str) -> int:
        """Change rows of a live table."""
        if (entry := self._books.find(table)) is None:
            return super().update_rows(table, assignments, condition)
        rows = int(self.ask(f"select count(*) as n from {quote_identifier(table)} where {condition}")[0][0])
        if rows:
            there = self._condition(table, condition)
            values = {name: self._value(table, name, value) for name, value in assignments.items()}
            self._branch_at(entry)
            self._lake.update(table, table, values, there)
            self._moved(entry)
        return rows

    def insert_rows(self, table: str, query: str) -> None:
        """Add rows to a live table."""
        if (entry := self._books.find(table)) is None:
            with self.brought(query) as rows:
                super().insert_rows(table, f"select * from {rows}")
            return
        columns = dict(self._relation(exp.table_(table)).columns)
        there = self._for_spark(query, columns=columns)
        self._branch_at(entry)
        self._lake.append(table, self._cluster.frame(there))
        self._moved(entry)

    def forget_replaced_rows(self) -> None:
        """Remove every snapshot that is not live, and the files that only they have, from storage."""
        entries = {entry.table: entry for entry in self._books.all()}
        if not entries:
            return
        self._show_promoted()
        later = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d %H:%M:%S}"
        for table in self._lake.tables():
            if table not in entries:
                self._lake.drop(table)
                continue
            self._lake.drop_branch(table)
            self._lake.expire(table, later)
            self._lake.remove_strays(table)

    def _branch_at(self, entry: Entry) -> None:
        self._lake.prepare(entry.table, self._relation(exp.table_(entry.relation)).columns, entry.snapshot)

    def _moved(self, entry: Entry) -> int:
        """Let the live relation stand for the head of the branch; returns how many rows it has fewer."""
        head = self._lake.head(entry.table)
        assert head is not None  # noqa: S101  (the branch was made)
        self._books.move(entry.relation, head.id, head.rows)
        self._sent.pop(entry.relation, None)
        return entry.rows - head.rows

    # --- queries for Spark ---

    def _condition(self, table: str, condition: str) -> str:
        """A condition on the rows of a table, as Spark SQL."""
        query = self._for_spark(f"select 1 as one from {quote_identifier(table)} where coalesce({condition}, false)")
        return str(sqlglot.parse_one(query, dialect="spark").args["where"].this.sql("spark"))

    def _value(self, table: str, column: str, value: str) -> str:
        """The new value of a column, as Spark SQL."""
        type_ = self._relation(exp.table_(table)).columns[column]
        query = self._for_spark(f"select {value} as v from {quote_identifier(table)}", columns={"v": type_})
        return str(sqlglot.parse_one(query, dialect="spark").expressions[0].unalias().sql("spark"))

    def _for_spark(self, query: str, parameters: Parameters = (), columns: Mapping[str, str] | None = None) -> str:
        """The query as Spark SQL, its result cast to `columns`; Spark knows the tables that it reads."""
        return self._translated(sqlglot.parse_one(query, dialect=DIALECT), parameters, columns)[0]

    def _translated(
        self, query: exp.Expr, parameters: Parameters = (), columns: Mapping[str, str] | None = None
    ) -> tuple[str, str]:
        """The query as Spark SQL, and an identifier of its result."""
        read = []
        for table in _tables_of(query):
            relation = self._relation(table)
            if table.db:
                # In place, because joins of a table hang on its node.
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.alias_or_name)))
                table.set("this", exp.to_identifier(relation.name))
                table.set("db", None)
            read.append(relation)
        definitions = [self._send(relation) for relation in {relation.name: relation for relation in read}.values()]
        schema = {relation.name: relation.columns for relation in read}
        spark = translate(query.sql(DIALECT), schema, parameters, columns)
        return spark, "\n".join([spark, *definitions])

    def _send(self, relation: _Relation) -> str:
        """Make sure that Spark knows a relation; return an identifier of its content."""
        if relation.entry is not None:
            entry, definition = relation.entry, relation.entry.content
            if self._sent.get(relation.name) != definition:
                self._lake.view(relation.name, entry.table, entry.snapshot, entry.since)
        elif relation.query is not None:
            query, definition = self._translated(relation.query.copy())
            if self._sent.get(relation.name) != definition:
                is_copied = relation.name in self._copied
                (self._cluster.copy_of_query if is_copied else self._cluster.view_of_query)(relation.name, query)
        else:
            # It is small, and may have changed.
            definition = uuid.uuid4().hex
            rows = self.connection.sql(f"select * from {relation.here}").to_arrow_table()
            self._cluster.view_of_rows(relation.name, rows, spark_columns(relation.columns))
        self._sent[relation.name] = definition
        return definition

    def _relation(self, table: exp.Table) -> _Relation:
        """The relation that a name in a query refers to."""
        name = "__of__".join(filter(None, [table.db, table.name]))
        here = ".".join(quote_identifier(part) for part in (table.db, table.name) if part)
        columns = self.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? and schema_name = ?"
            " order by column_index",
            [table.name, table.db or "main"],
        ).fetchall()
        if table.db:
            return _Relation(name, here, dict(columns))
        if (entry := self._books.find(table.name)) is not None:
            return _Relation(name, here, dict(columns), entry)
        if (query := self._definitions.get(table.name)) is not None:
            return _Relation(name, here, dict(columns), query=sqlglot.parse_one(query, dialect=DIALECT))
        views = self.execute(
            "select sql from duckdb_views() where view_name = ? and database_name = current_database()", [table.name]
        ).fetchall()
        if not views:
            return _Relation(name, here, dict(columns))
        return _Relation(name, here, dict(columns), query=sqlglot.parse_one(views[0][0], dialect=DIALECT).expression)

    def _is_for_duckdb(self, query: str) -> bool:
        """Whether a query reads nothing but what DuckDB holds."""
        asked = _tables_of(sqlglot.parse_one(query, dialect=DIALECT))
        return all(self._is_native(self._relation(table)) for table in asked)

    def _is_native(self, relation: _Relation) -> bool:
        if relation.query is not None:
            return all(self._is_native(self._relation(table)) for table in _tables_of(relation.query))
        return relation.entry is None


@dataclass(frozen=True)
class _Meant:
    """Those of the ids in a frame that are meant."""

    is_meant: Callable[[str], bool]

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        return frame.filter(pl.col("customer_id").map_elements(self.is_meant, return_dtype=pl.Boolean))


def on_spark(
    spark: Spark, catalog: Catalog, warehouse: str, stays_here: Collection[str] = ()
) -> Callable[[duckdb.DuckDBPyConnection], SessionOnSpark]:
    """A factory of sessions for a warehouse on Spark; a session connects with its first query to Spark.

    Args:
        spark: how Spark is reached.
        catalog: the catalog of its tables.
        warehouse: where their files are.
        stays_here: names of small tables that others read in the DuckDB file while no Spark is there.
    """

    def new_session(connection: duckdb.DuckDBPyConnection) -> SessionOnSpark:
        cluster = Cluster(spark.remote, spark.config, server_settings(catalog, warehouse))
        return SessionOnSpark(
            connection, cluster, partial(Lake, cluster, catalog.namespace), catalog.keep_days, stays_here
        )

    return new_session


def on_duckdb(spark: Spark, catalog: Catalog, warehouse: str) -> Callable[[duckdb.DuckDBPyConnection], Session]:
    """A factory of sessions for a warehouse on DuckDB, which takes back what Spark held before, once."""

    def new_session(connection: duckdb.DuckDBPyConnection) -> Session:
        if is_on_spark(connection):
            there = on_spark(spark, catalog, warehouse)(connection)
            try:
                there.take_back()
            finally:
                there.end_spark()
        return Session(connection)

    return new_session


def _declared(contract: Contract) -> dict[str, str]:
    return {column.name: column.type for column in contract.columns}


def _tables_of(query: exp.Expr) -> list[exp.Table]:
    """The tables that a query reads, without its own common table expressions."""
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    return [table for table in query.find_all(exp.Table) if table.name and (table.db or table.name not in own)]
