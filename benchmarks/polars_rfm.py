"""From raw transactions to RFM with polars, lazily and on all cores, as somebody would write it today.

The cleaning rules are those of the pipeline: customer known, quantity and price positive, exact duplicates once.

Run: python -m benchmarks.polars_rfm --csv benchmarks/work/transactions.csv --out polars.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.commands import measure_once
from benchmarks.measurement import Stopwatch, report

TYPES: dict[str, type[pl.DataType] | pl.DataType] = {
    "order_id": pl.String,
    "customer_id": pl.Int64,
    "ordered_at": pl.Datetime("ms"),
    "quantity": pl.Int64,
    "unit_price": pl.Decimal(18, 2),
}


def run(csv: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The benchmark's report, and frequency, recency (days) and revenue per customer_id."""
    day = pl.col("ordered_at").dt.date()
    query = (
        pl.scan_csv(csv, schema_overrides=TYPES)
        .filter(pl.col("customer_id").is_not_null(), pl.col("quantity") > 0, pl.col("unit_price") > 0)
        .unique()
        .group_by("customer_id")
        .agg(
            frequency=day.n_unique() - 1,
            recency=(day.max() - day.min()).dt.total_days(),
            revenue=(pl.col("quantity") * pl.col("unit_price")).sum(),
        )
    )
    watch = Stopwatch()
    with watch.stage("query"):
        customers = query.collect(engine="streaming")
    return report("polars", watch, {"customers": customers.height}, ["polars"]), customers


def main() -> None:
    """Measure polars on a CSV of transactions."""
    measure_once(run, main.__doc__)


if __name__ == "__main__":
    main()
