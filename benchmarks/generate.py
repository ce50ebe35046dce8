"""Write a seeded CSV of retail transactions, large enough to measure on and as dirty as real ones.

Customers follow the BG/NBD story (Fader, Hardie & Lee 2005): a gamma-distributed purchase rate, and after
every repeat purchase a beta-distributed chance never to return. Every dirty row breaks exactly one cleaning
rule, so that a ledger of rejected rows can be held against the shares stated here. Same seed and size (and
numpy version: its streams may change between releases) give the same bytes.

Run: python -m benchmarks.generate --rows 4200000 --out benchmarks/work/transactions.csv
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.measurement import WORK
from clv_pipeline.simulation.purchases import opening_hours, repeat_purchases

if TYPE_CHECKING:
    from numpy.typing import NDArray

START = np.datetime64("2023-01-01", "ms")
DAYS = 730
ROWS_PER_CUSTOMER = 28
"""4.2 million rows make 150,000 customers."""
RATE_SHAPE, RATE_SCALE_DAYS = 0.7, 50.0
"""Gamma heterogeneity of the purchase rate: on average one purchase in 50 / 0.7 = 71 days while active."""
DROPOUT_A, DROPOUT_B = 0.4, 6.0
"""Beta heterogeneity of the chance to leave after a repeat purchase."""
PRODUCTS = 5_000

MISSING_CUSTOMER = 0.02
NEGATIVE_QUANTITY = 0.01
ZERO_PRICE = 0.005
CANCELLED = 0.015
"""Credit notes: order number with the prefix C and negative quantity."""
DUPLICATE = 0.01
"""Exact copies of a clean row, directly below it."""

MIN_ROWS = 1_000
PART_ROWS = 10_000_000
"""Rows of one file; generating it takes 3 GB of memory."""


def generate(rows: int, *, seed: int = 0, first: int = 0) -> pl.DataFrame:
    """Exactly `rows` transaction lines over two years, in the order of time.

    Columns: order_id (text), customer_id (integer, null where missing), ordered_at (timestamp in whole
    seconds), product_id (text), quantity (integer), unit_price (two decimals). Share × rows, rounded, of them
    are dirty in each of the stated ways. Customers and orders are numbered from `first` on. Raises ValueError below
    `MIN_ROWS`, where the shares would not come out.
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
    order = np.repeat(np.arange(len(customer)), lines_of_order)
    line = np.arange(lines) - np.repeat(np.cumsum(lines_of_order) - lines_of_order, lines_of_order)

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
    """Customer (0, 1, …) and second of every order, in the order of time; at most `most` orders."""
    first = rng.uniform(0, DAYS, size=customers)
    rate = rng.gamma(RATE_SHAPE, 1 / RATE_SCALE_DAYS, size=customers)
    repeats = repeat_purchases(rng, first, DAYS, rate, rng.beta(DROPOUT_A, DROPOUT_B, size=customers))
    customer = np.concatenate([np.arange(customers), repeats.customer])
    second = opening_hours(np.concatenate([first, repeats.time]))
    in_time = np.argsort(second, kind="stable")[:most]
    return customer[in_time], START + (1_000 * second[in_time]).astype("timedelta64[ms]")


def _mask(length: int, positions: NDArray[np.int64]) -> pl.Series:
    mask = np.zeros(length, dtype=np.bool_)
    mask[positions] = True
    return pl.Series(mask)


def write(path: Path, rows: int, *, seed: int = 0) -> None:
    """Write `generate(rows)` as CSV with header; a missing customer is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(generate(rows, seed=seed), path)


def csv_of(rows: int) -> Path:
    """A glob of the CSV files with so many lines that benchmarks read; generated where they are not there yet."""
    folder = WORK / f"transactions_{rows}"
    write_parts(folder, rows)
    return folder / "*.csv"


def write_parts(folder: Path, rows: int, *, seed: int = 0) -> None:
    """Write `rows` lines into CSV files of at most `PART_ROWS`, each with customers of its own; only once."""
    if folder.exists():
        return
    unfinished = folder.with_suffix(".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    for part, first in enumerate(range(0, rows, PART_ROWS)):
        lines = generate(min(PART_ROWS, rows - first), seed=seed + part, first=first)
        _write(lines, unfinished / f"part_{part:03}.csv")
    unfinished.rename(folder)


def _write(lines: pl.DataFrame, path: Path) -> None:
    lines.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S", float_precision=2)


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, default=4_200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WORK / "transactions.csv")
    arguments = parser.parse_args()
    write(arguments.out, arguments.rows, seed=arguments.seed)
    print(f"{arguments.rows:,} rows, {arguments.out.stat().st_size / 1e6:,.0f} MB: {arguments.out}")


if __name__ == "__main__":
    main()
