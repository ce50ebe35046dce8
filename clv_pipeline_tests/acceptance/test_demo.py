"""What a newcomer does: `clv demo`, a table of their own as the documents say, `clv run`, a look at the report."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from clv_pipeline_tests.acceptance.dagster_site import ROOT
from clv_pipeline_tests.helpers.own_tables import TABLE, write_example

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo with the documents' table, after `clv run`."""
    parent = tmp_path_factory.mktemp("demo")
    environment = {name: value for name, value in os.environ.items() if name not in ("CLV_HOME", "CLV_CONFIG")}
    environment |= {"DAGSTER_HOME": str(parent), "PYTHONPATH": str(ROOT)}
    clv = str(Path(sys.executable).with_name("clv"))

    def call(*words: str) -> None:
        done = subprocess.run([clv, *words], cwd=parent, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    call("demo", "shop", "--customers", "600")
    with (parent / "shop" / "clv.yaml").open("a", encoding="utf-8") as configuration:
        configuration.write(yaml.safe_dump(write_example(parent / "shop")))
    call("run", "--config", "shop/clv.yaml")
    return parent / "shop"


def test_every_section_of_the_report_is_filled(folder: Path) -> None:
    report = (folder / "data" / "published" / "current" / "report.html").read_text(encoding="utf-8")
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', report, flags=re.DOTALL))
    assert len(sections) == 17
    for name in sections.keys() - {"summary", "suggestions", "sources"}:
        assert "<figure" in sections[name], name
    assert "there is nothing to show" not in report


def test_the_table_of_ones_own_is_published_and_in_the_reports_dictionary(folder: Path) -> None:
    current = folder / "data" / "published" / "current"
    with duckdb.connect(str((current / "clv.duckdb").resolve()), read_only=True) as served:
        [(rows,)] = served.execute(f"select count(*) from {TABLE}").fetchall()
    assert rows > 0
    assert f"<summary>{TABLE}</summary>" in (current / "report.html").read_text(encoding="utf-8")
