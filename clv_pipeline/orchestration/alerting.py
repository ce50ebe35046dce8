"""Reporting failed runs to the receivers of `alerts:`, by the daemon's sensor and by `clv run` itself.

A tag on the run records its state for each receiver. So it does not matter who sends, a message that a receiver
refuses holds up no other message, and nobody is told twice.
"""

from __future__ import annotations

import fcntl
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from clv_pipeline.alerts.message import Alert, Problem, bounded
from clv_pipeline.alerts.receivers import deliver, letters, receivers
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import AlertError, AlertRefusedError, ClvError
from clv_pipeline.orchestration.failures import TO_DO, WHAT
from clv_pipeline.orchestration.run_origin import is_ours

ALERTED_TAG = "clv/alerted_by_"
"""Tag on a failed run, followed by the receiver's name. Its values are TOLD, WAITING and GIVEN_UP."""

TOLD, WAITING, GIVEN_UP = "yes", "waiting", "given up"
"""Values of ALERTED_TAG: the receiver has the message, will be tried again, or was given up."""

TRIES_TAG = "clv/alert_tries_by_"
"""Tag, followed by the receiver's name: how often the receiver did not accept the message."""

MOST_REFUSALS = 3
"""Number of tries for a receiver that refuses the message itself."""

GIVEN_UP_AFTER_DAYS = 7
"""Number of days for which a receiver that is down is tried again."""

_PUBLICATION = dg.AssetKey("published_marts")
# A tick that takes longer than three minutes is given up.
_RUNS_PER_CALL = 5
_FETCHED_AT_ONCE = 100
_CONTRACT = "mend the input or, if the promise is wrong, the table's contract; then run again"
_BUG = "look at the run's log; run again, and report it if it happens again"
_CRASH = "run again; if it ends like this again, look for too little memory or a stop from outside (system log)"


def untold(
    instance: dg.DagsterInstance, settings: Settings, run_ids: Iterable[str], location: str | None
) -> list[tuple[dg.DagsterRun, list[str]]]:
    """The unsettled runs of this warehouse, each with the receivers that do not have its message yet.

    The least tried run comes first, so that a message that no receiver accepts does not hold up later ones.
    """
    found = []
    asked = list(dict.fromkeys(run_ids))
    for start in range(0, len(asked), _FETCHED_AT_ONCE):
        some = asked[start : start + _FETCHED_AT_ONCE]
        runs = {run.run_id: run for run in instance.get_runs(dg.RunsFilter(run_ids=some))}
        for run in (runs[run_id] for run_id in some if run_id in runs):
            waiting = [
                name for name in receivers(settings.alerts) if run.tags.get(f"{ALERTED_TAG}{name}", WAITING) == WAITING
            ]
            if waiting and is_ours(run, settings, location):
                found.append((run, waiting))
    return sorted(found, key=lambda entry: max(_tries(entry[0], name) for name in entry[1]))


def tell_failures(
    instance: dg.DagsterInstance, settings: Settings, run_ids: Iterable[str], location: str | None
) -> int:
    """Send the pending messages about failed runs of this warehouse. Returns the number of runs that were reported.

    A receiver that is not reached is not tried again until the next call; the others still get their messages. A
    receiver that refuses a message still gets the next message. One call reports a few runs, and the next call goes on.

    Raises:
        AlertError: raised at the end, if a receiver did not accept a message. The message is tried again or given up.
    """
    told: set[str] = set()
    left_in_peace: set[str] = set()
    hindered: dict[str, None] = {}
    with _one_at_a_time(instance):
        for run, waiting in untold(instance, settings, run_ids, location)[:_RUNS_PER_CALL]:
            messages = letters(settings.alerts, alert_of(instance, run, settings))
            asked = {name: messages[name] for name in waiting if name not in left_in_peace}
            for name, error in deliver(asked).items():
                if error is None:
                    instance.add_run_tags(run.run_id, {f"{ALERTED_TAG}{name}": TOLD})
                    told.add(run.run_id)
                    continue
                hindered[_note_failure(instance, run, name, error)] = None
                if not isinstance(error, AlertRefusedError):
                    left_in_peace.add(name)
    if hindered:
        raise AlertError("; ".join(hindered))
    return len(told)


