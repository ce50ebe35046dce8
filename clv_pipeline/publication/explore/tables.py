"""What the page holds: the customers with what they are filtered by, and for the best of them every detail.

SQL builds the columns; here nothing goes through customers one by one. Customers stand in the order of their value,
and so do their details.
"""

# Only text of this package, numbers and quoted names enter the SQL.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.sql_text import quote_literal
from clv_pipeline.publication.export import MOST_AT_STAKE_FIRST, displayed_sql
from clv_pipeline.publication.report.queries import read

if TYPE_CHECKING:
    import duckdb
    import polars as pl

ATTRIBUTES, VALUES = 8, 50
"""So many attributes of customers can be filtered by, each with at most so many values."""

ATTRIBUTE = "attribute:"
"""Begins the name of a column that holds an attribute, which comes from outside."""


@dataclass(frozen=True)
class Limits:
    """How many customers a page holds."""

    all_details: int
    """Up to so many, all have every detail."""
    all_customers: int
    """Up to so many, all are on the page; of more, the best."""
    best_details: int
    """Of more than `all_details`, so many of the best have details."""

    def detailed(self, customers: int) -> int:
        """How many of so many customers have details."""
        return customers if customers <= self.all_details else self.best_details


LIMITS = Limits(all_details=20_000, all_customers=100_000, best_details=10_000)
"""With these, a page has less than 6 MB with all details, and less than 12 MB with those of the best."""


def define_explored(published: duckdb.DuckDBPyConnection, customers: int) -> None:
    """Make the best customers readable as `explored`, with their place, the best one's being 1."""
    published.execute(f"""
create temp table explored as
select
    row_number() over (order by coalesce(clv, expected_purchases) desc, customer_id) as place,
    customer_overview.*,
    dim_customer.channel,
    dim_customer.cohort_month,
    dim_customer.attributes
from customer_overview
left join dim_customer using (customer_id)
order by place
limit {customers}""")


def _read(published: duckdb.DuckDBPyConnection, query: str) -> pl.DataFrame:
    frame: pl.DataFrame = published.sql(query).pl()
    return frame


