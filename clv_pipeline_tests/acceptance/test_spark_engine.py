"""The whole graph with `storage.engine: spark`, from source files to a publication, beside the same on DuckDB.

Spark is a Connect server with two cores in a process of its own, reached by its address as in production; where real
shops are compared, it has two workers. Tables are in an Iceberg catalog.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.config.operation import Catalog
from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.errors import ClusterError
from clv_pipeline.sources.reach import packaged_folder
from clv_pipeline.spark import connect
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.lake import Lake, server_settings
from clv_pipeline_tests.acceptance.spark_inputs import run_pipeline
from clv_pipeline_tests.acceptance.spark_session import (
    SHORT_QUERIES,
    cluster,
    connect_server,
    mortal_server,
    pyspark_at_hand,
)
from clv_pipeline_tests.helpers.doubled_numbers import double
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop
from clv_pipeline_tests.helpers.receivers import free_port
from clv_pipeline_tests.helpers.shared_files import ONLINE_RETAIL, require_online_retail

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

DEFAULT: dict[str, Any] = {"models": Settings.model_fields["models"].default, "forecast": {}, "backtest": {}}
MODELS = load_models()
EXACT = {
    name
    for name, model in MODELS.items()
    if isinstance(model, SqlModel) and all(column.type != "DOUBLE" for column in model.contract.columns)
}
"""Tables that SQL makes and that hold nothing that is rounded."""
TOLERANCE = 1e-9
"""Of doubles, which are added up in another order."""


def storage(shop: Shop, address: str) -> dict[str, Any]:
    """The block that keeps the shop's tables on Spark."""
    return {
        "home": str(shop.folder / "home"),
        "engine": "spark",
        "spark": {"remote": address, "config": SHORT_QUERIES},
    }


Nights = list[set[str]]
"""The tables that each night built."""


def built(shop: Shop, selection: str | None, **blocks: Any) -> set[str]:
    """The tables that a night builds, of the selected ones or of all."""
    night = shop.night(selection, **blocks)
    assert night.success, night.failures
    return {table for table, shown in night.shown.items() if "kept" not in shown}


def odd_shop(shop: Shop, **blocks: Any) -> Nights:
    """Generated and odd orders, demographics and events. What is kept between runs is in test_spark_parity.py."""
    run_pipeline(shop, days=["latest"], **blocks)
    return []


def cdnow(shop: Shop, **blocks: Any) -> Nights:
    """The embedded default with all its models, in two files: the second comes in the second night."""
    columns = {
        "customer_id": "customer_id",
        "ordered_at": "date",
        "quantity": "number_of_cds",
        "amount": "dollar_value",
    }
    source = {"transactions": {"path": "orders/*.txt", "columns": columns}}
    packaged = packaged_folder()
    assert packaged is not None
    heading, *log = (packaged / "CDNOW_master.txt").read_text(encoding="utf-8").splitlines()
    (shop.folder / "orders").mkdir()
    nights: Nights = []
    for name, lines in (("first.txt", log[:60_000]), ("second.txt", log[60_000:])):
        (shop.folder / "orders" / name).write_text("\n".join([heading, *lines, ""]), encoding="utf-8")
        nights.append(built(shop, None, source=source, cleaning={"deduplicate": False}, **DEFAULT, **blocks))
    return nights


