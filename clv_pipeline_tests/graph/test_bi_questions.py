"""The questions of docs/how-to/bi-questions.md have an answer in a published file, from one table or one join."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.loader import load_models
from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop, erased

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "bi-questions.md"
QUESTIONS = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
CUSTOMER_TABLES = ("dim_customer", "fact_customer_month", "fact_orders", "customer_overview")
PLAIN_TYPES = ("VARCHAR", "DATE", "TIMESTAMP", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DECIMAL")
NESTED = {"fitted_models.skipped_horizons"}
REGRETTED = "R1"
"""A customer who returned everything."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A shop with countries and channels, a region of every customer, and somebody who returned everything."""
    shop = new_shop()
    path = shop.write_orders("orders.csv", 4_000, seed=1)
    orders = pl.read_csv(path, infer_schema=False).with_columns(country=pl.lit("France"), channel=pl.lit("advert"))
    bought = orders.filter(pl.col("quantity").cast(pl.Float64) > 0).head(1)
    bought = bought.with_columns(
        customer_id=pl.lit(REGRETTED), order_id=pl.lit("R-1"), quantity=pl.lit("2"), unit_price=pl.lit("3.50")
    )
    returned = bought.with_columns(quantity=pl.lit("-2"))
    pl.concat([orders, bought, returned]).write_csv(path)
    people = orders.select("customer_id").unique(maintain_order=True).with_columns(region=pl.lit("north"))
    people.write_csv(shop.folder / "people.csv")
    result = shop.night(**blocks())
    assert result.success, result.failures
    return shop


def blocks() -> dict[str, Any]:
    columns = {name: name for name in (*COLUMNS, "country", "channel")}
    people = {"path": "people.csv", "columns": {"customer_id": "customer_id", "region": "region"}}
    return {"source": {"transactions": {"path": "orders/*.csv", "columns": columns}, "customers": people}}


@pytest.fixture
def published(shop: Shop) -> Any:
    with duckdb.connect(str(shop.served.resolve()), read_only=True) as client:
        yield client


def test_all_twelve_are_asked() -> None:
    headings = re.findall(r"^## (\d+)\.", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings == [str(number) for number in range(1, 13)]
    assert len(QUESTIONS) == 14


@pytest.mark.parametrize("question", QUESTIONS, ids=range(1, len(QUESTIONS) + 1))
def test_a_question_has_an_answer_from_one_table_or_one_join(
    published: duckdb.DuckDBPyConnection, question: str
) -> None:
    tables = [table.name for table in sqlglot.parse_one(question, dialect="duckdb").find_all(exp.Table)]
    assert len(tables) <= 2
    models = load_models()
    assert all(models[table].contract.materialized == "table" for table in tables), "an old name"
    [(somebody,)] = published.execute("select min(customer_id) from rfm").fetchall()
    assert published.execute(question.replace("C000001", somebody)).fetchall()


def test_every_table_of_customers_and_months_adds_up_to_the_ledger(published: duckdb.DuckDBPyConnection) -> None:
    [(kept,)] = published.execute("select sum(amount) from row_ledger where outcome = 'kept'").fetchall()
    for table in CUSTOMER_TABLES:
        assert published.execute(f"select sum(net_revenue) from {table}").fetchall() == [(kept,)]
    assert published.execute("select sum(revenue) from sales_by_month").fetchall() == [(kept,)]


def test_who_returned_everything_is_in_dim_customer_and_in_no_model(published: duckdb.DuckDBPyConnection) -> None:
    told = "select gross_revenue, returned_revenue, net_revenue, segment from dim_customer where customer_id = ?"
    assert published.execute(told, [REGRETTED]).fetchall() == [(Decimal(7), Decimal(7), Decimal(0), None)]
    for table in ("rfm", "clv_forecasts", "customer_overview", "segments"):
        assert published.execute(f"select count(*) from {table} where customer_id = '{REGRETTED}'").fetchall() == [(0,)]


def test_keys_and_what_is_never_missing_are_constraints(published: duckdb.DuckDBPyConnection) -> None:
    found: dict[tuple[str, str], list[list[str]]] = {}
    for table, kind, columns in published.execute(
        "select table_name, constraint_type, constraint_column_names from duckdb_constraints()"
    ).fetchall():
        found.setdefault((table, kind), []).append(columns)
    for name, model in load_models().items():
        if model.contract.published and model.contract.materialized == "table" and name != "publication":
            keys = [model.contract.primary_key] if model.contract.primary_key else []
            assert found.get((name, "PRIMARY KEY"), []) == keys
            not_null = sorted(column for [column] in found.get((name, "NOT NULL"), []))
            assert not_null == sorted(model.contract.not_null)


def test_old_names_are_views_of_the_new_tables_and_files_of_their_own(
    published: duckdb.DuckDBPyConnection, shop: Shop
) -> None:
    views = published.execute("select view_name from duckdb_views() where not internal order by 1").fetchall()
    assert views == [("revenue_distribution",), ("sales_trends",)]
    [(months,)] = published.execute("select sum(revenue) from sales_trends where period = 'month'").fetchall()
    assert published.execute("select sum(revenue) from sales_by_month").fetchall() == [(months,)]
    assert published.execute(
        "select count(*) from duckdb_columns() where table_name = 'sales_trends' and comment is null"
    ).fetchall() == [(0,)]
    trends = pl.read_parquet(shop.served.parent / "parquet" / "sales_trends.parquet")
    assert trends.filter(period="month")["revenue"].sum() == months


def test_parquet_files_are_plain_enough_for_every_reader(shop: Shop) -> None:
    files = sorted((shop.served.parent / "parquet").glob("*.parquet"))
    assert files
    read = [str(file.resolve()) for file in files]
    with duckdb.connect() as client:
        codecs = client.execute("select distinct compression from parquet_metadata(?)", [read]).fetchall()
        assert codecs == [("SNAPPY",)]
        for file in read:
            described = client.execute("describe from read_parquet(?)", [file]).fetchall()
            kinds = {f"{Path(file).stem}.{name}": kind.split("(")[0] for name, kind, *_ in described}
            nested = {name for name, kind in kinds.items() if kind not in PLAIN_TYPES}
            assert nested <= NESTED


def test_forgetting_reaches_every_new_table_and_keeps_keys_and_views(shop: Shop) -> None:
    erased(shop.settings(**blocks()), [REGRETTED])
    with duckdb.connect(str(shop.served.resolve()), read_only=True) as left:
        for table in CUSTOMER_TABLES:
            query = f"select count(*) from {table} where customer_id = '{REGRETTED}'"
            assert left.execute(query).fetchall() == [(0,)]
        assert left.execute("select count(*) > 0 from sales_trends").fetchall() == [(True,)]
        keys = "select count(*) from duckdb_constraints() where constraint_type = 'PRIMARY KEY'"
        assert left.execute(keys).fetchone() != (0,)
