"""Real clients read the publication: DuckDB 1.4 and 1.5 for Python, polars, pandas, marimo, the duckdb CLI, Node, JDBC.

These install packages, so they run under `make acceptance` and not under `make test`.
"""

from __future__ import annotations

import json
import os
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

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "how-to" / "bi-tools.md"
MARIMO_EXAMPLE = ROOT / "examples" / "explore_in_python.py"
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

JDBC_DRIVER = "1.5.5.1"
JDBC = """
import java.sql.*;
import java.util.Properties;

class Read {
  public static void main(String[] arguments) throws Exception {
    Properties readOnly = new Properties();
    readOnly.setProperty("duckdb.read_only", "true");
    try (Connection connection = DriverManager.getConnection("jdbc:duckdb:" + arguments[0], readOnly);
         ResultSet told = connection.createStatement().executeQuery(arguments[1])) {
      told.next();
      System.out.println(told.getString(1));
      try {
        connection.createStatement().execute("delete from rfm");
        throw new IllegalStateException("it could be written");
      } catch (SQLException refused) {
      }
    }
  }
}
"""
"""What Tableau and DBeaver do through the same driver."""


def install(folder: Path, *packages: str) -> Path:
    """The programs of an environment of its own that has the packages."""
    venv.create(folder, with_pip=True)
    subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages], check=True)
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


@pytest.mark.skipif(not shutil.which("java") or not shutil.which("mvn"), reason="java and mvn are not installed")
def test_the_jdbc_driver_reads_it_and_cannot_write(cdnow: PublishedShop, tmp_path: Path) -> None:
    driver = f"org.duckdb:duckdb_jdbc:{JDBC_DRIVER}"
    copy = ["dependency:copy", f"-Dartifact={driver}", f"-DoutputDirectory={tmp_path}"]
    subprocess.run(["mvn", "--batch-mode", "--quiet", *copy], cwd=tmp_path, check=True)
    (tmp_path / "Read.java").write_text(JDBC, encoding="utf-8")
    jar = tmp_path / f"duckdb_jdbc-{JDBC_DRIVER}.jar"
    told = output(
        "java",
        "-classpath",
        jar,
        tmp_path / "Read.java",
        cdnow.database,
        f"select to_json(q)::varchar from ({QUERY}) as q",
    )
    assert told["version"].startswith("v1.5")
    expect_the_same(cdnow, told)


def test_the_marimo_example_runs_as_its_header_says(cdnow: PublishedShop, tmp_path: Path) -> None:
    [line] = re.findall(r"pip install (.+)", MARIMO_EXAMPLE.read_text(encoding="utf-8"))
    programs = install(tmp_path / "client", *line.split())
    environment = os.environ | {"CLV_DATABASE": str(cdnow.database)}
    subprocess.run([str(programs / "python"), str(MARIMO_EXAMPLE)], env=environment, check=True)
    subprocess.run([str(programs / "marimo"), "check", "--strict", str(MARIMO_EXAMPLE)], check=True)
