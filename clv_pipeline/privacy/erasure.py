"""`clv forget`: customers erased from the warehouse and from every kept publication, with no byte left.

The register comes first, so that an erasure that is stopped half-way lets nobody back in and can be finished by
running it again. Files are rewritten and not only deleted from: a database keeps deleted rows in its free blocks.
"""

# Only quoted names and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline.config.settings import PSEUDONYM_KEY, Settings
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import ForgetError
from clv_pipeline.privacy.keyed_hash import pseudonyms_of
from clv_pipeline.privacy.register import FORGOTTEN, FOUND, Register, find_forgotten, suppress
from clv_pipeline.publication.report import write_report
from clv_pipeline.publication.versions import kept_versions
from clv_pipeline.publication.write import DATABASE, REPORT, supersede, sweep_leftovers
from clv_pipeline.sources.typed import UNREADABLE
from clv_pipeline.warehouse import Session, Warehouse, storage_faults_told
from clv_pipeline.warehouse.database_file import STORAGE_VERSION
from clv_pipeline.warehouse.duckdb_engine import fingerprint
from clv_pipeline.warehouse.gate import record_changes
from clv_pipeline.warehouse.parquet_tables import claim, sweep

RAW = ("raw_transactions", "raw_customers", "raw_events")
"""Tables that keep the customers' rows, emptied. Every other table loses them."""

NOT_ERASED = (
    "not erased, because it is not the pipeline's: source files and databases (their rows are refused from now on),"
    " backups and snapshots of the disk, extracts and caches of BI tools, what was copied out of a publication.",
    "totals of all customers (segments, trends, backtests) include them until the next run: clv run",
)


@dataclass(frozen=True)
class Erasure:
    """What was erased: rows per table (those of publications under `published`), and publications rewritten."""

    run_id: str
    rows: Mapping[str, int]
    publications: int
    unfinished: Sequence[str]
    """Request times of erasures of other customers that were stopped and have to be run again."""


def forget(settings: Settings, warehouse: Warehouse, customers: Sequence[str]) -> Erasure:
    """Erase the customers, and finish erasures that were stopped.

    Args:
        settings: whose publications, and whose register.
        warehouse: the warehouse of these settings. DuckDB reads and writes its files, on Spark, too.
        customers: ids as they stand in `raw_transactions`.

    Raises:
        ForgetError: an id is nowhere to be found (nothing was done then), or a publication could not be searched.
        WarehouseBusyError: a run is going on; it is named.
        RegisterError: the register's salt is missing.
        StorageError: the warehouse is damaged or the disk full; running it again goes on.
        ClusterError: the folder for tables of Spark is another warehouse's.
    """
    run_id = str(uuid.uuid4())
    register = Register(settings.privacy_dir)
    publications = _Publications(settings, customers, register)
    if not settings.warehouse_path.exists():
        raise ForgetError(
            f"{settings.warehouse_path} does not exist; nothing was loaded yet, so there is nobody to forget"
        )
    try:
        with storage_faults_told(settings.warehouse_path):
            session = warehouse.open(f"clv forget, run {run_id}")
            if settings.spark_tables_dir.exists():
                # Before anything is erased: afterwards no table says any more that its folder is ours.
                claim(session.connection, settings.spark_tables_dir)
            listed = set(register.hashes())
            named = {customer for customer in customers if register.hash().of(customer) in listed}
            if unknown := sorted(set(customers) - named - _known(session, customers) - publications.known()):
                raise ForgetError(
                    "nobody was erased, because of some of them no data is kept",
                    quoted=", ".join(map(repr, unknown)),
                    to_do="write ids as in raw_transactions, to the letter",
                )
            register.request(run_id, customers)
            published_rows, replaced = publications.erase()
            rows = {"published": published_rows, **_erase_from_warehouse(session, register, run_id)}
            if settings.spark_tables_dir.exists():
                sweep(session.connection, settings.spark_tables_dir)
            warehouse.rewrite()
    finally:
        warehouse.close()
    if strange := publications.strange():
        raise ForgetError(
            f"erased from the warehouse, but not from {', '.join(map(str, strange))}: it cannot be read, or customers"
            " have pseudonyms there under another key",
            to_do=f"set {PSEUDONYM_KEY} to that key and run the command again, or remove the folders once a newer"
            " publication is served",
        )
    register.finish(run_id, rows)
    return Erasure(run_id, rows, replaced, [entry["requested_at"] for entry in register.unfinished()])


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, str]:
    """Tables of the database that have customers: their names, qualified and quoted, by name."""
    found = connection.execute(
        "select c.table_name from duckdb_columns() as c"
        " inner join duckdb_tables() as t using (database_name, schema_name, table_name)"
        " where c.database_name = ? and c.schema_name = 'main' and c.column_name = 'customer_id' order by all",
        [database],
    ).fetchall()
    return {name: f"{quote_identifier(database)}.main.{quote_identifier(name)}" for (name,) in found}


