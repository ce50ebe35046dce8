"""Which days of which table changed, so that tables built day by day are rebuilt for these days only.

Every promotion that changes a table writes one line per changed day into the log, or one line for "everything". A
dependent table knows the version that it was built from. It finds here what has changed since then, however many runs
failed in between.
"""

# Only names of tables and columns from contracts are spliced into SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping

from clv_pipeline.contracts import Contract
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse.duckdb_engine import NO_DAY, Session

AFFECTED_DAYS = "gate.affected_days"
"""The days for which the current table must be built; column `day`."""

_LOG = """
create table if not exists gate.changed_days (table_name varchar not null, version bigint not null, day date);
create table if not exists gate.affected_days (day date);
"""


def ensure_log(session: Session) -> None:
    """Create the log if it is missing. The schema `gate` exists."""
    session.execute(_LOG)


def log_changes(session: Session, table: str, version: int, days: str | None) -> None:
    """Record that `table` has a new version. `days` is a query for the days that differ (column `day`); None: all."""
    if days is None:
        # Tables built from an earlier version must be rebuilt whole, so earlier changed days no longer matter.
        session.execute("delete from gate.changed_days where table_name = ?", [table])
        session.execute("insert into gate.changed_days values (?, ?, null)", [table, version])
    else:
        session.execute(f"insert into gate.changed_days select distinct ?, ?, day from ({days})", [table, version])


def find_affected_days(session: Session, built_from: Mapping[str, int], versions: Mapping[str, int]) -> bool:
    """Fill `AFFECTED_DAYS` with the days that differ between two sets of versions of a table's inputs.

    Returns False if every day may differ: an input is new, or its changed days are not known.
    """
    session.execute(f"delete from {AFFECTED_DAYS}")
    for table, version in versions.items():
        if table not in built_from:
            return False
        if built_from[table] == version:
            continue
        since = [table, built_from[table]]
        ((everything, is_logged),) = session.execute(
            "select count(*) > count(day), coalesce(max(version), 0) = ? from gate.changed_days"
            " where table_name = ? and version > ?",
            [version, *since],
        ).fetchall()
        if everything or not is_logged:
            return False
        session.execute(
            f"insert into {AFFECTED_DAYS} select distinct day from gate.changed_days where table_name = ?"
            f" and version > ? and day not in (select day from {AFFECTED_DAYS})",
            since,
        )
    return True


def copy_affected(session: Session, contract: Contract, copy: str) -> None:
    """Copy the rows of a table on the affected days to the temporary table `copy`."""
    column = quote_identifier(str(contract.day_column))
    table = quote_identifier(contract.table)
    ((first, last, undated),) = session.execute(
        f"select min(day) filter (day <> {NO_DAY}), max(day) filter (day <> {NO_DAY}),"
        f" count(*) filter (day = {NO_DAY}) > 0 from {AFFECTED_DAYS}"
    ).fetchall()
    session.execute(
        # The range lets the scan skip whole blocks of the table.
        f"create or replace temp table {quote_identifier(copy)} as select * from {table}"
        f" where {column} >= ? and {column} < cast(? as date) + 1"
        f" and cast({column} as date) in (select day from {AFFECTED_DAYS})",
        [first, last],
    )
    if undated:
        session.execute(f"insert into {quote_identifier(copy)} select * from {table} where {column} is null")
