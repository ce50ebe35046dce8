"""A person with a published page open: `clv run` makes it, and a browser without a network opens it from the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, Route

from clv_pipeline_tests.acceptance.browser import DESKTOP, PHONE
from clv_pipeline_tests.acceptance.dagster_site import ROOT

DEVICES = ("desktop light", "desktop dark", "phone light", "phone dark")
"""A screen and a colour scheme."""


def clv(folder: Path, *arguments: str) -> str:
    """What the command says that is given these arguments and the clv.yaml of a folder, where its data are, too."""
    (folder / "dagster").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "CLV_CONFIG": str(folder / "clv.yaml"),
        "CLV_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "PYTHONPATH": str(ROOT),
    }
    program = [str(Path(sys.executable).with_name("clv")), *arguments]
    return subprocess.run(program, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def page_of_a_first_run(folder: Path, configuration: str, page: str) -> Path:
    """The page (`report` or `explore`) of a first run with this clv.yaml, at the path that `clv run` prints."""
    (folder / "clv.yaml").write_text(configuration)
    [printed] = [line.split()[1] for line in clv(folder, "run").splitlines() if line.startswith(f"{page} ")]
    return folder / printed


class PageReader:
    """Has a page open, and notes what it asks of the network and what the console says."""

    def __init__(self, chromium: Browser, file: Path, fragment: str = "", *, device: str = DEVICES[0]) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        size, scheme = device.split()
        self.context = chromium.new_context(
            viewport=PHONE if size == "phone" else DESKTOP, color_scheme="dark" if scheme == "dark" else "light"
        )
        self.context.set_offline(True)
        self.context.route("**/*", self._let_through_the_file_only)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._file = file.as_uri()
        self.page.goto(self._file + fragment)

    def _let_through_the_file_only(self, route: Route) -> None:
        if route.request.url.split("#")[0] == self._file:
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()
