"""Spark Connect for the tests: a session set as the pipeline's queries need it, or a server in a process of its own.

Where PySpark is not installed, it is taken from an environment below .cache/ that is made from requirements-spark.lock,
as the image of a deployment is. That lock agrees with requirements.lock about every package in both, so its packages
can stand behind ours.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.spark.jars import FOLDER, jars_at_hand
from clv_pipeline_tests.acceptance.dagster_site import stop, wait_until_it_listens
from clv_pipeline_tests.acceptance.locked_programs import CACHE, installed_once
from clv_pipeline_tests.helpers.receivers import free_port

LOCK = Path(__file__).parents[2] / "requirements-spark.lock"
CORES = 2
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # Two cores need no more; 200, as is usual, would take minutes.
    "spark.sql.shuffle.partitions": str(CORES),
}
SHORT_QUERIES = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
}
"""Hundreds of queries on few rows take half as long when Spark does not prepare for many."""


def pyspark_at_hand() -> None:
    """Make sure that PySpark can be imported in this process; skip where there is no Java."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or newer")
    if importlib.util.find_spec("pyspark") is None:
        sys.path.append(str(_packages_with_spark()))
    # Once for all tests.
    os.environ[FOLDER] = str(CACHE / "jars")
    # Spark's own word for a port that is free: another worker of pytest may have a server.
    os.environ["SPARK_TESTING"] = "1"


@contextmanager
def spark_session() -> Iterator[Any]:
    """Start a Connect server, hand out its session, and stop both."""
    pyspark_at_hand()
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.remote(f"local[{CORES}]").getOrCreate()
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
    try:
        yield spark
    finally:
        spark.stop()


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """Start a Connect server in a process of its own that works in `folder`, hand out its address, and stop it."""
    with _server(folder, f"local[{CORES}]") as (address, _):
        yield address


@contextmanager
def mortal_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same, with the process, which a test may kill."""
    with _server(folder, f"local[{CORES}]") as both:
        yield both


@contextmanager
def cluster(
    folder: Path, workers: int, settings: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a master, workers with a core each, and a Connect server on them; stop all in the end.

    Hands out the server's address, and the workers, each of which leads the group of its executors.

    Args:
        folder: where the processes work and write their logs.
        workers: how many.
        settings: further settings of the server, under Spark's names, or others than ours.
        before: a program with its arguments that starts a worker, and is replaced by it.
    """
    spark, environment = _spark()
    master, running = free_port(), []
    commands = [
        ["org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(master), "--webui-port", "0"],
        *(
            [
                *("org.apache.spark.deploy.worker.Worker", f"spark://127.0.0.1:{master}", "--host", "127.0.0.1"),
                *("--cores", "1", "--memory", "2g", "--webui-port", "0", "--work-dir", str(folder / f"worker{number}")),
            ]
            for number in range(1, workers + 1)
        ),
    ]
    try:
        for number, command in enumerate(commands):
            with (folder / f"process{number}.log").open("wb") as said:
                process = subprocess.Popen(
                    [*(before if number else ()), str(spark / "bin" / "spark-class"), *command],
                    cwd=folder,
                    env=environment,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            running.append(process)
            if number == 0:
                wait_until_it_listens(process, master, folder / "process0.log")
        with _server(folder, f"spark://127.0.0.1:{master}", settings) as (address, _):
            yield address, running[1:]
    finally:
        for process in reversed(running):
            stop(process)


def spark_folder() -> Path:
    """The folder of the package pyspark, which holds all of Spark."""
    pyspark_at_hand()
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _spark() -> tuple[Path, dict[str, str]]:
    """Spark's folder, and the environment of its processes."""
    spark = spark_folder()
    # Left over from a server in this process; with it the client would speak TLS.
    os.environ.pop("SPARK_CONNECT_AUTHENTICATE_TOKEN", None)
    environment = {**os.environ, "SPARK_HOME": str(spark), "PYSPARK_PYTHON": sys.executable}
    environment.pop("SPARK_TESTING", None)
    return spark, environment


@contextmanager
def _server(
    folder: Path, master: str, more: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    (spark, environment), port = _spark(), free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        # Java, too, need not prepare for many rows; but the 48 MB of code that it then keeps do not hold Iceberg.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m",
        "spark.jars": ",".join(map(str, jars_at_hand())),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        # Short, so that tests notice a session that nobody keeps open.
        "spark.connect.session.manager.defaultSessionTimeout": "30s",
        "spark.connect.session.manager.maintenanceInterval": "5s",
        **(more or {}),
    }
    command = [
        str(spark / "bin" / "spark-submit"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", master),
        *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")),
        "spark-internal",
    ]
    log = folder / "server.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_it_listens(server, port, log)
        yield f"sc://127.0.0.1:{port}", server
    finally:
        stop(server)


def show_tables(spark: Any, folder: Path) -> None:
    """Make every Parquet file of the folder a table of the session."""
    for table in sorted(folder.glob("*.parquet")):
        spark.read.parquet(str(table)).createOrReplaceTempView(table.stem)


def _packages_with_spark() -> Path:
    [packages] = installed_once("spark", LOCK).glob("venv/lib/python*/site-packages")
    return packages
