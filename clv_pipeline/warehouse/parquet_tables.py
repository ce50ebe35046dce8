"""Tables that are folders of Parquet files. Each is one DuckDB view; folders without a view are deleted.

Spark writes them and DuckDB reads them. The present engine does not matter here: a table that Spark wrote stays in
the catalog until DuckDB has rebuilt it.
"""

# Only quoted names and paths enter the SQL.
# ruff: noqa: S608

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.loader import DIALECT
from clv_pipeline.database.sql_text import quote_identifier, quote_literal
from clv_pipeline.errors import ClusterError

if TYPE_CHECKING:
    import duckdb

OWNER = "owner.txt"
"""File among the folders that names their owner: the id of a warehouse, and below it the path of its file."""


def add_to_catalog(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    """Make the Parquet files in `folder` readable as `name`."""
    files = quote_literal(str(folder / "*.parquet"))
    connection.execute(f"create view {quote_identifier(name)} as select * from read_parquet({files})")


def folder_of(view: exp.Expr) -> Path | None:
    """The folder that a view reads; None if it reads something else."""
    read = view.find(exp.ReadParquet)
    return None if read is None else Path(next(read.find_all(exp.Literal)).name).parent


def folders(connection: duckdb.DuckDBPyConnection) -> dict[str, Path]:
    """The folders of all tables that are stored as folders, by name."""
    views = connection.execute("select view_name, sql from duckdb_views() where not internal").fetchall()
    found = {name: _folder_in(sql) for name, sql in views}
    return {name: folder for name, folder in found.items() if folder is not None}


# Every step sweeps, and most views have not changed.
@lru_cache(maxsize=1_000)
def _folder_in(definition: str) -> Path | None:
    return folder_of(sqlglot.parse_one(definition, dialect=DIALECT))


def move_into_duckdb(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Copy a table that is a folder into a DuckDB table. The folder stays until it is swept."""
    view, moved = quote_identifier(name), quote_identifier(f"{name}__moved")
    connection.execute(f"create table {moved} as select * from {view}")
    connection.execute(f"drop view {view}")
    connection.execute(f"alter table {moved} rename to {view}")


def claim(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Make sure that the folders below `root` belong to this warehouse: both keep the same id.

    A warehouse or a folder without an id (from an earlier version) gets one, unless the folder holds other tables.

    Raises:
        ClusterError: the folders are or may be another warehouse's, this warehouse is a copy, or some of its tables are
            missing.
    """
    path, known = _path_of(connection), set(folders(connection).values())
    written = _owner_of(root)
    own = _id_of(connection)
    if own is None or written is None or written.id is None:
        _refuse_to_adopt(root, written, path, known)
        own = own or _give_id(connection)
    elif written.id != own:
        raise ClusterError(
            f"{root} holds the tables of {written.path}, not of {path}",
            to_do="give each pipeline a folder of its own in storage.spark.tables",
        )
    elif written.path != path and Path(written.path).exists():
        raise ClusterError(
            f"{root} holds the tables of {written.path}, of which {path} is a copy",
            to_do="give the copy a copy of the tables, and a storage.spark.tables of its own; or remove the original",
        )
    if lost := sorted(folder for folder in known if folder.is_relative_to(root) and not folder.exists()):
        raise ClusterError(
            f"{root}: {len(lost)} tables of {path} are not there, such as {lost[0].relative_to(root)}",
            to_do="mount the folder, or restore it from the same backup as the warehouse; to build everything anew,"
            f" move {path} and {root} away",
        )
    root.mkdir(parents=True, exist_ok=True)
    if written != Owner(own, path):
        (root / OWNER).write_text(f"{own}\n{path}\n", encoding="utf-8")


def sweep(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Delete the folders below `root` that no view reads.

    Raises:
        ClusterError: they do not belong to this warehouse (see `claim`).
    """
    claim(connection, root)
    for folder in _unknown(root, set(folders(connection).values())):
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Owner:
    """The warehouse that owns the folders."""

    id: str | None
    """Id of the warehouse; None if an earlier version without ids wrote the file."""
    path: str


def _owner_of(root: Path) -> Owner | None:
    """The owner that the folder names; None if it names none."""
    if not (root / OWNER).exists():
        return None
    first, _, second = (root / OWNER).read_text(encoding="utf-8").strip().partition("\n")
    return Owner(first, second) if re.fullmatch("[0-9a-f]{32}", first) else Owner(None, first)


def _refuse_to_adopt(root: Path, written: Owner | None, path: str, known: set[Path]) -> None:
    """Refuse a folder that may be another warehouse's. Two containers may use the same path.

    Raises:
        ClusterError: the folder holds tables of another warehouse, or tables that this one does not know.
    """
    if written is not None and (written.id is not None or written.path != path):
        raise ClusterError(
            f"{root} holds the tables of {written.path}, not of {path}",
            to_do="give each pipeline a folder of its own in storage.spark.tables."
            + ("" if written.id else f" If {written.path} was moved, write the new path into {root / OWNER}"),
        )
    if strangers := _unknown(root, known):
        raise ClusterError(
            f"{root} holds tables that {path} does not know, such as {strangers[0].relative_to(root)}",
            to_do="give each pipeline a folder of its own in storage.spark.tables; if a run that was killed has left"
            f" these {len(strangers)} folders, move them away",
        )


def _path_of(connection: duckdb.DuckDBPyConnection) -> str:
    [(path,)] = connection.execute(
        "select path from duckdb_databases() where database_name = current_database()"
    ).fetchall()
    return str(path)


def _id_of(connection: duckdb.DuckDBPyConnection) -> str | None:
    connection.execute("create schema if not exists gate")
    connection.execute("create table if not exists gate.owner_of_tables (id varchar not null)")
    found = connection.execute("select id from gate.owner_of_tables").fetchall()
    return str(found[0][0]) if found else None


def _give_id(connection: duckdb.DuckDBPyConnection) -> str:
    connection.execute("insert into gate.owner_of_tables values (?)", [new := uuid.uuid4().hex])
    return new


def _unknown(root: Path, known: set[Path]) -> list[Path]:
    """The folders of tables that no view reads."""
    found = root.glob("*/*")
    return sorted(folder for folder in found if re.fullmatch("[0-9a-f]{32}", folder.name) and folder not in known)
