"""Delta and Iceberg tables, made by the libraries of their formats: appended, overwritten, deleted from, changed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from clv_pipeline.config.source import CustomerSource
from clv_pipeline.errors import ConfigError, SourceError
from clv_pipeline.sources import load_records
from clv_pipeline.sources.money_questions import StatedTotal, money_questions
from clv_pipeline_tests.acceptance.lake_servers import lake_packages
from clv_pipeline_tests.acceptance.lake_tables import COLUMNS, Delta, Iceberg, Lake, libraries, mark_as_deleted, orders
from clv_pipeline_tests.helpers.loads import FEW, LONG_COLUMNS, LONG_ROWS, MANY, assert_memory_is_bounded, load_night
from clv_pipeline_tests.helpers.shop_files import transactions

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module", autouse=True)
def _libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with libraries(tmp_path_factory.mktemp("catalog")):
        yield


@pytest.fixture(params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = Delta(tmp_path) if request.param == "delta" else Iceberg(tmp_path)
    yield made
    made.con.close()


def test_what_was_appended_is_all_that_is_read(lake: Any) -> None:
    lake.write(orders(1, 2))
    first = lake.night()
    assert (first.is_whole, lake.paid()) == (True, [1, 2])
    assert lake.night().read == []
    lake.write(orders(3))
    lake.write(orders(4, 5))
    second = lake.night()
    assert (second.is_whole, second.replaced, len(second.read)) == (False, [], 1)
    assert [file.rows for file in second.files] == [2, 3]
    assert len({file.stamp for file in second.files}) == 2
    assert lake.paid() == [1, 2, 3, 4, 5]


def test_what_was_overwritten_or_deleted_is_read_whole(lake: Any) -> None:
    lake.write(orders(1, 2))
    lake.night()
    lake.write(orders(7, 8, 9), mode="overwrite")
    assert (lake.night().is_whole, lake.paid()) == (True, [7, 8, 9])
    lake.delete("paid = 8")
    assert (lake.night().is_whole, lake.paid()) == (True, [7, 9])
    lake.write(orders(10))
    assert (lake.night().is_whole, lake.paid()) == (False, [7, 9, 10])


def test_a_column_that_came_later_is_missing_in_what_was_before(lake: Any) -> None:
    lake.write(orders(1))
    lake.night()
    lake.write_with_note(orders(2, note=["new"]))
    assert (lake.night().is_whole, lake.paid()) == (False, [1, 2])
    lake.known = ()
    lake.night(transactions({**COLUMNS, "note": "note"}, table=lake.table))
    notes = lake.con.execute("select attributes ->> 'note' from live order by amount").fetchall()
    assert notes == [(None,), ("new",)]


def test_an_earlier_snapshot_can_be_named(lake: Any) -> None:
    lake.write(orders(1))
    if isinstance(lake, Delta):
        lake.table = {**lake.table, "version": 0}
    else:
        lake.table = {
            **lake.table,
            "snapshot": lake.catalog.load_table(lake.table["name"]).current_snapshot().snapshot_id,
        }
    lake.write(orders(2))
    lake.night()
    assert lake.paid() == [1]


def test_a_table_that_was_made_anew_is_read_whole(lake: Any, tmp_path: Path) -> None:
    lake.write(orders(1, 2))
    lake.night()
    if isinstance(lake, Delta):
        (tmp_path / "orders").rename(tmp_path / "old")
    else:
        lake.catalog.drop_table(lake.table["name"])
    lake.write(orders(5))
    lake.write(orders(6))
    assert (lake.night().is_whole, lake.paid()) == (True, [5, 6])


def test_a_missing_column_is_told_with_those_that_are_there(lake: Any) -> None:
    lake.write(orders(1))
    with pytest.raises(SourceError, match=r"the column 'customer' .*columns found: 'who', 'at', 'paid'"):
        lake.night(transactions({**COLUMNS, "customer_id": "customer"}, table=lake.table))


def test_money_that_is_not_mapped_is_asked_about(lake: Any) -> None:
    lake.write(orders(1, 2, payment=["visa", "cash"]))
    purchases = {name: theirs for name, theirs in COLUMNS.items() if name != "amount"}
    with pytest.raises(SourceError, match=r"no money is mapped, and columns look like money \('paid'\)"):
        lake.night(transactions(purchases, table=lake.table))
    lake.night(transactions({**purchases, "score": "paid"}, table=lake.table))
    assert lake.con.execute("select amount from live").fetchall() == [(None,), (None,)]


def test_a_stated_total_that_differs_is_asked_about(lake: Any, tmp_path: Path) -> None:
    lake.write(orders(1, 2, pieces=[2, 2], price=[0.5, 0.5], line_total=[1.0, 2.0]))
    priced = {"customer_id": "who", "ordered_at": "at", "quantity": "pieces", "unit_price": "price"}
    source = transactions(priced, table=lake.table)
    load_records(lake.con, "raw", source, tmp_path, tmp_path / "work")
    asked = money_questions(lake.con, "raw", source, tmp_path, tmp_path / "work").stated_total
    assert asked == StatedTotal("line_total", is_taken=False, lines=2, differing=1, difference=Decimal(1))


def test_every_column_of_demographics_is_read(lake: Any, tmp_path: Path) -> None:
    lake.write(orders(1))
    source = CustomerSource.model_validate({"table": lake.table, "columns": {"customer_id": "who"}})
    load_records(lake.con, "people", source, tmp_path, tmp_path / "work")
    [(attributes,)] = lake.con.execute("select attributes from people").fetchall()
    assert json.loads(attributes) == {"at": "2024-01-01", "paid": 1.0}


@pytest.mark.timeout(600)
def test_memory_does_not_grow_with_the_rows(lake: Any, tmp_path: Path) -> None:
    peaks = []
    packages = f"{lake_packages()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    (tmp_path / "clv.yaml").write_text(
        yaml.safe_dump({"source": {"transactions": {"table": lake.table, "columns": LONG_COLUMNS}}}), encoding="utf-8"
    )
    written = 0
    for rows in (FEW, MANY):
        for first in range(written, rows, FEW // 4):
            lake.write(lake.con.sql(LONG_ROWS.format(first=first, last=first + FEW // 4)).to_arrow_table())
        written = rows
        peaks.append(load_night(tmp_path, memory="150MB", PYTHONPATH=packages))
        for left in ("state", "warehouse.duckdb"):
            (tmp_path / left).unlink()
    assert_memory_is_bounded(*peaks)


def test_types_arrive_as_they_are(lake: Any) -> None:
    import datetime as dt

    at = dt.datetime(2024, 1, 31, 23, 30, tzinfo=dt.UTC)
    rows = pa.table(
        {
            "who": pa.array([4711], pa.int64()),
            "at": pa.array([at], pa.timestamp("us", tz="UTC")),
            "paid": pa.array([Decimal("12.34")], pa.decimal128(10, 2)),
        }
    )
    lake.write(rows)
    lake.night()
    assert lake.con.execute("select customer_id, ordered_at, amount from live").fetchall() == [
        ("4711", at.replace(tzinfo=None), Decimal("12.3400"))
    ]


def test_a_table_that_is_not_there_is_named(tmp_path: Path, lake: Any) -> None:
    label = "orders" if isinstance(lake, Delta) else f"lake:{tmp_path.name}.orders"
    with pytest.raises(SourceError, match=rf"^{label}: the table cannot be read"):
        lake.night()


def test_delta_partitions_are_columns(tmp_path: Path) -> None:
    delta = Delta(tmp_path)
    delta.write(orders(1, 2), partition_by=["at"])
    delta.night()
    delta.write(orders(3), partition_by=["at"])
    assert (delta.night().is_whole, delta.paid()) == (False, [1, 2, 3])
    assert delta.con.execute("select count(distinct ordered_at) from live").fetchall() == [(3,)]


def test_delta_compacted_files_are_read_whole_once(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    delta = Delta(tmp_path)
    delta.write(orders(1))
    delta.write(orders(2))
    delta.night()
    DeltaTable(tmp_path / "orders").optimize.compact()
    assert (delta.night().is_whole, delta.paid()) == (True, [1, 2])
    assert delta.night().read == []


def test_delta_rows_that_are_marked_as_deleted_are_not_read(tmp_path: Path) -> None:
    delta = Delta(tmp_path)
    delta.write(orders(1, 2, 3, 4))
    delta.night()
    mark_as_deleted(tmp_path / "orders", 1, 3)
    assert (delta.night().is_whole, delta.paid()) == (True, [1, 3])


def test_delta_files_outside_the_table_are_refused(tmp_path: Path) -> None:
    delta = Delta(tmp_path)
    delta.write(orders(1))
    [data] = (tmp_path / "orders").glob("*.parquet")
    elsewhere = tmp_path / "elsewhere.parquet"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    with pytest.raises(SourceError, match="orders: its log names files outside its folder"):
        delta.night()


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"format": "delta"}, "format delta takes path, version; needed are path"),
        (
            {"format": "iceberg", "name": "a.b"},
            "format iceberg takes catalog, name, snapshot; needed are catalog, name",
        ),
        ({"format": "delta", "path": "a", "snapshot": 3}, "format delta takes path, version"),
        ({"format": "hudi", "path": "a"}, "'delta' or 'iceberg'"),
        ({"format": "delta", "path": "s3://ann@bucket/a"}, "should hold no user"),
    ],
)
def test_a_table_that_is_not_named_is_refused(table: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        transactions(COLUMNS, table=table)
    assert told in str(caught.value)


@pytest.mark.parametrize("form", ["delta", "iceberg"])
def test_without_the_extra_the_error_says_what_to_install(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"delta": {"path": "a"}, "iceberg": {"catalog": "a", "name": "b.c"}}
    monkeypatch.setitem(sys.modules, {"delta": "deltalake", "iceberg": "pyiceberg"}[form], None)
    with pytest.raises(SourceError, match=rf"not installed; `pip install 'clv_pipeline\[{form}\]'`"):
        Lake(tmp_path, {"format": form, **names[form]}).night()
