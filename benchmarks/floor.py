"""The floor: one bare DuckDB query from the CSV to frequency, recency and revenue per customer.

No de-duplication, no gates, no history, nothing stored: what is measured beyond it is the price of those. The
cleaning filter is otherwise that of the pipeline: customer known, quantity and price positive.

Run: python -m benchmarks.floor --csv benchmarks/work/transactions.csv --out floor.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.commands import measure_once
from benchmarks.measurement import Stopwatch, report

QUERY = """
    select
        customer_id,
        count(distinct cast(ordered_at as date)) - 1 as frequency,
        max(cast(ordered_at as date)) - min(cast(ordered_at as date)) as recency,
        sum(quantity * cast(unit_price as decimal(18, 2))) as revenue
    from read_csv($csv)
    where
        customer_id is not null
        and quantity > 0
        and unit_price > 0
    group by customer_id
"""


def run(csv: Path) -> tuple[dict[str, Any], pa.Table]:
    """The benchmark's report, and one row per customer_id: frequency, recency (days), revenue."""
    watch = Stopwatch()
    with duckdb.connect() as connection, watch.stage("query"):
        customers = connection.sql(QUERY, params={"csv": str(csv)}).to_arrow_table()
    return report("bare DuckDB query", watch, {"customers": customers.num_rows}, ["duckdb"]), customers


def main() -> None:
    """Measure one bare DuckDB query on a CSV of transactions."""
    measure_once(run, main.__doc__)


if __name__ == "__main__":
    main()