# --- the warehouse ---


def _known(session: Session, customers: Sequence[str]) -> set[str]:
    """The customers who are in any table of the warehouse, wherever its rows are."""
    tables = _tables(session.connection, _own_name(session)).values()
    found: set[str] = set()
    for relation in (*tables, *map(quote_identifier, session.tables_of_customers_elsewhere())):
        query = f"select distinct customer_id from {relation} where list_contains(?, customer_id)"
        found |= {customer for (customer,) in session.execute(query, [list(customers)]).fetchall()}
    return found


def _own_name(session: Session) -> str:
    [(database,)] = session.execute("select current_database()").fetchall()
    return str(database)


def _erase_from_warehouse(session: Session, register: Register, run_id: str) -> dict[str, int]:
    """Empty the customers' raw rows, book them as rejected, and delete their rows elsewhere: all or nothing.

    Returns the rows per table.
    """
    session.execute("begin transaction")
    try:
        with session.all_rows_in_duckdb():
            tables = _tables(session.connection, _own_name(session))
            find_forgotten(session.connection, list(tables.values()), register)
            rows = {
                table: _delete(session.connection, relation, f"customer_id in (from {FOUND})")
                for table, relation in tables.items()
                if table not in RAW
            }
            rows |= {table: suppress(session.connection, table, register) for table in RAW if table in tables}
            if session.has_table("rejected_transactions"):
                _book_as_rejected(session)
        changed = {table for table, count in rows.items() if count}
        if changed:
            record_changes(session, sorted(changed | {"rejected_transactions", "cleaned_transactions"}), run_id)
        session.execute("commit")
    except BaseException:
        session.execute("rollback")
        raise
    return {table: count for table, count in rows.items() if count}


def _delete(connection: duckdb.DuckDBPyConnection, table: str, condition: str) -> int:
    [(rows,)] = connection.execute(f"delete from {table} where {condition}").fetchall()
    return int(rows)


def _book_as_rejected(session: Session) -> None:
    """Write rejected rows anew where they say less than before: forgotten customers and unreadable lines."""
    emptied = f"source_text = '{FORGOTTEN}' or starts_with(source_text, '{UNREADABLE}')"
    session.execute(
        "delete from rejected_transactions where (source_id, source_line) in"
        f" (select (source_id, source_line) from raw_transactions where {emptied})"
    )
    session.execute(
        "insert into rejected_transactions by name select raw_transactions.*, source_file,"
        f" if(source_text = '{FORGOTTEN}', source_text, 'unreadable line') as reason"
        f" from raw_transactions join source_files using (source_id) where {emptied}"
    )


# --- publications ---


