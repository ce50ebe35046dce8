"""Sensors of runs: they report failed runs to people, mark dead runs as failed, and delete old runs.

Dagster's own run failure sensor moves on when its receiver is down, and overlooks runs of `clv run`. This one tries
again until each receiver has the message, or has refused it too often.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import dagster as dg

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.alerting import tell_failures, untold
from clv_pipeline.orchestration.history import prune_history
from clv_pipeline.orchestration.run_origin import is_ours
from clv_pipeline.warehouse import Warehouse

DEAD_AFTER_SECONDS = 600
"""Age from which a run without the lock counts as dead; a run takes it within seconds, when its first step starts."""

_FETCHED_AT_ONCE = 100


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """The sensors for dead and old runs and, if `alerts:` has a receiver, the one for failed runs."""
    watching = [_dead_runs_sensor(settings), _run_history_sensor(settings)]
    return [*watching, _run_failure_alerts(settings)] if settings.alerts.configured else watching


def _run_failure_alerts(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="run_failure_alerts",
        description="Tells each receiver of `alerts:` in clv.yaml about every failed run, once.",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def run_failure_alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        newest = context.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, limit=1).records
        if context.cursor is None:
            context.update_cursor(str(newest[0].storage_id if newest else 0))
            return dg.SkipReason("runs that fail from now on are told")
        # All failures after the cursor, settled or not: a tick that fails leaves the cursor where it was.
        failures = list(_failures_after(context.instance, int(context.cursor)))
        run_ids = [run_id for _, run_id in failures]
        told = tell_failures(context.instance, settings, run_ids, _location(context))
        waiting = {run.run_id for run, _ in untold(context.instance, settings, run_ids, _location(context))}
        for number, run_id in failures:
            if run_id in waiting:
                break
            context.update_cursor(str(number))
        return dg.SkipReason(f"failed runs told: {told}")

    return run_failure_alerts


def _failures_after(instance: dg.DagsterInstance, number: int) -> Iterator[tuple[int, str]]:
    """Number and run of every failure after the one with this number, in order."""
    fetched = True
    while fetched:
        behind = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=number)
        records = instance.fetch_run_status_changes(behind, ascending=True, limit=_FETCHED_AT_ONCE).records
        yield from ((record.storage_id, record.run_id) for record in records)
        fetched = bool(records)
        number = records[-1].storage_id if records else number


def _dead_runs_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="dead_runs",
        description="Marks runs as failed whose process was killed or went down with the machine; the queue goes on.",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        dead = fail_dead_runs(context.instance, settings, _location(context))
        return dg.SkipReason(f"marked as failed: {', '.join(dead)}" if dead else "no run is dead")

    return dead_runs


def fail_dead_runs(
    instance: dg.DagsterInstance,
    settings: Settings,
    location: str | None,
    *,
    after_seconds: float = DEAD_AFTER_SECONDS,
) -> list[str]:
    """Mark runs of this warehouse as failed if they claim to be at work while nobody holds its lock.

    A run whose process was killed, or went down with the machine, claims so forever, and the next runs would queue
    behind it. Runs younger than `after_seconds` may not hold the lock yet. Returns the ids.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    started_before = time.time() - after_seconds
    suspects = [
        record.dagster_run
        for record in records
        if is_ours(record.dagster_run, settings, location) and (record.start_time or 0) <= started_before
    ]
    lock = Warehouse(settings.warehouse_path).lock
    if not suspects or not lock.path.exists() or not lock.is_free():
        return []
    for run in suspects:
        instance.report_run_failed(
            run, "The process of this run has ended without a word: it was killed, or the machine stopped."
        )
    return [run.run_id for run in suspects]


def _run_history_sensor(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="run_history",
        description="Deletes the records of runs that are older than `storage.history_days` in clv.yaml.",
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def run_history(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(prune_history(context.instance, settings, _location(context)))

    return run_history


def _location(context: dg.SensorEvaluationContext) -> str | None:
    origin = context.code_location_origin
    return origin.location_name if origin is not None else None
