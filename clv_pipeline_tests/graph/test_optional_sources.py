"""Demographics and events in the graph: from files to features of buyers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import polars as pl

from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop

TABLES = ("raw_customers", "customer_files", "customer_attributes", "raw_events", "event_files")


def test_files_become_attributes_and_counts_of_buyers(new_shop: Callable[[], Shop]) -> None:
    shop = new_shop()
    orders = pl.read_csv(shop.write_orders("orders.csv", 2_000, seed=1), infer_schema=False)
    buyers = orders["customer_id"].drop_nulls().unique().sort()[:20]
    pl.DataFrame({"id": buyers, "age": range(20), "city": ["Bern", "Genf"] * 10}).write_csv(shop.folder / "people.csv")
    pl.DataFrame({"user": buyers, "at": ["2000-01-01"] * 20}).write_csv(shop.folder / "log.csv")
    source: dict[str, Any] = {
        "transactions": {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}},
        "customers": {"path": "people.csv", "columns": {"customer_id": "id"}},
        "events": {"path": "log.csv", "columns": {"customer_id": "user", "occurred_at": "at"}},
    }
    result = shop.night("+key:customer_attributes or +key:customer_events", source=source)
    assert result.success
    assert result.failed_checks == []
    with duckdb.connect(str(shop.folder / "home" / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        found = {table: warehouse.execute(f"select count(*) from {table}").fetchall()[0][0] for table in TABLES}
        known = warehouse.execute("select count(distinct customer_id), min(events) from customer_events").fetchall()
    assert found == dict(zip(TABLES, (20, 1, 40, 20, 1), strict=True))
    assert known == [(20, 1)]
