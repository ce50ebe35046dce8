"""Publications: immutable copies of the published tables, and the symlink that says which one BI tools read.

A publication is written beside the others, verified by reading all of it back, brought to the disk, and only then
pointed at: whatever ends the process or the machine, what is served is the previous version or the new one. Readers of
the previous one keep their files until the last `keep` versions have moved on.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from clv_pipeline.contracts import Contract
from clv_pipeline.database.connections import open_read_only, open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import PublicationError
from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.warehouse.database_file import STORAGE_VERSION
from clv_pipeline.warehouse.duckdb_engine import Session, fingerprint
from clv_pipeline.warehouse.gate import content_ids, last_checks, reasons_against_publishing

DATABASE = "clv.duckdb"
CURRENT = "current"
REPORT = "report.html"
EXPLORE = "explore.html"
PAGES = (REPORT, EXPLORE)
CUSTOMER = "customer_id"
NUMBER = "number"
"""A file in every version: its place in the order of publication, which neither clocks nor copying change."""


WritePages = Callable[[Path], None]
"""Writes the pages of a version, whose tables are complete, into its folder."""


@dataclass(frozen=True)
class Publication:
    """A published version: its folder, and rows and content hash of every table."""

    directory: Path
    tables: dict[str, tuple[int, str]]
    is_new: bool = True
    """False where nothing has changed and the version that is served stays."""
    left_out: tuple[str, ...] = ()
    """Tables that are too large for one file, and views of them. Without them there are no pages."""

    @property
    def database(self) -> Path:
        """The DuckDB file of this version."""
        return self.directory / DATABASE

    @property
    def report(self) -> Path:
        """The report of this version."""
        return self.directory / REPORT

    @property
    def explore(self) -> Path:
        """The page to explore this version."""
        return self.directory / EXPLORE


def publish(
    session: Session,
    contracts: Sequence[Contract],
    folder: Path,
    *,
    run_id: str,
    config_hash: str,
    keep: int,
    known: Collection[str] | None = None,
    may_lag: Sequence[str] = (),
    views: Mapping[str, str] | None = None,
    pseudonyms: KeyedHash | None = None,
    always: bool = False,
    write_pages: WritePages | None = None,
) -> Publication:
    """Write `folder/versions/<run_id>`, verify it, flip `folder/current` to it and drop the oldest versions.

    Where the version that is served holds these very tables already, it stays.

    Args:
        session: the open warehouse.
        contracts: of the tables to publish, `publication` among them: the description of the version itself.
        folder: `storage.home/published`.
        run_id: names the version. A run that was killed when its version was complete may publish it again.
        config_hash: of the settings that built the tables.
        keep: how many versions stay, the new one included.
        known: the tables that there are, published or not; None for all that the warehouse has records of. One that is
            gone, as a table of `extensions.sql` may be, neither stands against a publication nor is told of.
        may_lag: tables that may be older than what they are built from (the model review's).
        views: the SELECTs of those among the tables that are published as views of others, in an order in which they
            can be made. In Parquet they are tables.
        pseudonyms: what stands for every customer_id; None to publish the ids.
        always: make a new version even if nothing has changed.
        write_pages: makes the version's pages; None for a version without them.

    Raises:
        PublicationError: a table is not fit to be published, the files cannot be written or do not read back, or
            the version exists with other content.
    """
    left_out = _too_large(session, contracts, views or {})
    contents = [contract for contract in contracts if contract.table not in {"publication", *left_out}]
    views = {name: select for name, select in (views or {}).items() if name not in left_out}
    write_pages = None if left_out else write_pages
    description = next(contract for contract in contracts if contract.table == "publication")
    every = [contract for contract in contracts if contract.table != "publication"]
    if reasons := reasons_against_publishing(session, every, known=known, may_lag=may_lag):
        raise PublicationError("not published, because " + "; ".join(reasons))
    final = folder / "versions" / run_id
    with _faults_told(folder):
        sweep_leftovers(folder)
        has_pages = write_pages is None or all((folder / CURRENT / page).exists() for page in PAGES)
        may_stay = has_pages and not always
        if may_stay and (served := _served_unchanged(session, contents, folder, config_hash)) is not None:
            return replace(served, left_out=left_out)
        if final.exists():
            # The run was killed when this version was complete, and goes on now.
            tables = _hold_against_warehouse(session, contents, final, pseudonyms)
        else:
            checks = last_checks(session, known)
            tables = _make(
                *(session, contents, views, description, final, run_id, config_hash, checks, pseudonyms),
                write_pages,
            )
        point_at(folder, run_id)
        _prune(final, keep)
    return Publication(final, tables, left_out=left_out)


def _too_large(session: Session, contracts: Sequence[Contract], views: Mapping[str, str]) -> tuple[str, ...]:
    """The tables with more rows than one file is written for, and the views that read them."""
    if session.most_published_rows == math.inf:
        return ()
    large = [
        contract.table
        for contract in contracts
        if contract.table != "publication"
        and contract.table not in views
        and session.has_table(contract.table)
        and session.count(contract.table) > session.most_published_rows
    ]
    for name, select in views.items() if large else ():
        if any(table.name in large for table in sqlglot.parse_one(select, dialect="duckdb").find_all(exp.Table)):
            large.append(name)
    return tuple(large)


def _served_unchanged(
    session: Session, contents: Sequence[Contract], folder: Path, config_hash: str
) -> Publication | None:
    """The version that is served, if it is of the live tables as they are and of the same settings."""
    database = folder / CURRENT / DATABASE
    if not database.exists():
        return None
    try:
        with open_read_only(database) as served:
            ((made_by, tables),) = served.execute("select config_hash, tables from publication").fetchall()
    except duckdb.Error:  # what cannot be read is replaced
        return None
    listed = {table["table"]: table for table in json.loads(tables)}
    held = {(name, table.get("content_id"), table.get("contract_hash")) for name, table in listed.items()}
    content = content_ids(session, [contract.table for contract in contents])
    if made_by != config_hash or held != {(c.table, content[c.table], c.hash) for c in contents}:
        return None
    directory = (folder / CURRENT).resolve()
    return Publication(
        directory, {name: (table["rows"], table["content_hash"]) for name, table in listed.items()}, is_new=False
    )


def sweep_leftovers(folder: Path) -> None:
    """Remove what a publication that was killed left below `folder`. Call it while no other one can run."""
    for leftover in (folder / "versions").glob(".*.partial"):
        shutil.rmtree(leftover)
    (folder / f".{CURRENT}.new").unlink(missing_ok=True)


@contextmanager
def _faults_told(folder: Path) -> Iterator[None]:
    """Turn a full disk and missing permissions into a PublicationError.

    Raises:
        PublicationError: the folder cannot be written.
    """
    try:
        yield
    except (OSError, duckdb.IOException) as error:
        raise PublicationError(
            f"not published: {folder} cannot be written",
            quoted=str(error),
            to_do=f"free some space or mend the permissions of {folder}; what is served is whole",
        ) from error


def _hold_against_warehouse(
    session: Session, contents: Sequence[Contract], version: Path, pseudonyms: KeyedHash | None
) -> dict[str, tuple[int, str]]:
    tables = {}
    for contract in contents:
        with _published_rows(session, contract, pseudonyms) as (rows, parameters):
            tables[contract.table] = fingerprint(session.connection, rows, parameters)
    try:
        verify(version, tables)
    except PublicationError as error:
        raise PublicationError(
            f"version {version} exists already and holds something else",
            quoted=str(error),
            to_do="start a new run: a publication is never changed",
        ) from error
    return tables


def _make(
    session: Session,
    contents: Sequence[Contract],
    views: Mapping[str, str],
    description: Contract,
    final: Path,
    run_id: str,
    config_hash: str,
    checks: list[dict[str, Any]],
    pseudonyms: KeyedHash | None,
    write_pages: WritePages | None,
) -> dict[str, tuple[int, str]]:
    """Write the version `final`; it is there once it is whole, verified and on the disk, and not before."""
    partial = _partial(final)
    (partial / "parquet").mkdir(parents=True)
    number = 1 + max(map(number_of, version_folders(final.parent)), default=0)
    (partial / NUMBER).write_text(f"{number}\n", encoding="utf-8")
    try:
        tables = _write(session, contents, views, description, partial, run_id, config_hash, checks, pseudonyms)
        if write_pages is not None:
            write_pages(partial)
        _complete(partial, final, tables)
    except BaseException:
        # It may be what fills the disk.
        if partial.exists():
            shutil.rmtree(partial)
        raise
    return tables


def supersede(folder: Path, version: Path, write: Callable[[Path], dict[str, tuple[int, str]] | None]) -> Path | None:
    """Put a successor in the place of a kept version: a new folder, its name ending in ~1, ~2, and so on.

    Whoever reads the version keeps it until they close it. If this is stopped, calling it again ends it.

    Args:
        folder: `storage.home/published`.
        version: one of its versions.
        write: makes the folder it is given and writes everything into it; returns rows and content hash of every
            table, or None, having made nothing, where the version may stay.
    """
    name, _, times = version.name.partition("~")
    successor = version.with_name(f"{name}~{int(times or 0) + 1}")
    # One that is there already is whole, because it was renamed into place.
    if not successor.exists():
        partial = _partial(successor)
        tables = write(partial)
        if tables is None:
            return None
        _complete(partial, successor, tables)
    if (folder / CURRENT).resolve() == version.resolve():
        point_at(folder, successor.name)
    shutil.rmtree(version.rename(_partial(version)))
    return successor


def _complete(partial: Path, final: Path, tables: dict[str, tuple[int, str]]) -> None:
    """Verify what was written, bring it to the disk, and give it its name."""
    verify(partial, tables)
    for path in (*partial.rglob("*"), partial):
        _to_disk(path)
    partial.rename(final)
    _to_disk(final.parent)


def version_folders(folder: Path) -> list[Path]:
    """The whole versions in `folder`, without what is being written or removed."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _partial(version: Path) -> Path:
    """What a version is called while it is written or removed."""
    return version.with_name(f".{version.name}.partial")


def number_of(version: Path) -> int:
    """The place of a version in the order of publication; 0 for a version that was made before they were numbered.

    Raises:
        PublicationError: what stands there is no number.
    """
    path = version / NUMBER
    written = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else "0"
    if not re.fullmatch(r"[0-9]{1,18}", written):
        raise PublicationError(
            f"{path}: should hold the number of the publication",
            quoted=repr(written[:40]),
            to_do="write one between those of the version before and the one behind it, or move the version's folder"
            " away",
        )
    return int(written)


def _to_disk(path: Path) -> None:
    """Bring a file, or the names in a folder, from the system's cache to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _published_rows(
    session: Session, contract: Contract, pseudonyms: KeyedHash | None
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """SQL for the rows of a table as they are published, and what it needs bound.

    With pseudonyms, nothing else is published that may name a person.
    """
    with session.brought(f"select * from {quote_identifier(contract.table)}") as rows:  # noqa: S608
        yield _named_as_published(contract, rows, pseudonyms)


def _named_as_published(contract: Contract, rows: str, pseudonyms: KeyedHash | None) -> tuple[str, dict[str, bytes]]:
    if pseudonyms is None or all(column.name != CUSTOMER for column in contract.columns):
        return rows, {}
    named = [column for column in contract.columns if column.names_persons]
    replaced = ", ".join(
        (
            f"{pseudonyms.expression(CUSTOMER)} as {CUSTOMER}",
            *(f"cast(null as {column.type}) as {column.name}" for column in named),
        )
    )
    return f"(select * replace ({replaced}) from {rows} as published)", pseudonyms.parameters  # noqa: S608


def _write(
    session: Session,
    contents: Sequence[Contract],
    views: Mapping[str, str],
    description: Contract,
    folder: Path,
    run_id: str,
    config_hash: str,
    checks: list[dict[str, Any]],
    pseudonyms: KeyedHash | None,
) -> dict[str, tuple[int, str]]:
    """Copy the tables, ordered by key, into the new database and into Parquet."""
    session.execute(f"attach ? as publication_file (storage_version '{STORAGE_VERSION}')", [str(folder / DATABASE)])
    try:
        for contract in contents:
            if contract.table not in views:
                _copy_table(session, contract, pseudonyms)
        for name, select in views.items():
            # Names in it are those of the file that the view is in.
            session.execute(f"create view publication_file.main.{quote_identifier(name)} as {select}")
        tables = {
            contract.table: fingerprint(session.connection, f"publication_file.main.{quote_identifier(contract.table)}")
            for contract in contents
        }
        content = content_ids(session, list(tables))
        listed = [
            {
                "table": contract.table,
                "rows": tables[contract.table][0],
                "content_hash": tables[contract.table][1],
                "contract_hash": contract.hash,
                "content_id": content[contract.table],
            }
            for contract in contents
        ]
        [(currency,)] = session.ask("select max(currency) as currency from currencies where is_reporting")
        [(as_of,)] = session.ask("select as_of from history_span")
        session.execute(
            "create table publication_file.main.publication as select cast(? as varchar) as run_id,"
            " cast(? as timestamp) as published_at, cast(? as date) as as_of, cast(? as varchar) as config_hash,"
            " cast(? as varchar) as tables, cast(? as varchar) as checks, cast(? as varchar) as currency,"
            " cast(? as varchar) as pseudonym_key",
            [
                *(run_id, datetime.now(UTC).replace(tzinfo=None), as_of, config_hash, json.dumps(listed)),
                *(json.dumps(checks), currency),
                None if pseudonyms is None else pseudonyms.fingerprint,
            ],
        )
        for contract in (*contents, description):
            relation = f"publication_file.main.{quote_identifier(contract.table)}"
            session.comment(relation, contract, "view" if contract.table in views else "table", currency)
            session.execute(
                f"copy (from {relation}) to ? (format parquet)",
                [str(folder / "parquet" / f"{contract.table}.parquet")],
            )
        session.execute("checkpoint publication_file")
    finally:
        session.execute("detach publication_file")
    return tables


def _copy_table(session: Session, contract: Contract, pseudonyms: KeyedHash | None) -> None:
    """Copy a table into the new database, with its primary key and what is never missing as constraints.

    Raises:
        PublicationError: rows share a key, or lack a part of it.
    """
    table = f"publication_file.main.{quote_identifier(contract.table)}"
    columns = [
        f"{quote_identifier(column.name)} {column.type}{' not null' if column.name in contract.not_null else ''}"
        for column in contract.columns
    ]
    keys = [f"primary key ({', '.join(map(quote_identifier, contract.primary_key))})"] if contract.primary_key else []
    order = ", ".join(map(quote_identifier, contract.key))
    session.execute(f"create table {table} ({', '.join([*columns, *keys])})")
    try:
        with _published_rows(session, contract, pseudonyms) as (rows, parameters):
            session.connection.execute(f"insert into {table} by name select * from {rows} order by {order}", parameters)  # noqa: S608
    except duckdb.ConstraintException as error:
        raise PublicationError(
            f"not published: {contract.table} has rows that share a key or lack a part of it, and its contract promises"
            f" one row per {', '.join(contract.key)}",
            quoted=str(error),
            to_do=f"mend what builds {contract.table}, or the key and the expectations of its contract",
        ) from error


def verify(folder: Path, tables: dict[str, tuple[int, str]]) -> None:
    """Read everything back: DuckDB notices a damaged block only when it scans it.

    Raises:
        PublicationError: a table or file does not read back as it was written.
    """
    if (folder / f"{DATABASE}.wal").exists():
        raise PublicationError(f"{folder / DATABASE} has a write-ahead log beside it; readers would fail on it")
    with open_read_only(folder / DATABASE) as written:
        for table, expected in tables.items():
            if (found := fingerprint(written, quote_identifier(table))) != expected:
                raise PublicationError(f"{table} reads back as {found}, was written as {expected}")
    with open_scratch(None, [folder]) as reader:
        for table, (rows, _) in tables.items():
            path = folder / "parquet" / f"{table}.parquet"
            found_rows = reader.execute("select count(*) from read_parquet(?)", [str(path)]).fetchone()
            if found_rows != (rows,):
                raise PublicationError(f"{path} holds {found_rows} rows, expected {rows}")


def point_at(folder: Path, version: str) -> None:
    """Flip the symlink in one step; readers see the old version or the new one, never none.

    Raises:
        PublicationError: there is a folder, or a file, in the link's place.
    """
    refuse_no_link(folder)
    link = folder / f".{CURRENT}.new"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("versions") / version, target_is_directory=True)
    os.replace(link, folder / CURRENT)  # noqa: PTH105  (Path.replace would follow nothing, but says less)
    _to_disk(folder)


def refuse_no_link(folder: Path) -> None:
    """Refuse what is in the place of the link `folder/current` and is none, such as a copy that followed links.

    Raises:
        PublicationError: there is such a folder or file.
    """
    current = folder / CURRENT
    if current.exists() and not current.is_symlink():
        raise PublicationError(
            f"{current} is a {'folder' if current.is_dir() else 'file'}, and should be a link to a version",
            to_do=f"move it away and run `clv publish --to VERSION`; `ls {folder / 'versions'}` lists the versions",
        )


def _prune(newest: Path, keep: int) -> None:
    others = sorted((path for path in version_folders(newest.parent) if path != newest), key=number_of, reverse=True)
    for old in others[keep - 1 :]:
        # Under another name first: half a version must not look like one.
        shutil.rmtree(old.rename(_partial(old)))
