"""The deployment without its containers: the installed package, deploy/dagster.yaml, and the commands of compose.yaml
as processes of this machine, on a real PostgreSQL.

Only what the containers add is left out (the images, their network and volumes); every host and port is loopback.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
import yaml

from clv_pipeline_tests.acceptance.deployed import DEPLOY, ROOT, install_package, wait_for, write_shop
from clv_pipeline_tests.helpers.database_servers import folder_of_nobody, process, programs_of
from clv_pipeline_tests.helpers.receivers import free_port

SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
PASSWORD = "it's:a/test@"  # noqa: S105  (needs quoting wherever a URL is made of it)
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@contextmanager
def postgres(logs: Path) -> Iterator[int]:
    """A PostgreSQL server with an empty database `dagster`; yields its port on loopback."""
    programs, port = programs_of("initdb", "postgresql"), free_port()
    with folder_of_nobody() as (folder, account):
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        initdb = [str(programs / "initdb"), "--username", "dagster", "--auth", "scram-sha-256"]
        subprocess.run(
            [*initdb, "--pgdata", str(folder / "data"), "--pwfile", str(password_file)],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **account,
        )
        server = [str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder)]
        with process([*server, "-c", "listen_addresses=127.0.0.1"], logs / "postgres.log", cwd=folder, **account):

            def create_database() -> bool:
                with connect(port, "postgres") as connection:
                    connection.autocommit = True
                    connection.cursor().execute("create database dagster")
                return True

            wait_for("PostgreSQL", create_database, logs)
            yield port


@contextmanager
def connect(port: int, database: str) -> Iterator[Any]:
    connection = psycopg2.connect(host="127.0.0.1", port=port, user="dagster", password=PASSWORD, dbname=database)
    try:
        yield connection
    finally:
        connection.close()


@dataclass
class Deployment:
    """The services of compose.yaml as processes; folders stand for volumes."""

    folder: Path
    postgres_port: int
    code_server_port: int = field(default_factory=free_port)
    ui_port: int = field(default_factory=free_port)

    @property
    def home(self) -> Path:
        return self.folder / "clv_home"

    @property
    def environment(self) -> dict[str, str]:
        """What the image and compose.yaml set, with loopback for the names of the containers."""
        composed = {
            **SERVICES["code-server"]["environment"],
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(self.postgres_port),
            "DAGSTER_PG_PASSWORD": PASSWORD,
            "CLV_CODE_SERVER_HOST": "127.0.0.1",
            "CLV_CODE_SERVER_PORT": str(self.code_server_port),
        }
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder / "site"),
            "DAGSTER_HOME": str(self.folder / "dagster_home"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "CLV_HOME": str(self.home),
            # As in the image, where there is none and none can be made.
            "HOME": "/dev/null/home",
            **composed,
        }

    def command(self, text: list[str]) -> list[str]:
        """A command of compose.yaml or the Dockerfile with this machine's host, ports and folders."""
        here = {
            "0.0.0.0": "127.0.0.1",  # noqa: S104
            "4000": str(self.code_server_port),
            "3000": str(self.ui_port),
            "/opt/dagster/dagster_home/workspace.yaml": str(self.folder / "dagster_home" / "workspace.yaml"),
        }
        return [here.get(word, word) for word in text]

    def start(self, service: str) -> Any:
        return process(self.command(SERVICES[service]["command"]), self.folder / f"{service}.log", **self.place)

    def run(self, *command: str) -> str:
        """The output of a command that ends well, as `docker compose exec code-server …` would run it."""
        try:
            done = subprocess.run(self.command([*command]), capture_output=True, **self.place)
            done.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(error.stderr.decode())
            raise
        return str(done.stdout, "utf-8")

    @property
    def place(self) -> dict[str, Any]:
        return {"env": self.environment, "cwd": self.folder / "project"}

    def ask(self, query: str, **variables: Any) -> Any:
        """The `data` of a GraphQL answer of the webserver."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ui_port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  (loopback)
            told = json.load(answer)
        assert "errors" not in told, told
        return told["data"]

    def sql(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with connect(self.postgres_port, "dagster") as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return list(cursor.fetchall())


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Everything up and healthy, in the order of compose.yaml, on a small shop."""
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "dagster_home").mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(DEPLOY / name, folder / "dagster_home")
    write_shop(folder / "project")
    install_package(folder / "site")
    with ExitStack() as stack:
        port = stack.enter_context(postgres(folder))
        running = Deployment(folder, port)
        running.run(*SERVICES["prepare"]["command"])
        stack.enter_context(running.start("code-server"))
        wait_for("the code server", lambda: running.run(*image_health_check()), folder)
        stack.enter_context(running.start("daemon"))
        stack.enter_context(running.start("webserver"))
        for service in ("webserver", "daemon"):
            check = SERVICES[service]["healthcheck"]["test"][1:]
            check = [word.replace(":3000", f":{running.ui_port}") for word in check]
            wait_for(f"the {service}", lambda check=check: (running.run(*check), True)[1], folder)  # type: ignore[misc]
        yield running


