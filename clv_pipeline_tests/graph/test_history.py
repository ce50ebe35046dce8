"""Old runs leave the instance with all that they wrote; what the UI needs of them stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.history import prune_history
from clv_pipeline.orchestration.instance import prepare_instance
from clv_pipeline.orchestration.run_origin import WAREHOUSE_TAG
from clv_pipeline.orchestration.sensors import sensors

DAY = 86_400
LOCATION = "clv_pipeline.definitions"


@dg.multi_asset(
    specs=[dg.AssetSpec("table")],
    check_specs=[dg.AssetCheckSpec(f"check_{number}", asset="table") for number in range(3)],
)
def _night() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """As much as a night of the whole graph writes, in few events: each of them waits for the disk."""
    for number in range(3):
        yield dg.AssetCheckResult(check_name=f"check_{number}", passed=True, metadata={"observed": "x" * 50_000})
    yield dg.MaterializeResult(metadata={"plot": dg.MetadataValue.md("y" * 200_000)})


@dg.asset
def _once() -> None:
    """Built in the first night only."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    columns = {"customer_id": "c", "ordered_at": "d", "amount": "a"}
    settings = Settings.from_mapping(
        {
            "source": {"transactions": {"path": "x.csv", "columns": columns}},
            "storage": {"home": str(tmp_path), "history_days": 7},
        }
    )
    # Set here, so that it is unset after the test.
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    prepare_instance(settings)
    return settings


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        yield instance


def night(settings: Settings, instance: dg.DagsterInstance, *assets: dg.AssetsDefinition) -> str:
    """A run of this warehouse; returns its id."""
    tags = {WAREHOUSE_TAG: str(settings.warehouse_path)}
    done = dg.materialize(assets or [_night], instance=instance, tags=tags)
    assert done.success
    return done.run_id


def a_day_passes(instance: dg.DagsterInstance) -> None:
    """Everything in the store becomes a day older."""
    with closing(sqlite3.connect(Path(instance.root_directory) / "history" / "runs.db")) as runs, runs:
        runs.execute(
            "update runs set create_timestamp = datetime(create_timestamp, '-1 day'),"
            f" start_time = start_time - {DAY}, end_time = end_time - {DAY}"
        )


def size(instance: dg.DagsterInstance) -> int:
    """Bytes of all files of the instance."""
    return sum(path.stat().st_size for path in Path(instance.root_directory).rglob("*") if path.is_file())


# The deadline is for machines that are busy with much else.
@pytest.mark.timeout(900)
def test_the_store_grows_no_more_once_runs_are_old_enough(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Dagster's part of `storage.home`; `make soak` measures all of it, with whole nights."""
    sizes = {}
    for number in range(1, 61):
        night(settings, instance)
        prune_history(instance, settings, LOCATION)
        sizes[number] = size(instance)
        a_day_passes(instance)
    assert sizes[60] <= 1.2 * sizes[20]
    # The measure would see growth: a week's runs are several times the size of one.
    assert sizes[7] > 1.5 * sizes[1]
    assert len(instance.get_runs()) in (7, 8)
    [last] = instance.get_asset_records([dg.AssetKey("table")])
    assert last.asset_entry.last_materialization is not None


def test_the_run_that_built_a_table_as_it_is_stays_whatever_its_age(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    first = night(settings, instance, _once)
    second = night(settings, instance)
    third = night(settings, instance)
    for _ in range(8):
        a_day_passes(instance)
    assert prune_history(instance, settings, LOCATION) == "1 run older than 7 days deleted"
    assert {run.run_id for run in instance.get_runs()} == {first, third}
    assert instance.get_latest_materialization_event(dg.AssetKey("_once")) is not None
    assert not list(Path(instance.root_directory).rglob(f"*{second}*"))


def test_nothing_is_deleted_while_a_run_is_at_work(settings: Settings, instance: dg.DagsterInstance) -> None:
    night(settings, instance)
    night(settings, instance)
    for _ in range(8):
        a_day_passes(instance)

    told = []

    @dg.asset
    def at_work() -> None:
        told.append(prune_history(instance, settings, LOCATION))

    night(settings, instance, at_work)
    assert told == ["a run is at work: nothing is deleted"]
    assert len(instance.get_runs()) == 3
    assert prune_history(instance, settings, LOCATION) == "1 run older than 7 days deleted"


def test_runs_of_others_who_share_the_instance_stay(settings: Settings, instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        assert dg.materialize([_night], instance=instance, tags={WAREHOUSE_TAG: "/elsewhere"}).success
    for _ in range(8):
        a_day_passes(instance)
    assert prune_history(instance, settings, LOCATION) == "no run is older than 7 days"
    assert len(instance.get_runs()) == 2


def test_a_locked_store_is_left_as_it_is_and_compacted_later(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clv_pipeline.orchestration.history.LOCK_SECONDS", 0.1)
    night(settings, instance)
    night(settings, instance)
    for _ in range(8):
        a_day_passes(instance)
    schedules = Path(instance.root_directory) / "schedules" / "schedules.db"
    with closing(sqlite3.connect(schedules, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            prune_history(instance, settings, LOCATION)
    night(settings, instance)
    assert len(instance.get_runs()) == 2


def test_the_daemon_deletes_old_runs_by_a_sensor(settings: Settings, instance: dg.DagsterInstance) -> None:
    night(settings, instance)
    night(settings, instance)
    for _ in range(8):
        a_day_passes(instance)
    [sensor] = [sensor for sensor in sensors(settings) if sensor.name == "run_history"]
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    sensor(dg.build_sensor_context(instance=instance))
    assert len(instance.get_runs()) == 1
