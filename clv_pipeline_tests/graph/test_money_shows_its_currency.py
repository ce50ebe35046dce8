"""Whoever reads money reads its currency: page, terminal, lists and the database of a shop that converts."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.display import Display
from clv_pipeline.publication.export import export
from clv_pipeline.publication.report import summary_lines
from clv_pipeline.publication.summary import publication_facts, publication_summary
from clv_pipeline.simulation.raw_lines import generate
from clv_pipeline_tests.helpers.graph_shop import Shop

pytestmark = pytest.mark.timeout(600)

BLOCKS: dict[str, Any] = {
    "source": {
        "transactions": {
            "path": "orders/*.csv",
            "columns": {"customer_id": "customer_id", "ordered_at": "ordered_at", "amount": "paid", "currency": "code"},
        }
    },
    "currency": {"report_in": "EUR", "rates": {"USD": 0.92}},
    "cleaning": {"deduplicate": False},
    "models": ["own_rate"],
    "forecast": {"horizons_days": [90]},
    "backtest": {"origins": 1},
}


@pytest.fixture(scope="module")
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A shop that takes euros and dollars, published."""
    shop = new_shop()
    (shop.folder / "orders").mkdir()
    lines = generate(3_000, seed=1).filter(pl.col("quantity") > 0, pl.col("unit_price") > 0).with_row_index("n")
    lines.select(
        "customer_id",
        "ordered_at",
        paid=pl.col("quantity") * pl.col("unit_price"),
        code=pl.when(pl.col("n") % 3 == 0).then(pl.lit("USD")).otherwise(pl.lit("EUR")),
    ).write_csv(shop.folder / "orders" / "log.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    result = shop.night(**BLOCKS)
    assert result.success, result.failures
    return shop


@pytest.fixture
def settings(shop: Shop) -> Settings:
    return Settings.from_mapping({"storage": {"home": str(shop.folder / "home")}, **BLOCKS})


def test_the_page_and_the_terminal_write_the_currency_beside_an_amount(shop: Shop, settings: Settings) -> None:
    assert any("€" in line for line in summary_lines(shop.served, Display()))
    assert any("€" in line for line in publication_summary(publication_facts(settings)))


def test_a_list_of_customers_has_the_code_in_each_row(shop: Shop, settings: Settings) -> None:
    out = shop.folder / "best.csv"
    assert export(settings, out, top=5).currency == "EUR"
    with out.open(encoding="utf-8-sig", newline="") as file:
        assert [row["currency"] for row in csv.DictReader(file)] == ["EUR"] * 5


def test_every_published_column_of_money_has_the_code_in_its_comment(shop: Shop) -> None:
    money = {
        (name, column.name)
        for name, model in load_models().items()
        for column in model.contract.columns
        if model.contract.published and column.unit == "currency"
    }
    with duckdb.connect(str(shop.served), read_only=True) as published:
        told = published.execute(
            "select table_name, column_name from duckdb_columns() where not internal and comment like '%EUR%'"
        ).fetchall()
        assert published.execute("select currency from publication").fetchall() == [("EUR",)]
    assert money - set(told) == set()
