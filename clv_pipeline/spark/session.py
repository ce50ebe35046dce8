"""The warehouse on Spark: Spark writes tables as Parquet; DuckDB keeps the catalog and the records of the gate.

A table is a folder of Parquet files and, in the private DuckDB file, a view of them. Staging under another name,
promoting in one transaction and publishing therefore work as on DuckDB alone. Rows pass through this process only when
a source is loaded and when a mart is published. Small tables built by Python stay in DuckDB, and are sent along with
the queries that read them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.loader import DIALECT
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import ClusterError
from clv_pipeline.quality import Auditor
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.routed_connection import RoutedConnection
from clv_pipeline.spark.translate import Parameters, translate
from clv_pipeline.warehouse.database_file import NewSession
from clv_pipeline.warehouse.duckdb_engine import Session, added_name, staged_name
from clv_pipeline.warehouse.parquet_tables import add_to_catalog, claim, folder_of, sweep

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

    from clv_pipeline.contracts import Contract


@dataclass(frozen=True)
class _Relation:
    """The catalog's entry for a table or view."""

    name: str
    """Its name in queries for Spark."""
    columns: Mapping[str, str]
    """DuckDB types by name."""
    folder: Path | None = None
    """Folder of its Parquet files, if Spark holds it."""
    query: exp.Expr | None = None
    """Its SELECT, if it is a view of other relations. Without folder and query, DuckDB holds the rows."""


