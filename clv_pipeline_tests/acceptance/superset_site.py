"""Apache Superset as an analyst has it: a server on loopback, spoken to through its REST API.

It is installed from superset.lock into an environment of its own below .cache/, once per lock file and Python; what it
knows (connections, dashboards, its only user) is a fresh copy every time.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from clv_pipeline_tests.acceptance.dagster_site import stop, wait_until_it_answers
from clv_pipeline_tests.acceptance.locked_programs import installed_once
from clv_pipeline_tests.helpers.receivers import free_port

LOCK = Path(__file__).with_name("superset.lock")
NEWEST_PYTHON = (3, 12)
"""Of those that Superset 6.1 is released for."""

USER = "admin"
CONFIGURATION = """
SQLALCHEMY_DATABASE_URI = "sqlite:///{folder}/superset.db"
SECRET_KEY = "{secret}"
# The API is spoken to with a token, not with a cookie.
WTF_CSRF_ENABLED = False
"""
# The three commands of Superset's installation guide, in one process: each would spend ten seconds on starting.
PREPARE = """
from flask.cli import ScriptInfo
from superset.app import create_app
from superset.cli.main import superset

info = ScriptInfo(create_app=create_app)
name = ["--username", "{user}", "--firstname", "A", "--lastname", "B", "--email", "a@example.com"]
for command in (["db", "upgrade"], ["fab", "create-admin", *name, "--password", "{user}"], ["init"]):
    superset.main(command, obj=info, standalone_mode=False)
"""


class SupersetError(RuntimeError):
    """What Superset answered instead of a result."""


@dataclass(frozen=True)
class Superset:
    """A running Superset, and the token of its user."""

    url: str
    token: str = ""

    def get(self, path: str, **query: str) -> Any:
        """What a GET answers. `query`: values in Rison, as Superset expects them."""
        asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        return self._ask("GET", f"{path}?{asked}", None, "application/json")

    def post(self, path: str, content: Any) -> Any:
        """What a POST of JSON answers."""
        return self._ask("POST", path, json.dumps(content).encode(), "application/json")

    def put(self, path: str) -> Any:
        """What an empty PUT answers."""
        return self._ask("PUT", path, b"", "application/json")

    def import_dashboard(self, folder: Path, database: Path) -> None:
        """Import an exported dashboard whose connection is first pointed at a database, as its comment asks for."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as export:
            for file in sorted(folder.rglob("*.yaml")):
                text = file.read_text(encoding="utf-8")
                text = text.replace("/absolute/path/data/published/current/clv.duckdb", str(database))
                export.writestr(str(file.relative_to(folder.parent)), text)
        boundary = secrets.token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="formData"; filename="dashboard.zip"\r\n\r\n'
        body = b"".join([head.encode(), archive.getvalue(), f"\r\n--{boundary}--\r\n".encode()])
        self._ask("POST", "/api/v1/dashboard/import/", body, f"multipart/form-data; boundary={boundary}")

    def rows(self, database_id: int, sql: str) -> list[dict[str, Any]]:
        """The answer of SQL Lab."""
        asked = {"database_id": database_id, "sql": sql, "runAsync": False}
        rows: list[dict[str, Any]] = self.post("/api/v1/sqllab/execute/", asked)["data"]
        return rows

    def _ask(self, method: str, path: str, body: bytes | None, content_type: str) -> Any:
        headers = {"Content-Type": content_type}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.url}{path}", data=body, headers=headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310  (loopback)
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise SupersetError(f"{method} {path}: {error.code} {error.read().decode()}") from error


@contextmanager
def superset_site(folder: Path) -> Iterator[Superset]:
    """Superset without any connection, stopped at the end. What it says is in `folder/superset.log`.

    Skips where there is no Superset for this Python. RuntimeError with the end of that log when it does not start.
    """
    if sys.version_info[:2] > NEWEST_PYTHON:
        pytest.skip(f"Superset 6.1 is for Python up to {'.'.join(map(str, NEWEST_PYTHON))}")
    home = installed_once("superset", LOCK, _prepare, PREPARE)
    shutil.copyfile(home / "superset.db", folder / "superset.db")
    log, port = folder / "superset.log", free_port()
    programs = home / "venv" / "bin"
    # By its Python, because the first line of the program names the folder that it was installed in.
    serve = [str(programs / "python"), str(programs / "superset"), "run", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*serve, "--with-threads"],
            env=_environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{url}/health", process, log)
        login = {"username": USER, "password": USER, "provider": "db"}
        yield Superset(url, Superset(url).post("/api/v1/security/login", login)["access_token"])
    finally:
        stop(process)


def _prepare(folder: Path) -> None:
    """Leave Superset's database in the folder as it is after installation."""
    prepare = [str(folder / "venv" / "bin" / "python"), "-c", PREPARE.format(user=USER)]
    with (folder / "prepare.log").open("wb") as log:
        subprocess.run(prepare, env=_environment(folder), check=True, stdout=log, stderr=subprocess.STDOUT)


def _environment(folder: Path) -> dict[str, str]:
    """Of Superset's processes; their configuration and database are in the folder."""
    configuration = folder / "superset_config.py"
    configuration.write_text(CONFIGURATION.format(folder=folder, secret=secrets.token_hex(32)), encoding="utf-8")
    return {**os.environ, "SUPERSET_CONFIG_PATH": str(configuration), "SUPERSET_HOME": str(folder)}
