"""Files that Spark's workers read, on a cluster of two: the same rows, numbers, rejects and records as on DuckDB."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from clv_pipeline.config.operation import Catalog, Spark
from clv_pipeline.errors import ClusterError, SourceError
from clv_pipeline.sources import far
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.session import SessionOnSpark, on_spark
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.acceptance.lake_servers import lake_packages
from clv_pipeline_tests.acceptance.lake_tables import COLUMNS as LAKE_COLUMNS
from clv_pipeline_tests.acceptance.lake_tables import Delta, Iceberg, libraries
from clv_pipeline_tests.acceptance.lake_tables import orders as lake_orders
from clv_pipeline_tests.acceptance.spark_session import cluster
from clv_pipeline_tests.helpers.both_engines import Both
from clv_pipeline_tests.helpers.odd_files import write_odd_files
from clv_pipeline_tests.helpers.order_folder import COLUMNS, HEADER, line
from clv_pipeline_tests.helpers.parquet_files import write_parquet_files

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Connect server whose work is done by two other processes, which have the libraries of lakes."""
    folder = tmp_path_factory.mktemp("catalog")
    with pytest.MonkeyPatch.context() as patch, libraries(folder):
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(lake_packages()), os.environ.get("PYTHONPATH")])))
        with cluster(tmp_path_factory.mktemp("cluster"), workers=2) as (address, _):
            yield address


@pytest.fixture
def both(two_workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    monkeypatch.setattr("clv_pipeline.orchestration.assets.ingestion.built_by", lambda *_: True)
    # Else what is remembered of a file would depend on how soon it is read.
    monkeypatch.setattr("clv_pipeline.sources.files._SECONDS_TO_SETTLE", -1)
    (tmp_path / "orders").mkdir()
    spark = Spark(remote=two_workers, config={"spark.sql.shuffle.partitions": "4"})
    new_session = on_spark(spark, Catalog(), (tmp_path / "lake").as_uri())
    here = Warehouse(tmp_path / "here" / "clv.duckdb", [tmp_path])
    there = Warehouse(tmp_path / "there" / "clv.duckdb", [tmp_path], new_session=new_session)
    for session in (here.open("test"), there.open("test")):
        session.execute("create schema if not exists gate")
    yield Both(tmp_path, here.open("test"), there.open("test"))
    here.close()
    there.close()


def test_odd_files_and_a_second_night(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is sent from this process.
    monkeypatch.setattr(SessionOnSpark, "_upload", None)
    write_odd_files(both.orders)
    _, there = both.require_same()
    assert there.why_here == ""
    (both.orders / "z_new.csv").write_text(f"{HEADER}\n{line('new', 20)}\n")
    (both.orders / "c_western.csv").unlink()
    _, there = both.require_same()
    assert there.read == ["orders/z_new.csv"]
    _, there = both.require_same(full=True)
    assert there.is_whole


def test_parquet_files_and_a_second_night(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionOnSpark, "_upload", None)
    write_parquet_files(both.orders)
    # The row groups of the longest are shared out.
    monkeypatch.setattr(far, "PIECE", (both.orders / "h_long.parquet").stat().st_size // 2)
    asked = {"columns": {**COLUMNS, "details": "details"}, "path": ["orders/*.parquet", "orders/*/*.parquet"]}
    _, there = both.require_same(**asked)
    assert there.why_here == ""
    (both.orders / "f_odd.parquet").unlink()
    (both.orders / "e_decimal.parquet").rename(both.orders / "z_moved.parquet")
    _, there = both.require_same(**asked)
    assert there.read == []  # a file that was moved keeps its rows
    _, there = both.require_same(full=True, **asked)
    assert there.is_whole


def test_events(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionOnSpark, "_upload", None)
    both.kind = "events"
    write_odd_files(both.orders)
    (both.orders / "z_new.csv").write_text(f"{HEADER}\n{line('new', 20)}\n")
    _, there = both.require_same(path="orders/*.csv")
    assert there.why_here == ""
    write_parquet_files(both.orders)
    _, there = both.require_same(path=["orders/*.csv", "orders/*.parquet"])
    assert (there.why_here, len(there.read)) == ("", 19)


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_a_table_of_a_lakehouse_and_a_second_night(both: Both, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionOnSpark, "_upload", None)
    lake = Delta(both.folder) if kind == "delta" else Iceberg(both.folder)
    for days in ((1, 2), (3,), (4, 5, 6)):
        lake.write(lake_orders(*days))
    asked = {"path": [], "table": lake.table, "columns": {**LAKE_COLUMNS, "paid_on": "at"}}
    _, there = both.require_same(**asked)
    assert (there.why_here, there.is_whole, [file.rows for file in there.files]) == ("", True, [6])
    lake.write(lake_orders(7, 8))
    _, there = both.require_same(**asked)
    assert (there.why_here, there.is_whole, [file.rows for file in there.files]) == ("", False, [6, 2])
    lake.delete("paid = 5")
    _, there = both.require_same(**asked)
    assert (there.why_here, there.is_whole, [file.rows for file in there.files]) == ("", True, [7])
    lake.con.close()


def test_a_worker_without_the_file_is_told_with_its_name(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    (both.orders / "a.csv").write_text(f"{HEADER}\n{line('ann', 1)}\n")
    # Workers have another working folder.
    monkeypatch.chdir(both.folder)
    path = "/proc/self/cwd/orders/*"
    both.load(both.here, path=path)
    with pytest.raises(SourceError, match=r"a.csv: the worker on .* cannot read it .*; mount the same folder"):
        both.load(both.there, path=path)


def test_a_package_that_workers_lack_is_named(
    two_workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def same(batches):\n    yield from batches\n")
    monkeypatch.syspath_prepend(tmp_path)
    spark = Cluster(two_workers)
    with pytest.raises(ClusterError, match="a worker of Spark lacks the Python package only_here; install in"):
        spark.fetched(spark.streamed("select id from range(1)", importlib.import_module("only_here").same, "id long"))
    spark.close()


def test_a_worker_that_is_lost_at_work_is_made_up_for_by_the_other(tmp_path: Path) -> None:
    def slowly(frame: pl.DataFrame) -> pl.DataFrame:
        time.sleep(0.5)
        return frame

    with cluster(tmp_path, workers=2) as (address, workers):
        spark = Cluster(address)
        asked = spark.mapped("select id from range(0, 60, 1, 60)", slowly, pa.schema([("id", pa.int64())]), "id long")
        lost = threading.Timer(8, os.killpg, [workers[1].pid, signal.SIGKILL])
        lost.start()
        started = time.monotonic()
        assert sorted(spark.fetched(asked)["id"].to_pylist()) == list(range(60))
        assert time.monotonic() - started > 8
        assert workers[1].wait(1) == -signal.SIGKILL
        spark.close()
