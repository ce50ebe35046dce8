"""Which days of which table changed, so that tables built day by day are rebuilt for these days only.

Every promotion that changes a table writes one line per changed day into the log, or one line for "everything". A
dependent table knows the version that it was built from. It finds here what has changed since then, however many runs
failed in between.
"""

# Only names of tables and columns from contracts are spliced into SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from clv_pipeline.warehouse.duckdb_engine import Session

AFFECTED_DAYS = "gate.affected_days"
"""The days for which the current table must be built; column `day`."""

_LOG = """
create table if not exists gate.changed_days (table_name varchar not null, version bigint not null, day date);
create table if not exists gate.affected_days (day date);
"""


def ensure_log(session: Session) -> None:
    """Create the log if it is missing. The schema `gate` exists."""
    session.execute(_LOG)


def log_changes(session: Session, table: str, version: int, days: Sequence[date] | None) -> None:
    """Record that `table` has a new version, which differs on these days; None: on any."""
    if days is None:
        # Tables built from an earlier version must be rebuilt whole, so earlier changed days no longer matter.
        session.execute("delete from gate.changed_days where table_name = ?", [table])
        session.execute("insert into gate.changed_days values (?, ?, null)", [table, version])
    else:
        session.execute("insert into gate.changed_days select ?, ?, unnest(?::date[])", [table, version, list(days)])


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
