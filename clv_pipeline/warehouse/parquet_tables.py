"""Tables that are folders of Parquet files: in the catalog a view of each, on the disk no folder without a view.

Spark writes them and DuckDB reads them. Which engine is used now does not matter here: what Spark kept stands in the
catalog until DuckDB has built it anew.
"""

# Only quoted names and paths enter the SQL.
# ruff: noqa: S608

from __future__ import annotations

import re
import shutil
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
"""A file among the folders that names the catalog they belong to."""


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


def sweep(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Remove the folders below `root` that no view is of.

    Raises:
        ClusterError: they belong to another catalog, whose tables would be removed.
    """
    [(catalog,)] = connection.execute(
        "select path from duckdb_databases() where database_name = current_database()"
    ).fetchall()
    owner = root / OWNER
    root.mkdir(parents=True, exist_ok=True)
    if not owner.exists():
        owner.write_text(catalog, encoding="utf-8")
    if (known := owner.read_text(encoding="utf-8")) != catalog:
        raise ClusterError(
            f"{root} holds the tables of {known}, not of {catalog}",
            to_do=f"give each pipeline a folder of its own in storage.spark.tables. If {known} was moved, write the new"
            f" path into {owner}",
        )
    kept = set(folders(connection).values())
    for folder in root.glob("*/*"):
        if re.fullmatch("[0-9a-f]{32}", folder.name) and folder not in kept:
            shutil.rmtree(folder)
