"""Spark that cannot be used says what is missing. What it does when it can is in acceptance/test_spark_engine.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clv_pipeline.errors import ClusterError
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.session import on_spark
from clv_pipeline.warehouse import Warehouse


def test_without_pyspark_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    with pytest.raises(ClusterError, match=r"pip install 'clv_pipeline\[spark\]'"):
        Cluster("sc://spark.internal:15002").rows("select 1")


def test_closing_what_was_never_asked_opens_nothing() -> None:
    Cluster("sc://spark.internal:15002").close()


def test_the_folder_of_another_pipelines_tables_is_refused(tmp_path: Path) -> None:
    new_session = on_spark("sc://spark.internal:15002", {}, tmp_path / "tables", marts=[])
    first = Warehouse(tmp_path / "first" / "clv.duckdb", [tmp_path], new_session=new_session)
    first.open("the first")
    first.close()
    first.open("the first, again")
    first.close()
    second = Warehouse(tmp_path / "second" / "clv.duckdb", [tmp_path], new_session=new_session)
    with pytest.raises(ClusterError, match=r"holds the tables of .*first.*not of .*second.*storage\.spark\.tables"):
        second.open("the second")


def test_only_folders_that_no_table_is_made_of_are_swept(tmp_path: Path) -> None:
    new_session = on_spark("sc://spark.internal:15002", {}, tmp_path / "tables", marts=[])
    warehouse = Warehouse(tmp_path / "home" / "clv.duckdb", [tmp_path], new_session=new_session)
    warehouse.open("a run that is killed")
    warehouse.close()
    leftover = tmp_path / "tables" / "rfm" / ("0" * 32)
    strange = tmp_path / "tables" / "photos" / "2024"
    for folder in (leftover, strange):
        folder.mkdir(parents=True)
    warehouse.open("the next run")
    warehouse.close()
    assert strange.exists()
    assert not leftover.exists()
