"""The cluster of deploy/compose.spark.yaml without its containers: its commands as processes of this machine.

Environment, settings and `clv.yaml` are those of the image, of deploy/spark-defaults.conf and of docs/how-to/deploy.md,
with folders for volumes, and loopback and free ports for the containers' names and ports.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.jars import default_folder, jars_at_hand
from clv_pipeline.spark.lake import NAME
from clv_pipeline_tests.acceptance.deployed import DEPLOY, ROOT, install_package, wait_for, write_orders, write_shop
from clv_pipeline_tests.acceptance.spark_session import SHORT_QUERIES, spark_folder
from clv_pipeline_tests.helpers.database_servers import process
from clv_pipeline_tests.helpers.receivers import free_port

SERVICES = yaml.safe_load((DEPLOY / "compose.spark.yaml").read_text(encoding="utf-8"))["services"]
PORTS = ("7077", "8080", "8081", "15002")
NOTHING = Path(os.devnull)
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]


def sample_of_the_document() -> dict[str, Any]:
    """The first block of `clv.yaml` in docs/how-to/deploy.md."""
    text = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert found
    sample: dict[str, Any] = yaml.safe_load(found[1])
    return sample


def environment_of_the_image() -> dict[str, str]:
    """The variables that the target `spark` of the Dockerfile sets beside those of the other target."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.search(r"^FROM base AS spark\nENV (.*)$", text, flags=re.MULTILINE)
    assert found
    return dict(word.split("=", 1) for word in found[1].split())


