"""The nightly job in this process, reported line by line: the same job that the schedule and the UI execute."""

from __future__ import annotations

import gc
import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import AlertError, ClvError, RequestError, WarehouseBusyError
from clv_pipeline.pipeline import Refresh

if TYPE_CHECKING:
    import dagster as dg

Echo = Callable[[str], None]

COLLECT_AFTER = (10_000, 20, 20)
"""How rarely Python looks for objects that refer to each other in circles.

With its own numbers it looks at all definitions of the graph again and again: a tenth of a night without news.
"""


@dataclass(frozen=True)
class BuiltTable:
    """A table that a run materialized."""

    table: str
    rows: int | None
    seconds: float
    """Seconds of its step, with the audit; a step may build several tables."""
    unchanged: bool
    """Whether it was kept, because none of its inputs had changed."""


@dataclass(frozen=True)
class FailedCheck:
    """A check that did not pass."""

    table: str
    check: str
    severity: str
    """`error` or `warning`."""
    message: str


@dataclass(frozen=True)
class FailedStep:
    """A failed step, by the name of its first table, with the cause."""

    step: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """The result of a run, with everything that happened on the way."""

    run_id: str
    success: bool
    published: bool
    tables: list[BuiltTable]
    failed_checks: list[FailedCheck]
    failed_steps: list[FailedStep]


def run_nightly(
    settings: Settings, *, select: str | None, refresh: Refresh, wait_minutes: float = 0, echo: Echo
) -> Outcome:
    """Materialize what is due, with one line per table; where it fails, the receivers of `alerts:` are told.

    Args:
        settings: the settings of the run.
        select: a Dagster asset selection such as `rfm+` or `key:rfm+`; None for what is due.
        refresh: what to build although nothing has changed; a full refresh includes the model review.
        wait_minutes: how long to wait while another process works on the warehouse; 0 fails at once.
        echo: prints a line.

    Raises:
        WarehouseBusyError: another process works on the warehouse; no run was made.
        StorageError: the warehouse's lock or Dagster's run history cannot be used.
        RequestError: the selection is invalid, names an unknown table, or selects nothing.
        ClvError: the run could not start for another reason, such as a contract; the receivers have been told.
    """
    gc.set_threshold(*COLLECT_AFTER)
    from clv_pipeline.orchestration.alerting import tell_of_no_run

    try:
        return _run_nightly(settings, select, refresh, wait_minutes, echo)
    except (WarehouseBusyError, RequestError):
        # Refusals of what somebody asked for: they read them, and nothing has failed.
        raise
    except ClvError as error:
        for hindered in tell_of_no_run(settings, error):
            echo(f"        alert not delivered: {hindered}")
        raise


