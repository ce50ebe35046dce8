"""What the SQL models read when DuckDB and Spark are compared: tables of a small real run, and the same made hostile.

The run is of generated orders with odd ones among them, of demographics and of events, as of an earlier day and then
as of the last one, so that there is something to track. The hostile tables have other settings, ties, values that round
to either side, missing ones, and text and days at the edge of what may occur.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from clv_pipeline_tests.helpers.graph_shop import Shop

COLUMNS = ("order_id", "customer_id", "ordered_at", "product_id", "quantity", "unit_price", "country", "cost")
ODD_ORDERS = [
    # Three of a kind, and another country in the same moment.
    *["1,Zoë,2024-03-01 10:00:00,🎁,2,3.335,DE"] * 3,
    "2,Zoë,2024-03-01 10:00:00,mug,1,1.01,FR",
    # A day of 29 February, orders without a number, a product or a country.
    *[",顧客,2024-02-29 00:00:00,,3,0.07,日本"] * 2,
    ",顧客,1996-02-28 23:59:59,mug,7,0.01,",
    # Rows that are rejected, and a day on which returns outweigh purchases.
    "3,late,2999-12-31 23:59:59,mug,1,5.00,DE",
    "4,,2024-05-05 05:05:05,mug,1,5.00,DE",
    "5,nobody knows when,,mug,1,5.00,DE",
    "6,bad,2024-05-06 00:00:00,mug,x,5.00,DE",
    "C7,Zoë,2024-03-02 09:00:00,mug,-1,1.01,DE",
    "8,returner,2024-04-01 09:00:00,mug,3,10.00,DE",
    "C9,returner,2024-04-01 10:00:00,mug,-5,10.00,DE",
    "10,returner,2024-05-01 10:00:00,mug,5,10.00,DE",
    "11,zero,2024-05-01 10:00:00,mug,0,10.00,DE",
    "12,free,2024-05-01 10:00:00,mug,1,0,DE",
    "13,rich,2024-05-01 10:00:00,yacht,1,9999999.99,MC",
    '14,"O\'Neil, ""Bob""",2024-05-02 10:00:00,mug,1,2.00,DE',
    "15,excluded,2024-05-02 10:00:00,POST,1,2.00,DE",
    *[f"2{order},tie{order % 4},2024-0{1 + order % 6}-15 12:00:00,mug,1,4.44,DE" for order in range(24)],
]
NUMERALS = (
    "1_000",
    " 7 ",
    "1d",
    "0x10",
    "inf",
    "-inf",
    "NaN",
    "1e400",
    "+5",
    ".5",
    "5.",
    "1,5",
    "n/a",
    "",
    "１２",
    "-0",
)
"""Texts that one engine or the other takes for a number."""

