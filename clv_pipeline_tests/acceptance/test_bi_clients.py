"""Real BI-side clients read the publication: DuckDB 1.4 and 1.5, each from its own environment.

These install packages, so they run under `make acceptance` and not under `make test`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

QUERY = """
import duckdb, json, sys
con = duckdb.connect(sys.argv[1], read_only=True)
tables = [name for (name,) in con.execute("select table_name from duckdb_tables() order by 1").fetchall()]
counts = {name: con.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables}
comments = con.execute("select count(*) from duckdb_columns() where not internal and comment is null").fetchone()[0]
print(json.dumps({"version": duckdb.__version__, "counts": counts, "uncommented": comments}))
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that `clv run` publishes on the embedded default."""
    home = tmp_path_factory.mktemp("home")
    clv = Path(sys.executable).with_name("clv")
    subprocess.run([str(clv), "run"], cwd=home, env={**os.environ, "CLV_HOME": str(home / "data")}, check=True)
    return home / "data" / "published" / "current" / "clv.duckdb"


@pytest.mark.parametrize("version", ["1.4", "1.5"])
def test_an_older_duckdb_reads_every_published_table(published: Path, tmp_path: Path, version: str) -> None:
    venv.create(tmp_path / "client", with_pip=True)
    python = tmp_path / "client" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"duckdb=={version}.*"], check=True)
    answer = json.loads(
        subprocess.run([str(python), "-c", QUERY, str(published)], capture_output=True, text=True, check=True).stdout
    )
    assert answer["version"].startswith(version)
    assert answer["counts"]["rfm"] == 23_502
    assert answer["counts"]["clv_forecasts"] == 4 * 23_502
    assert answer["counts"]["publication"] == 1
    assert answer["uncommented"] == 0
