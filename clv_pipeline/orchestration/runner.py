"""The nightly job in this process, told line by line: the same job that the schedule and the UI execute."""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.config.settings import Settings
from clv_pipeline.pipeline import Refresh

if TYPE_CHECKING:
    import dagster as dg

Echo = Callable[[str], None]


@dataclass(frozen=True)
class BuiltTable:
    """A table that a run materialized."""

    table: str
    rows: int | None
    seconds: float
    """How long its step took, the audit included; a step may build several tables."""
    unchanged: bool
    """It was kept, because nothing that it is built from had changed."""


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
    """A step that did not end well, by the name of its first table, and why."""

    step: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it did on the way."""

    run_id: str
    success: bool
    published: bool
    tables: list[BuiltTable]
    failed_checks: list[FailedCheck]
    failed_steps: list[FailedStep]


def run_nightly(
    settings: Settings, *, select: str | None, refresh: Refresh, wait_minutes: float = 0, echo: Echo
) -> Outcome:
    """Materialize what is due, with one line per table.

    Args:
        settings: what to run.
        select: a Dagster asset selection such as `rfm+` or `key:rfm+`; None for what is due.
        refresh: what to build although nothing has changed; a full one includes the model review.
        wait_minutes: how long to wait while another process works on the warehouse; 0 to be refused at once.
        echo: prints a line.

    Raises:
        WarehouseBusyError: another process works on the warehouse; no run was made.
        StorageError: the warehouse's lock or Dagster's run history cannot be used.
        RequestError: the selection is not one, names a table that does not exist, or selects nothing.
    """
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
        due = dg.AssetSelection.all() if refresh.full else due_tonight(settings)
        keys = sorted(due.resolve(assets))
    definitions = dg.Definitions(
        assets=assets,
        jobs=[nightly_refresh],
        resources={REFRESH: RefreshOptions.asking(refresh)},
        executor=dg.in_process_executor,
    )
    folder = prepare_instance(settings)
    run_id = str(uuid.uuid4())
    # Before there is a run: a refusal is no failed run, and alerts nobody.
    pipeline.warehouse.reserve(f"clv run {run_id}", wait_minutes=wait_minutes, tell=echo)
    try:
        with store_faults_told(folder), dg.DagsterInstance.get() as instance:
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
            _tidy(instance, settings, echo)
    finally:
        pipeline.warehouse.close()
    return Outcome(
        run_id,
        result.success,
        published=result.success and dg.AssetKey("published_marts") in keys,
        tables=progress.tables,
        failed_checks=progress.failed_checks,
        failed_steps=progress.failed_steps,
    )


def _tidy(instance: dg.DagsterInstance, settings: Settings, echo: Echo) -> None:
    """Delete old runs. What hinders that is told: it is no reason for the run to fail, and the next one tries again."""
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
            # What a long step says of itself.
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
    """The user's part of a step failure: what the code raised, not Dagster's wrapping."""
    error = getattr(failure, "error", None)
    stated = getattr(getattr(failure, "user_failure_data", None), "description", None)
    if stated:
        return str(stated)
    while error is not None and error.cause is not None:
        error = error.cause
    return str(error.message).strip() if error is not None else "no message"