HOSTILE = [
    "update parameters set returns = 'drop', outliers = 'drop', exclude_products = ['mug', null]",
    "update outlier_fence set treatment = 'drop', upper_amount = 40",
    "update history_span set as_of = as_of - 45",
    "delete from known_days where purchase_day > (select as_of from history_span)",
    "update file_gates set verdict = 'too low', excused_because = 'accepted in clv.yaml' where measure = 'rows'",
    # Three currencies, one of them not stated; rates that make amounts longer, or too large.
    "update currency_settings set is_mapped = true, report_in = 'EUR'",
    "update raw_transactions set currency = ['EUR', 'USD', null][1 + source_line % 3]",
    "update cleaned_transactions set currency = ['EUR', 'USD', null][1 + source_line % 3]",
    "insert into currency_rates values ('USD', date '2023-06-01', 0.92), ('USD', date '2024-02-29', 1.000000000001)",
    """insert into daily_rates by name
       select distinct cast(ordered_at as date) as ordered_on, 'USD' as currency,
           case dayofmonth(ordered_at) % 2 when 0 then 0.923456789012 else 1.5 end as rate,
           date '2023-01-01' as stated_on
       from raw_transactions where ordered_at is not null""",
    # Amounts whose sums have more digits than they, and forecasts as large.
    """insert into cleaned_transactions by name
       select * replace (3000000 + source_line as source_line, 'rich' as customer_id, 'yacht' as product_id,
           99999999999999.9999 as amount, 99999999999999 as quantity)
       from cleaned_transactions limit 20""",
    "update clv_forecasts set expected_spend = 1e12 * expected_spend, clv = 1e12 * clv where customer_id < 'C'",
    # The first and the last moment that a timestamp in Parquet and Spark can be, and rows of nothing but NULL.
    """insert into raw_transactions by name
       select source_id, 1000000 + source_line as source_line, 'Ünïcode 👩‍👧 ' as customer_id,
           case source_line % 2 when 0 then timestamp '0001-01-01' else timestamp '9999-12-31 23:59:59.999999' end
               as ordered_at, -99999999999999.9999 as amount
       from raw_transactions where source_line < 6""",
    """insert into raw_transactions by name
       select source_id, 2000000 + source_line as source_line from raw_transactions where source_line < 6""",
    r"""insert into raw_customers by name
        select 1 as source_id, 1000000 as source_line, 'Zoë' as customer_id,
            '{"city":"say \"hi\" \\ \u00e9\n🎁","few":null,"":"no name"}' as attributes""",
    "insert into raw_customers by name select 1 as source_id, 1000001 as source_line, '顧客' as customer_id",
    # Means that lie halfway between two decimals, and customers who are the same in everything but their names.
    """insert into customer_days by name
       select 'edge ' || a as customer_id, date '2023-01-01' + b as purchase_day, purchase_day as known_from,
           1 as orders, 1 as transaction_lines, 1 as quantity, 0 as returned,
           case b when 1 then 100 + a * 0.0001 else 100 end as revenue
       from (select cast(unnest(range(400)) as integer) as a), (select cast(unnest(range(41)) as integer) as b)
       where b <= a % 40 + 1""",
    # More customers than a training window describes, so that lots are drawn.
    """insert into customer_days by name
       select 'draw ' || unnest(range(12000)) as customer_id, date '2022-06-01' as purchase_day,
           purchase_day as known_from, 1 as orders, 1 as transaction_lines, 1 as quantity, 10 as revenue,
           0 as returned""",
    "delete from forecast_windows where dayofmonth(cutoff) % 4 > 0",
    "update forecast_windows set is_sampled = dayofmonth(cutoff) % 8 = 0",
    """update clv_forecasts
       set expected_spend = 1.005 + (clv_rank % 16) / 8, spend_lower = 0.00005 * clv_rank,
           spend_upper = case when clv_rank % 2 = 0 then 1e9 / 7 end, p_purchase = (clv_rank % 201) / 200,
           clv = (clv_rank % 5) / 3
       where clv_rank % 3 > 0""",
    # Forecasts for people who buy nothing, so small that the mean error shows in its last digits.
    """update forecast_history
       set customer_id = 'nobody ' || customer_id, expected_spend = 0.0001 * (cast(customer_id as integer) % 7 + 1),
           spend_lower = null, spend_upper = null, interval_level = null, p_purchase = 1e-13, model = 'other'
       where customer_id < '10060'""",
    "update customer_snapshots set segment = 'Zoë’s' where customer_id < '10030' and as_of < date '2024-07-01'",
    "delete from customer_snapshots where customer_id > '10100' and as_of > date '2024-07-01'",
    # Enough rows per day to be judged: usual ones, none, too few and too many; of some it is known already.
    """update daily_volumes
       set kept_rows = case when dayofyear(ordered_on) % 45 = 0 then 0 else 60 + dayofyear(ordered_on) * 7 % 31 end,
           customers = case when dayofyear(ordered_on) % 11 = 0 then 500 else 40 end,
           revenue = case when dayofyear(ordered_on) % 13 = 0 then 0.5 else 1234567.895 end,
           line_amount = case when dayofyear(ordered_on) % 17 > 0 then 2.345 end""",
    "delete from passed_volumes where dayofyear(ordered_on) % 2 = 0",
    "update passed_volumes set observed = 500 where measure = 'customers'",
    "update gate_settings set accepted_days = (select [max(ordered_on) - 2, null] from daily_volumes) where digits = 0",
    "update run_day set today = date '2024-12-29'",
    "update cleaned_transactions set country = 'Zürich' where source_line % 5 = 0",
    "update segment_profiles set clv = -clv, customers = 7 where segment < 'I'",
    # A campaign that is over and one that goes on, with members who bought nothing, and an uplift with many digits.
    """insert into campaigns by name
       select unnest(['spring', 'été']) as campaign, unnest([date '2023-12-01', date '2024-02-29']) as started_on,
           90 as horizon_days, 0.3 as holdout""",
    """insert into campaign_members by name
       select campaign, customer_id, hash(customer_id) % 3 = 0 as is_control, 1 as stratum, 'Loyal' as segment,
           1 / 3 as expected_purchases, 100 / 7 as expected_margin
       from campaigns cross join (select distinct customer_id from customer_days)""",
    """update segment_uplifts
       set uplift = 0.1234565, uplift_deviation = 1 / 3, horizon_days = 30, basis_code = 'measured_uplift'
       where segment < 'I'""",
]
"""Statements that change the tables of the run."""


