"""The event log that keeps its connections: what it writes, whom it tells, and what stays open."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Engine, event

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
