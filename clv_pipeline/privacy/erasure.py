"""`clv forget`: erasing customers from the warehouse and from every kept publication, with no byte left.

The register is written first, so that an erasure that is stopped half-way lets nobody back in. Its hashes are enough to
continue: the next run finishes the erasure before it does anything else. Files are rewritten, because a database keeps
deleted rows in its free blocks.
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
from clv_pipeline.database.columns import columns_of
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.display import Display
from clv_pipeline.errors import ForgetError
from clv_pipeline.privacy.keyed_hash import KeyedHash, pseudonyms_of
from clv_pipeline.privacy.register import (
    FORGOTTEN,
    FOUND,
    TEXT_NOT_KEPT,
    Register,
    find_forgotten,
    suppressed,
)
from clv_pipeline.publication.pages import rewrite_pages
from clv_pipeline.publication.versions import kept_versions
from clv_pipeline.publication.write import DATABASE, supersede, sweep_leftovers
from clv_pipeline.sources.typed import UNREADABLE
from clv_pipeline.warehouse import Session, Warehouse, storage_faults_told
from clv_pipeline.warehouse.database_file import STORAGE_VERSION
from clv_pipeline.warehouse.duckdb_engine import fingerprint
from clv_pipeline.warehouse.gate import record_changes

RAW = ("raw_transactions", "raw_customers", "raw_events")
REJECTED = ("rejected_at_sight", "rejected_transactions")
VIEWS = ("converted_transactions", "cleaned_transactions")
"""Tables that keep the customers' rows with emptied fields. Every other table loses these rows."""

NOT_ERASED = (
    "not erased, because it is not the pipeline's: source files and databases (their rows are refused from now on),"
    " backups and snapshots of the disk, extracts and caches of BI tools, what was copied out of a publication, such as"
    " lists of clv export.",
    "totals of all customers (segments, trends, backtests) include them until the next run: clv run",
)


@dataclass(frozen=True)
class Erasure:
    """What was erased: rows per table (rows in publications under `published`), and rewritten publications."""

    run_id: str
    rows: Mapping[str, int]
    publications: int
    lists: Sequence[str]
    """Folders that lists of campaigns with these customers were written to: the user's, and left as they are."""

    def told(self) -> Iterator[str]:
        """What is left to do by hand."""
        for folder in self.lists:
            yield f"their campaign's lists still hold them: take them out of {folder}/audience.csv and control.csv"


def forget(settings: Settings, warehouse: Warehouse, customers: Sequence[str]) -> Erasure:
    """Erase the customers, and those of erasures that were stopped.

    Args:
        settings: the settings that name the publications and the register.
        warehouse: the warehouse of these settings.
        customers: ids as they are in `raw_transactions`.

    Raises:
        ForgetError: an id is nowhere to be found (then nothing was done), or a publication could not be searched.
        WarehouseBusyError: a run is going on; it is named.
        RegisterError: the register's salt is missing.
        StorageError: the warehouse is damaged or the disk is full. The next run, or the same command again, continues.
        ClusterError: Spark, which holds tables, does not answer, or belongs to another warehouse.
    """
    run_id = str(uuid.uuid4())
    register = Register(settings.privacy_dir)
    pseudonyms = pseudonyms_of(settings)
    if not settings.warehouse_path.exists():
        raise ForgetError(
            f"{settings.warehouse_path} does not exist; nothing was loaded yet, so there is nobody to forget"
        )
    try:
        with storage_faults_told(settings.warehouse_path):
            session = warehouse.open(f"clv forget, run {run_id}")
            listed = set(register.hashes())
            named = {customer for customer in customers if register.hash().of(customer) in listed}
            found = _known(session, customers) | _published(settings.published_dir, customers, pseudonyms)
            if unknown := sorted(set(customers) - named - found):
                raise ForgetError(
                    "nobody was erased, because of some of them no data is kept",
                    quoted=", ".join(map(repr, unknown)),
                    to_do="write ids as in raw_transactions, to the letter",
                )
            register.request(run_id, customers, pseudonyms)
        return _erase_listed(settings, warehouse, register, run_id)
    finally:
        warehouse.close()


