"""An open warehouse on DuckDB: the few statements that others compose.

What a table must satisfy is the gate's business; which tables exist is the models'. Here is only how a table
is staged under a private name, put in the place of its predecessor, and read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from clv_pipeline.database.sql_text import quote_identifier, quote_literal
from clv_pipeline.quality import Auditor
from clv_pipeline.warehouse.parquet_tables import folders, move_into_duckdb

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.contracts import Contract


BATCH_ROWS = 250_000
"""Rows that a function over a table is given at a time."""


def staged_name(table: str) -> str:
    """The name under which `table` is built and audited before it is promoted."""
    return f"{table}__staged"


def added_name(table: str) -> str:
    """The name of the table that holds the rows which `table` gains, where only changes are staged."""
    return f"{table}__added"


NO_DAY = "date '0001-01-01'"
"""SQL: stands for the day of rows without one."""


def day_of(contract: Contract) -> str:
    """SQL for the day of a row of the contract's table."""
    if contract.day_column is None:
        return NO_DAY
    return f"coalesce(cast({quote_identifier(contract.day_column)} as date), {NO_DAY})"


def fingerprint(
    connection: duckdb.DuckDBPyConnection, relation: str, parameters: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """Number of rows and a hash of their content that does not depend on their order."""
    found = connection.execute(
        f"select count(*), format('{{:032x}}', coalesce(sum(md5_number_lower(cast(r as varchar))), 0))"  # noqa: S608
        f" from {relation} as r",
        parameters or {},
    ).fetchone()
    assert found is not None  # noqa: S101  (an aggregate always returns a row)
    return int(found[0]), str(found[1])


def _one_ahead(
    function: Callable[[pl.DataFrame], pl.DataFrame], frames: Iterable[pl.DataFrame]
) -> Iterator[pl.DataFrame]:
    """What `function` makes of each frame, in order; a thread makes the next one while one is taken."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = None
        for frame in frames:
            following = thread.submit(function, frame)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


class Session:
    """An open warehouse. A table is written by staging it whole, or its changes, and promoting; never in place."""

    stages_days = True
    """Whether a table can be built for some days only."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.auditor = Auditor(connection)
        self._replaced: dict[str, str] = {}
        """Of the tables whose changes are staged: which live rows go."""
        self.changed_days: str | None = None
        """A query for the days (column `day`) on which what is staged differs from what is live, where they are known:
        set by whoever stages it. None: every day may differ."""
        self.has_gate = False
        """Whether the gate's records are known to be there."""

    def close(self) -> None:
        """Close the connection and what shares it."""
        self.auditor.close()
        self.connection.close()

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement with bound parameters."""
        return self.connection.execute(statement, list(parameters))

    def read(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Rows of a query as a frame. For tables that grow with customers at most, never transactions."""
        frame: pl.DataFrame = self.connection.sql(query, params=list(parameters)).pl()
        return frame

    def kinds(self) -> dict[str, str]:
        """What there is in the warehouse, promoted or staged: "table" or "view" by name."""
        # Not from information_schema, which takes twice as long over the same.
        return dict(
            self.execute(
                "select table_name, 'table' from duckdb_tables()"
                " where schema_name = 'main' and database_name = current_database()"
                " union all select view_name, 'view' from duckdb_views()"
                " where schema_name = 'main' and database_name = current_database()"
            ).fetchall()
        )

    def has_table(self, table: str) -> bool:
        """Whether a promoted `table`, or view, exists."""
        return table in self.kinds()

    def count(self, table: str) -> int:
        """Number of rows of a table."""
        # fetchall, because a result that is not read to its end blocks the next statement.
        found = self.execute(f"select count(*) from {quote_identifier(table)}").fetchall()  # noqa: S608
        return int(found[0][0])

    def stage_query(self, contract: Contract, query: str) -> None:
        """Build the contract's table or view under its staging name from one SELECT."""
        self._stage_in_duckdb(contract, query)

    def stage_frame(self, contract: Contract, frame: pl.DataFrame) -> None:
        """Build the contract's table under its staging name from a frame, by column name and declared type.

        Raises:
            ValueError: the frame's columns are not the declared ones; order does not matter.
        """
        _require_declared(contract, frame)
        projection = ", ".join(
            f"cast({quote_identifier(column.name)} as {column.type}) as {quote_identifier(column.name)}"
            for column in contract.columns
        )
        with self._incoming(frame):
            self._stage_in_duckdb(contract, f"select {projection} from incoming_frame")  # noqa: S608

    def _stage_in_duckdb(self, contract: Contract, query: str) -> None:
        staged = quote_identifier(staged_name(contract.table))
        self.execute(f"create or replace {contract.materialized} {staged} as\n{query}")

    def stage_added(self, contract: Contract) -> None:
        """Make the rows in `added_name(table)` the whole staged table."""
        added, staged = quote_identifier(added_name(contract.table)), quote_identifier(staged_name(contract.table))
        self.execute(f"alter table {added} rename to {staged}")

    def stage_changes(self, contract: Contract, replaced: str) -> None:
        """Stage the live table as it will be: without the rows `replaced`, with those of `added_name(table)`.

        Only a view is made; the rows themselves are moved when the table is promoted.

        Args:
            contract: of the table, which is live; the rows that it gains are in `added_name(table)` already.
            replaced: SQL condition on the table's columns that is true of the live rows that go.
        """
        live, added = quote_identifier(contract.table), quote_identifier(added_name(contract.table))
        rows = f"select * from {live} where not coalesce({replaced}, false) union all by name select * from {added}"  # noqa: S608
        self.execute(f"create view {quote_identifier(staged_name(contract.table))} as {rows}")
        self._replaced[contract.table] = replaced
        self.changed_days = (
            f"select distinct {day_of(contract)} as day"  # noqa: S608
            f" from ({self.staged_changes(contract)})"
        )

    def staged_changes(self, contract: Contract) -> str | None:
        """A query for the rows that the contract's table loses and gains; None where it is staged whole."""
        if contract.table not in self._replaced:
            return None
        live, added = quote_identifier(contract.table), quote_identifier(added_name(contract.table))
        return (
            f"select * from {live} where {self._replaced[contract.table]}"  # noqa: S608
            f" union all by name select * from {added}"
        )

    def map_batches(
        self,
        contract: Contract,
        query: str,
        function: Callable[[pl.DataFrame], pl.DataFrame],
        parameters: Sequence[Any] = (),
    ) -> None:
        """Add to the contract's staged table what `function` makes of the rows of a query, batch by batch.

        Neither the rows nor what is made of them are ever in memory as a whole. The staged table is made where there is
        none yet. `function` is given at most BATCH_ROWS rows, in no promised order, and must not depend on which ones
        come together. It can be pickled, because other engines run it in other processes.

        Raises:
            ValueError: the columns that `function` returns are not the declared ones; order does not matter.
        """
        import polars as pl

        columns = ", ".join(f"{quote_identifier(column.name)} {column.type}" for column in contract.columns)
        self.execute(f"create table if not exists {quote_identifier(staged_name(contract.table))} ({columns})")
        # A connection of its own, because a result that is half-read blocks the statements of this one.
        with self.connection.cursor() as reading:
            batches = map(pl.DataFrame, reading.sql(query, params=list(parameters)).arrow(BATCH_ROWS))
            for frame in _one_ahead(function, batches):
                self.append_frame(contract, frame)

    def append_frame(self, contract: Contract, frame: pl.DataFrame) -> None:
        """Add rows, by column name, to the contract's table that is staged already.

        Raises:
            ValueError: the frame's columns are not the declared ones; order does not matter.
        """
        _require_declared(contract, frame)
        with self._incoming(frame):
            self.execute(f"insert into {quote_identifier(staged_name(contract.table))} by name from incoming_frame")

    @contextmanager
    def _incoming(self, frame: pl.DataFrame) -> Iterator[None]:
        """Make `frame` readable as the relation incoming_frame."""
        self.connection.register("incoming_frame", frame)
        try:
            yield
        finally:
            self.connection.unregister("incoming_frame")

    def drop_staged(self, contracts: Iterable[Contract]) -> None:
        """Sweep what was staged and not promoted."""
        self.changed_days = None
        for contract in contracts:
            changes_only = self._replaced.pop(contract.table, None) is not None
            kind = "view" if changes_only else contract.materialized
            self.execute(f"drop {kind} if exists {quote_identifier(staged_name(contract.table))}")
            self.execute(f"drop table if exists {quote_identifier(added_name(contract.table))}")

    def drop_leftovers(self) -> None:
        """Sweep what runs that were killed had staged: a step that is kept the next time does not look for it."""
        for name, kind in self.kinds().items():
            if name.endswith((staged_name(""), added_name(""))):
                self.execute(f"drop {kind} {quote_identifier(name)}")

    @contextmanager
    def all_rows_in_duckdb(self) -> Iterator[list[str]]:
        """Hold the rows of customers in DuckDB's own tables, where they can be changed. Enter it in a transaction.

        Folders that their rows were in before are swept by `parquet_tables.sweep` once that transaction is committed.
        Hands out the names of the tables that were such folders.
        """
        moved = self.tables_of_customers_elsewhere()
        for table in moved:
            move_into_duckdb(self.connection, table)
        yield moved

    def tables_of_customers_elsewhere(self) -> list[str]:
        """Names of the tables with customers whose rows are in folders of Parquet files."""
        with_customers = self.execute("select table_name from duckdb_columns() where column_name = 'customer_id'")
        names = {name for (name,) in with_customers.fetchall()}
        return sorted(names & folders(self.connection).keys())

    def _drop(self, name: str) -> None:
        # A name may be a view one night and a table the next.
        if (kind := self.kinds().get(name)) is not None:
            self.execute(f"drop {kind} {quote_identifier(name)}")

    def replace_live(self, contract: Contract) -> None:
        """Put what is staged in the place of the live table, with its comments. Call it in a transaction."""
        live, staged = quote_identifier(contract.table), quote_identifier(staged_name(contract.table))
        if (replaced := self._replaced.get(contract.table)) is not None:
            self.execute(f"delete from {live} where {replaced}")  # noqa: S608
            self.execute(f"insert into {live} by name from {quote_identifier(added_name(contract.table))}")
        else:
            self._drop(contract.table)
            self.execute(f"alter {contract.materialized} {staged} rename to {live}")
        self.comment(live, contract, contract.materialized)

    def comment(self, relation: str, contract: Contract, kind: str) -> None:
        """Write the contract's words on a table or view (`kind`) and its columns; `relation` is quoted already."""
        text = f"{contract.description} Grain: {contract.grain}."
        self.execute(f"comment on {kind} {relation} is {quote_literal(text)}")
        for column in contract.columns:
            self.execute(
                f"comment on column {relation}.{quote_identifier(column.name)} is {quote_literal(column.description)}"
            )


def _require_declared(contract: Contract, frame: pl.DataFrame) -> None:
    declared = [column.name for column in contract.columns]
    if sorted(frame.columns) != sorted(declared):
        raise ValueError(f"{contract.table}: columns {frame.columns} do not match the contract's {declared}")
