"""What a revenue outlook is made from as of a day, and what came after it, read from the tables."""

# Only names that this module wrote itself enter the SQL; values are parameters.

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from clv_pipeline.warehouse.duckdb_engine import Session

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.forecasting.outlook import Known

TABLES = ("history_span", "customer_days")
"""Source tables of what is known as of a day; every step that makes an outlook depends on them."""

_COHORTS = """
with known as (
    select customer_id, purchase_day, revenue
    from customer_days
    where known_from <= ? and coalesce(superseded_on > ?, true)
),

placed as (
    select
        purchase_day,
        revenue,
        min(purchase_day) over (partition by customer_id) as first_day,
        date_diff('day', cast(date_trunc('month', purchase_day) as date), purchase_day) as day_of_month
    from known
)

select
    cast(date_trunc('month', first_day) as date) as cohort_month,
    cast(date_trunc('month', purchase_day) as date) as month,
    count_if(purchase_day = first_day) as customers,
    count_if(purchase_day = first_day and day_of_month > ?) as later_customers,
    cast(sum(revenue) as double) as revenue,
    cast(coalesce(sum(revenue) filter (where day_of_month > ?), 0) as double) as later_revenue,
    cast(coalesce(sum(revenue) filter (where purchase_day = first_day), 0) as double) as first_revenue
from placed
group by 1, 2
order by 1, 2
"""

_PAST_TOTALS = """
with forecasts as (
    select
        horizon_days,
        count(*) as drawn,
        cast(sum(cast(expected_spend as decimal(28, 6))) as double) as expected_spend
    from backtest_forecasts
    where cutoff = ? and model = ?
    group by horizon_days
),

customers as (select count(*) as known from customer_features where cutoff = ?)

select
    forecasts.horizon_days,
    forecasts.expected_spend * (cast(customers.known as double) / forecasts.drawn) as expected_spend
from forecasts
cross join customers
order by forecasts.horizon_days
"""

_CAME = """
with known as (select customer_id from customer_features where cutoff = ?),

later as (
    select
        customer_id,
        purchase_day,
        revenue,
        min(purchase_day) over (partition by customer_id) as first_day
    from known_days
    where purchase_day > ? and purchase_day <= ?
)

select
    cast(date_trunc('month', later.purchase_day) as date) as month,
    cast(coalesce(sum(later.revenue) filter (where known.customer_id is not null), 0) as double) as known_revenue,
    cast(coalesce(sum(later.revenue), 0) as double) as revenue,
    count_if(known.customer_id is null and later.purchase_day = later.first_day) as new_customers
from later
left join known on later.customer_id = known.customer_id
group by 1
order by 1
"""


def known_by(session: Session, cutoff: date, totals: pl.DataFrame, weeks: pl.DataFrame, model: str) -> Known:
    """What was known by a cutoff; `totals`, `weeks` and `model` are handed over."""
    import polars as pl

    from clv_pipeline.forecasting.outlook import Known

    later_than = cutoff.day - 1
    return Known(
        cutoff=cutoff,
        first_day=session.read("select first_day from history_span").item(),
        cohorts=session.read(_COHORTS, [cutoff, cutoff, later_than, later_than]),
        totals=totals.select("horizon_days", pl.col("expected_spend").cast(pl.Float64)),
        weeks=weeks.filter(pl.col("cutoff") == cutoff),
        model=model,
        has_money=totals["expected_spend"].is_not_null().any(),
    )


def past_totals(session: Session, cutoff: date, model: str) -> pl.DataFrame:
    """What a model's backtest expects of all customers of a cutoff, by horizon; samples stand for everybody."""
    return session.read(_PAST_TOTALS, [cutoff, model, cutoff])


def came_after(session: Session, cutoff: date, last_day: date) -> pl.DataFrame:
    """What came after a cutoff up to a day, by month, as it is known today."""
    return session.read(_CAME, [cutoff, cutoff, last_day])
