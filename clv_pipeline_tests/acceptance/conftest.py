"""What several acceptance tests use: one publication of the embedded default, and a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
import pytest
import yaml
from playwright.sync_api import Browser, sync_playwright

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import load_models
from clv_pipeline_tests.acceptance.browser import find_chromium

DEFAULT = Path(__file__).parents[2] / "clv_pipeline" / "config" / "default_clv.yaml"


@dataclass(frozen=True)
class PublishedShop:
    """The CDNOW transactions with few models, and what `clv run` makes of them in a folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """What BI tools open."""
        return self.folder / "data" / "published" / "current" / "clv.duckdb"

    def client(self) -> duckdb.DuckDBPyConnection:
        """A reader of the version that is current now."""
        return duckdb.connect(str(self.database.resolve()), read_only=True)

    @cached_property
    def contracts(self) -> dict[str, Contract]:
        """The tables that belong into it, by name."""
        return {name: model.contract for name, model in load_models().items() if model.contract.published}

    def start_run(self, **blocks: object) -> subprocess.Popen[bytes]:
        """Start `clv run`, with further blocks of clv.yaml; it publishes when it ends with status 0."""
        few = {"models": ["own_rate", "last_window", "bg_nbd"], "forecast": {"horizons_days": [90, 365]}}
        few |= {"publish": {"fact_orders": True}}
        configuration = yaml.safe_load(DEFAULT.read_text(encoding="utf-8")) | few | blocks
        (self.folder / "clv.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
        environment = {**os.environ, "CLV_CONFIG": str(self.folder / "clv.yaml"), "CLV_HOME": str(self.folder / "data")}
        with (self.folder / "run.log").open("ab") as log:
            clv = str(Path(sys.executable).with_name("clv"))
            return subprocess.Popen(
                [clv, "run"], cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )


@pytest.fixture(scope="session")
def cdnow(tmp_path_factory: pytest.TempPathFactory) -> PublishedShop:
    """A first publication."""
    shop = PublishedShop(tmp_path_factory.mktemp("cdnow"))
    assert shop.start_run().wait(900) == 0, (shop.folder / "run.log").read_text()
    return shop


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of a module."""
    program = find_chromium()
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        yield browser