def shop(published: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The shop as a whole: its customers and their totals, the publication, and the level of the ranges."""
    [row] = (
        published.sql("""
select
    count(*) as customers,
    cast(sum(revenue) as double) as revenue,
    cast(sum(expected_spend) as double) as expected_spend,
    cast(sum(expected_purchases) as double) as expected_purchases,
    cast(sum(clv) as double) as clv,
    cast(sum(value_at_stake) filter (where at_risk) as double) as at_stake,
    count(*) filter (where at_risk) as at_risk,
    max(horizon_days) as horizon_days,
    max(interval_level) as interval_level,
    any_value(publication.as_of) as as_of,
    any_value(publication.currency) as currency,
    any_value(publication.pseudonym_key) is not null as has_pseudonyms
from publication
left join customer_overview on true""")
        .pl()
        .to_dicts()
    )
    horizons = published.sql("select distinct horizon_days from clv_forecasts order by all").fetchall()
    return {**row, "customers": row["customers"], "horizons": [days for (days,) in horizons]}


def accuracy(published: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """How far totals over the longest horizon were off on past dates, as the report reads it; None if never tested."""
    [(longest,)] = published.sql("select max(horizon_days) from customer_overview").fetchall()
    tested = (row for row in read(published, "accuracy").to_dicts() if row["horizon_days"] == longest)
    return next(tested, None)


def clusters(published: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """The names of clusters, with what they are made of."""
    return _read(
        published,
        """
select distinct cluster_name, cluster_name_code, cluster_name_facts
from explored
where cluster_name is not null
order by all""",
    ).to_dicts()


def customers(published: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """What customers are filtered, sorted, counted and listed by; a row each, in their order."""
    attributes = "".join(
        f", json_extract_string(attributes, {quote_literal(_path(name))}) as"
        f' "{ATTRIBUTE}{name.replace(chr(34), chr(34) * 2)}"'
        for name in _attributes(published)
    )
    return _read(
        published,
        f"""
select
    {displayed_sql("customer_id")} as id,
    segment,
    value_tier,
    country,
    channel,
    cluster_name,
    recommended_action,
    contact_channel,
    at_risk,
    datediff('month', date '1970-01-01', cohort_month) as cohort_month,
    days_since_last,
    orders,
    revenue,
    p_purchase,
    expected_purchases,
    expected_spend,
    clv,
    clv_rank,
    if(at_risk, value_at_stake, null) as value_at_stake,
    if(at_risk, row_number() over (partition by at_risk order by {MOST_AT_STAKE_FIRST}), null) as stake_rank,
    usual_gap_days,
    datediff('day', overdue_since, as_of) as overdue_days,
    average_order_value,
    datediff('day', as_of, next_order_date) as next_order_days,
    lifetime_value
    {attributes}
from explored as audience
order by place""",
    )


def _attributes(published: duckdb.DuckDBPyConnection) -> list[str]:
    """The attributes to filter by: those with few values, the best known ones first."""
    found = published.sql(f"""
select name
from (
    select
        unnest(map_keys(held)) as name,
        unnest(map_values(held)) as value
    from (select cast(cast(attributes as json) as map(varchar, varchar)) as held from explored)
)
group by name
having count(distinct value) between 2 and {VALUES}
order by count(value) desc, name
limit {ATTRIBUTES}""").fetchall()
    return [name for (name,) in found]


def _path(name: str) -> str:
    """The JSON pointer of a key."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def details(published: duckdb.DuckDBPyConnection, best: int) -> pl.DataFrame:
    """What is told of a customer who is opened; a row each, in their order, for so many of the best."""
    drivers = ", ".join(
        f"""json_extract_string(drivers_facts, '$[{n}][0]') as driver_{n},
        json_extract_string(drivers_facts, '$[{n}][1]') as driver_effect_{n},
        cast(json_extract_string(drivers_facts, '$[{n}][2]') as double) as driver_value_{n},
        cast(json_extract_string(drivers_facts, '$[{n}][3]') as double) as driver_median_{n}"""
        for n in range(3)
    )
    return _read(
        published,
        f"""
select
    tenure_days,
    frequency,
    r_score,
    f_score,
    m_score,
    p_alive,
    p_purchase_30_days,
    p_purchase_90_days,
    p_purchase_365_days,
    order_value,
    margin,
    historic_value,
    total_value,
    {drivers}
from explored
where place <= {best}
order by place""",
    )


def forecasts(published: duckdb.DuckDBPyConnection, best: int) -> pl.DataFrame:
    """Their forecasts: all customers of the first horizon in their order, then all of the next one."""
    return _read(
        published,
        f"""
select
    clv_forecasts.p_purchase as forecast_p_purchase,
    clv_forecasts.expected_purchases as forecast_purchases,
    clv_forecasts.expected_spend as forecast_spend,
    clv_forecasts.spend_lower as forecast_lower,
    clv_forecasts.spend_upper as forecast_upper,
    clv_forecasts.clv as forecast_clv
from clv_forecasts
inner join explored using (customer_id)
where place <= {best}
order by clv_forecasts.horizon_days, place""",
    )


def months(published: duckdb.DuckDBPyConnection, best: int) -> pl.DataFrame:
    """The months in which they bought: all of the first customer, then all of the next one."""
    return _read(
        published,
        f"""
select
    datediff('month', date '1970-01-01', calendar_month) as month,
    fact_customer_month.orders as month_orders,
    fact_customer_month.net_revenue as month_revenue
from fact_customer_month
inner join explored using (customer_id)
where place <= {best}
order by place, calendar_month""",
    )


def months_each(published: duckdb.DuckDBPyConnection, best: int) -> pl.DataFrame:
    """In how many months each of them bought, in their order."""
    return _read(
        published,
        f"""
select count(calendar_month) as months
from explored
left join fact_customer_month using (customer_id)
where place <= {best}
group by place
order by place""",
    )