def finish_erasures(settings: Settings, warehouse: Warehouse) -> Erasure | None:
    """Finish the erasures that were stopped, with the hashes in the register; None if there are none.

    The warehouse is open before and after. Earlier sessions are closed.

    Raises:
        ForgetError: a publication could not be searched. Nothing may be published before that is fixed.
        RegisterError: the register's salt is missing.
        StorageError: the warehouse is damaged or the disk is full.
        ClusterError: Spark, which holds tables, does not answer, or belongs to another warehouse.
    """
    register = Register(settings.privacy_dir)
    if not (unfinished := register.unfinished()):
        return None
    # Checked first, because otherwise every step of the run would repeat the work in vain.
    _Publications(settings, register).require_searchable()
    return _erase_listed(settings, warehouse, register, str(unfinished[-1]["run_id"]))


def _erase_listed(settings: Settings, warehouse: Warehouse, register: Register, run_id: str) -> Erasure:
    """Erase all listed customers from the open warehouse and the publications, and record that it is done."""
    publications = _Publications(settings, register)
    with storage_faults_told(settings.warehouse_path):
        session = warehouse.open(f"erasure {run_id}")
        published_rows, replaced = publications.erase()
        erased, lists = _erase_from_warehouse(session, register, run_id)
        rows = {"published": published_rows, **erased}
        session.forget_replaced_rows()
        warehouse.rewrite()
    publications.require_searchable()
    register.finish(rows)
    return Erasure(run_id, rows, replaced, lists)


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, str]:
    """The tables of the database that have customers: qualified and quoted names, by table name."""
    found = connection.execute(
        "select c.table_name from duckdb_columns() as c"
        " inner join duckdb_tables() as t using (database_name, schema_name, table_name)"
        " where c.database_name = ? and c.schema_name = 'main' and c.column_name = 'customer_id' order by all",
        [database],
    ).fetchall()
    return {name: f"{quote_identifier(database)}.main.{quote_identifier(name)}" for (name,) in found}


