"""The event log that keeps its connections: what it writes and when, whom it tells, and what stays open."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.event_store import KEPT, EventStore
from clv_pipeline.orchestration.instance import prepare_instance

ROOT = Path(__file__).parents[2]
CHECKS = [f"check_{number}" for number in range(20)]


@dg.multi_asset(specs=[dg.AssetSpec("rfm")], check_specs=[dg.AssetCheckSpec(name, asset="rfm") for name in CHECKS])
def _night() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    for name in CHECKS:
        yield dg.AssetCheckResult(check_name=name, passed=True)
    yield dg.MaterializeResult()


@dg.multi_asset(
    specs=[dg.AssetSpec("orders"), dg.AssetSpec("lines")],
    check_specs=[dg.AssetCheckSpec(name, asset="orders") for name in ("holds", "does_not", "is_never_asked")],
)
def _bad_night() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    yield dg.AssetCheckResult(asset_key="orders", check_name="holds", passed=True, metadata={"seen": 3})
    yield dg.AssetCheckResult(asset_key="orders", check_name="does_not", passed=False, description="3 are missing")
    yield dg.MaterializeResult(asset_key="lines", data_version=dg.DataVersion("one"))
    raise dg.Failure("not admitted")


with warnings.catch_warnings(action="ignore", category=dg.PreviewWarning):
    _BY_DAY = dg.StaticPartitionsDefinition(["monday", "tuesday"])

    @dg.multi_asset(
        specs=[dg.AssetSpec("days", partitions_def=_BY_DAY)],
        check_specs=[dg.AssetCheckSpec("holds", asset="days", partitions_def=_BY_DAY)],
    )
    def _day() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        yield dg.AssetCheckResult(passed=True)
        yield dg.MaterializeResult()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    columns = {"customer_id": "c", "ordered_at": "d", "amount": "a"}
    transactions = {"path": "x.csv", "columns": columns}
    return Settings.from_mapping({"source": {"transactions": transactions}, "storage": {"home": str(tmp_path)}})


@pytest.fixture
def home(settings: Settings) -> Path:
    return prepare_instance(settings)


def open_databases(home: Path) -> set[str]:
    listing = subprocess.run(
        ["ls", "-l", f"/proc/{os.getpid()}/fd"], capture_output=True, text=True, check=False
    ).stdout
    links = [line.rpartition(" -> ")[2] for line in listing.splitlines()]
    return {Path(link).name for link in links if link.startswith(str(home)) and link.endswith(".db")}


def test_dagsters_own_class_reads_what_was_written_and_the_other_way_round(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, EventStore)
        run_id = dg.materialize([_night], instance=instance).run_id
        # The run's connection is open.
        theirs = SqliteEventLogStorage(str(home / "history" / "runs"))
        theirs.register_instance(instance)
        assert theirs.get_logs_for_run(run_id) == instance.all_logs(run_id)
        assert len(instance.all_logs(run_id)) > 2 * len(CHECKS)
        planned = instance.all_logs(run_id)[0]
        theirs.store_event(planned)
        assert instance.all_logs(run_id)[-1] == planned


def written_by_nights(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a good, a bad and a partitioned night leave in the databases, without ids of runs and times."""
    with dg.DagsterInstance.get() as instance:
        runs = [
            dg.materialize([_night], instance=instance),
            dg.materialize([_bad_night], instance=instance, raise_on_error=False),
            dg.materialize([_day], instance=instance, partition_key="monday"),
        ]
        assert [run.success for run in runs] == [True, False, True]
    numbers = {run.run_id: str(number) for number, run in enumerate(runs)}
    of_events = "select dagster_event_type, step_key, asset_key, partition from event_logs order by id"
    asked = {
        "index": of_events,
        "checks": "select asset_key, check_name, partition, run_id, execution_status, evaluation_event_storage_id,"
        " materialization_event_storage_id, json_extract(evaluation_event, '$.dagster_event.event_type_value')"
        " from asset_check_executions order by id",
        "assets": "select asset_key, last_run_id, json_extract(last_materialization, '$.storage_id'),"
        " last_materialization_timestamp is not null from asset_keys order by id",
        "tags": "select event_id, asset_key, key from asset_event_tags order by id",
    }
    folder, rows = home / "history" / "runs", {}
    for name, query in {**asked, **dict.fromkeys(numbers, of_events)}.items():
        with sqlite3.connect(folder / f"{name if name in numbers else 'index'}.db") as database:
            found = database.execute(query).fetchall()
        rows[numbers.get(name, name)] = [tuple(numbers.get(value, value) for value in row) for row in found]
    return rows


