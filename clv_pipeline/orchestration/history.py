"""Removal of old runs from the Dagster instance: their records, the output of their steps, and the space in the files.

Dagster itself keeps every run forever. The run that built a table's current rows stays at any age: without it Dagster
would call the table missing.
"""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from sqlalchemy import text

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.run_origin import is_ours

RUNS_AT_ONCE = 100
"""Most runs that one call deletes, so that a sensor's tick does not take too long; the next call continues."""

LOCK_SECONDS = 30
"""How long the compaction of a file waits for processes that write into it."""

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_STORES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
_RUN_FILES = "history/runs"
"""Folder of Dagster's SQLite event log, one file per run; a file stays when its run is deleted."""


def prune_history(instance: dg.DagsterInstance, settings: Settings, location: str | None) -> str:
    """Delete runs of this warehouse that are older than `storage.history_days`, and free their space.

    Nothing happens while a run of this instance is at work. The result says in words what was done.

    Raises:
        sqlite3.OperationalError: the runs are deleted, but a file could not be compacted, because it is locked or the
            disk is full. The file is unchanged.
    """
    if instance.get_runs_count(dg.RunsFilter(statuses=_AT_WORK)):
        return "a run is at work: nothing is deleted"
    days = settings.storage.history_days
    run_ids = _outdated(instance, settings, location, datetime.now(UTC) - timedelta(days=days))[:RUNS_AT_ONCE]
    for run_id in run_ids:
        _delete(instance, run_id)
    if not run_ids:
        return f"no run is older than {days} days"
    compact(instance)
    return f"{len(run_ids)} {'run' if len(run_ids) == 1 else 'runs'} older than {days} days deleted"


def _outdated(instance: dg.DagsterInstance, settings: Settings, location: str | None, before: datetime) -> list[str]:
    """Ids of our finished runs from before this moment, oldest first, without those that built current rows."""
    latest = {
        record.asset_entry.last_materialization.run_id
        for record in instance.get_asset_records()
        if record.asset_entry.last_materialization is not None
    }
    finished = instance.get_runs(dg.RunsFilter(statuses=_FINISHED, created_before=before), ascending=True)
    return [run.run_id for run in finished if run.run_id not in latest and is_ours(run, settings, location)]


def _delete(instance: dg.DagsterInstance, run_id: str) -> None:
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    # Dagster leaves the results of checks when it deletes a run, and they are most of what a night writes.
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(text("delete from asset_check_executions where run_id = :run_id"), {"run_id": run_id})
    instance.delete_run(run_id)


def compact(instance: dg.DagsterInstance) -> None:
    """Remove the files of deleted runs, and free the space in the stores, if these are SQLite's.

    Call it while no run is at work, because writers have to wait.

    Raises:
        sqlite3.OperationalError: a store is locked, or the disk is full. The store is unchanged.
    """
    root = Path(instance.root_directory)
    for file in (root / _RUN_FILES).glob("*.db"):
        if _is_run_id(file.stem) and not instance.has_run(file.stem):
            for path in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
                path.unlink(missing_ok=True)
    for folder in (root / "storage").glob("*"):
        if _is_run_id(folder.name) and not instance.has_run(folder.name):
            shutil.rmtree(folder)
    for store in _STORES:
        if (root / store).exists():
            connection = sqlite3.connect(root / store, timeout=LOCK_SECONDS, isolation_level=None)
            try:
                connection.execute("vacuum")
                # The log beside the file holds the compacted pages until they are copied.
                connection.execute("pragma wal_checkpoint(truncate)")
            finally:
                connection.close()


def _is_run_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False