def _views(connection: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    """Names of the database's views."""
    found = connection.execute(
        "select view_name from duckdb_views() where database_name = ? and schema_name = 'main' and not internal"
        " order by all",
        [database],
    ).fetchall()
    return [name for (name,) in found]


# --- the warehouse ---


def _known(session: Session, customers: Sequence[str]) -> set[str]:
    """The customers who are in any table of the warehouse."""
    found = set(session.customers_elsewhere(frozenset(customers).__contains__))
    for relation in _tables(session.connection, _own_name(session)).values():
        query = f"select distinct customer_id from {relation} where list_contains(?, customer_id)"
        found |= {customer for (customer,) in session.execute(query, [list(customers)]).fetchall()}
    return found


def _own_name(session: Session) -> str:
    [(database,)] = session.execute("select current_database()").fetchall()
    return str(database)


def _erase_from_warehouse(session: Session, register: Register, run_id: str) -> tuple[dict[str, int], list[str]]:
    """Empty the customers' raw rows, record them as rejected, and delete their other rows, in one transaction.

    Returns the number of rows per table, and the folders of the lists of their campaigns.
    """
    session.execute("begin transaction")
    try:
        tables = _columns_of_tables(session)
        _find(session, register)
        lists = _lists_of_campaigns(session)
        found = f"customer_id in (select customer_id from {FOUND})"
        rows = {table: session.delete_rows(table, found) for table in tables if table not in RAW}
        for table in RAW:
            if table in tables:
                rows[table] = session.update_rows(table, suppressed(tables[table]), found)
                session.update_rows(table, {"source_text": f"'{TEXT_NOT_KEPT}'"}, _HOLDS_A_LINE)
        _book_as_rejected(session, [table for table in REJECTED if table in tables])
        changed = {table for table, count in rows.items() if count}
        if changed:
            record_changes(session, sorted(changed | {*REJECTED, *VIEWS}), run_id)
        session.execute("commit")
    except BaseException:
        session.execute("rollback")
        raise
    return {table: count for table, count in rows.items() if count}, lists


def _columns_of_tables(session: Session) -> dict[str, list[str]]:
    """The columns of the tables that have customers, by table."""
    rows = session.execute(
        "select c.table_name, list(c.column_name order by c.column_index) from duckdb_columns() as c"
        " inner join duckdb_tables() as t using (database_name, schema_name, table_name)"
        " where c.database_name = current_database() and c.schema_name = 'main' group by c.table_name"
    ).fetchall()
    every = {**dict(rows), **session.tables_elsewhere()}
    return {table: columns for table, columns in sorted(every.items()) if "customer_id" in columns}


def _find(session: Session, register: Register) -> None:
    """Fill FOUND with the listed customers."""
    find_forgotten(session.connection, list(_tables(session.connection, _own_name(session)).values()), register)
    listed, hashed = frozenset(register.hashes()), register.hash()
    elsewhere = session.customers_elsewhere(_IsListed(listed, hashed))
    session.execute(f"insert into {FOUND} select unnest(?::varchar[])", [elsewhere])


@dataclass(frozen=True)
class _IsListed:
    """Whether an id is in the register, for engines that look for ids in other processes."""

    hashes: frozenset[str]
    hashed: KeyedHash

    def __call__(self, customer: str) -> bool:
        """Whether this customer is listed."""
        return self.hashed.of(customer) in self.hashes


_HOLDS_A_LINE = f"source_text like '{UNREADABLE}%' and source_text <> '{TEXT_NOT_KEPT}'"
"""True of a raw row that keeps the text of a line that could not be split, which may be anybody's."""


def _lists_of_campaigns(session: Session) -> list[str]:
    """The folders that lists with FOUND were written to; a campaign's name where an earlier version did not note it."""
    if not (session.has_table("campaigns") and session.has_table("campaign_members")):
        return []
    noted = "lists_folder" in columns_of(session.connection, "campaigns")
    written_to = "coalesce(c.lists_folder, c.campaign)" if noted else "c.campaign"
    rows = session.ask(
        f"select distinct {written_to} as folder from campaigns as c"
        " inner join campaign_members as m on c.campaign = m.campaign"
        f" where m.customer_id in (select customer_id from {FOUND}) order by folder"
    )
    return [folder for (folder,) in rows]


def _book_as_rejected(session: Session, rejected: Sequence[str]) -> None:
    """Rewrite the rejected rows that have lost data: forgotten customers, and unreadable lines.

    An earlier version has only the second table of REJECTED; an upgrade that was stopped may leave both.
    """
    if not rejected:
        return
    # An earlier version converted no money.
    table, rows = (
        ("converted_transactions", "raw.* exclude (rate, original_unit_price)")
        if session.has_table("converted_transactions")
        else ("raw_transactions", "raw.*")
    )
    emptied = f"(raw.source_text = '{FORGOTTEN}' or raw.source_text like '{UNREADABLE}%')"
    for each in rejected:
        session.delete_rows(
            each,
            f"exists (select 1 from raw_transactions as raw where raw.source_id = {each}.source_id"
            f" and raw.source_line = {each}.source_line and {emptied})",
        )
    session.insert_rows(
        rejected[0],
        f"select {rows}, source_files.source_file,"
        f" case when raw.source_text = '{FORGOTTEN}' then raw.source_text else 'unreadable line' end as reason"
        f" from {table} as raw inner join source_files on raw.source_id = source_files.source_id where {emptied}",
    )


# --- publications ---


def _published(folder: Path, customers: Sequence[str], pseudonyms: KeyedHash | None) -> set[str]:
    """The customers who are in any kept version, under their id or their pseudonym."""
    names = {customer: customer for customer in customers}
    if pseudonyms is not None:
        names |= {pseudonyms.of(customer): customer for customer in customers}
    found: set[str] = set()
    for version in _readable_versions(folder):
        with _opened(folder, version) as published:
            for relation in _tables(published, "old").values():
                query = f"select distinct customer_id from {relation} where list_contains(?, customer_id)"
                found |= {names[row[0]] for row in published.execute(query, [list(names)]).fetchall()}
    return found


def _readable_versions(folder: Path) -> list[Path]:
    return [folder / "versions" / name for name, found in kept_versions(folder).items() if found]


@contextmanager
def _opened(folder: Path, version: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch connection that has the version's database attached as `old`."""
    with open_scratch(None, [folder]) as connection:
        connection.execute("attach ? as old (read_only)", [str(version / DATABASE)])
        yield connection


class _Publications:
    """The kept versions. Finds the listed customers in them and erases them."""

    def __init__(self, settings: Settings, register: Register) -> None:
        self._folder = settings.published_dir
        self._display = Display(settings.display.locale, settings.display.timezone)
        self._register = register
        self._erased_rows = 0

    def require_searchable(self) -> None:
        """Refuse versions in which nobody can be found: damaged ones, and those with unknown pseudonyms.

        Raises:
            ForgetError: there are such versions.
        """
        strange = [
            self._folder / "versions" / name for name, told in kept_versions(self._folder).items() if told is None
        ]
        for version in _readable_versions(self._folder):
            with _opened(self._folder, version) as published:
                key = _pseudonym_key(published)
            if key is not None and self._register.pseudonyms(key) is None:
                strange.append(version)
        if strange:
            raise ForgetError(
                f"an erasure is unfinished: nobody can be found in {', '.join(map(str, strange))}, because it cannot be"
                " read, or customers have pseudonyms there under another key",
                to_do=f"set {PSEUDONYM_KEY} to that key and run `clv forget` with the same customers, or remove the"
                " folders; nothing is published until then",
            )

    def erase(self) -> tuple[int, int]:
        """Replace every version that holds one of the customers. Returns the rows erased and the versions replaced."""
        sweep_leftovers(self._folder)
        replaced = 0
        waiting = _readable_versions(self._folder)
        while waiting:
            version = waiting.pop()
            successor = supersede(self._folder, version, partial(self._write_without, version))
            if successor is not None:
                replaced += 1
                # A successor left by a stopped erasure may hold one of today's customers.
                waiting = [*(other for other in waiting if other != successor), successor]
        return self._erased_rows, replaced

    def _find(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Fill FOUND with the ids or pseudonyms of the customers in `old`. Returns their number."""
        key = _pseudonym_key(connection)
        hashes = None if key is None else self._register.pseudonyms(key) or []
        return find_forgotten(connection, list(_tables(connection, "old").values()), self._register, hashes)

    def _write_without(self, version: Path, folder: Path) -> dict[str, tuple[int, str]] | None:
        """Write the version without the customers into `folder`; None if it holds none of them."""
        with _opened(self._folder, version) as connection:
            if not self._find(connection):
                return None
            shutil.copytree(version, folder, ignore=shutil.ignore_patterns(DATABASE))
            erased, described = _copy_without_found(connection, folder)
        rewrite_pages(folder, self._display)
        self._erased_rows += erased
        return {entry["table"]: (entry["rows"], entry["content_hash"]) for entry in described}


def _pseudonym_key(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The fingerprint of the key of the pseudonyms in `old`; None if customers have their ids there."""
    columns = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'old' and table_name = 'publication'"
    ).fetchall()
    # Publications of versions without pseudonyms do not have the column.
    if ("pseudonym_key",) not in columns:
        return None
    [(fingerprint_of_key,)] = connection.execute("select pseudonym_key from old.main.publication").fetchall()
    return None if fingerprint_of_key is None else str(fingerprint_of_key)


def _copy_without_found(connection: duckdb.DuckDBPyConnection, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Copy `old` without the customers in FOUND to a new file in `folder`, and what differs to Parquet.

    Returns the number of rows left out, and the new description of the tables in `publication`.
    """
    connection.execute(f"attach ? as fresh (storage_version '{STORAGE_VERSION}')", [str(folder / DATABASE)])
    connection.execute("copy from database old to fresh (schema)")
    [(listed,)] = connection.execute("select tables from old.main.publication").fetchall()
    described: list[dict[str, Any]] = json.loads(listed)
    with_customers, views = _tables(connection, "old"), _views(connection, "old")
    for entry in described:
        if entry["table"] in views:
            continue
        name = quote_identifier(entry["table"])
        is_kept = f"not coalesce(customer_id in (from {FOUND}), false)" if entry["table"] in with_customers else "true"
        connection.execute(f"insert into fresh.main.{name} select * from old.main.{name} where {is_kept}")
    left_out = 0
    for entry in described:
        rows, content_hash = fingerprint(connection, f"fresh.main.{quote_identifier(entry['table'])}")
        left_out += 0 if entry["table"] in views else entry["rows"] - rows
        entry |= {"rows": rows, "content_hash": content_hash}
    connection.execute(
        "insert into fresh.main.publication select * replace (cast(? as varchar) as tables) from old.main.publication",
        [json.dumps(described)],
    )
    # A view may show customers of the tables that it reads.
    for table in (*with_customers, *views, "publication"):
        connection.execute(
            f"copy fresh.main.{quote_identifier(table)} to ? (format parquet)",
            [str(folder / "parquet" / f"{table}.parquet")],
        )
    connection.execute("checkpoint fresh")
    connection.execute("detach fresh")
    return left_out, described
