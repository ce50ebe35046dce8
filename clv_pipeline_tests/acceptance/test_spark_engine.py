"""The whole graph with `storage.engine: spark`, from source files to a publication, beside the same on DuckDB.

Spark is a Connect server with two cores in a process of its own, reached by its address as in production.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.errors import ClusterError
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_load
from clv_pipeline.spark.connect import Cluster
from clv_pipeline.spark.session import SessionOnSpark
from clv_pipeline.warehouse.parquet_tables import folders
from clv_pipeline_tests.acceptance.spark_inputs import run_pipeline
from clv_pipeline_tests.acceptance.spark_session import connect_server, pyspark_at_hand
from clv_pipeline_tests.helpers import order_folder
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop
from clv_pipeline_tests.helpers.nights import NEWS
from clv_pipeline_tests.helpers.receivers import free_port
from clv_pipeline_tests.helpers.runs import failure
from clv_pipeline_tests.helpers.shared_files import ONLINE_RETAIL, require_online_retail

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

FEW: dict[str, Any] = {"models": ["own_rate", "last_window", "bg_nbd"], "forecast": {"horizons_days": [30, 90]}}
MODELS = load_models()
EXACT = {
    name
    for name, model in MODELS.items()
    if isinstance(model, SqlModel) and all(column.type != "DOUBLE" for column in model.contract.columns)
}
"""Tables that SQL makes and that hold nothing that is rounded."""
SHORT_QUERIES = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
}
"""Hundreds of queries on few rows take half as long when Spark does not prepare for many."""
TOLERANCE = 1e-9
"""Of doubles, which are added up in another order."""


def storage(shop: Shop, address: str) -> dict[str, Any]:
    """The block that keeps the shop's tables on Spark."""
    return {
        "home": str(shop.folder / "home"),
        "engine": "spark",
        "spark": {"remote": address, "config": SHORT_QUERIES},
    }


def odd_shop(shop: Shop, **blocks: Any) -> None:
    """Generated and odd orders, demographics and events. What is kept between runs is in test_spark_parity.py."""
    run_pipeline(shop, days=["latest"], **blocks)


def cdnow(shop: Shop, **blocks: Any) -> None:
    """The embedded default."""
    columns = {
        "customer_id": "customer_id",
        "ordered_at": "date",
        "quantity": "number_of_cds",
        "amount": "dollar_value",
    }
    source = {"transactions": {"path": "lifetimes:CDNOW_master.txt", "columns": columns}}
    assert shop.materialize(source=source, cleaning={"deduplicate": False}, **FEW, **blocks).success


