"""The outlook on real shops: hardly anybody new where acquisition has stopped, elsewhere about as many as came."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.features.outlook_inputs import known_by
from clv_pipeline.forecasting.outlook import WEEKS, WEEKS_SCHEMA, Outlook, outlook
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.shared_files import DATA
from clv_pipeline_tests.helpers.sql_bench import models

SHOPS = Path(os.environ.get("CLV_SHOPS", DATA))
# A purchase day of the log; its fields are separated by one or several blanks.
CDNOW = """
select fields[1] as customer_id, strptime(fields[2], '%Y%m%d')::date as purchase_day, fields[4]::double as revenue
from (select string_split_regex(trim(line), ' +') as fields
    from read_csv('{path}', columns = {{line: 'varchar'}}, delim = '|', header = false, skip = 1))
"""
ONLINE_RETAIL = """
select "Customer ID" as customer_id, InvoiceDate::date as purchase_day, Quantity * Price as revenue
from read_csv('{path}', types = {{'Customer ID': 'varchar', 'Invoice': 'varchar', 'StockCode': 'varchar'}})
where "Customer ID" is not null and Quantity > 0
"""


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(duckdb.connect())
    yield session
    session.close()


def given(session: Session, query: str) -> None:
    days = session.read(
        "select customer_id, purchase_day, purchase_day as known_from, cast(sum(revenue) as decimal(18, 4)) as revenue,"
        f" 1 as orders, count(*) as transaction_lines from ({query}) where revenue > 0 group by all order by all"
    )
    contract = models()["customer_days"].contract
    unread = {column.name: pl.lit(None) for column in contract.columns if column.name not in days.columns}
    session.stage_frame(contract, days.with_columns(**unread))
    session.execute("alter table customer_days__staged rename to customer_days")
    session.execute("create table history_span as select min(purchase_day) as first_day from customer_days")


def outlook_as_of(session: Session, cutoff: date) -> Outlook:
    """The outlook for a year, of new customers: what is expected of known ones is put at 1,000."""
    ends = [cutoff + timedelta(days=7 * week) for week in range(1, WEEKS + 1)]
    weeks = pl.DataFrame(
        {"cutoff": [cutoff] * WEEKS, "week_ends": ends, "expected_purchases": [1.0] * WEEKS, "season": [1.0] * WEEKS},
        schema=WEEKS_SCHEMA,
    )
    totals = pl.DataFrame({"horizon_days": [365], "expected_spend": [1_000.0]})
    return outlook(known_by(session, cutoff, totals, weeks, "hybrid"), 365)


@pytest.mark.parametrize("cutoff", [date(1997, 10, 3), date(1998, 1, 1), date(1998, 6, 30)])
def test_hardly_anybody_new_is_expected_of_cdnow_once_its_quarter_of_first_orders_is_over(
    session: Session, cutoff: date
) -> None:
    path = Path(str(resources.files("lifetimes"))) / "datasets" / "CDNOW_master.txt"
    given(session, CDNOW.format(path=path))
    found = outlook_as_of(session, cutoff)
    # Of 23,502 customers, two were new after March 1997.
    assert found.months["new_customers"].sum() < 10.0
    assert found.months["new_revenue"].sum() < 1_000.0


def test_what_new_customers_of_online_retail_bring_is_of_the_size_that_came(session: Session) -> None:
    path = SHOPS / "online_retail_II.csv.gz"
    if not path.is_file():
        pytest.skip("online_retail_II.csv.gz is neither in CLV_SHOPS nor beside the repository")
    given(session, ONLINE_RETAIL.format(path=path))
    cutoff = date(2011, 6, 30)
    found = outlook_as_of(session, cutoff)
    came = session.read(
        "with days as (select *, min(purchase_day) over (partition by customer_id) as first_day from customer_days)"
        " select cast(sum(revenue) as double) as revenue, count(distinct customer_id) as customers from days"
        " where first_day > ? and purchase_day < date '2011-10-01'",
        [cutoff],
    )
    expected = found.months.filter(pl.col("month") < date(2011, 10, 1))
    assert found.code in {"too_short_for_choice", "chosen_by_backtest"}
    assert 0.5 < expected["new_customers"].sum() / came["customers"].item() < 2.0
    assert 0.4 < expected["new_revenue"].sum() / came["revenue"].item() < 2.0
    # Records begin with customers of long standing: as many as last year would be far too many.
    assert expected["naive_customers"].sum() > 1.2 * came["customers"].item()
