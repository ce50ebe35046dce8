"""What a new user does with an export: `clv init FILE`, `clv check`, `clv run`, and the published numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from clv_pipeline_tests.acceptance.dagster_site import ROOT
from clv_pipeline_tests.helpers.export_files import EXPORTS, make_orders

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

TRIED = "shopify"
HOW_TO = {"woocommerce_items": "woocommerce", "stripe_balance": "stripe"}


@pytest.mark.parametrize(
    "name",
    # A full run each: one is tried every time, all of them every night.
    [name if name == TRIED else pytest.param(name, marks=pytest.mark.nightly) for name in EXPORTS],
)
def test_three_commands_from_a_file_to_published_numbers(name: str, tmp_path: Path) -> None:
    path = EXPORTS[name].write(tmp_path, make_orders())
    expected = EXPORTS[name].worth(path)
    environment = {key: value for key, value in os.environ.items() if key not in ("CLV_HOME", "CLV_CONFIG")}
    environment |= {"DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    document = (ROOT / "docs" / "how-to" / f"{HOW_TO.get(name, name)}.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ clv (.*)$", document, flags=re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["init", "check", "run"]
    if name not in HOW_TO:
        assert commands[0] == f"init {path.name}"
    for command in ("init", "check", "run"):
        words = [command, path.name] if command == "init" else [command]
        done = subprocess.run(
            [str(Path(sys.executable).with_name("clv")), *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    served = tmp_path / "data" / "published" / "current" / "clv.duckdb"
    with duckdb.connect(str(served.resolve()), read_only=True) as reader:
        books = dict(reader.sql("select outcome, sum(amount) from row_ledger group by outcome").fetchall())
        customers = reader.sql("select count(*) from rfm").fetchall()
    assert abs(float(books.pop("kept")) - expected.revenue) < 0.005
    assert {reason: round(float(money), 2) for reason, money in books.items()} == {
        reason: round(money, 2) for reason, (_, money) in expected.rejected.items()
    }
    with_money = sum(money > 0 for money in expected.customers.values())
    assert with_money * 0.98 <= customers[0][0] <= len(expected.customers)