class _Publications:
    """The kept versions, searched for the customers and rid of them."""

    def __init__(self, settings: Settings, customers: Sequence[str], register: Register) -> None:
        self._folder = settings.published_dir
        self._key = pseudonyms_of(settings)
        self._customers = customers
        self._register = register
        self._erased_rows = 0

    def known(self) -> set[str]:
        """Those of the customers whom any version holds, under their id or their pseudonym."""
        found: set[str] = set()
        for version in self._versions():
            with self._opened(version) as published:
                names = {customer: customer for customer in self._customers}
                if self._key is not None:
                    names |= {self._key.of(customer): customer for customer in self._customers}
                for relation in _tables(published, "old").values():
                    query = f"select distinct customer_id from {relation} where list_contains(?, customer_id)"
                    found |= {names[row[0]] for row in published.execute(query, [list(names)]).fetchall()}
        return found

    def strange(self) -> list[Path]:
        """Versions in which nobody can be found: damaged ones, and those with pseudonyms under another key."""
        own = None if self._key is None else self._key.fingerprint
        found = [self._folder / "versions" / name for name, told in kept_versions(self._folder).items() if told is None]
        for version in self._versions():
            with self._opened(version) as published:
                if _pseudonym_key(published) not in (None, own):
                    found.append(version)
        return found

    def erase(self) -> tuple[int, int]:
        """Replace every version that holds one of the customers. Returns the rows erased and the versions replaced."""
        sweep_leftovers(self._folder)
        replaced = 0
        waiting = self._versions()
        while waiting:
            version = waiting.pop()
            successor = supersede(self._folder, version, partial(self._write_without, version))
            if successor is not None:
                replaced += 1
                # If it was there from an erasure that was stopped, it may hold one of today's customers.
                waiting = [*(other for other in waiting if other != successor), successor]
        return self._erased_rows, replaced

    def _versions(self) -> list[Path]:
        return [self._folder / "versions" / name for name, found in kept_versions(self._folder).items() if found]

    @contextmanager
    def _opened(self, version: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        """A scratch connection that has the version's database attached as `old`."""
        with open_scratch(None, [self._folder]) as connection:
            connection.execute("attach ? as old (read_only)", [str(version / DATABASE)])
            yield connection

    def _find(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Fill FOUND with what stands for the customers in `old`; returns how many there are."""
        relations = list(_tables(connection, "old").values())
        made_with = _pseudonym_key(connection)
        if made_with is None:
            return find_forgotten(connection, relations, self._register)
        pseudonyms = []
        if self._key is not None and self._key.fingerprint == made_with:
            pseudonyms = [self._key.of(customer) for customer in self._customers]
        every = " union ".join(f"select distinct customer_id from {relation}" for relation in relations)
        connection.execute(
            "create or replace temp table found_forgotten_customers as"
            f" select customer_id from ({every}) as known where list_contains(?, customer_id)",
            [pseudonyms],
        )
        [(found,)] = connection.execute(f"select count(*) from {FOUND}").fetchall()
        return int(found)

    def _write_without(self, version: Path, folder: Path) -> dict[str, tuple[int, str]] | None:
        """Write the version without the customers into `folder`; None where it holds nobody of them."""
        with self._opened(version) as connection:
            if not self._find(connection):
                return None
            shutil.copytree(version, folder, ignore=shutil.ignore_patterns(DATABASE))
            erased, described = _copy_without_found(connection, folder)
        if (folder / REPORT).exists():
            write_report(folder)
        self._erased_rows += erased
        return {entry["table"]: (entry["rows"], entry["content_hash"]) for entry in described}


def _pseudonym_key(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The fingerprint of the key that customers have pseudonyms under in `old`; None where they have their ids."""
    columns = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'old' and table_name = 'publication'"
    ).fetchall()
    # Publications from before there were pseudonyms do not have the column.
    if ("pseudonym_key",) not in columns:
        return None
    [(fingerprint_of_key,)] = connection.execute("select pseudonym_key from old.main.publication").fetchall()
    return None if fingerprint_of_key is None else str(fingerprint_of_key)


def _copy_without_found(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Copy `old` without the customers in FOUND to a new file in `folder`, and what differs to Parquet.

    Returns the rows left out, and the description of the tables as it is in `publication` now.
    """
    connection.execute(f"attach ? as fresh (storage_version '{STORAGE_VERSION}')", [str(folder / DATABASE)])
    connection.execute("copy from database old to fresh (schema)")
    [(listed,)] = connection.execute("select tables from old.main.publication").fetchall()
    described: list[dict[str, Any]] = json.loads(listed)
    with_customers = _tables(connection, "old")
    left_out = 0
    for entry in described:
        name = quote_identifier(entry["table"])
        is_kept = f"not coalesce(customer_id in (from {FOUND}), false)" if entry["table"] in with_customers else "true"
        connection.execute(f"insert into fresh.main.{name} select * from old.main.{name} where {is_kept}")
        rows, content_hash = fingerprint(connection, f"fresh.main.{name}")
        left_out += entry["rows"] - rows
        entry |= {"rows": rows, "content_hash": content_hash}
    connection.execute(
        "insert into fresh.main.publication select * replace (cast(? as varchar) as tables) from old.main.publication",
        [json.dumps(described)],
    )
    for table in (*with_customers, "publication"):
        connection.execute(
            f"copy fresh.main.{quote_identifier(table)} to ? (format parquet)",
            [str(folder / "parquet" / f"{table}.parquet")],
        )
    connection.execute("checkpoint fresh")
    connection.execute("detach fresh")
    return left_out, described
