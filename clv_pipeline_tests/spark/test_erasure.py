"""An erasure on Spark: the same rows as on DuckDB, and no snapshot that still has them.

Spark and its tables are played by a second DuckDB; that no byte is left on a disk is in acceptance/test_forget.py.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from clv_pipeline.privacy.erasure import forget
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.order_folder import CONTENT, FIRST, line, shops
from clv_pipeline_tests.helpers.spark_by_duckdb import Storage, warehouse


def test_an_erasure_on_spark_leaves_the_rows_that_one_on_duckdb_leaves_and_no_earlier_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage()
    with shops() as shop:
        for day in range(4):
            shop.write(f"{FIRST + timedelta(days=day)}.csv", line("ann", day), line("bob", day), line("", day))
        shop.write("odd.csv", line("bob", 5), 'carl,1,"unbalanced')
        rows, left = [], []
        for name in ("here", "there"):
            monkeypatch.setenv("CLV_HOME", str(tmp_path / name))
            settings = shop.settings()
            made = (
                Warehouse(settings.warehouse_path, [shop.folder])
                if name == "here"
                else warehouse(settings.warehouse_path, storage, shop.folder)
            )
            shop.run(made)
            made.close()
            rows.append(forget(settings, made, ["bob"]).rows)
            session = made.open("afterwards")
            selects = [query if query.startswith("select") else f"select * {query}" for query in CONTENT.values()]
            left.append([sorted(session.ask(select), key=repr) for select in selects])
            made.close()
    assert rows[1] == rows[0]
    assert left[1] == left[0]
    assert rows[0]["raw_transactions"] == 5
    for table in storage.tables.values():
        assert table.snapshots == {table.main}