def test_its_databases_hold_what_dagsters_own_class_writes(
    home: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = written_by_nights(home)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "theirs"))
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    assert ours == written_by_nights(tmp_path / "theirs")
    statuses = {name: status for _, name, _, run, status, *_ in ours["checks"] if run == "1"}
    assert statuses == {"holds": "SUCCEEDED", "does_not": "FAILED", "is_never_asked": "PLANNED"}


def test_what_a_step_says_is_written_at_once_and_not_event_by_event(home: Path) -> None:
    written: list[object] = []

    def note(connection: object) -> None:
        written.append(connection)

    event.listen(Engine, "commit", note)
    try:
        with dg.DagsterInstance.get() as instance:
            assert dg.materialize([_night], instance=instance).success
    finally:
        event.remove(Engine, "commit", note)
    # Dagster's own class writes seven times for every check: planned, output, evaluated; in one to three places.
    assert len(written) < 3 * len(CHECKS)


def test_what_waits_for_the_next_event_is_there_for_whoever_asks_and_when_the_instance_is_left(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        run_id = dg.materialize([_night], instance=instance).run_id
        output = next(entry for entry in instance.all_logs(run_id) if entry.get_dagster_event().is_successful_output)
        instance.store_event(output)
        assert instance.all_logs(run_id)[-1] == output
        instance.store_event(output)
    with dg.DagsterInstance.get() as later:
        assert later.all_logs(run_id)[-2:] == [output, output]


def test_what_a_locked_database_refuses_is_written_later_and_nothing_twice(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = "select count(*) from event_logs where dagster_event_type = 'ASSET_CHECK_EVALUATION'"
    with dg.DagsterInstance.get() as instance:
        run_id = dg.materialize([_night], instance=instance).run_id
        entries = instance.all_logs(run_id)
        check = next(e for e in entries if e.get_dagster_event().event_type_value == "ASSET_CHECK_EVALUATION")
        instance.store_event(check)
        with sqlite3.connect(home / "history" / "runs" / "index.db", isolation_level=None) as other:
            for engine in instance.event_log_storage._engines.values():  # type: ignore[attr-defined]
                with engine.connect() as connection:
                    connection.exec_driver_sql("pragma busy_timeout = 50")
            other.execute("begin immediate")
            with pytest.raises(OperationalError, match="locked"):
                instance.all_logs(run_id)
            other.execute("rollback")
            assert len(instance.all_logs(run_id)) == len(entries) + 1
            assert other.execute(index).fetchall() == [(len(CHECKS) + 1,)]


def test_a_run_opens_a_database_once_and_not_for_every_event(home: Path) -> None:
    opened: list[object] = []

    def note(*connection: object) -> None:
        opened.append(connection)

    def opened_by_a_night() -> int:
        opened.clear()
        with dg.DagsterInstance.get() as instance:
            assert dg.materialize([_night], instance=instance).success
        return len(opened)

    event.listen(Engine, "connect", note)
    try:
        ours = opened_by_a_night()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        theirs = opened_by_a_night()
    finally:
        event.remove(Engine, "connect", note)
    assert theirs - ours > 5 * len(CHECKS)


def test_who_watches_a_run_is_told_while_it_is_running(home: Path) -> None:
    told = threading.Event()
    with dg.DagsterInstance.get() as instance:
        run_id = dg.materialize([_night], instance=instance).run_id
        [end] = [entry for entry in instance.all_logs(run_id) if entry.get_dagster_event().is_job_success]
        with dg.DagsterInstance.get() as of_the_ui:
            cursor = of_the_ui.get_records_for_run(run_id).cursor
            of_the_ui.watch_event_logs(run_id, cursor, lambda *_: told.set())
            # The run's connection is open, so SQLite writes nothing into the file that is watched.
            instance.store_event(end)
            assert told.wait(20)


def test_few_databases_stay_open_and_none_when_the_instance_is_left(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        runs = [dg.materialize([_night], instance=instance).run_id for _ in range(KEPT + 2)]
        for run_id in runs:
            assert instance.all_logs(run_id)
        events = open_databases(home / "history" / "runs")
        assert f"{runs[-1]}.db" in events
        assert len(events) <= KEPT
    assert open_databases(home) == set()


def test_an_instance_of_an_earlier_version_gets_the_configuration_of_today_unless_it_was_changed(
    home: Path, settings: Settings
) -> None:
    today = (ROOT / "dagster.yaml").read_bytes()
    earlier = subprocess.run(["git", "show", "8e869f1:dagster.yaml"], cwd=ROOT, capture_output=True, check=False).stdout
    if not earlier:
        pytest.skip("the history of the repository is not at hand")
    (home / "dagster.yaml").write_bytes(earlier)
    prepare_instance(settings)
    assert (home / "dagster.yaml").read_bytes() == today
    (home / "dagster.yaml").write_bytes(earlier + b"# ours\n")
    prepare_instance(settings)
    assert (home / "dagster.yaml").read_bytes() == earlier + b"# ours\n"
