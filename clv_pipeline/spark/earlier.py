"""Tables of an earlier version, which Spark had written as folders of Parquet files: they move into the DuckDB file.

What only the warehouse knows, such as past forecasts, stays in this way. The next run builds the others anew on Spark.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from clv_pipeline.database.sql_text import quote_identifier

if TYPE_CHECKING:
    import duckdb

_OWNER = "owner.txt"
"""The file by which an earlier version knew its folder."""


def take_over_folders(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Copy every table that is a folder of Parquet files below `folder` into the database, and remove the folder."""
    views = connection.execute(
        "select view_name from duckdb_views() where not internal and database_name = current_database()"
        " and contains(sql, 'read_parquet(')"
    ).fetchall()
    if not views:
        return
    connection.execute("begin transaction")
    try:
        for (name,) in views:
            view, moved = quote_identifier(name), quote_identifier(f"{name}__moved")
            connection.execute(f"create table {moved} as select * from {view}")  # noqa: S608
            connection.execute(f"drop view {view}")
            connection.execute(f"alter table {moved} rename to {view}")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    if (folder / _OWNER).exists():
        shutil.rmtree(folder)
