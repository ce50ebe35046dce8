"""Memory, disk and threads are what clv.yaml allows: more data than fits goes to disk, and what is too much is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.warehouse import Limits, Warehouse, storage_error

ROWS = 1_000_000
LARGE = f"""
    with numbered as (
        select row_number() over (partition by i % 7 order by md5(i::varchar)) as n from range({ROWS}) as r(i)
    )
    select max(n) from numbered
"""
"""Sorts some 80 MB at once."""


@pytest.fixture
def warehouse(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    opened = Warehouse(tmp_path / "clv.duckdb", limits=request.param)
    yield opened
    opened.close()


def test_limits_of_the_configuration_reach_duckdb(tmp_path: Path, shop_settings: Callable[..., Settings]) -> None:
    storage = {"home": str(tmp_path), "memory_gb": 2, "spill_gb": 1.5, "threads": 3}
    warehouse = Pipeline.of(shop_settings(storage=storage)).warehouse
    try:
        found = warehouse.open("test").execute(
            "select current_setting('memory_limit'), current_setting('max_temp_directory_size'),"
            " current_setting('threads')"
        )
        assert found.fetchall() == [("1.8 GiB", "1.3 GiB", 3)]
    finally:
        warehouse.close()


@pytest.mark.parametrize("warehouse", [Limits(memory_gb=0.04, threads=2)], indirect=True)
def test_what_does_not_fit_into_memory_goes_to_disk_and_leaves_it_again(warehouse: Warehouse) -> None:
    session = warehouse.open("test")
    assert session.execute(LARGE).fetchall() == [(math.ceil(ROWS / 7),)]
    spill = warehouse.path.with_name("spill")
    assert list(spill.iterdir())
    warehouse.close()
    assert not spill.exists() or not list(spill.iterdir())


@pytest.mark.parametrize("warehouse", [Limits()], indirect=True)
def test_what_a_killed_run_left_on_disk_goes_when_the_next_begins(warehouse: Warehouse) -> None:
    left = warehouse.path.with_name("spill") / "duckdb_temp_1_0_storage_S160K-0.tmp"
    left.parent.mkdir()
    left.write_bytes(b"spilled")
    warehouse.open("test")
    assert not left.exists()


@pytest.mark.parametrize("warehouse", [Limits(memory_gb=0.04, spill_gb=0.01, threads=2)], indirect=True)
def test_what_outgrows_memory_and_disk_is_told_with_the_keys_to_raise(warehouse: Warehouse) -> None:
    session = warehouse.open("test")
    with pytest.raises(duckdb.OutOfMemoryException) as caught:
        session.execute(LARGE)
    assert "storage.memory_gb and storage.spill_gb" in str(storage_error(caught.value, warehouse.path))
    assert session.execute("select 42").fetchall() == [(42,)]