class SessionOnSpark(Session):
    """An open warehouse whose SQL models run on Spark."""

    stages_days = False

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, cluster: Cluster, folder: Path, marts: Collection[str]
    ) -> None:
        """A session over the catalog in `connection`.

        Args:
            connection: connection to the private DuckDB file; it may read `folder`.
            cluster: the Spark cluster that runs queries.
            folder: holds one folder per table; this process and all workers see it under the same name.
            marts: names of the published tables, which are small enough for one machine.
        """
        super().__init__(connection)
        self.auditor = Auditor(RoutedConnection(connection, self))
        self._cluster = cluster
        self._folder = folder
        self._marts = marts
        self._sent: dict[str, str] = {}
        """Definitions that Spark already knows, by name."""

    def close(self) -> None:
        """Close the connection and end the Spark session."""
        super().close()
        self._cluster.close()

    def read(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Rows of a query as a frame: from Spark, unless the query reads only marts and small tables.

        Marts pass through this process anyway when they are published. From other tables only the result of the query
        arrives here.
        """
        asked = [self._relation(table) for table in _tables_of(sqlglot.parse_one(query, dialect=DIALECT))]
        if all(self._is_native(relation) or relation.name in self._marts for relation in asked):
            return super().read(query, parameters)
        import polars as pl

        return pl.DataFrame(self.to_spark(query, parameters))

    def to_spark(self, query: str, parameters: Parameters = ()) -> pa.Table:
        """Rows of a DuckDB query that Spark runs."""
        return self._cluster.rows(self._for_spark(query, parameters))

    def is_on_spark(self, relation: str) -> bool:
        """Whether Spark, and not DuckDB, holds the rows of a relation."""
        return not self._is_native(self._relation(exp.table_(relation)))

    def stage_query(self, contract: Contract, query: str) -> None:
        """Build the contract's table on Spark under its staging name; for a view, only its definition."""
        if contract.materialized == "view":
            self._stage_in_duckdb(contract, query)
        else:
            self._stage_result(contract, query)

    def stage_added(self, contract: Contract) -> None:
        """Turn the rows in `added_name(table)`, which were loaded into DuckDB, into the whole staged table."""
        added = added_name(contract.table)
        self._hand_over(added, contract.table)
        self.execute(f"alter view {quote_identifier(added)} rename to {quote_identifier(staged_name(contract.table))}")

    def stage_changes(self, contract: Contract, replaced: str) -> None:
        """Stage the live table with its changes. Spark copies the rows that stay: none can be deleted from Parquet."""
        live, added = quote_identifier(contract.table), quote_identifier(added_name(contract.table))
        goes = f"coalesce({replaced}, false)"
        if self.count(added_name(contract.table)) == 0 and not self._any(f"select 1 from {live} where {goes} limit 1"):  # noqa: S608
            folder = self._relation(exp.table_(contract.table)).folder
            assert folder is not None  # noqa: S101  (what is loaded into is Spark's)
            self._catalog(staged_name(contract.table), folder)
            self._replaced[contract.table] = "false"
            return
        self._hand_over(added_name(contract.table), contract.table)
        rows = f"select * from {live} where not {goes} union all by name select * from {added}"  # noqa: S608
        self._stage_result(contract, rows)

    def map_batches(
        self,
        contract: Contract,
        query: str,
        function: Callable[[pl.DataFrame], pl.DataFrame],
        parameters: Sequence[Any] = (),
    ) -> None:
        """Apply `function` to a query's rows on Spark's workers, and add the result to the contract's staged table."""
        staged = staged_name(contract.table)
        is_new = not self.has_table(staged)
        folder = self._new_folder(contract.table) if is_new else self._relation(exp.table_(staged)).folder
        assert folder is not None  # noqa: S101  (whoever maps batches into a table stages nothing else there)
        types = ", ".join(f"cast(null as {c.type}) as {quote_identifier(c.name)}" for c in contract.columns)
        schema = self.connection.sql(f"select {types} limit 0").to_arrow_table().schema
        before = 0 if is_new else self.count(staged)
        written = self._cluster.write_mapped(
            self._for_spark(query, parameters), function, schema, _ddl(_declared(contract)), folder
        )
        self._require_all(contract.table, folder, before + written)
        if is_new:
            self._catalog(staged, folder)
        # Spark lists a folder once; its list is outdated now.
        self._sent.pop(staged, None)

    def replace_live(self, contract: Contract) -> None:
        """Replace the live table by the staged one, with its comments. Call it in a transaction."""
        live, staged = contract.table, staged_name(contract.table)
        kind = self.kinds()[staged]
        self._drop(live)
        self.execute(f"alter {kind} {quote_identifier(staged)} rename to {quote_identifier(live)}")
        self.comment(quote_identifier(live), contract, kind)

    def drop_staged(self, contracts: Iterable[Contract]) -> None:
        """Delete staged tables that were not promoted, and files of replaced tables."""
        self.changed_days = None
        for contract in contracts:
            self._replaced.pop(contract.table, None)
            self._drop(staged_name(contract.table))
            self._drop(added_name(contract.table))
        self._sweep()

    def drop_leftovers(self) -> None:
        """Delete what killed runs had staged.

        Raises:
            ClusterError: the folder of tables belongs to another warehouse, whose tables would be deleted.
        """
        # First, while the catalog knows what a run that was killed has staged.
        claim(self.connection, self._folder)
        super().drop_leftovers()
        self._sweep()

    @contextmanager
    def all_rows_in_duckdb(self) -> Iterator[list[str]]:
        """Hold the rows of customers in DuckDB's own tables, and afterwards write them to where Spark reads them."""
        with super().all_rows_in_duckdb() as moved:
            yield moved
        for table in moved:
            self._hand_over(table, table)

    def _stage_result(self, contract: Contract, query: str) -> None:
        folder = self._new_folder(contract.table)
        written = self._cluster.write(self._for_spark(query, columns=_declared(contract)), folder)
        self._require_all(contract.table, folder, written)
        self._catalog(staged_name(contract.table), folder)

    def _hand_over(self, loaded: str, table: str) -> None:
        """Write a table loaded into DuckDB to where Spark reads it; `loaded` becomes a view of the files."""
        folder = self._new_folder(table)
        folder.mkdir(parents=True)
        written = self.count(loaded)
        self.execute(f"copy {quote_identifier(loaded)} to ? (format parquet, file_size_bytes '512MB')", [str(folder)])
        self._require_all(table, folder, written)
        self._drop(loaded)
        self._catalog(loaded, folder)

    def _require_all(self, table: str, folder: Path, written: int) -> None:
        """Hold the rows that were written against those that this process, and Spark, read back.

        Raises:
            ClusterError: a worker, or this process, sees another folder under the same name, so that rows are missing.
        """
        files = [str(path) for path in folder.glob("*.parquet")]
        here = int(self.execute("select count(*) from read_parquet(?)", [files]).fetchall()[0][0]) if files else 0
        # Spark is asked only then: a worker that does not see the files would end the question without the numbers.
        there = self._cluster.count_parquet(folder) if here == written else None
        if there != written:
            reader, read = ("this process", here) if there is None else ("Spark", there)
            raise ClusterError(
                f"{table}: {written:,} rows were written to {folder}, and {reader} reads {read:,} of them back",
                to_do="storage.spark.tables has to be one folder, shared by this process, Spark's server and all"
                " workers under the same name: mount it where it is missing",
            )

    def _any(self, query: str) -> bool:
        return bool(self.to_spark(query).num_rows)

    def _new_folder(self, table: str) -> Path:
        return self._folder / table / uuid.uuid4().hex

    def _catalog(self, relation: str, folder: Path) -> None:
        add_to_catalog(self.connection, relation, folder)

    def _sweep(self) -> None:
        sweep(self.connection, self._folder)

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
        if relation.folder is not None:
            definition = str(relation.folder)
            if self._sent.get(relation.name) != definition:
                self._cluster.view_of_parquet(relation.name, relation.folder, _ddl(relation.columns))
        elif relation.query is not None:
            query, definition = self._translated(relation.query.copy())
            if self._sent.get(relation.name) != definition:
                self._cluster.view_of_query(relation.name, query)
        else:
            # It is small, and may have changed.
            definition = uuid.uuid4().hex
            qualified = relation.name.replace("__of__", ".")
            rows = self.connection.sql(f"select * from {qualified}").to_arrow_table()  # noqa: S608
            self._cluster.view_of_rows(relation.name, rows, _ddl(relation.columns))
        self._sent[relation.name] = definition
        return definition

    def _relation(self, table: exp.Table) -> _Relation:
        """The relation that a name in a query refers to."""
        columns = self.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? and schema_name = ?"
            " order by column_index",
            [table.name, table.db or "main"],
        ).fetchall()
        views = self.execute(
            "select sql from duckdb_views() where view_name = ? and database_name = current_database()", [table.name]
        ).fetchall()
        name = "__of__".join(filter(None, [table.db, table.name]))
        if not views or table.db:
            return _Relation(name, dict(columns))
        parsed = sqlglot.parse_one(views[0][0], dialect=DIALECT)
        folder = folder_of(parsed)
        return _Relation(name, dict(columns), folder, None if folder is not None else parsed.expression)

    def _is_native(self, relation: _Relation) -> bool:
        if relation.query is not None:
            return all(self._is_native(self._relation(table)) for table in _tables_of(relation.query))
        return relation.folder is None


def on_spark(remote: str, config: Mapping[str, str], folder: Path, marts: Collection[str]) -> NewSession:
    """A factory of sessions for a warehouse on Spark; a session connects with its first query to Spark."""
    return lambda connection: SessionOnSpark(connection, Cluster(remote, config), folder, marts)


def _declared(contract: Contract) -> dict[str, str]:
    return {column.name: column.type for column in contract.columns}


def _ddl(columns: Mapping[str, str]) -> str:
    """Columns with DuckDB types as a schema in Spark's syntax."""
    return ", ".join(
        f"`{name}` {exp.DataType.build(type_, dialect=DIALECT).sql('spark')}" for name, type_ in columns.items()
    )


def _tables_of(query: exp.Expr) -> list[exp.Table]:
    """The tables that a query reads, without its own common table expressions."""
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    return [table for table in query.find_all(exp.Table) if table.name and (table.db or table.name not in own)]
