"""The Dagster UI as `make ui` starts it: webserver, daemon and code server in their own processes, on loopback.

DAGSTER_HOME, the configuration, the source files and the warehouse are in one fresh folder.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from clv_pipeline_tests.helpers.receivers import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 300
STOP_SECONDS = 20
RUN_SECONDS = 600


@dataclass(frozen=True)
class Site:
    """A running Dagster, its address, and the folder that holds `clv.yaml` and everything that comes of it."""

    url: str
    folder: Path
    instance: dg.DagsterInstance

    @property
    def served(self) -> Path:
        """What BI tools read."""
        return self.folder / "home" / "published" / "current" / "clv.duckdb"

    def customers_served(self) -> int:
        """The customers that a BI tool sees at this moment."""
        with duckdb.connect(str(self.served.resolve()), read_only=True) as client:
            [(customers,)] = client.execute("select count(*) from rfm").fetchall()
        return int(customers)

    def finished(self, run_id: str) -> dg.DagsterRun:
        """The run, once it has ended."""
        deadline = time.monotonic() + RUN_SECONDS
        while time.monotonic() < deadline:
            run = self.instance.get_run_by_id(run_id)
            if run is not None and run.is_finished:
                return run
            time.sleep(1)
        raise TimeoutError(f"run {run_id} has not ended within {RUN_SECONDS} s")


@contextmanager
def dagster_site(folder: Path) -> Iterator[Site]:
    """Serve the graph of `folder/clv.yaml`, stopped at the end. What the processes say is in `folder/dagster.log`.

    Raises RuntimeError with the end of that log when they do not come up.
    """
    environment = {
        **os.environ,
        "CLV_CONFIG": str(folder / "clv.yaml"),
        "CLV_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    prepare = [sys.executable, "-m", "clv_pipeline.orchestration.instance"]
    subprocess.run(prepare, cwd=ROOT, env=environment, check=True, capture_output=True)
    port = free_port()
    dagster = str(Path(sys.executable).with_name("dagster"))
    serve = [dagster, "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "dagster.log"
    with log.open("wb") as output:
        # A process group of its own, so that nothing of it outlives the test.
        process = subprocess.Popen(
            serve, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_it_answers(f"{url}/server_info", process, log)
        with instance_in(folder / "dagster") as instance:
            yield Site(url, folder, instance)
    finally:
        stop(process)


def instance_in(folder: Path) -> dg.DagsterInstance:
    """The Dagster instance of a folder, whose configuration asks for DAGSTER_HOME as soon as it is opened."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DAGSTER_HOME", str(folder))
        return dg.DagsterInstance.get()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return as soon as the address answers; RuntimeError with the end of the log when it does not in time."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  (loopback)
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.5)
    raise RuntimeError(f"nothing answers on {url}; the end of its log:\n{log.read_text()[-3000:]}")


def wait_until_it_listens(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for a server on loopback.

    Raises:
        RuntimeError: it ended or took too long; with the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.2)
    raise RuntimeError(f"nothing listens on port {port}; the end of its log:\n{log.read_text()[-3000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group of its own, and the whole group."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    # What is left: everything, where a shell that put the tests into the background made them deaf to SIGINT.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
