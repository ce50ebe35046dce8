"""Every SQL model gives the same rows on Spark as on DuckDB.

Both read the same Parquet files. Spark is a Connect server that PySpark starts, installed from spark.lock into an
environment below .cache/, in ANSI mode and with UTC as its session time zone.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.sql_models import SqlModel, load_models, spark_sql
from clv_pipeline.sql_text import quote_identifier
from clv_pipeline_tests.acceptance.locked_programs import CACHE, UV, install_locked
from clv_pipeline_tests.acceptance.spark_inputs import HOSTILE, run_pipeline, write_tables
from clv_pipeline_tests.graph.conftest import Shop, new_shop

__all__ = ["new_shop"]

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

LOCK = Path(__file__).with_name("spark.lock")
TOLERANCE = 1e-9
"""Of doubles, which are added up in another order."""

MODELS = load_models()
SQL_MODELS = [model for model in MODELS.values() if isinstance(model, SqlModel)]
INPUTS = {"as built": [], "hostile": HOSTILE}


@pytest.fixture(scope="module")
def answers(new_shop: Callable[[], Shop], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per kind of inputs: tables, the queries for Spark, and the rows that it gave."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 or newer")
    folder = tmp_path_factory.mktemp("spark")
    database = run_pipeline(new_shop())
    read = sorted({name for model in SQL_MODELS for name in model.dependencies})
    for kind, changes in INPUTS.items():
        write_tables(database, read, changes, folder / kind / "tables")
        (folder / kind / "queries").mkdir()
        for model in SQL_MODELS:
            query = folder / kind / "queries" / f"{model.name}.sql"
            query.write_text(spark_sql(model, MODELS), encoding="utf-8")
    with (folder / "spark.log").open("wb") as log:
        subprocess.run(
            [str(_python_with_spark()), str(Path(__file__).with_name("spark_queries.py")), *INPUTS],
            cwd=folder,
            check=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return folder


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("model", SQL_MODELS, ids=lambda model: model.name)
def test_a_model_gives_the_same_rows_on_spark(model: SqlModel, kind: str, answers: Path) -> None:
    refused = answers / kind / "rows" / f"{model.name}.error"
    assert not refused.exists(), refused.read_text(encoding="utf-8")
    declared = {column.name: column.type for column in model.contract.columns}
    # The key first: doubles may differ in their last digits, and must not decide the order.
    order = ", ".join(map(quote_identifier, dict.fromkeys([*model.contract.key, *declared])))
    with duckdb.connect() as connection:
        for table in model.dependencies:
            connection.execute(f"create view {table} as from '{answers / kind / 'tables' / table}.parquet'")
        here = connection.sql(f"select * from ({model.sql}) order by {order}")
        there = connection.sql(f"from '{answers / kind / 'rows' / model.name}.parquet' order by {order}")
        assert dict(zip(there.columns, map(str, there.types), strict=True)) == declared
        rows_here, rows_there = here.pl(), there.pl()
    assert len(rows_here) > 0
    assert_frame_equal(rows_there, rows_here, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _python_with_spark() -> Path:
    """The Python of an environment with PySpark, installed once per lock file and Python."""
    made_from = LOCK.read_bytes() + f"{sys.version}{UV}".encode()
    folder = CACHE / "spark" / hashlib.sha256(made_from).hexdigest()[:16]
    if not (folder / "ready").exists():
        install_locked(LOCK, folder / "venv")
        (folder / "ready").touch()
    return folder / "venv" / "bin" / "python"
