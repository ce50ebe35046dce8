"""An open warehouse on DuckDB: the few statements that other modules compose.

The gate decides what a table must satisfy, and the models decide which tables exist. Here belongs only how a table is
staged under a private name, how it replaces its predecessor, and how it is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb

from clv_pipeline.database.sql_text import quote_identifier, quote_literal
from clv_pipeline.quality import Auditor

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.contracts import Contract
    from clv_pipeline.sources.far import Workers


BATCH_ROWS = 250_000
"""Number of rows that a function over a table gets at a time."""


def staged_name(table: str) -> str:
    """The name under which `table` is built and audited before it is promoted."""
    return f"{table}__staged"


def added_name(table: str) -> str:
    """The name of the table that holds the new rows of `table` when only changes are staged."""
    return f"{table}__added"


NO_DAY = "date '0001-01-01'"
"""SQL for the day of rows without a day."""


def day_of(contract: Contract) -> str:
    """SQL for the day of a row of the contract's table."""
    if contract.day_column is None:
        return NO_DAY
    return f"coalesce(cast({quote_identifier(contract.day_column)} as date), {NO_DAY})"


def fingerprint(
    connection: duckdb.DuckDBPyConnection, relation: str, parameters: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """The number of rows, and a hash of their content that does not depend on their order."""
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
    """The results of `function` for each frame, in order. A thread computes the next result while one is used."""
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
    """An open warehouse. A table, or its changes, are staged and then promoted; nothing is written in place."""

    builds_in_duckdb = True
    """Whether queries that build tables run in DuckDB, where they can read temporary tables."""
    most_published_rows: float = math.inf
    """Most rows of a table that is published as a DuckDB file. What has more stays where this engine keeps it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.auditor = Auditor(connection)
        self._replaced: dict[str, str] = {}
        """By table whose changes are staged: the condition for the live rows that are removed."""
        self.changed_days: str | None = None
        """A query for the days (column `day`) on which staged and live rows differ. The code that stages sets it. None:
        every day may differ."""
        self.has_gate = False
        """Whether the gate's records are known to exist."""

    def close(self) -> None:
        """Close the connection and everything that shares it."""
        self.auditor.close()
        self.connection.close()

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement with bound parameters."""
        return self.connection.execute(statement, list(parameters))

    def read(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """The rows of a query as a frame. For tables that grow at most with the customers, never for transactions."""
        frame: pl.DataFrame = self.connection.sql(query, params=list(parameters)).pl()
        return frame

    def kinds(self) -> dict[str, str]:
        """The kind ("table" or "view") of everything in the warehouse, promoted or staged, by name."""
        # Not from information_schema, which takes twice as long.
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

    def ask(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The few rows of a query, as tuples. Parameters are `?` by position, or `$name` by name."""
        return self.connection.execute(query, parameters).fetchall()

    def days_of(self, query: str) -> list[date]:
        """The distinct days (column `day`) of a query such as `changed_days`."""
        return [day for (day,) in self.ask(f"select distinct day from ({query})")]  # noqa: S608

    @contextmanager
    def brought(self, query: str) -> Iterator[str]:
        """The rows of a query within statements of DuckDB's own, as SQL that stands for a relation.

        With another engine they are copied for so long: ask for no more rows and columns than are needed.
        """
        yield f"({query})"

    def fingerprint_of(self, table: str) -> tuple[int, str]:
        """Number of rows of a small table, and a hash of its content."""
        return fingerprint(self.connection, quote_identifier(table))

    def count(self, table: str) -> int:
        """Number of rows of a table."""
        # fetchall, because a result that is not fully read blocks the next statement.
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
        require_declared(contract, frame)
        projection = ", ".join(
            f"cast({quote_identifier(column.name)} as {column.type}) as {quote_identifier(column.name)}"
            for column in contract.columns
        )
        with self._incoming(frame):
            self._stage_in_duckdb(contract, f"select {projection} from incoming_frame")  # noqa: S608

    def _stage_in_duckdb(self, contract: Contract, query: str) -> None:
        staged = quote_identifier(staged_name(contract.table))
        self.execute(f"create or replace {contract.materialized} {staged} as\n{query}")

    def add_query(self, contract: Contract, query: str) -> None:
        """Build the new rows of a table (`added_name`) from one SELECT; `stage_changes` comes next."""
        self.execute(f"create table {quote_identifier(added_name(contract.table))} as {query}")

    def copy_of_days(self, contract: Contract, days: str, copy: str) -> None:
        """Make the rows of a live table on some days readable as `copy`, which `drop_copy` removes.

        `days` is a table with the column `day`, which is NO_DAY for rows without a day.
        """
        column, table = quote_identifier(str(contract.day_column)), quote_identifier(contract.table)
        ((first, last, undated),) = self.execute(
            f"select min(day) filter (day <> {NO_DAY}), max(day) filter (day <> {NO_DAY}),"  # noqa: S608
            f" count(*) filter (day = {NO_DAY}) > 0 from {days}"
        ).fetchall()
        self.execute(
            # The range lets the scan skip whole blocks of the table.
            f"create or replace temp table {quote_identifier(copy)} as select * from {table}"  # noqa: S608
            f" where {column} >= ? and {column} < cast(? as date) + 1"
            f" and cast({column} as date) in (select day from {days})",
            [first, last],
        )
        if undated:
            self.execute(f"insert into {quote_identifier(copy)} select * from {table} where {column} is null")  # noqa: S608

    def drop_copy(self, copy: str) -> None:
        """Remove what `copy_of_days` made."""
        self.execute(f"drop table {quote_identifier(copy)}")

    def stage_added(self, contract: Contract) -> None:
        """Use the rows in `added_name(table)` as the whole staged table."""
        added, staged = quote_identifier(added_name(contract.table)), quote_identifier(staged_name(contract.table))
        self.execute(f"alter table {added} rename to {staged}")

    def stage_changes(self, contract: Contract, replaced: str) -> None:
        """Stage the future live table: without the rows `replaced`, and with those of `added_name(table)`.

        Only a view is made. The rows themselves are moved when the table is promoted.

        Args:
            contract: contract of the table, which is live. Its new rows are in `added_name(table)` already.
            replaced: SQL condition on the table's columns that is true for the live rows to remove.
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
        """A query for the rows that the contract's table loses and gains; None if it is staged whole."""
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
        """Apply `function` to the rows of a query, batch by batch, and add the results to the contract's staged table.

        Neither the rows nor the results are ever in memory as a whole. The staged table is created if there is none.
        `function` gets at most BATCH_ROWS rows, in no promised order, and must not depend on which rows share a batch.
        It can be pickled, because other engines run it in other processes.

        Raises:
            ValueError: the columns that `function` returns are not the declared ones; order does not matter.
        """
        import polars as pl

        columns = ", ".join(f"{quote_identifier(column.name)} {column.type}" for column in contract.columns)
        self.execute(f"create table if not exists {quote_identifier(staged_name(contract.table))} ({columns})")
        # A connection of its own, because a half-read result blocks the statements of this connection.
        with self.connection.cursor() as reading:
            batches = map(pl.DataFrame, reading.sql(query, params=list(parameters)).arrow(BATCH_ROWS))
            for frame in _one_ahead(function, batches):
                self.append_frame(contract, frame)

    def append_frame(self, contract: Contract, frame: pl.DataFrame) -> None:
        """Add rows, by column name, to the contract's table, which is staged already.

        Raises:
            ValueError: the frame's columns are not the declared ones; order does not matter.
        """
        require_declared(contract, frame)
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
        """Drop what was staged and not promoted."""
        self.changed_days = None
        for contract in contracts:
            changes_only = self._replaced.pop(contract.table, None) is not None
            kind = "view" if changes_only else contract.materialized
            self.execute(f"drop {kind} if exists {quote_identifier(staged_name(contract.table))}")
            self.execute(f"drop table if exists {quote_identifier(added_name(contract.table))}")

    def drop_leftovers(self) -> None:
        """Drop what killed runs had staged. A step that is kept in the next run would not drop it."""
        for name, kind in self.kinds().items():
            if name.endswith((staged_name(""), added_name(""))):
                self.execute(f"drop {kind} {quote_identifier(name)}")

    def show_live(self) -> None:
        """Let those who read live tables outside this file see what is live. Here there are none."""

    def customers_elsewhere(self, is_meant: Callable[[str], bool]) -> list[str]:
        """Ids for which `is_meant` holds in live tables that DuckDB does not hold. Here there are none."""
        return []

    def define(self, name: str, query: str, *, is_read_once: bool = False) -> None:
        """Make the rows of a query readable as `name`, until `undefine`. They are copied unless they are read once."""
        self.execute(
            f"create or replace temp {'view' if is_read_once else 'table'} {quote_identifier(name)} as {query}"
        )

    def undefine(self, name: str) -> None:
        """Remove what `define` made, if it did."""
        made = self.execute(
            "select 'table' from duckdb_tables() where table_name = $1 and temporary"
            " union all select 'view' from duckdb_views() where view_name = $1 and temporary",
            [name],
        ).fetchall()
        for (kind,) in made:
            self.execute(f"drop {kind} {quote_identifier(name)}")

    def is_elsewhere(self, relation: str) -> bool:
        """Whether DuckDB does not hold the rows of a relation. Here it holds all."""
        return False

    def readers(self, contract: Contract) -> Workers | None:
        """Processes that read files into the new rows of a table, where the files are. Here there are none."""
        return None

    def tables_elsewhere(self) -> dict[str, list[str]]:
        """Columns of the live tables that DuckDB does not hold, by name. Here there are none."""
        return {}

    def delete_rows(self, table: str, condition: str) -> int:
        """Delete rows of a live table in place. Only an erasure does so, within a transaction. Returns their number."""
        [(rows,)] = self.execute(f"delete from {quote_identifier(table)} where {condition}").fetchall()  # noqa: S608
        return int(rows)

    def update_rows(self, table: str, assignments: Mapping[str, str], condition: str) -> int:
        """Change rows of a live table in place. Only an erasure does so, within a transaction. Returns their number."""
        changed = ", ".join(f"{quote_identifier(name)} = {value}" for name, value in assignments.items())
        [(rows,)] = self.execute(f"update {quote_identifier(table)} set {changed} where {condition}").fetchall()  # noqa: S608
        return int(rows)

    def insert_rows(self, table: str, query: str) -> None:
        """Add rows to a live table in place. Only an erasure does so, within a transaction."""
        self.execute(f"insert into {quote_identifier(table)} by name {query}")

    def forget_replaced_rows(self) -> None:
        """Remove what is left of deleted rows outside the private file. Call it after the transaction."""

    def _drop(self, name: str) -> None:
        # A name may be a view in one night and a table in the next. Views are listed faster than tables.
        views = self.execute(
            "select 1 from duckdb_views()"
            " where schema_name = 'main' and database_name = current_database() and view_name = ?",
            [name],
        ).fetchall()
        self.execute(f"drop {'view' if views else 'table'} if exists {quote_identifier(name)}")

    def replace_live(self, contract: Contract) -> None:
        """Replace the live table by the staged one, with its comments. Call it in a transaction."""
        live, staged = quote_identifier(contract.table), quote_identifier(staged_name(contract.table))
        if (replaced := self._replaced.get(contract.table)) is not None:
            self.execute(f"delete from {live} where {replaced}")  # noqa: S608
            self.execute(f"insert into {live} by name from {quote_identifier(added_name(contract.table))}")
        else:
            self._drop(contract.table)
            self.execute(f"alter {contract.materialized} {staged} rename to {live}")
        self.comment(live, contract, contract.materialized)

    def comment(self, relation: str, contract: Contract, kind: str, currency: str | None = None) -> None:
        """Write the contract's descriptions as comments on a table or view (`kind`) and its columns.

        `relation` is quoted already. With a currency, columns of money say that they are in it.
        """
        texts = {f"{kind} {relation}": f"{contract.description} Grain: {contract.grain}."}
        for column in contract.columns:
            is_money = currency is not None and column.unit == "currency"
            texts[f"column {relation}.{quote_identifier(column.name)}"] = (
                f"{column.description} In {currency}." if is_money else column.description
            )
        self.connection.execute("; ".join(f"comment on {on} is {quote_literal(text)}" for on, text in texts.items()))


def require_declared(contract: Contract, frame: pl.DataFrame) -> None:
    """Refuse a frame whose columns are not the declared ones; order does not matter.

    Raises:
        ValueError: they differ.
    """
    declared = [column.name for column in contract.columns]
    if sorted(frame.columns) != sorted(declared):
        raise ValueError(f"{contract.table}: columns {frame.columns} do not match the contract's {declared}")
