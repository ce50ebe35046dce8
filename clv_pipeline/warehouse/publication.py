"""Publications: immutable copies of the published tables, and the symlink that says which one BI tools read.

A publication is written beside the others, verified by reading all of it back, and only then pointed at.
Readers of the previous one keep their files until the last `keep` versions have moved on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from clv_pipeline.connections import open_read_only, open_scratch
from clv_pipeline.contracts import Contract
from clv_pipeline.keyed_hash import KeyedHash
from clv_pipeline.sql_text import quote_identifier
from clv_pipeline.warehouse.duckdb_engine import STORAGE_VERSION, Session
from clv_pipeline.warehouse.gate import reasons_against_publishing

DATABASE = "clv.duckdb"
CURRENT = "current"
CUSTOMER = "customer_id"


class PublicationError(RuntimeError):
    """A publication that must not or could not be made; what is served stays as it was."""


@dataclass(frozen=True)
class Publication:
    """A published version: its folder, and rows and content hash of every table."""

    directory: Path
    tables: dict[str, tuple[int, str]]

    @property
    def database(self) -> Path:
        """The DuckDB file of this version."""
        return self.directory / DATABASE


def publish(
    session: Session,
    contracts: Sequence[Contract],
    folder: Path,
    *,
    run_id: str,
    config_hash: str,
    keep: int,
    may_lag: Sequence[str] = (),
    pseudonyms: KeyedHash | None = None,
) -> Publication:
    """Write `folder/versions/<run_id>`, verify it, flip `folder/current` to it and drop the oldest versions.

    Args:
        session: the open warehouse.
        contracts: of the tables to publish, `publication` among them: the description of the version itself.
        folder: `storage.home/published`.
        run_id: names the version.
        config_hash: of the settings that built the tables.
        keep: how many versions stay, the new one included.
        may_lag: tables that may be older than what they are built from (the model review's).
        pseudonyms: what stands for every customer_id; None to publish the ids.

    Raises:
        PublicationError: a table is not fit to be published, or the written files do not read back.
    """
    contents = [contract for contract in contracts if contract.table != "publication"]
    description = next(contract for contract in contracts if contract.table == "publication")
    if reasons := reasons_against_publishing(session, contents, may_lag=may_lag):
        raise PublicationError("not published, because " + "; ".join(reasons))
    versions = folder / "versions"
    final = versions / run_id
    if final.exists():
        raise PublicationError(f"version {final} exists already; a publication is never changed")
    partial = versions / f".{run_id}.partial"
    for leftover in versions.glob(".*.partial"):
        shutil.rmtree(leftover)
    (partial / "parquet").mkdir(parents=True)
    tables = _write(session, contents, description, partial, run_id, config_hash, pseudonyms)
    verify(partial, tables)
    partial.rename(final)
    point_at(folder, run_id)
    _prune(versions, keep)
    return Publication(final, tables)


def _write(
    session: Session,
    contents: Sequence[Contract],
    description: Contract,
    folder: Path,
    run_id: str,
    config_hash: str,
    pseudonyms: KeyedHash | None,
) -> dict[str, tuple[int, str]]:
    """Copy the tables, ordered by key, into the new database and into Parquet."""
    session.execute(f"attach ? as publication_file (storage_version '{STORAGE_VERSION}')", [str(folder / DATABASE)])
    try:
        for contract in contents:
            table = quote_identifier(contract.table)
            key = ", ".join(map(quote_identifier, contract.key))
            rows, parameters = table, {}
            if pseudonyms is not None and any(column.name == CUSTOMER for column in contract.columns):
                rows = f"(select * replace ({pseudonyms.expression(CUSTOMER)} as {CUSTOMER}) from {table})"  # noqa: S608
                parameters = pseudonyms.parameters
            session.connection.execute(
                f"create table publication_file.main.{table} as select * from {rows} order by {key}",  # noqa: S608
                parameters,
            )
        tables = {
            contract.table: fingerprint(session.connection, f"publication_file.main.{quote_identifier(contract.table)}")
            for contract in contents
        }
        listed = [
            {
                "table": contract.table,
                "rows": tables[contract.table][0],
                "content_hash": tables[contract.table][1],
                "contract_hash": contract.hash,
            }
            for contract in contents
        ]
        session.execute(
            "create table publication_file.main.publication as select cast(? as varchar) as run_id,"
            " cast(? as timestamp) as published_at, as_of, cast(? as varchar) as config_hash,"
            " cast(? as varchar) as tables, cast(? as varchar) as pseudonym_key from history_span",
            [
                *(run_id, datetime.now(UTC).replace(tzinfo=None), config_hash, json.dumps(listed)),
                None if pseudonyms is None else pseudonyms.fingerprint,
            ],
        )
        for contract in (*contents, description):
            relation = f"publication_file.main.{quote_identifier(contract.table)}"
            session.comment(relation, contract)
            session.execute(
                f"copy (from {relation}) to ? (format parquet)",
                [str(folder / "parquet" / f"{contract.table}.parquet")],
            )
        session.execute("checkpoint publication_file")
    finally:
        session.execute("detach publication_file")
    return tables


def fingerprint(connection: duckdb.DuckDBPyConnection, relation: str) -> tuple[int, str]:
    """Number of rows and a hash of their content that does not depend on their order."""
    found = connection.execute(
        f"select count(*), format('{{:032x}}', coalesce(sum(md5_number_lower(cast(r as varchar))), 0))"  # noqa: S608
        f" from {relation} as r"
    ).fetchone()
    assert found is not None  # noqa: S101  (an aggregate always returns a row)
    return int(found[0]), str(found[1])


def verify(folder: Path, tables: dict[str, tuple[int, str]]) -> None:
    """Read everything back: DuckDB notices a damaged block only when it scans it."""
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
    """Flip the symlink in one step; readers see the old version or the new one, never none."""
    link = folder / f".{CURRENT}.new"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("versions") / version, target_is_directory=True)
    os.replace(link, folder / CURRENT)  # noqa: PTH105  (Path.replace would follow nothing, but says less)


def _prune(versions: Path, keep: int) -> None:
    by_age = sorted(
        (path for path in versions.iterdir() if not path.name.startswith(".")),
        key=lambda path: path.stat().st_mtime_ns,
        reverse=True,
    )
    for old in by_age[keep:]:
        shutil.rmtree(old)
