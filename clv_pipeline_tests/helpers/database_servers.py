"""Real PostgreSQL and MariaDB servers on loopback for one block, installed from Debian's packages where need be."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from clv_pipeline_tests.helpers.receivers import free_port

DEADLINE = 120


def programs_of(program: str, package: str) -> Path:
    """The folder with `program` and those beside it; installs Debian's package, or skips where that is impossible."""

    def installed() -> Path | None:
        folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/sbin")]
        found = shutil.which(program, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]]))
        return Path(found).parent if found else None

    if (folder := installed()) is None:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip(f"{package} is not installed, and only root can install it with apt-get")
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=quiet, check=True)
        folder = installed()
    assert folder
    return folder


@dataclass(frozen=True)
class Server:
    """A running server, and the URL of its owner, who needs no password."""

    port: int
    url: str

    def execute(self, *statements: str) -> None:
        """Run statements, each by itself."""
        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        engine.dispose()


@contextmanager
def postgresql(*options: str) -> Iterator[Server]:
    """A PostgreSQL server with an empty database `shop`; `options` are those of its configuration, as `name=value`."""
    programs, port = programs_of("initdb", "postgresql"), free_port()
    with folder_of_nobody() as (folder, account):
        data = folder / "data"
        initdb = [str(programs / "initdb"), "--auth-local", "trust", "--auth-host", "scram-sha-256"]
        subprocess.run(
            [*initdb, "--username", "owner", "--encoding", "UTF8", "--pgdata", str(data)],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **account,
        )
        server = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
        for option in ("listen_addresses=127.0.0.1", "fsync=off", *options):
            server += ["-c", option]
        url = f"postgresql+psycopg2://owner@/{{}}?host={folder}&port={port}"
        with _running(server, folder, account, url.format("postgres")):
            Server(port, url.format("postgres")).execute("create database shop")
            yield Server(port, url.format("shop"))


@contextmanager
def mariadb(*options: str) -> Iterator[Server]:
    """A MariaDB server with an empty database `shop`; `options` are those of its command line."""
    programs, port = programs_of("mariadbd", "mariadb-server"), free_port()
    with folder_of_nobody() as (folder, account):
        data = folder / "data"
        install = shutil.which("mariadb-install-db") or "mariadb-install-db"
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **account,
        )
        socket = folder / "socket"
        server = [str(programs / "mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={socket}"]
        server += [f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={folder / 'pid'}", "--local-infile=1"]
        url = f"mysql+pymysql://root@localhost/{{}}?unix_socket={socket}&local_infile=1&charset=utf8mb4"
        with _running([*server, *options], folder, account, url.format("")):
            Server(port, url.format("")).execute(
                "create database shop character set utf8mb4",
                # A server that is set up for use has no anonymous users, who come before named ones of any host.
                "delete from mysql.global_priv where user = ''",
                "flush privileges",
            )
            yield Server(port, url.format("shop"))


@contextmanager
def folder_of_nobody() -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder and the account that owns it: neither server runs as root."""
    folder = Path(tempfile.mkdtemp(prefix="clv-server-"))
    account: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if account:
        shutil.chown(folder, account["user"], account["group"])
        folder.chmod(0o755)
    try:
        yield folder, account
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(command: list[str], folder: Path, account: dict[str, Any], url: str) -> Iterator[None]:
    log = folder / "log"
    with process(command, log, cwd=folder, **account) as started:
        _wait_for(lambda: Server(0, url).execute("select 1"), started, log)
        yield


@contextmanager
def process(command: list[str], log: Path, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process from here to the end of the block, stopped as a container would be."""
    with log.open("w") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **how)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(timeout=60)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def _wait_for(ask: Callable[[], None], started: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            return ask()
        except sqlalchemy.exc.OperationalError as error:
            if time.monotonic() > end or started.poll() is not None:
                pytest.fail(f"the server does not answer: {error}\n{log.read_text()[-3000:]}")
        time.sleep(0.2)
