"""What the pipeline has to store on the way to rfm, by four bare DuckDB statements: what is between floor and pipeline.

Raw rows, rejected rows (rules broken, exact duplicates), purchase days and rfm are written to a database file. No row
knows its file and line, no text is trimmed, no reason is given, no day is compared with its past; there is no ledger,
no audit, and no last good version to keep.

Run: python -m benchmarks.bare_tables --csv benchmarks/work/transactions.csv --out bare.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from benchmarks.commands import in_new_folder, measure_once
from benchmarks.measurement import MEMORY_GB, Stopwatch, report
from clv_pipeline.warehouse import Limits
from clv_pipeline.warehouse.database_file import STORAGE_VERSION

LOADING = "create table raw as from read_csv($csv)"
CLEANING = (
    """
create table rejected as
with twins as (
    select hash(customer_id, ordered_at, product_id, quantity, unit_price) as print
    from raw
    group by print
    having count(*) > 1
)
select rowid as line from raw where customer_id is null or quantity <= 0 or unit_price <= 0
union
select rowid as line
from raw
where hash(customer_id, ordered_at, product_id, quantity, unit_price) in (from twins)
qualify
    row_number() over (
        partition by order_id, customer_id, ordered_at, product_id, quantity, unit_price order by rowid
    ) > 1""",
    """
create table days as
select
    customer_id, cast(ordered_at as date) as purchase_day, count(distinct order_id) as orders, count(*) as lines,
    cast(sum(quantity * cast(unit_price as decimal(18, 2))) as decimal(18, 4)) as revenue
from raw
where rowid not in (from rejected)
group by all""",
)
RFM = """
create table rfm as
select
    customer_id, count(*) - 1 as frequency, max(purchase_day) - min(purchase_day) as recency, sum(orders) as orders,
    sum(revenue) as revenue
from days
group by customer_id"""
LAYERS = {"loading": (LOADING,), "cleaning": CLEANING, "rfm": (RFM,)}
"""The statements by layer; the first one takes the parameter $csv."""


def build(csv: Path, database: Path) -> Stopwatch:
    """Make the tables in a new database file, and close it; seconds by layer, and of closing."""
    watch = Stopwatch()
    with duckdb.connect(database, config={"storage_compatibility_version": STORAGE_VERSION}) as connection:
        Limits(memory_gb=MEMORY_GB).apply(connection)
        # Keeping the order of the file, which nothing here asks for, would write raw a second time on closing.
        connection.execute("set preserve_insertion_order = false")
        for layer, statements in LAYERS.items():
            with watch.stage(layer):
                for statement in statements:
                    connection.execute(statement, {"csv": str(csv)} if statement == LOADING else {})
        with watch.stage("closing"):
            connection.close()
    return watch


def run(csv: Path, home: Path) -> tuple[dict[str, Any], pl.DataFrame]:
    """The benchmark's report, and frequency, recency (days) and revenue per customer_id; `home` is left behind."""
    watch = build(csv, home / "bare.duckdb")
    with duckdb.connect(home / "bare.duckdb", read_only=True) as connection:
        customers = connection.sql("select customer_id, frequency, recency, revenue from rfm").pl()
    return report("bare DuckDB tables", watch, {"customers": customers.height}, ["duckdb"]), customers


def main() -> None:
    """Measure the bare tables on a CSV of transactions."""
    measure_once(in_new_folder(run), main.__doc__)


if __name__ == "__main__":
    main()