def online_retail(shop: Shop, **blocks: Any) -> Nights:
    """Online Retail II with the defaults, all models too."""
    require_online_retail()
    columns = {
        "customer_id": "Customer ID",
        "order_id": "Invoice",
        "ordered_at": "InvoiceDate",
        "product_id": "StockCode",
        "quantity": "Quantity",
        "unit_price": "Price",
        "country": "Country",
    }
    source = {"transactions": {"path": str(ONLINE_RETAIL), "columns": columns}}
    return [built(shop, None, source=source, **DEFAULT, **blocks)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a Spark Connect server."""
    with connect_server(tmp_path_factory.mktemp("spark")) as address:
        yield address


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Connect server whose work is done by two other processes."""
    with cluster(tmp_path_factory.mktemp("cluster"), workers=2) as (address, _):
        yield address


@pytest.fixture(
    scope="module",
    params=[
        odd_shop,
        pytest.param(cdnow, marks=[pytest.mark.parity, pytest.mark.timeout(3600)]),
        pytest.param(online_retail, marks=[pytest.mark.parity, pytest.mark.timeout(3600)]),
    ],
    ids=lambda run: run.__name__,
)
def shops(request: pytest.FixtureRequest, new_shop: Callable[[], Shop]) -> tuple[Shop, Shop]:
    """The same input published by DuckDB and by Spark."""
    here, there = new_shop(), new_shop()
    spark: str = request.getfixturevalue("address" if request.param is odd_shop else "two_workers")
    assert request.param(there, storage=storage(there, spark)) == request.param(here)
    return here, there


def published_hashes(shop: Shop) -> dict[str, str]:
    """Content hashes of the tables of a publication."""
    with duckdb.connect(str(shop.served), read_only=True) as served:
        [(listed,)] = served.execute("select tables from publication").fetchall()
    return {table["table"]: table["content_hash"] for table in json.loads(listed)}


def rows(shop: Shop, table: str) -> pl.DataFrame:
    """Of a published table, by key: doubles may differ in their last digits, and must not decide the order."""
    contract = MODELS[table].contract
    order = ", ".join(dict.fromkeys([*contract.key, *(column.name for column in contract.columns)]))
    with duckdb.connect(str(shop.served), read_only=True) as served:
        found: pl.DataFrame = served.sql(f"select * from {table} order by {order}").pl()
    return found


def test_sql_tables_are_published_with_the_same_hashes(shops: tuple[Shop, Shop]) -> None:
    here, there = map(published_hashes, shops)
    assert set(here) == set(there)
    assert {name: there[name] for name in EXACT & set(here)} == {name: here[name] for name in EXACT & set(here)}


def test_all_tables_are_published_with_the_same_rows(shops: tuple[Shop, Shop]) -> None:
    here, there = shops
    for table in published_hashes(here):
        assert_frame_equal(rows(there, table), rows(here, table), rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def test_nights_on_spark(new_shop: Callable[[], Shop], address: str) -> None:
    """A first load, a new file, a file that fails its audit, and back to DuckDB: as many rows and steps as there."""
    here, there = new_shop(), new_shop()
    spark: dict[str, Any] = {"storage": storage(there, address)}
    for shop in (here, there):
        shop.write_orders("monday.csv", 2_000, seed=1)
    assert built(here, "+key:rfm") == built(there, "+key:rfm", **spark)
    for shop in (here, there):
        shop.write_orders("tuesday.csv", 1_000, seed=2)
    assert built(here, "+key:rfm") == built(there, "+key:rfm", **spark)

    odd = there.folder / "orders" / "wednesday.csv"
    odd.write_text("\n".join([",".join(COLUMNS), *["1,2,someday,P1,1,1.00"] * 2_000]), encoding="utf-8")
    night = there.night("+key:rfm", **spark)
    assert "did not pass the audit and is not promoted" in night.failures["raw_transactions"]

    odd.unlink()
    assert there.night("+key:rfm").success
    assert warehouse_rows(there) == warehouse_rows(here)


def warehouse_rows(shop: Shop) -> dict[str, int]:
    """Numbers of rows of some live tables."""
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        return {
            table: warehouse.execute(f"select count(*) from {table}").fetchall()[0][0]
            for table in ("raw_transactions", "customer_days", "rfm")
        }


@pytest.fixture
def lake(address: str, tmp_path: Path) -> Iterator[Lake]:
    """Tables in a folder of their own."""
    catalog = Catalog()
    cluster = Cluster(address, SHORT_QUERIES, server_settings(catalog, (tmp_path / "lake").as_uri()))
    yield Lake(cluster, catalog.namespace, "ours")
    cluster.close()


def values(lake: Lake, table: str, snapshot: int, since: int | None = None) -> list[dict[str, Any]]:
    lake.view("seen", table, snapshot, since)
    found: list[dict[str, Any]] = lake.cluster.rows("select * from seen order by n").to_pylist()
    return found


def test_a_snapshot_stays_as_it_was_whatever_becomes_of_the_table(lake: Lake) -> None:
    first = {"n": "INTEGER", "day": "DATE", "amount": "DECIMAL(18,4)", "gone": "VARCHAR[]"}
    lake.prepare("things", first, base=None)
    rows = "select cast(id as int) as n, date '2024-01-01' as day, cast(1.5 as decimal(18, 4)) as amount"
    five = lake.cluster.frame(f"{rows}, array('a') as gone from range(5)")
    before = lake.whole("things", lake.overwrite("things", five, "day"))
    lake.show("things", before.id)

    lake.prepare("things", {"day": "DATE", "n": "BIGINT", "amount": "DECIMAL(18,4)", "new": "DOUBLE"}, before.id)
    lake.delete("things", "things", "`things`.`amount` > 1 and exists (select 1 where `things`.`day` is null)")
    deleted = lake.head("things")
    assert deleted is not None
    assert deleted.rows == 5
    lake.append("things", lake.cluster.frame("select 7L as n, null as day, 2BD as amount, 3D as new"))
    after = lake.whole("things", 6)

    assert values(lake, "things", before.id)[0].keys() == first.keys()
    assert [row["n"] for row in values(lake, "things", after.id, deleted.id)] == [7]
    shown = lake.cluster.rows(f"select count(*) as n from {lake.name('things')}").to_pylist()
    assert shown == [{"n": 5}]
    lake.drop_branch("things")
    assert lake.head("things") is None
    other = Lake(lake.cluster, "clv", "theirs")
    assert (lake.tables(), other.tables()) == (["things"], [])
    with pytest.raises(ClusterError, match="belongs to another warehouse"):
        other.prepare("things", first, base=None)


def test_a_first_load_that_was_killed_is_staged_again(lake: Lake) -> None:
    """The table is there, its main branch is empty, and the books know nothing of what is staged."""
    lake.prepare("things", {"n": "BIGINT"}, base=None)
    lake.overwrite("things", lake.cluster.frame("select id as n from range(9)"))
    lake.prepare("things", {"n": "BIGINT"}, base=None)
    assert lake.whole("things", lake.overwrite("things", lake.cluster.frame("select id as n from range(3)"))).rows == 3


def test_files_that_spark_does_not_find_are_told_with_both_numbers(lake: Lake, tmp_path: Path) -> None:
    lake.prepare("things", {"n": "BIGINT"}, base=None)
    written = lake.overwrite("things", lake.cluster.frame("select id as n from range(0, 1000, 1, 4)"))
    files = sorted((tmp_path / "lake" / "clv" / "things" / "data").glob("*.parquet"))
    lost = pl.read_parquet(files[0]).height
    files[0].unlink()
    with pytest.raises(ClusterError, match=rf"things: 1,000 rows were written, and Spark finds {1_000 - lost} of them"):
        lake.whole("things", written)


def test_a_worker_with_other_code_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = pa.schema([("n", pa.int32()), ("twice", pa.float64())])
    asked = "select cast(id as int) as n from range(3)", double, schema, "n int, twice double"
    assert sorted(lake.cluster.fetched(lake.cluster.mapped(*asked))["twice"].to_pylist()) == [0.0, 2.0, 4.0]
    monkeypatch.setattr(connect, "code_hash", lambda: "other code")
    with pytest.raises(ClusterError, match=r"a worker of Spark has other code.*the session brings the code along"):
        lake.cluster.fetched(lake.cluster.mapped(*asked))


def test_a_session_that_is_idle_while_files_are_loaded_goes_on(lake: Lake) -> None:
    lake.cluster.view_of_query("kept", "select 1 as n")
    time.sleep(50)
    assert lake.cluster.rows("select * from kept").to_pylist() == [{"n": 1}]


def test_a_server_that_dies_is_told_within_a_minute_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with mortal_server(tmp_path) as (address, server):
        cluster = Cluster(address)
        assert cluster.rows("select 1 as n").num_rows == 1
        threading.Timer(5, server.kill).start()
        started = time.monotonic()
        with pytest.raises(ClusterError, match=r"Spark has stopped answering.*start it"):
            cluster.rows(
                "select count(*) from range(1000000) as a cross join range(1000000) as b where a.id * b.id = 7"
            )
        assert time.monotonic() - started < 65
        cluster.close()
    with mortal_server(tmp_path) as (address, _):
        cluster = Cluster(address)
        assert cluster.rows("select 1 as n").num_rows == 1
        cluster.close()


def test_a_server_that_does_not_answer_is_named_at_once() -> None:
    pyspark_at_hand()
    nobody = f"sc://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterError, match=f"does not answer .{nobody}: .*start the Spark Connect server"):
        Cluster(nobody).rows("select 1")
