"""Real clients read the publication: DuckDB 1.4 and 1.5 for Python, polars, pandas, the duckdb CLI and the Node client.

These install packages, so they run under `make acceptance` and not under `make test`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline_tests.acceptance.conftest import PublishedShop

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "bi-tools.md"
RECIPES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)

PYTHON = """
import duckdb, json, sys
con = duckdb.connect(sys.argv[1], read_only=True)
tables = [name for (name,) in con.execute("select table_name from information_schema.tables").fetchall()]
counts = {name: con.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables}
comments = con.execute("select count(*) from duckdb_columns() where not internal and comment is null").fetchone()[0]
print(json.dumps({"version": duckdb.__version__, "counts": counts, "uncommented": comments}))
"""
QUERY = """
select
    version() as version,
    (select count(*)::integer from rfm) as customers,
    (select sum(revenue)::varchar from segment_profiles) as revenue,
    (select count(*)::integer from duckdb_columns() where not internal and comment is null) as uncommented
"""
NODE_CLIENT = "@duckdb/node-api@1.5.6-r.1"
"""Every release of it is named like a pre-release, which no range of versions includes."""

NODE = """
const { DuckDBInstance } = require("@duckdb/node-api");
(async () => {
  const instance = await DuckDBInstance.create(process.argv[2], { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  console.log(JSON.stringify((await connection.runAndReadAll(process.argv[3])).getRowObjectsJson()));
})();
"""


def install(folder: Path, package: str) -> Path:
    """The programs of an environment of its own that has the package."""
    venv.create(folder, with_pip=True)
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", package], check=True)
    return folder / "bin"


def output(*command: str | Path) -> Any:
    """The JSON that a program prints."""
    return json.loads(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout)


def expect_the_same(cdnow: PublishedShop, told: dict[str, Any]) -> None:
    """Hold an answer to QUERY against the published numbers."""
    with cdnow.client() as client:
        [(revenue,)] = client.execute("select sum(revenue)::varchar from segment_profiles").fetchall()
    told.pop("version")
    assert told == {"customers": 23_502, "revenue": revenue, "uncommented": 0}


@pytest.mark.parametrize("version", ["1.4", "1.5"])
def test_an_older_duckdb_reads_every_published_table(cdnow: PublishedShop, tmp_path: Path, version: str) -> None:
    programs = install(tmp_path / "client", f"duckdb=={version}.*")
    answer = output(programs / "python", "-c", PYTHON, cdnow.database)
    assert answer["version"].startswith(version)
    assert set(answer["counts"]) == set(cdnow.contracts)
    assert answer["counts"]["rfm"] == 23_502
    assert answer["counts"]["clv_forecasts"] == 2 * 23_502
    assert answer["counts"]["publication"] == 1
    assert answer["uncommented"] == 0


@pytest.mark.parametrize("recipe", RECIPES, ids=["duckdb", "parquet"])
def test_the_python_of_the_documentation_runs(cdnow: PublishedShop, recipe: str) -> None:
    recipe = recipe.replace("/absolute/path/data", str(cdnow.folder / "data"))
    subprocess.run([sys.executable, "-c", recipe], check=True)


def test_the_duckdb_shell_reads_it(cdnow: PublishedShop, tmp_path: Path) -> None:
    programs = install(tmp_path / "client", "duckdb-cli==1.5.*")
    [told] = output(programs / "duckdb", "-readonly", "-json", cdnow.database, QUERY)
    assert told["version"].startswith("v1.5")
    expect_the_same(cdnow, told)


@pytest.mark.skipif(not shutil.which("node") or not shutil.which("npm"), reason="node and npm are not installed")
def test_the_node_client_reads_it(cdnow: PublishedShop, tmp_path: Path) -> None:
    quiet = ["--silent", "--no-audit", "--no-fund", "--no-update-notifier"]
    subprocess.run(["npm", "install", *quiet, NODE_CLIENT], cwd=tmp_path, check=True)
    (tmp_path / "read.js").write_text(NODE, encoding="utf-8")
    [told] = output("node", tmp_path / "read.js", cdnow.database, QUERY)
    assert told["version"].startswith("v1.5")
    expect_the_same(cdnow, told)
