"""Spark Connect for the tests: a session set as the pipeline's queries need it, or a server in a process of its own.

Where PySpark is not installed, it is taken from an environment below .cache/ that is made from spark.lock. That lock
agrees with requirements.lock about every package in both, so its packages can stand behind ours.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline_tests.acceptance.dagster_site import stop, wait_until_it_listens
from clv_pipeline_tests.acceptance.locked_programs import installed_once
from clv_pipeline_tests.helpers.receivers import free_port

LOCK = Path(__file__).with_name("spark.lock")
CORES = 2
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # Two cores need no more; 200, as is usual, would take minutes.
    "spark.sql.shuffle.partitions": str(CORES),
}


def pyspark_at_hand() -> None:
    """Make sure that PySpark can be imported in this process; skip where there is no Java."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or newer")
    if importlib.util.find_spec("pyspark") is None:
        sys.path.append(str(_packages_with_spark()))
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
    pyspark_at_hand()
    # Left over from a server in this process; with it the client would speak TLS.
    os.environ.pop("SPARK_CONNECT_AUTHENTICATE_TOKEN", None)
    spec = importlib.util.find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    spark, port = Path(spec.origin).parent, free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.ui.enabled": "false",
        # Java, too, need not prepare for many rows.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    command = [
        str(spark / "bin" / "spark-submit"),
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--master", f"local[{CORES}]"),
        *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")),
        "spark-internal",
    ]
    environment = {**os.environ, "SPARK_HOME": str(spark), "PYSPARK_PYTHON": sys.executable}
    del environment["SPARK_TESTING"]
    log = folder / "server.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_it_listens(server, port, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        stop(server)


def show_tables(spark: Any, folder: Path) -> None:
    """Make every Parquet file of the folder a table of the session."""
    for table in sorted(folder.glob("*.parquet")):
        spark.read.parquet(str(table)).createOrReplaceTempView(table.stem)


def _packages_with_spark() -> Path:
    [packages] = installed_once("spark", LOCK).glob("venv/lib/python*/site-packages")
    return packages
