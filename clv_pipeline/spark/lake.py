"""Iceberg tables, written and read by Spark: staged on a branch, read as a snapshot, shown to others, expired by age.

A snapshot never changes. Which snapshot of a table is live is not decided here: the books of the gate say so
(`books.py`). Others who read the catalog see the table's main branch, which follows the books.
"""

# Names are those of contracts and settings, and values are numbers and constants.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlglot import exp

from clv_pipeline.contracts.loader import DIALECT
from clv_pipeline.errors import ClusterError

if TYPE_CHECKING:
    from clv_pipeline.config.operation import Catalog
    from clv_pipeline.spark.connect import Cluster

NAME = "clv_lake"
"""Name of the catalog within Spark."""
STAGED = "staged"
"""The branch on which a table is built and changed."""
OWNER = "clv.warehouse"
"""The property of a table that holds the id of the warehouse to which it belongs."""

_PROPERTIES = {
    "format-version": "2",
    # Rows are where the query puts them; a table of days is cut by days before it is written.
    "write.distribution-mode": "none",
    # Nothing has to merge deletes when it reads, and no deleted row is left in a live file.
    "write.delete.mode": "copy-on-write",
    "write.update.mode": "copy-on-write",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


@dataclass(frozen=True)
class Snapshot:
    """One state of a table."""

    id: int
    rows: int
    """As its own summary counts them."""


def server_settings(catalog: Catalog, warehouse: str) -> dict[str, str]:
    """Settings with which Spark knows the catalog; `warehouse` is where its files are."""
    prefix = f"spark.sql.catalog.{NAME}"
    stated = {"type": catalog.type, "uri": catalog.uri, "warehouse": warehouse}
    return {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        # Others may write to the catalog too.
        f"{prefix}.cache-enabled": "false",
        **{f"{prefix}.{name}": value for name, value in stated.items() if value is not None},
        **{f"{prefix}.{name}": value for name, value in catalog.properties.items()},
    }


def spark_columns(columns: Mapping[str, str]) -> str:
    """Columns with DuckDB types as a schema in Spark's syntax."""
    return ", ".join(f"`{name}` {_spark_type(type_)}" for name, type_ in columns.items())


def _spark_type(type_: str) -> str:
    return exp.DataType.build(type_, dialect=DIALECT).sql("spark")


class Lake:
    """The tables of one warehouse in the catalog's namespace."""

    def __init__(self, cluster: Cluster, namespace: str, owner: str) -> None:
        """The tables of the warehouse with the id `owner`."""
        self.cluster = cluster
        self._namespace = namespace
        self._owner = owner
        self._known: dict[str, dict[str, str]] = {}
        """Columns with Spark's types of the tables that this session has seen and that are ours."""

    def name(self, table: str, branch: str = "") -> str:
        """The name of a table, or of its branch, in queries for Spark."""
        return f"`{NAME}`.`{self._namespace}`.`{table}`" + (f".`branch_{branch}`" if branch else "")

    def tables(self) -> list[str]:
        """Names of the tables in the namespace that belong to this warehouse."""
        return [table for table in self._names() if self._owner_of(table) == self._owner]

    def prepare(self, table: str, columns: Mapping[str, str], base: int | None) -> None:
        """Make a table with these columns (DuckDB types), and its branch STAGED at the snapshot `base`.

        Earlier snapshots stay as they are: each has the columns that it was written with.

        Raises:
            ClusterError: the table belongs to another warehouse.
        """
        wanted = {name: _spark_type(type_) for name, type_ in columns.items()}
        if table not in self._known:
            self._look_at(table, columns)
        if self._known[table] != wanted:
            self._evolve(table, wanted)
        if base is not None:
            self._run(f"alter table {self.name(table)} create or replace branch `{STAGED}` as of version {base}")
            return
        # Iceberg does not replace a branch while the main one is empty: a first load that failed leaves both so.
        self._run(f"alter table {self.name(table)} drop branch if exists `{STAGED}`")
        self._run(f"alter table {self.name(table)} create branch `{STAGED}`")

    def overwrite(self, table: str, frame: Any, day: str | None = None) -> int:
        """Replace all rows on the branch by those of a frame of Spark; returns how many rows workers wrote.

        With `day`, a column of dates or times, each file holds a span of days: a night changes few files.
        """
        from pyspark.sql.connect.functions import lit

        return self._write(frame, day, lambda writer: writer.overwrite(lit(True)), table)

    def append(self, table: str, frame: Any, day: str | None = None) -> int:
        """Add the rows of a frame of Spark on the branch; returns how many rows workers wrote."""
        return self._write(frame, day, lambda writer: writer.append(), table)

    def delete(self, table: str, alias: str, condition: str) -> None:
        """Delete the rows on the branch for which the condition holds (Spark SQL on `alias`)."""
        self._run(f"delete from {self.name(table, STAGED)} as `{alias}` where {condition}")

    def update(self, table: str, alias: str, assignments: Mapping[str, str], condition: str) -> None:
        """Change the rows on the branch for which the condition holds."""
        changed = ", ".join(f"`{alias}`.`{name}` = {value}" for name, value in assignments.items())
        self._run(f"update {self.name(table, STAGED)} as `{alias}` set {changed} where {condition}")

    def head(self, table: str, branch: str = STAGED) -> Snapshot | None:
        """The snapshot at which a branch is; None where there is none."""
        found = self._rows(
            "select r.snapshot_id, cast(coalesce(s.summary['total-records'], '0') as bigint) as total"
            f" from {self.name(table)}.refs as r inner join {self.name(table)}.snapshots as s"
            f" on r.snapshot_id = s.snapshot_id where r.name = '{branch}'"
        )
        return Snapshot(found[0]["snapshot_id"], found[0]["total"]) if found else None

    def whole(self, table: str, expected: int) -> Snapshot:
        """The snapshot that was written, if it holds as many rows as were written, and Spark finds their files.

        Raises:
            ClusterError: rows are missing.
        """
        snapshot = self.head(table)
        assert snapshot is not None  # noqa: S101  (`prepare` made it)
        found = min(snapshot.rows, self._readable(table, snapshot))
        if found != expected:
            raise ClusterError(
                f"{table}: {expected:,} rows were written, and Spark finds {found:,} of them",
                to_do="a worker does not see the warehouse of the catalog, or another folder under its name: mount it"
                " there, or keep the tables in an object store",
            )
        return snapshot

    def view(self, name: str, table: str, snapshot: int, since: int | None) -> None:
        """Make a snapshot readable as `name`, or only the rows that were added between `since` and it."""
        with self.cluster.asked() as session:
            if since is None:
                frame = session.sql(f"select * from {self.name(table)} version as of {snapshot}")
            else:
                span = session.read.format("iceberg").option("start-snapshot-id", since)
                frame = span.option("end-snapshot-id", snapshot).load(self.name(table).replace("`", ""))
            frame.createOrReplaceTempView(name)

    def show(self, table: str, snapshot: int) -> None:
        """Let everybody who reads the catalog see this snapshot."""
        where = f"'{self._namespace}.{table}'"
        self._run(f"call `{NAME}`.system.set_current_snapshot(table => {where}, snapshot_id => {snapshot})")

    def drop_branch(self, table: str) -> None:
        """Forget what is on the branch."""
        if table in self._names():
            self._run(f"alter table {self.name(table)} drop branch if exists `{STAGED}`")

    def expire(self, table: str, older_than: str) -> None:
        """Remove the snapshots from before a moment, with the files that only they have; never what is shown."""
        self._run(
            f"call `{NAME}`.system.expire_snapshots(table => '{self._namespace}.{table}',"
            f" older_than => timestamp '{older_than}', retain_last => 1)"
        )

    def drop(self, table: str) -> None:
        """Remove a table with its files."""
        self._known.pop(table, None)
        self._run(f"drop table if exists {self.name(table)} purge")

    def remove_strays(self, table: str) -> None:
        """Remove data files that no snapshot has, as killed runs leave them, from the disk of this machine.

        Elsewhere only the catalog's own upkeep may do so: it cannot be told from here who is writing.
        """
        known = {row["file_path"] for row in self._rows(f"select file_path from {self.name(table)}.all_data_files")}
        [described] = self._rows(
            f"select file from {self.name(table)}.metadata_log_entries order by timestamp desc limit 1"
        )
        location = urlsplit(described["file"])
        folder = Path(location.path).parent.parent / "data"
        if location.scheme in ("", "file") and folder.is_dir():
            kept = {urlsplit(path).path for path in known}
            for path in sorted(folder.rglob("*")):
                if path.suffix == ".parquet" and str(path) not in kept:
                    path.unlink()

    def _look_at(self, table: str, columns: Mapping[str, str]) -> None:
        """Learn the columns of a table, which is made if there is none.

        Raises:
            ClusterError: the table belongs to another warehouse.
        """
        self._make_namespace()
        properties = {**_PROPERTIES, OWNER: self._owner}
        listed = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items())
        self._run(
            f"create table if not exists {self.name(table)} ({spark_columns(columns)}) using iceberg"
            f" tblproperties ({listed})"
        )
        if (owner := self._owner_of(table)) != self._owner:
            raise ClusterError(
                f"the table {table} in the catalog's namespace {self._namespace} belongs to"
                f" {'another warehouse' if owner else 'somebody else'}",
                to_do="give each pipeline a namespace of its own in storage.catalog.namespace",
            )
        with self.cluster.asked() as session:
            fields = session.table(self.name(table)).schema.fields
        self._known[table] = {field.name: field.dataType.simpleString().upper() for field in fields}

    def _evolve(self, table: str, wanted: Mapping[str, str]) -> None:
        """Give a table other columns; one of another type is a new column of the same name."""
        known, name = self._known[table], self.name(table)
        known = {column: _spark_type_of(type_) for column, type_ in known.items()}
        if gone := [column for column, type_ in known.items() if wanted.get(column) != type_]:
            kept = [column for column in known if column not in gone]
            if not kept:
                # A table has at least one column.
                self._run(f"alter table {name} add column `_passing` int")
            self._run(f"alter table {name} drop columns ({', '.join(f'`{column}`' for column in gone)})")
        before = ""
        for column, type_ in wanted.items():
            place = f"after `{before}`" if before else "first"
            if column in gone or column not in known:
                self._run(f"alter table {name} add column `{column}` {type_} {place}")
            elif list(known) != list(wanted):
                self._run(f"alter table {name} alter column `{column}` {place}")
            before = column
        if gone and not kept:
            self._run(f"alter table {name} drop columns (`_passing`)")
        self._known[table] = dict(wanted)

    def _write(self, frame: Any, day: str | None, save: Any, table: str) -> int:
        from pyspark.sql.connect.functions import col, count, lit
        from pyspark.sql.connect.observation import Observation

        with self.cluster.asked():
            if day is not None:
                frame = frame.repartitionByRange(col(f"`{day}`")).sortWithinPartitions(col(f"`{day}`"))
            seen = Observation()
            save(frame.observe(seen, count(lit(1)).alias("rows")).writeTo(self.name(table, STAGED)))
            rows: int = seen.get["rows"]
            return rows

    def _readable(self, table: str, snapshot: Snapshot) -> int:
        """Rows of a snapshot whose files the server and the workers find, where that is not certain.

        Certain it is of an object store, which is the same for all, and of a server in this process.
        """
        if self.cluster.is_local or snapshot.rows == 0:
            return snapshot.rows
        new = self._rows(
            f"select data_file.file_path as path, data_file.record_count as total from {self.name(table)}.entries"
            f" version as of {snapshot.id} where status = 1 and snapshot_id = {snapshot.id}"
        )
        on_disk = [entry for entry in new if entry["path"].startswith("file:")]
        if not on_disk or self._finds([entry["path"] for entry in on_disk]):
            return snapshot.rows
        missing: int = sum(entry["total"] for entry in on_disk if not self._finds([entry["path"]]))
        return snapshot.rows - missing

    def _finds(self, paths: list[str]) -> bool:
        """Whether the server and whoever reads for it find these files.

        Raises:
            ClusterError: Spark fails for another reason.
        """
        from pyspark.sql.types import StructType

        try:
            with self.cluster.asked() as session:
                session.read.schema(StructType()).parquet(*paths).count()
        except ClusterError as error:
            if "FILE_NOT_EXIST" in error.quoted or "PATH_NOT_FOUND" in error.quoted or "does not exist" in error.quoted:
                return False
            raise
        return True

    def _owner_of(self, table: str) -> str | None:
        [row] = self._rows(f"show tblproperties {self.name(table)} ('{OWNER}')")
        return None if "does not have property" in row["value"] else str(row["value"])

    def _make_namespace(self) -> None:
        self._run(f"create namespace if not exists `{NAME}`.`{self._namespace}`")

    def _names(self) -> list[str]:
        """Names of all tables in the namespace."""
        self._make_namespace()
        return [row["tableName"] for row in self._rows(f"show tables in `{NAME}`.`{self._namespace}`")]

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.cluster.rows(statement).to_pylist()
        return found

    def _run(self, statement: str) -> None:
        try:
            self.cluster.rows(statement)
        except ClusterError as error:
            if "PARSE_SYNTAX_ERROR" in error.quoted or "Cannot find catalog plugin" in error.quoted:
                raise ClusterError(
                    "Spark knows no Iceberg",
                    quoted=error.quoted,
                    to_do="start the Spark Connect server with the library of clv_pipeline/spark/jars.txt and"
                    " spark.sql.extensions=org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"
                    " (docs/how-to/run-on-spark.md)",
                ) from None
            raise


def _spark_type_of(simple: str) -> str:
    """A type as Spark's schema names it, spelled as `_spark_type` does."""
    return exp.DataType.build(simple, dialect="spark").sql("spark")
