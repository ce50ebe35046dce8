"""Names of segments on real shops, on two past dates each: what they claim of a silence, and what came afterwards.

The tables are built by their own queries; `benchmarks.segments` looks at more shops, and at forecasts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks.segments import difference
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.segments import ACTIVE, FADING
from clv_pipeline_tests.helpers.sql_bench import Bench, models, window

DATA = Path(os.environ.get("CLV_SHOPS", Path(__file__).parents[3] / "shared" / "data"))
# A purchase day of the log; its fields are separated by one or several blanks.
READ_CDNOW = """
select fields[1] as customer_id, strptime(fields[2], '%Y%m%d')::date as purchase_day, fields[4]::double as revenue
from (select string_split_regex(trim(line), ' +') as fields
    from read_csv('{path}', columns = {{line: 'varchar'}}, delim = '|', header = false, skip = 1))
"""


@dataclass(frozen=True)
class Shop:
    """Purchases of a shop: where they are, a query for them, and the dates to look from."""

    file: str
    query: str
    dates: tuple[date, date]


SHOPS = {
    "cdnow": Shop("", READ_CDNOW, (date(1997, 10, 3), date(1998, 4, 1))),
    "online_retail_ii": Shop(
        "online_retail_II.csv.gz",
        """select "Customer ID" as customer_id, InvoiceDate::date as purchase_day, Quantity * Price as revenue
        from read_csv('{path}', types = {{'Customer ID': 'varchar', 'Invoice': 'varchar', 'StockCode': 'varchar'}})
        where "Customer ID" is not null and Quantity > 0""",
        (date(2011, 3, 9), date(2011, 9, 9)),
    ),
    "donations": Shop(
        "donations.txt.gz",
        "select column0::varchar as customer_id, column2::date as purchase_day, column1::double as revenue"
        " from read_csv('{path}', header = false, delim = '\t')",
        (date(2014, 10, 2), date(2015, 10, 2)),
    ),
    "grocery": Shop(
        "grocery_elog.csv.gz",
        "select cust::varchar as customer_id, date::date as purchase_day, 1 as revenue from read_csv('{path}')",
        (date(2006, 12, 30), date(2007, 10, 1)),
    ),
    "game": Shop(
        "game_revenue.csv.gz",
        "select player_id::varchar as customer_id, time::timestamp::date as purchase_day, item_revenue as revenue"
        " from read_csv('{path}')",
        (date(2015, 7, 1), date(2015, 10, 2)),
    ),
}
DAYS = 90


@pytest.mark.parametrize("name", SHOPS)
def test_names_are_true_of_the_silence_and_those_who_are_overdue_buy_less_often(name: str) -> None:
    shop = SHOPS[name]
    path = DATA / shop.file if shop.file else Path(str(resources.files("lifetimes"))) / "datasets" / "CDNOW_master.txt"
    if not path.is_file():
        pytest.skip(f"{shop.file} is neither in CLV_SHOPS nor beside the repository")
    session = Session(duckdb.connect())
    days = session.read(
        "select customer_id, purchase_day, cast(sum(revenue) as decimal(18, 4)) as revenue, 1 as orders,"
        f" count(*) as transaction_lines, purchase_day as known_from from ({shop.query.format(path=path)})"
        " where revenue > 0 group by all order by all"
    )
    for as_of in shop.dates:
        customers = customers_as_of(session, days, as_of)
        assert customers.filter("overdue", pl.col("segment").is_in(ACTIVE)).is_empty()
        assert customers.filter(~pl.col("overdue"), pl.col("segment").is_in(FADING)).is_empty()
        overdue = customers.filter(pl.col("overdue") & (pl.col("frequency") > 0))
        assert (overdue["days_since_last"] > overdue["mean_gap_days"]).all()
        loyal = customers.filter(pl.col("segment") == "Loyal")
        assert (loyal["days_since_last"] <= 3 * loyal["mean_gap_days"]).all()
        with_a_habit = customers.filter(pl.col("frequency") >= 2).partition_by("overdue", as_dict=True)
        gone, there = with_a_habit[True,], with_a_habit[False,]
        came = (count for group in (gone, there) for count in (group.filter("bought").height, group.height))
        _, most = difference(*came)
        assert most < 0, f"as of {as_of} those who are overdue do not buy less often"


def customers_as_of(session: Session, days: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """Everybody known on a day: name and rhythm as of it, and whether they bought within the days after it."""
    bench = Bench(session)
    bench.given("forecast_windows", [window(as_of, DAYS, is_complete=False)])
    bench.given("purchase_day_details", [])
    contract = models()["customer_days"].contract
    unread = {column.name: pl.lit(None) for column in contract.columns if column.name not in days.columns}
    session.stage_frame(contract, days.with_columns(**unread))
    session.execute("drop table if exists customer_days")
    session.execute("alter table customer_days__staged rename to customer_days")
    for table in ("customer_features", "customer_rhythms", "past_segments"):
        bench.run(table)
    return session.read(
        "with came as (select distinct customer_id from customer_days where purchase_day > ? and purchase_day <= ?)"
        " select segment, rhythms.silence = 'overdue' as overdue, frequency, days_since_last, mean_gap_days,"
        " came.customer_id is not null as bought"
        " from past_segments inner join customer_rhythms as rhythms using (customer_id, cutoff)"
        " inner join customer_features using (customer_id, cutoff) left join came using (customer_id)",
        [as_of, as_of + timedelta(days=DAYS)],
    )