def run_pipeline(shop: Shop, days: Sequence[str] = ("2024-06-30", "latest"), **blocks: Any) -> Path:
    """Build every table as of each of the days; the warehouse's database. Keywords are further blocks of clv.yaml."""
    orders = pl.read_csv(shop.write_orders("generated.csv", 4_000, seed=7), infer_schema=False)
    lands = ("DE", "FR", "Österreich", "日本", None)
    countries = pl.Series("country", [lands[line * line * line % 5] for line in range(len(orders))])
    # What a line cost, unknown of some.
    costs = pl.Series("cost", [(None, "0.5", "1.335", "0", "-1")[line % 5] for line in range(len(orders))])
    orders.with_columns(countries, costs).write_csv(shop.folder / "orders" / "generated.csv")
    odd = [f"{line},0.{number % 10}" for number, line in enumerate(ODD_ORDERS)]
    (shop.folder / "orders" / "odd.csv").write_text("\n".join([",".join(COLUMNS), *odd, ""]), encoding="utf-8")
    known = [*orders["customer_id"].drop_nulls().unique().sort(), "Zoë", "顧客", "rich"]
    _write_people(shop.folder / "people.csv", known)
    _write_events(shop.folder / "log.csv", known)
    _write_costs(shop.folder / "costs.csv")
    source = {
        "transactions": {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}},
        "customers": {"path": "people.csv", "columns": {"customer_id": "id"}},
        "events": {"path": "log.csv", "columns": {"customer_id": "user", "occurred_at": "at", "event": "what"}},
        "costs": {"path": "costs.csv", "columns": {"date": "day", "channel": "channel", "amount": "paid"}},
    }
    for as_of in days:
        result = shop.night(
            source=source,
            models=["own_rate", "last_window", "bg_nbd"],
            forecast={"horizons_days": [30, 90], "as_of": as_of},
            cleaning={"returns": "net", "outliers": "cap", "exclude_products": ["POST"]},
            backtest={"origins": 2},
            campaign={"budget": 500, "cost_per_contact": 2.5, "assumed_uplift": 0.1},
            **blocks,
        )
        assert result.success, result.failures
    return shop.folder / "home" / "warehouse" / "clv.duckdb"


def write_tables(database: Path, names: Iterable[str], changes: Iterable[str], folder: Path) -> None:
    """Copy tables of a warehouse, changed by statements, to one Parquet file each."""
    folder.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{database}' as built (read_only)")
        for name in names:
            connection.execute(f"create table {name} as from built.{name}")
        for change in changes:
            connection.execute(change)
        for name in names:
            connection.execute(f"copy {name} to '{folder / name}.parquet'")


def _write_costs(path: Path) -> None:
    """Costs of channels that brought customers and of one that did not, with fractions of a cent."""
    months = [f"{year}-{month:02}" for year in (2023, 2024) for month in range(1, 13)]
    spent = [
        (f"{month}-0{1 + place % 9}", ("search", "Radio “Ö1”", "nobody came")[place % 3], f"{place * 7.0055:.4f}")
        for place, month in enumerate(months)
    ]
    pl.DataFrame(spent, schema=["day", "channel", "paid"], orient="row").write_csv(path)


def _write_people(path: Path, known: list[str]) -> None:
    """Demographics: a number, one that few people write oddly, one that many do, and a text. Some are listed twice."""
    people: list[Mapping[str, str | None]] = [
        {
            "id": customer,
            "age": str(place * 7 % 80),
            "few": NUMERALS[place // 24] if place % 24 == 0 else str(place / 8),
            "odd": NUMERALS[place % len(NUMERALS)],
            "city": ("Bern", "Genève", "北京", None)[place % 4],
            "channel": ("search", "Radio “Ö1”", None)[place % 3],
        }
        for place, customer in enumerate([*known, "Zoë", "Zoë", "ghost", None])
    ]
    pl.DataFrame(people).write_csv(path)


def _write_events(path: Path, known: list[str]) -> None:
    """Events of everybody, some of no kind, of nobody, never, and long ago."""
    start = datetime(2024, 1, 1)
    kinds = ("view", "cart", None, "Ünïcode")
    events = [
        {
            "user": known[turn * 3 % len(known)],
            "at": str(start + timedelta(hours=turn * 31 % 8700)),
            "what": kinds[turn % 4],
        }
        for turn in range(1_500)
    ]
    odd = [(None, "2024-01-01"), ("ghost", "2024-01-01"), ("Zoë", None), ("Zoë", "1971-01-01"), ("Zoë", "2999-12-31")]
    pl.DataFrame([*events, *({"user": user, "at": at, "what": "view"} for user, at in odd)]).write_csv(path)