def keep_for_telling(instance: dg.DagsterInstance, settings: Settings, run_ids: Iterable[str]) -> None:
    """Mark these failed runs as waiting, so that `waiting_runs` finds them even if this process is stopped."""
    for run_id in run_ids:
        run = instance.get_run_by_id(run_id)
        tags = {f"{ALERTED_TAG}{name}": WAITING for name in receivers(settings.alerts)}
        if run is not None and (new := {tag: value for tag, value in tags.items() if tag not in run.tags}):
            instance.add_run_tags(run_id, new)


def waiting_runs(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Failed runs that a receiver should have been told about but was not."""
    found = (
        instance.get_runs(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], tags={f"{ALERTED_TAG}{name}": WAITING}),
            ascending=True,
        )
        for name in receivers(settings.alerts)
    )
    return list(dict.fromkeys(run.run_id for runs in found for run in runs))


def tell_of_no_run(settings: Settings, error: ClvError) -> list[AlertError]:
    """Report that `clv run` ended before there was a run. Returns the errors of the receivers.

    Nothing is recorded, so the message is sent only once.
    """
    alert = Alert(
        run_id=str(uuid.uuid4()),
        job="clv run",
        problems=(Problem("the start of the run", None, error.what, None, error.remedy),),
        published=False,
        link=settings.alerts.ui_url,
    )
    return [hindered for hindered in deliver(letters(settings.alerts, alert)).values() if hindered is not None]


def _note_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, name: str, error: AlertError) -> str:
    """Record on the run that a receiver did not accept its message and whether it is given up; return that as text."""
    tries = _tries(run, name) + 1
    refused = isinstance(error, AlertRefusedError) and tries >= MOST_REFUSALS
    state = GIVEN_UP if refused or _is_old(instance, run) else WAITING
    instance.add_run_tags(run.run_id, {f"{ALERTED_TAG}{name}": state, f"{TRIES_TAG}{name}": str(tries)})
    if state == WAITING:
        return f"{error}; the message is kept and tried again"
    told = f"{error}; given up after {tries} tries: nobody was told of run {run.run_id} by {name}"
    instance.report_engine_event(f"ALERT NOT DELIVERED: {told}", run)
    return told


def _tries(run: dg.DagsterRun, name: str) -> int:
    return int(run.tags.get(f"{TRIES_TAG}{name}", 0))


def _is_old(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    record = instance.get_run_record_by_id(run.run_id)
    return record is not None and time.time() - record.create_timestamp.timestamp() > GIVEN_UP_AFTER_DAYS * 86_400


@contextmanager
def _one_at_a_time(instance: dg.DagsterInstance) -> Iterator[None]:
    """Keep the sensor and `clv run` from reporting the same run at the same time."""
    with (Path(instance.root_directory) / ".alerts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def alert_of(instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings) -> Alert:
    """The facts in the event log about a failed run, without contents of records."""
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
    red = [event for event in events if event.event_type_value == "ASSET_CHECK_EVALUATION" and _blocks(event)]
    explained = {event.step_key for event in red}
    failed = [event for event in events if event.is_step_failure and event.step_key not in explained]
    problems = [*map(_red_check, red), *map(_failed_step, failed)]
    return Alert(
        run_id=run.run_id,
        # Dagster's job name for a manual materialization begins with underscores.
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
    # A run of an earlier version has no field for what was promised, and what it saw may hold a value of a record.
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
    # Not one of our errors, so its text may quote anything.
    return Problem(str(event.step_key), None, f"{_class_of(event)} (the run's page has its text)", None, _BUG)


def _crash(events: list[dg.DagsterEvent]) -> Problem:
    """The problem of a run without a failed step: its process ended, or never started."""
    said = [event.message for event in events if event.is_engine_event or event.is_job_failure]
    return Problem("the run itself", None, bounded(" ".join(filter(None, said[-2:]))), None, _CRASH)


def _class_of(event: dg.DagsterEvent) -> str:
    """The class name of the first cause of a step's failure."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.cls_name if error is not None else None) or "an error"
