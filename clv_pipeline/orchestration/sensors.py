"""Sensors of runs: they report failed runs to people, mark dead runs as failed, and delete old runs.

Dagster's own run failure sensor moves on when its receiver is down, and overlooks runs of `clv run`. This one retries
until each receiver has the message, and records that on the run.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import dagster as dg

from clv_pipeline.alerts.message import Alert, Problem, bounded
from clv_pipeline.alerts.receivers import receivers
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import AlertError
from clv_pipeline.orchestration.failures import TO_DO, WHAT
from clv_pipeline.orchestration.history import prune_history
from clv_pipeline.orchestration.run_origin import is_ours
from clv_pipeline.warehouse import Warehouse

ALERTED_TAG = "clv/alerted_by_"
"""Tag on a failed run that was reported; the name of the receiver follows."""

DEAD_AFTER_SECONDS = 600
"""Age from which a run without the lock counts as dead; a run takes it within seconds, when its first step starts."""

_PUBLICATION = dg.AssetKey("published_marts")
# A tick that takes longer than three minutes is given up.
_RUNS_PER_TICK = 5
_CONTRACT = "mend the input or, if the promise is wrong, the table's contract; then run again"
_BUG = "look at the run's log; run again, and report it if it happens again"
_CRASH = "run again; if it ends like this again, look for too little memory or a stop from outside (system log)"


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
        failures = context.instance.fetch_run_status_changes(
            dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=int(context.cursor)),
            ascending=True,
            limit=_RUNS_PER_TICK,
        ).records
        told = tell_failures(context.instance, settings, [record.run_id for record in failures], _location(context))
        if failures:
            context.update_cursor(str(failures[-1].storage_id))
        return dg.SkipReason(f"failed runs told: {told}")

    return run_failure_alerts


def tell_failures(
    instance: dg.DagsterInstance, settings: Settings, run_ids: Iterable[str], location: str | None
) -> int:
    """Report failed runs of this warehouse to receivers that do not know them yet; return their number.

    A receiver that fails is skipped until the next call; the others still get their messages.

    Raises:
        AlertError: at the end, if a receiver did not accept a message. Call again with the same runs: accepted messages
            are recorded on the run and not sent twice.
    """
    told: set[str] = set()
    failed: dict[str, AlertError] = {}
    for run_id in dict.fromkeys(run_ids):
        run = instance.get_run_by_id(run_id)
        if run is None or not is_ours(run, settings, location):
            continue
        for name, send in receivers(settings.alerts).items():
            if name in failed or f"{ALERTED_TAG}{name}" in run.tags:
                continue
            try:
                send(alert_of(instance, run, settings))
            except AlertError as error:
                failed[name] = error
                continue
            instance.add_run_tags(run_id, {f"{ALERTED_TAG}{name}": "yes"})
            told.add(run_id)
    if failed:
        raise AlertError("; ".join(map(str, failed.values())) + "; the message is kept and tried again")
    return len(told)


def alert_of(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> Alert:
    """The facts of the event log about a failed run, without contents of records."""
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
    red = [event for event in events if event.event_type_value == "ASSET_CHECK_EVALUATION" and _blocks(event)]
    explained = {event.step_key for event in red}
    failed = [event for event in events if event.is_step_failure and event.step_key not in explained]
    problems = [*map(_red_check, red), *map(_failed_step, failed)]
    return Alert(
        run_id=run.run_id,
        # Dagster's name for assets that somebody materialized by hand begins with underscores.
        job="an ad-hoc run" if run.job_name.startswith("__") else run.job_name,
        problems=tuple(problems or [_crash(events)]),
        published=any(event.asset_key == _PUBLICATION for event in events if event.is_step_materialization),
        link=f"{settings.alerts.ui_url.rstrip('/')}/runs/{run.run_id}",
    )


def _blocks(event: dg.DagsterEvent) -> bool:
    evaluation = event.asset_check_evaluation_data
    return not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR


def _red_check(event: dg.DagsterEvent) -> Problem:
    evaluation = event.asset_check_evaluation_data
    metadata = {name: str(value.value) for name, value in evaluation.metadata.items()}
    # Runs of earlier versions do not record the promise, and their observation may hold a value of a record.
    is_told = "promised" in metadata
    return Problem(
        asset=evaluation.asset_key.to_user_string(),
        check=evaluation.check_name,
        observed=bounded(metadata["observed"]) if is_told else "the run's page says what was seen",
        expected=bounded(f"{metadata['promised']} ({metadata['expected']})") if is_told else metadata["expected"],
        what_to_do=_CONTRACT,
    )


def _failed_step(event: dg.DagsterEvent) -> Problem:
    stated = event.step_failure_data.user_failure_data
    metadata = {name: str(value.value) for name, value in (stated.metadata if stated else {}).items()}
    if WHAT in metadata:
        return Problem(str(event.step_key), None, bounded(metadata[WHAT]), None, bounded(metadata[TO_DO]))
    # An error of other code: its text may quote anything.
    return Problem(str(event.step_key), None, f"{_class_of(event)} (the run's page has its text)", None, _BUG)


def _crash(events: list[dg.DagsterEvent]) -> Problem:
    """The alert of a run without a failed step: its process has ended, or never started."""
    said = [event.message for event in events if event.is_engine_event or event.is_job_failure]
    return Problem("the run itself", None, bounded(" ".join(filter(None, said[-2:]))), None, _CRASH)


def _class_of(event: dg.DagsterEvent) -> str:
    """Name of the class of the first cause of a step's failure."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.cls_name if error is not None else None) or "an error"


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
