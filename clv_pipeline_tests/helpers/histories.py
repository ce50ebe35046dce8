"""What a simulated shop's transactions say about its customers, reduced with polars instead of the pipeline's SQL."""

from __future__ import annotations

import polars as pl

from clv_pipeline_tests.helpers.purchase_days import PurchaseDays


def purchase_days(transactions: pl.DataFrame) -> PurchaseDays:
    """The purchase days of a simulated shop's transactions."""
    day, spend = pl.col("ordered_at").dt.date(), pl.col("quantity") * pl.col("unit_price")
    return PurchaseDays.of(transactions.select("customer_id", day=day, spend=spend))
