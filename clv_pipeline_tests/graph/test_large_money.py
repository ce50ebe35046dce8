"""A shop whose amounts are as large as a row can hold: its sums go through the whole graph."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import duckdb

from clv_pipeline_tests.helpers.graph_shop import COLUMNS, Shop

FIRST = date(2023, 1, 2)
LARGE = 90_000_000_000_000


def test_amounts_near_the_limit_of_a_row_are_published(new_shop: Callable[[], Shop]) -> None:
    shop = new_shop()
    shop.write_orders("orders.csv", 1_000, seed=5)
    # Twice on each of their days, and on many days.
    large = [
        f"rich {customer},{day}-{customer},{FIRST + timedelta(days=14 * day + customer)} 1{line}:00:00,yacht,1,{LARGE}"
        for day in range(30)
        for customer in range(4)
        for line in range(2)
    ]
    (shop.folder / "orders" / "large.csv").write_text("\n".join([",".join(COLUMNS), *large]) + "\n")
    result = shop.night(
        models=["own_rate", "hybrid"],
        campaign={"budget": 1e12, "cost_per_contact": 1.0, "assumed_uplift": 0.5},
    )
    assert result.success, result.failures
    with duckdb.connect(str(shop.served), read_only=True) as client:
        of_customers = client.execute(
            "select sum(revenue), max(revenue) from rfm where customer_id like 'rich %'"
        ).fetchall()
        of_product = client.execute(
            "select revenue, quantity from product_performance where product_id = 'yacht'"
        ).fetchall()
    assert of_customers == [(240 * LARGE, 60 * LARGE)]
    assert of_product == [(240 * LARGE, 240)]