def online_retail(shop: Shop, **blocks: Any) -> None:
    """Online Retail II with the defaults for cleaning."""
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
    assert shop.materialize(source=source, **FEW, **blocks).success


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a Spark Connect server."""
    with connect_server(tmp_path_factory.mktemp("spark")) as address:
        yield address


@pytest.fixture(
    scope="module",
    params=[
        odd_shop,
        pytest.param(cdnow, marks=pytest.mark.parity),
        pytest.param(online_retail, marks=pytest.mark.parity),
    ],
    ids=lambda run: run.__name__,
)
def shops(request: pytest.FixtureRequest, new_shop: Callable[[], Shop], address: str) -> tuple[Shop, Shop]:
    """The same input published by DuckDB and by Spark."""
    here, there = new_shop(), new_shop()
    request.param(here)
    request.param(there, storage=storage(there, address))
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
    """A first load, a night without news, a new file, a file that fails its audit, and back to DuckDB."""
    shop = new_shop()
    spark: dict[str, Any] = {"storage": storage(shop, address)}
    shop.write_orders("monday.csv", 2_000, seed=1)
    assert shop.materialize("*rfm", **spark).success
    first = warehouse_rows(shop)
    folders = table_folders(shop)
    # Views are of what Spark wrote, and nothing else is left over.
    assert {folder.parent.name for folder in folders} >= {"raw_transactions", "rejected_at_sight", "rfm"}

    assert shop.materialize("*rfm", **spark).success
    # What the gates remember of the last night is all that is written.
    assert {folder.parent.name for folder in table_folders(shop) - folders} <= {
        "passed_files",
        "passed_volumes",
        "volume_gates",
    }

    shop.write_orders("tuesday.csv", 1_000, seed=2)
    assert shop.materialize("*rfm", **spark).success
    second = warehouse_rows(shop)
    assert second["raw_transactions"] == first["raw_transactions"] + 1_000
    folders = table_folders(shop)

    odd = shop.folder / "orders" / "wednesday.csv"
    odd.write_text("\n".join([",".join(COLUMNS), *["1,2,someday,P1,1,1.00"] * 2_000]), encoding="utf-8")
    night = shop.materialize("*rfm", **spark)
    assert not night.success
    assert "did not pass the audit and is not promoted" in failure(night)
    assert warehouse_rows(shop) == second
    assert {folder.parent.name for folder in table_folders(shop) - folders} <= {"passed_files", "passed_volumes"}

    odd.unlink()
    assert shop.materialize("*rfm").success
    assert warehouse_rows(shop) == second


def test_a_server_that_does_not_answer_is_named_at_once() -> None:
    pyspark_at_hand()
    nobody = f"sc://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterError, match=f"does not answer .{nobody}: .*start the Spark Connect server"):
        Cluster(nobody).rows("select 1")


def warehouse_rows(shop: Shop) -> dict[str, int]:
    """Numbers of rows of some live tables."""
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        return {
            table: warehouse.execute(f"select count(*) from {table}").fetchall()[0][0]
            for table in ("raw_transactions", "customer_days", "rfm")
        }


def table_folders(shop: Shop) -> set[Path]:
    """The folders that Spark wrote and that are there: one of each table."""
    folders = set((shop.folder / "home" / "tables").glob("*/*"))
    assert len(folders) == len({folder.parent for folder in folders})
    return folders


def test_spark_counts_the_rows_that_it_writes_and_those_that_it_finds(address: str, tmp_path: Path) -> None:
    cluster = Cluster(address, SHORT_QUERIES)
    schema = pa.schema([("id", pa.int64())])
    numbers, empty = tmp_path / "numbers", tmp_path / "empty"
    try:
        assert cluster.write("select id from range(0, 1000, 1, 4) where id % 2 = 0", numbers) == 500
        assert cluster.count_parquet(numbers) == 500
        query = "select id from range(0, 10, 1, 1)"
        assert cluster.write_mapped(query, lambda frame: frame.head(3), schema, "id bigint", numbers) == 3
        lost = max(numbers.glob("*.parquet"))
        gone = pl.read_parquet(lost).height
        before = cluster.count_parquet(numbers)
        lost.unlink()
        assert gone > 0
        assert cluster.count_parquet(numbers) == before - gone
        assert cluster.write("select id from range(10) where id < 0", empty) == 0
        assert cluster.count_parquet(empty) == 0
    finally:
        cluster.close()


def test_rows_that_duckdb_kept_are_handed_over_to_spark(address: str) -> None:
    rows = "select * exclude (source_id) from {} order by all"
    contracts = MODELS["raw_transactions"].contract, MODELS["source_files"].contract
    with order_folder.shops() as shop:
        for day in range(4):
            shop.write(f"{order_folder.FIRST + timedelta(days=day)}.csv", order_folder.line("ann", day))
        shop.run()
        before = shop.session.execute(rows.format("raw_transactions")).fetchall()
        min(shop.orders.iterdir()).unlink()
        folder = shop.folder / "home" / "tables"
        spark = SessionOnSpark(shop.session.connection, Cluster(address, SHORT_QUERIES), folder, [])
        settings, work_dir = shop.settings(), shop.warehouse.work_dir
        source = settings.source.transactions
        load = load_source(spark, contracts, source, settings.base_dir, work_dir, refresh=NEWS, recipe="another engine")
        stage_load(spark, contracts, source, load)
        assert folders(spark.connection)["raw_transactions__staged"].parent == folder / "raw_transactions"
        assert shop.session.execute(rows.format("raw_transactions__staged")).fetchall() == before