@dataclass
class SparkDeployment:
    """The services of compose.spark.yaml as processes; folders stand for volumes."""

    folder: Path
    spark: Path
    """The folder of the package pyspark."""
    ports: dict[str, str] = field(default_factory=lambda: {port: str(free_port()) for port in PORTS})

    @property
    def home(self) -> Path:
        return self.folder / "data"

    def here(self, text: str) -> str:
        """What stands in a file of deploy/ or in a document, with this machine's names, ports and folders."""
        names = {
            "spark-master": "localhost",
            "spark-connect": "localhost",
            "0.0.0.0": "127.0.0.1",  # noqa: S104
            "/opt/jars": str(default_folder()),
            "/opt/spark_conf": str(self.folder / "spark_conf"),
            "/var/lib/clv_lake": str(self.folder / "clv_lake"),
            "/var/lib/clv": str(self.home),
            "/var/lib/spark": str(self.folder / "spark"),
        }
        for there, name in names.items():
            # `tar` names them without the slash.
            text = text.replace(there.removeprefix("/"), name.removeprefix("/"))
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: self.ports[port[1]], text)

    @property
    def environment(self) -> dict[str, str]:
        image = {name: self.here(value) for name, value in environment_of_the_image().items()}
        return {
            **image,
            # Of this machine: the image has one Python for both, and Java elsewhere.
            "JAVA_HOME": os.environ.get("JAVA_HOME", ""),
            "PATH": f"{Path(sys.executable).parent}:{self.spark / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{self.folder / 'site'}:{self.spark.parent}",
            "SPARK_HOME": str(self.spark),
            # The address of a container in its network.
            "SPARK_LOCAL_IP": "127.0.0.1",
            "CLV_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            # Java need not prepare for many rows; the code that it keeps must then have room for Iceberg.
            "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m",
            "HOME": "/dev/null/home",
        }

    @contextmanager
    def running(self, service: str) -> Iterator[None]:
        """A service, from when its health check passes to the end of the block."""
        stated = SERVICES[service]
        place: dict[str, Any] = {"env": self.environment, "cwd": self.folder / "spark"}
        command = [self.here(word) for word in stated["command"]]
        check = [self.here(word) for word in stated["healthcheck"]["test"][1:]]
        with process(command, self.folder / f"{service}.log", **place):
            wait_for(
                service,
                lambda: subprocess.run(check, check=True, capture_output=True, **place).returncode == 0,
                self.folder,
            )
            yield

    def run(self, *command: str, folder: str = "project", source: Path = NOTHING, output: Path | None = None) -> str:
        """What a command prints that ends well, as `docker compose exec code-server …` would run it."""
        said = output or self.folder / "said.txt"
        with source.open("rb") as reader, said.open("wb") as writer:
            done = subprocess.run(
                [self.here(word) for word in command],
                stdin=reader,
                stdout=writer,
                stderr=subprocess.PIPE,
                env=self.environment,
                cwd=self.folder / folder,
            )
        assert done.returncode == 0, f"{command}\n{said.read_bytes()[-3000:]!r}\n{done.stderr.decode()[-3000:]}"
        return "" if output else said.read_text()

    def shell(self, **values: Any) -> list[str]:
        """The lines that the runbook's SQL shells print, with these values for its words in capitals."""
        printed = ""
        for command in commands_of_the_runbook("spark-sql"):
            _, _, inner = command.partition(" spark-connect ")
            for word, value in values.items():
                inner = inner.replace(word, str(value))
            printed += self.run(*shlex.split(inner), folder="spark")
        return printed.splitlines()

    def books(self) -> dict[str, int]:
        """Rows of each live table that Spark holds."""
        with duckdb.connect(str(self.home / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
            return dict(warehouse.execute("select relation, rows from gate.lake_tables").fetchall())


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> SparkDeployment:
    """Volumes, settings and the installed package; no service runs yet."""
    folder = tmp_path_factory.mktemp("on_spark")
    deployment = SparkDeployment(folder, spark_folder())
    jars_at_hand()
    install_package(folder / "site")
    for volume in ("spark", "spark_conf", "clv_lake"):
        (folder / volume).mkdir()
    settings = deployment.here((DEPLOY / "spark-defaults.conf").read_text(encoding="utf-8"))
    (folder / "spark_conf" / "spark-defaults.conf").write_text(settings)
    sample = yaml.safe_load(deployment.here(yaml.safe_dump(sample_of_the_document())))
    sample["storage"]["spark"]["config"] |= SHORT_QUERIES
    # A day of the second file is unlike the others, as days with a handful of lines are.
    write_shop(folder / "project", gates={"accepted_days": ["2024-12-17"]}, **sample)
    return deployment


@pytest.fixture(scope="module")
def cluster(deployment: SparkDeployment) -> Iterator[SparkDeployment]:
    """Master and worker, in the order of the file."""
    with ExitStack() as stack:
        for service in ("spark-master", "spark-worker"):
            stack.enter_context(deployment.running(service))
        yield deployment


def commands_of_the_runbook(word: str) -> list[str]:
    """The commands with that word in the section on Spark of docs/how-to/operate.md."""
    text = (ROOT / "docs" / "how-to" / "operate.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## On Spark$(.*?)^## ", text, flags=re.DOTALL | re.MULTILINE)
    commands = re.findall(r"^\$ (.*)$", section, flags=re.MULTILINE)
    return [command for command in commands if word in command]


def snapshot_of_rfm(deployment: SparkDeployment) -> int:
    """The live snapshot, as the gate's books name it."""
    with duckdb.connect(str(deployment.home / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        [(snapshot,)] = warehouse.execute("select snapshot from gate.lake_tables where relation = 'rfm'").fetchall()
    return int(snapshot)


def test_all_services_get_healthy_and_the_worker_answers(cluster: SparkDeployment) -> None:
    with cluster.running("spark-connect"):
        asking = Cluster(cluster.here("sc://spark-connect:15002"))
        assert asking.rows("select count(*) as n from range(1000)").to_pylist() == [{"n": 1000}]
        asking.close()


@pytest.mark.nightly
def test_runs_a_restarted_server_backups_and_time_travel(cluster: SparkDeployment) -> None:
    """In one test, because each run takes minutes."""
    whole, books = commands_of_the_runbook("flock")
    [move], [extract] = (
        commands_of_the_runbook("data/warehouse-later"),
        commands_of_the_runbook("--extract --gzip --file clv"),
    )
    [restore] = commands_of_the_runbook("run --rm --no-deps -T")
    with cluster.running("spark-connect"):
        cluster.run("clv", "run", "--select", "+rfm")
    before, snapshot = cluster.books(), snapshot_of_rfm(cluster)
    assert before["rfm"] > 0
    assert list((cluster.folder / "clv_lake" / "clv" / "rfm" / "data").glob("*.parquet"))
    inner, _, archive = whole.partition(" code-server ")[2].partition(" > ")
    cluster.run(*shlex.split(inner), output=cluster.folder / archive)
    cluster.run(*shlex.split(books), folder=".")

    write_orders(cluster.folder / "project" / "orders" / "b.csv", seed=5, first=50)
    with cluster.running("spark-connect"):
        cluster.run("clv", "run", "--select", "+rfm")
        after = cluster.books()
        assert after["raw_transactions"] == 2 * before["raw_transactions"]
        assert after["rfm"] > before["rfm"]

        cluster.run(*shlex.split(move), folder=".")
        cluster.run(*shlex.split(extract), folder=".")
        cluster.run("clv", "audit")
    assert cluster.books() == before
    *snapshots, counted = cluster.shell(SNAPSHOT=snapshot)
    assert [line.split("\t")[2] for line in snapshots][-2:] == [str(before["rfm"]), str(after["rfm"])]
    assert counted == str(before["rfm"])
    assert shown_rows(cluster) == before["rfm"]

    for volume in ("data", "clv_lake"):
        shutil.rmtree(cluster.folder / volume)
    inner, _, archive = restore.partition(" code-server ")[2].partition(" < ")
    cluster.run(*shlex.split(inner), source=cluster.folder / archive)
    assert cluster.books() == before
    assert shown_rows(cluster) == before["rfm"]


def shown_rows(deployment: SparkDeployment) -> int:
    """Rows of the table rfm that readers of the catalog see."""
    query = f"select count(customer_id) from {NAME}.clv.rfm"
    shell = ["spark-sql", "--master", "local[1]", "--driver-memory", "512m", "-e", query]
    return int(deployment.run(*shell, folder="spark"))