def image_health_check() -> list[str]:
    """The HEALTHCHECK of the Dockerfile, which is that of the code server."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    [line] = [line for line in text.splitlines() if line.startswith("HEALTHCHECK")]
    command: list[str] = json.loads(line[line.index("[") :])
    return command


LAUNCH = """
mutation Launch($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}, mode: "default"}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
RUN = "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
LOCATIONS = """
{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } schedules { name } } } } }
"""


def test_a_run_launched_in_the_webserver_ends_green_and_is_kept_in_postgres(deployment: Deployment) -> None:
    [repository] = deployment.ask(LOCATIONS)["repositoriesOrError"]["nodes"]
    assert repository["location"]["name"] == "clv_pipeline"
    assert {"name": "nightly_refresh_schedule"} in repository["schedules"]
    selector = {
        "repositoryLocationName": "clv_pipeline",
        "repositoryName": repository["name"],
        "jobName": "nightly_refresh",
    }
    launched = deployment.ask(LAUNCH, selector=selector)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def ended() -> str | None:
        status: str = deployment.ask(RUN, id=run_id)["runOrError"]["status"]
        return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    assert wait_for("the run", ended, deployment.folder) == "SUCCESS"
    assert deployment.sql("select status from runs where run_id = %s", run_id) == [("SUCCESS",)]
    [(events,)] = deployment.sql("select count(*) from event_logs where run_id = %s", run_id)
    assert events > 100
    served = deployment.home / "published" / "current" / "clv.duckdb"
    with duckdb.connect(str(served), read_only=True) as reader:
        assert reader.execute("select run_id from publication").fetchall() == [(run_id,)]
    assert f"* {run_id}" in deployment.run("clv", "publish")
    assert not list((deployment.folder / "dagster_home").rglob("*.db")), "SQLite storage beside PostgreSQL"


SCHEDULES = "select selector_id, status from instigators where instigator_type = 'SCHEDULE'"


def test_the_schedule_is_switched_on_as_the_document_says(deployment: Deployment) -> None:
    text = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
    [command] = [line for line in text.splitlines() if "dagster schedule start" in line]
    assert deployment.sql(SCHEDULES) == []
    deployment.run(*shlex.split(command.partition("exec daemon ")[2]))
    assert [status for _, status in deployment.sql(SCHEDULES)] == ["RUNNING"]


def test_preparing_the_instance_again_changes_nothing(deployment: Deployment) -> None:
    limits = 'select concurrency_key, "limit" from concurrency_limits'
    before = deployment.sql(limits)
    assert before == [("duckdb_writer", 1)]
    deployment.run(*SERVICES["prepare"]["command"])
    assert deployment.sql(limits) == before


def test_no_process_tells_the_password(deployment: Deployment) -> None:
    for log in deployment.folder.glob("*.log"):
        assert PASSWORD not in log.read_text(), log.name
    assert deployment.sql("select count(*) from event_logs where event like %s", f"%{PASSWORD}%") == [(0,)]