def _run_nightly(settings: Settings, select: str | None, refresh: Refresh, wait_minutes: float, echo: Echo) -> Outcome:
    import dagster as dg

    from clv_pipeline.orchestration.assets import all_assets
    from clv_pipeline.orchestration.gated_step import REFRESH
    from clv_pipeline.orchestration.instance import prepare_instance, store_faults_told
    from clv_pipeline.orchestration.jobs import due_tonight, nightly_refresh
    from clv_pipeline.orchestration.resources import RefreshOptions
    from clv_pipeline.orchestration.run_origin import WAREHOUSE_TAG, file_under_code_location
    from clv_pipeline.orchestration.selection import selected_tables
    from clv_pipeline.pipeline import Pipeline

    pipeline = Pipeline.of(settings)
    assets = all_assets(pipeline)
    if select:
        keys = selected_tables(select, assets)
    else:
        due = dg.AssetSelection.all() if refresh.full else due_tonight(pipeline)
        keys = sorted(due.resolve(assets))
    definitions = dg.Definitions(
        assets=assets,
        jobs=[nightly_refresh],
        resources={REFRESH: RefreshOptions.asking(refresh)},
        executor=dg.in_process_executor,
    )
    folder = prepare_instance(settings)
    run_id = str(uuid.uuid4())
    with store_faults_told(folder), dg.DagsterInstance.get() as instance:
        _notice_dead_runs(instance, settings)
        # Before there is a run: a refusal is no failed run, and alerts nobody.
        pipeline.warehouse.reserve(f"clv run {run_id}", wait_minutes=wait_minutes, tell=echo)
        try:
            progress = _Progress(len(keys), echo)
            instance.add_event_listener(run_id, progress)
            file_under_code_location(instance, nightly_refresh.name)
            result = definitions.resolve_job_def(nightly_refresh.name).execute_in_process(
                instance=instance,
                run_id=run_id,
                asset_selection=keys,
                raise_on_error=False,
                tags={WAREHOUSE_TAG: str(settings.warehouse_path)},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        finally:
            pipeline.warehouse.close()
        _alert(instance, settings, [] if result.success else [run_id], echo)
        _tidy(instance, settings, echo)
    return Outcome(
        run_id,
        result.success,
        published=result.success and dg.AssetKey("published_marts") in keys,
        tables=progress.tables,
        failed_checks=progress.failed_checks,
        failed_steps=progress.failed_steps,
    )


def _notice_dead_runs(instance: dg.DagsterInstance, settings: Settings) -> None:
    """Mark runs as failed that were killed, so that they are told of. Where there is a daemon, it has done so."""
    from clv_pipeline.orchestration.alerting import keep_for_telling
    from clv_pipeline.orchestration.run_origin import code_location
    from clv_pipeline.orchestration.sensors import fail_dead_runs

    keep_for_telling(instance, settings, fail_dead_runs(instance, settings, code_location()))


def _alert(instance: dg.DagsterInstance, settings: Settings, failed: list[str], echo: Echo) -> None:
    """Tell the receivers of failed runs, and of earlier ones that could not be told. What hinders that is printed."""
    from clv_pipeline.orchestration.alerting import keep_for_telling, tell_failures, waiting_runs
    from clv_pipeline.orchestration.run_origin import code_location

    keep_for_telling(instance, settings, failed)
    try:
        told = tell_failures(instance, settings, waiting_runs(instance, settings), code_location())
    except AlertError as error:
        echo(f"        alert not delivered: {error}")
    else:
        if told:
            echo(f"        failed runs told to the receivers of `alerts`: {told}")


def _tidy(instance: dg.DagsterInstance, settings: Settings, echo: Echo) -> None:
    """Delete old runs. Problems are printed, and do not fail the run: the next one tries again."""
    from clv_pipeline.orchestration.history import prune_history
    from clv_pipeline.orchestration.run_origin import code_location

    try:
        prune_history(instance, settings, code_location())
    except (sqlite3.OperationalError, OSError) as error:
        echo(f"        the run history in {instance.root_directory} could not be tidied up: {error}")


class _Progress:
    """Turns Dagster's events into a line per table, and remembers them."""

    def __init__(self, tables: int, echo: Echo) -> None:
        self.tables: list[BuiltTable] = []
        self.failed_checks: list[FailedCheck] = []
        self.failed_steps: list[FailedStep] = []
        self._expected = tables
        self._echo = echo
        self._materialized: dict[str | None, list[tuple[str, int | None, bool]]] = {}
        self._lock = threading.Lock()

    def __call__(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            # Messages of a long step.
            if entry.level == logging.INFO:
                self._echo(f"        … {entry.user_message}")
            elif entry.level == logging.WARNING:
                self._echo(f"        warning {entry.user_message}")
            return
        with self._lock:
            match event.event_type_value:
                case "ASSET_CHECK_EVALUATION":
                    self._tell_check(event.event_specific_data)
                case "ASSET_MATERIALIZATION":
                    self._note_materialization(event.step_key, event.event_specific_data)
                case "STEP_SUCCESS":
                    self._tell_success(event.step_key, event.event_specific_data)
                case "STEP_FAILURE":
                    failed = FailedStep(event.step_key or "", _cause(event.event_specific_data))
                    self.failed_steps.append(failed)
                    self._echo(f"[ !! ] {failed.step} failed: {failed.message}")

    def _tell_check(self, check: Any) -> None:
        if not check.passed:
            severity = "error" if check.severity.value == "ERROR" else "warning"
            failed = FailedCheck(check.asset_key.to_user_string(), check.check_name, severity, check.description)
            self.failed_checks.append(failed)
            word = "FAILED " if severity == "error" else "warning"
            self._echo(f"        {word} {failed.table}.{failed.check}: {failed.message}")

    def _note_materialization(self, step: str | None, data: Any) -> None:
        from clv_pipeline.orchestration.gated_step import KEPT

        metadata = data.materialization.metadata
        rows = metadata.get("dagster/row_count")
        table = data.materialization.asset_key.to_user_string()
        self._materialized.setdefault(step, []).append((table, rows.value if rows else None, KEPT in metadata))

    def _tell_success(self, step: str | None, data: Any) -> None:
        for table, rows, kept in self._materialized.get(step, []):
            built = BuiltTable(table, rows, data.duration_ms / 1000, unchanged=kept)
            self.tables.append(built)
            told = f"{rows:>12,} rows" if rows is not None else " " * 17
            seconds = "    unchanged" if kept else f"  {built.seconds:6.1f} s"
            self._echo(f"[{len(self.tables):>2}/{self._expected}] {table:<24}{told}{seconds}")


def _cause(failure: object) -> str:
    """The original cause of a step failure: the error of the code, without Dagster's wrapping."""
    error = getattr(failure, "error", None)
    stated = getattr(getattr(failure, "user_failure_data", None), "description", None)
    if stated:
        return str(stated)
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "no message"
