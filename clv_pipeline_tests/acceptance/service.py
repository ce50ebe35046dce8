"""The pipeline as it runs in production: daemon and webserver as processes, a small shop, receivers of alerts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from clv_pipeline.simulation.raw_lines import generate
from clv_pipeline_tests.acceptance.dagster_site import instance_in
from clv_pipeline_tests.helpers.receivers import Mailbox, Webhook, free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 600
COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")
LOCATION = {"repositoryLocationName": "clv_pipeline.definitions", "repositoryName": "__repository__"}


def eventually(what: str, found: Callable[[], Any], patience: float = PATIENCE_SECONDS) -> Any:
    """What `found` returns as soon as it is truthy."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.5)
    raise AssertionError(f"waited {patience} s in vain until {what}")


@dataclass
class Service:
    """A shop in `folder`, and the processes that work on it."""

    folder: Path
    webhook: Webhook
    mailbox: Mailbox
    port: int = field(default_factory=free_port)

    def prepare(self) -> None:
        """Orders and clv.yaml; its schedule ticks every minute."""
        (self.folder / "orders").mkdir()
        generate(1_500, seed=1).write_csv(self.orders, datetime_format="%Y-%m-%d %H:%M:%S")
        configuration = {
            "source": {"transactions": {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}}},
            "models": ["own_rate", "bg_nbd"],
            "forecast": {"horizons_days": [30]},
            "backtest": {"origins": 2},
            "schedule": {"cron": "* * * * *", "review_cron": "0 0 1 1 *"},
            "alerts": {
                "webhook": "${CLV_ALERT_WEBHOOK}",
                "email": self.mailbox.settings().model_dump(by_alias=True, exclude_none=True),
            },
        }
        (self.folder / "clv.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")

    @property
    def orders(self) -> Path:
        """The one file of orders."""
        return self.folder / "orders" / "2010.csv"

    @property
    def environment(self) -> dict[str, str]:
        """Of every process."""
        return {
            **os.environ,
            "CLV_CONFIG": str(self.folder / "clv.yaml"),
            "CLV_HOME": str(self.folder / "home"),
            "CLV_ALERT_WEBHOOK": self.webhook.url,
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """A process in a group of its own; what it says goes to `folder/name.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self, name: str) -> str:
        """What the process has said so far."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Daemon and webserver, until the end."""
        processes = [
            self.start("daemon", "dagster-daemon", "run", "-w", "workspace.yaml"),
            self.start(
                "webserver", "dagster-webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(self.port)
            ),
        ]
        try:
            eventually("the webserver answers", self._answers)
            yield
        finally:
            for process in processes:
                stop(process)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        return bool(self.ask("{ version }")["version"])

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer of the webserver's GraphQL."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            found = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data

    def switch_schedule(self, *, on: bool) -> None:
        """Switch the nightly schedule on or off, as its switch in the UI does."""
        if on:
            selector = {**LOCATION, "scheduleName": "nightly_refresh_schedule"}
            answer = self.ask(
                "mutation ($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) "
                "{ __typename ... on ScheduleStateResult { scheduleState { id status } } } }",
                selector=selector,
            )["startSchedule"]
            self._schedule = answer["scheduleState"]["id"]
            assert answer["scheduleState"]["status"] == "RUNNING"
        else:
            answer = self.ask(
                "mutation ($id: String!) { stopRunningSchedule(id: $id) "
                "{ ... on ScheduleStateResult { scheduleState { status } } ... on PythonError { message } } }",
                id=self._schedule,
            )["stopRunningSchedule"]
            assert answer == {"scheduleState": {"status": "STOPPED"}}, answer

    def launch(self, *assets: str) -> str:
        """Start a run as the button in the UI does; returns its id. Without assets, the whole graph."""
        selector: dict[str, Any] = {**LOCATION, "jobName": "nightly_refresh"}
        if assets:
            selector["assetSelection"] = [{"path": [asset]} for asset in assets]
        answer = self.ask(
            "mutation ($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            parameters={"selector": selector, "runConfigData": {}},
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def runs(self) -> dict[str, str]:
        """Every run's status by its id, as the UI shows them, the newest first."""
        answer = self.ask("{ runsOrError { ... on Runs { results { runId status } } } }")
        return {run["runId"]: run["status"] for run in answer["runsOrError"]["results"]}

    def finished(self) -> dict[str, str]:
        """Every run's status once none is under way."""

        def at_rest() -> dict[str, str]:
            runs = self.runs()
            return runs if all(status in ("SUCCESS", "FAILURE", "CANCELED") for status in runs.values()) else {}

        found: dict[str, str] = eventually("every run has ended", at_rest)
        return found

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The Dagster instance that the processes share."""
        with instance_in(self.folder / "dagster") as instance:
            yield instance

    def holder(self) -> str:
        """Who works on the warehouse, or did last."""
        lock = self.folder / "home" / "warehouse" / "clv.lock"
        return lock.read_text(encoding="utf-8") if lock.exists() else ""


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children."""
    for kind in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(timeout=30)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
