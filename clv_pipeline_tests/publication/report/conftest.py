"""A small shop with hostile names, published with its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.publication.charts.renderer import RENDERER
from clv_pipeline_tests.helpers.graph_shop import Night, Shop

PRODUCT = "<script>\x0balert('&\"')</script>\uffff"
CUSTOMER = "<i>best\x1b[31m</i> & customer"
FILE = "<b>orders\x1bc.csv"


@dataclass(frozen=True)
class Published:
    """A served version: its shop, its database, and the text of its report."""

    shop: Shop
    night: Night

    @property
    def folder(self) -> Path:
        return self.shop.served.parent.resolve()

    @property
    def database(self) -> Path:
        return self.folder / "clv.duckdb"

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator[None]:
    """Every picture is drawn once for all tests: most of them render a page that differs in a sentence.

    Other renderers draw: tests of other rooms run in this process, too, and end theirs.
    """
    draw = RENDERER.draw
    pictures: dict[str, bytes] = {}

    def remembered(spec: dict[str, Any], **asked: Any) -> bytes:
        key = json.dumps([spec, asked], sort_keys=True)
        if key not in pictures:
            pictures[key] = draw(spec, **asked)
        return pictures[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RENDERER, "draw", remembered)
        yield


@pytest.fixture(scope="session")
def published(new_shop: Callable[[], Shop]) -> Published:
    """The whole graph on orders whose products all hold a control character; the best one, a customer and the file are
    named like markup and commands of a terminal.
    """
    shop = new_shop()
    path = shop.write_orders(FILE, 1_500, seed=3)
    orders = pl.read_csv(path, infer_schema=False)
    best_customer, best_product = (
        orders[column].drop_nulls().mode().sort()[0] for column in ("customer_id", "product_id")
    )
    orders.with_columns(
        pl.col("customer_id").replace(best_customer, CUSTOMER),
        pl.when(pl.col("product_id") == best_product)
        .then(pl.lit(PRODUCT))
        .otherwise(pl.col("product_id").str.slice(0, 1) + "\x0b" + pl.col("product_id").str.slice(1))
        .alias("product_id"),
        unit_price=pl.when(pl.col("product_id") == best_product).then(pl.lit("999.99")).otherwise("unit_price"),
    ).write_csv(path)
    night = shop.night(
        models=["own_rate", "hybrid"],
        forecast={"horizons_days": [90]},
        backtest={"origins": 2},
        campaign={"budget": 50.0, "cost_per_contact": 1.0, "assumed_uplift": 0.5},
    )
    assert night.success, night.failures
    return Published(shop, night)


@pytest.fixture
def copy(published: Published) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tables, to be changed."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{published.database}' as published (read_only)")
        connection.execute("copy from database published to memory")
        connection.execute("detach published")
        yield connection
