"""Spark that cannot be used says what is missing. What it does when it can is in acceptance/test_spark_engine.py."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from clv_pipeline.config.operation import Catalog, Spark
from clv_pipeline.errors import ClusterError
from clv_pipeline.spark import connect
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.session import on_spark
from clv_pipeline.warehouse import Warehouse


def test_without_pyspark_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.errors", None)
    with pytest.raises(ClusterError, match=r"pip install 'clv_pipeline\[spark\]'"):
        Cluster("sc://spark.internal:15002").rows("select 1")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "ModuleNotFoundError: No module named 'duckdb'",
            "a worker of Spark lacks the Python package duckdb; install in the Python of every worker what",
        ),
        (
            "Caused by: org.apache.iceberg.exceptions.NotFoundException: Failed to open input stream for file:"
            " file:/home/lake/rfm/a.parquet\n\tat org",
            "a worker of Spark does not find file:/home/lake/rfm/a.parquet; mount the warehouse of the catalog at",
        ),
        ("Java heap space", "Spark refused the work (sc://spark.internal:15002: Java heap space)"),
    ],
)
def test_what_spark_says_is_told_with_what_to_do_where_that_is_known(said: str, told: str) -> None:
    assert str(Cluster("sc://spark.internal:15002")._refusal(RuntimeError(said))).startswith(told)


def test_closing_what_was_never_asked_opens_nothing() -> None:
    Cluster("sc://spark.internal:15002").close()


def test_opening_a_warehouse_asks_nothing_of_spark(tmp_path: Path) -> None:
    new_session = on_spark(Spark(remote="sc://spark.internal:15002"), Catalog(), (tmp_path / "lake").as_uri())
    warehouse = Warehouse(tmp_path / "home" / "clv.duckdb", [tmp_path], new_session=new_session)
    warehouse.open("a run that is killed")
    warehouse.close()
    warehouse.open("the next run")
    warehouse.close()


class Client:
    """A client whose server answers `answers` times, and then never again."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.closed = threading.Event()

    def get_configs(self, _: str) -> None:
        self.answers -= 1
        if self.answers < 0:
            self.closed.wait()

    def close(self) -> None:
        self.closed.set()


def test_a_server_that_answers_no_more_ends_what_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connect, "LONGEST_ANSWER_SECONDS", 0.05)
    client = Client(answers=2)
    heart = connect._Heart(client)
    assert client.closed.wait(10)
    assert heart.is_dead


def test_an_idle_session_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PAUSE_SECONDS", 0.01)
    client = Client(answers=1_000_000)
    heart = connect._Heart(client)
    time.sleep(0.2)
    heart.stop()
    assert client.answers < 1_000_000
    assert not heart.is_dead
