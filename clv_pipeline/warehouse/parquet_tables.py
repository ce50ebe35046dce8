"""Tables that are folders of Parquet files: in the catalog a view of each, on the disk no folder without a view.

Spark writes them and DuckDB reads them. Which engine is used now does not matter here: what Spark kept stands in the
catalog until DuckDB has built it anew.
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
"""A file among the folders that says whose they are: the id of a warehouse, and below it the path of its file."""


def add_to_catalog(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    """Make the Parquet files in `folder` readable as `name`."""
    files = quote_literal(str(folder / "*.parquet"))
    connection.execute(f"create view {quote_identifier(name)} as select * from read_parquet({files})")


def folder_of(view: exp.Expr) -> Path | None:
    """The folder that a view is of; None where it selects from something else."""
    read = view.find(exp.ReadParquet)
    return None if read is None else Path(next(read.find_all(exp.Literal)).name).parent


def folders(connection: duckdb.DuckDBPyConnection) -> dict[str, Path]:
    """The folders of all tables that are such, by name."""
    views = connection.execute("select view_name, sql from duckdb_views() where not internal").fetchall()
    found = {name: _folder_in(sql) for name, sql in views}
    return {name: folder for name, folder in found.items() if folder is not None}


# Every step sweeps, and most views are what they were.
@lru_cache(maxsize=1_000)
def _folder_in(definition: str) -> Path | None:
    return folder_of(sqlglot.parse_one(definition, dialect=DIALECT))


def move_into_duckdb(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Make a table of DuckDB of one that is a folder, which stays where it is until it is swept."""
    view, moved = quote_identifier(name), quote_identifier(f"{name}__moved")
    connection.execute(f"create table {moved} as select * from {view}")
    connection.execute(f"drop view {view}")
    connection.execute(f"alter table {moved} rename to {view}")


def claim(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Make sure that the folders below `root` are this warehouse's: both keep the same id.

    A warehouse, or a folder of tables, from before there were ids gets one, unless there are tables of somebody else.

    Raises:
        ClusterError: they are another warehouse's or may be, this one is a copy, or tables of it are not there.
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
    """Remove the folders below `root` that no view is of.

    Raises:
        ClusterError: they are not this warehouse's, as `claim` says.
    """
    claim(connection, root)
    for folder in _unknown(root, set(folders(connection).values())):
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Owner:
    """Whose the folders are."""

    id: str | None
    """None: written before there were ids."""
    path: str


def _owner_of(root: Path) -> Owner | None:
    """What the folder says; None where it says nothing."""
    if not (root / OWNER).exists():
        return None
    first, _, second = (root / OWNER).read_text(encoding="utf-8").strip().partition("\n")
    return Owner(first, second) if re.fullmatch("[0-9a-f]{32}", first) else Owner(None, first)


def _refuse_to_adopt(root: Path, written: Owner | None, path: str, known: set[Path]) -> None:
    """Refuse a folder that may be another warehouse's: containers call theirs by the same path.

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
    """The folders of tables that no view is of."""
    found = root.glob("*/*")
    return sorted(folder for folder in found if re.fullmatch("[0-9a-f]{32}", folder.name) and folder not in known)
