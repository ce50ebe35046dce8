"""Lines of orders as dirty as real ones: what measurements and tests of the graph read.

Customers are those of `BgNbdProcess`. Every dirty row breaks exactly one cleaning rule, so that a ledger
of rejected rows can be held against the shares stated here. Same seed and size (and numpy version: its streams may
change between releases) give the same lines.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.simulation.processes import BgNbdProcess
from clv_pipeline.simulation.purchases import DAYS_PER_WEEK, NO_SEASON, numbered, opening_hours

START = np.datetime64("2023-01-01", "ms")
DAYS = 730
ROWS_PER_CUSTOMER = 28
"""Rows per customer: 4.2 million rows make 150,000 customers."""
BUYERS = BgNbdProcess(r=0.7, alpha=50.0 / DAYS_PER_WEEK, a=0.4, b=6.0)
"""On average one purchase in 50 / 0.7 = 71 days while active."""
PRODUCTS = 5_000

MISSING_CUSTOMER = 0.02
NEGATIVE_QUANTITY = 0.01
ZERO_PRICE = 0.005
CANCELLED = 0.015
"""Share of credit notes: order number with the prefix C and negative quantity."""
DUPLICATE = 0.01
"""Share of exact copies of a clean row, directly below it."""

MIN_ROWS = 1_000


def generate(rows: int, *, seed: int = 0, first: int = 0) -> pl.DataFrame:
    """Exactly `rows` transaction lines over two years, in chronological order.

    Columns: order_id (text), customer_id (integer, null where missing), ordered_at (timestamp in whole
    seconds), product_id (text), quantity (integer), unit_price (two decimals). Each kind of dirt affects its share ×
    rows, rounded. Customers and orders are numbered from `first`.

    Raises:
        ValueError: `rows` is below `MIN_ROWS`, which is too few for the shares.
    """
    if rows < MIN_ROWS:
        raise ValueError(f"{rows} rows are too few to be realistic: take at least {MIN_ROWS}")
    rng = np.random.default_rng(seed)
    duplicates = round(DUPLICATE * rows)
    lines = rows - duplicates
    customer, ordered_at = _orders(rng, customers=max(1, rows // ROWS_PER_CUSTOMER), most=lines)

    # Every order has one line; the others fall on orders by a skewed weight. Sorting groups them by order.
    weight = np.cumsum(rng.gamma(2.0, size=len(customer)))
    extra = np.searchsorted(weight, rng.uniform(0, weight[-1], size=lines - len(customer)), side="right")
    lines_of_order = 1 + np.bincount(extra, minlength=len(customer))
    order, line = numbered(lines_of_order)

    # A few products sell most (the square), and the lines of an order step through the catalogue, so that
    # no order has a product twice and the only exact duplicates are the stated ones.
    basket = (rng.uniform(size=len(customer)) ** 2 * PRODUCTS).astype(np.int64)
    product = (basket[order] + 7 * line) % PRODUCTS
    price = np.maximum(rng.lognormal(1.2, 0.8, size=PRODUCTS).round(2), 0.01)[product]
    quantity = rng.geometric(0.2, size=lines)

    counts = [round(share * rows) for share in (MISSING_CUSTOMER, NEGATIVE_QUANTITY, ZERO_PRICE, CANCELLED)]
    chosen = rng.permutation(lines)[: sum(counts) + duplicates]
    nobody, negative, free, cancelled, copied = np.split(chosen, np.cumsum(counts))
    quantity[np.concatenate([negative, cancelled])] *= -1
    price[free] = 0.0
    copies = np.ones(lines, dtype=np.int64)
    copies[copied] = 2

    frame = pl.DataFrame(
        {
            "order_id": 100_000 + first + order,
            "customer_id": 10_000 + first + customer[order],
            "ordered_at": ordered_at[order],
            "product_id": product,
            "quantity": quantity,
            "unit_price": price,
        }
    ).with_columns(
        order_id=pl.format(
            "{}{}", pl.when(_mask(lines, cancelled)).then(pl.lit("C")).otherwise(pl.lit("")), "order_id"
        ),
        customer_id=pl.when(~_mask(lines, nobody)).then("customer_id"),
        product_id=pl.format("P{}", pl.col("product_id").cast(pl.String).str.zfill(4)),
    )
    return frame[np.repeat(np.arange(lines), copies)]


def _orders(rng: np.random.Generator, *, customers: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.datetime64]]:
    """Customer (0, 1, …) and second of every order, in chronological order; at most `most` orders."""
    first = rng.uniform(0, DAYS, size=customers)
    repeats = BUYERS.repeats(rng, BUYERS.lives(rng, np.ones(customers)), first, NO_SEASON, DAYS)
    customer = np.concatenate([np.arange(customers), repeats.customer])
    second = opening_hours(np.concatenate([first, repeats.day]))
    in_time = np.argsort(second, kind="stable")[:most]
    return customer[in_time], START + (1_000 * second[in_time]).astype("timedelta64[ms]")


def _mask(length: int, positions: NDArray[np.int64]) -> pl.Series:
    mask = np.zeros(length, dtype=np.bool_)
    mask[positions] = True
    return pl.Series(mask)
