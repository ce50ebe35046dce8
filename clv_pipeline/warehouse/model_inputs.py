"""What models are trained on and asked about, read from the feature tables.

Frames are bounded, except for `customer_counts` (as many rows as there are different histories) and a customers frame
that is asked for whole. Samples are drawn by the md5 of customer ids: the same on every run and engine, and independent
of everything that is forecast.
"""

# Only names that this module wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from clv_pipeline.warehouse.duckdb_engine import Session
from clv_pipeline.warehouse.optional_columns import OptionalColumns

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.forecasting.protocol import TrainingData

TABLES = (
    "customer_days",
    "customer_features",
    "customer_windows",
    "customer_outcomes",
    "customer_attributes",
    "customer_events",
)
"""What the frames of this module are read from: every step that asks for one depends on all of them."""

SPEND_SAMPLE = 100_000
"""Repeat buyers that the spend model is fitted on at most."""

WINDOW_ROWS = 200_000
"""Rows per horizon that regressions are trained on at most: of customers in_sample, the latest windows first."""

CURRENT_SAMPLE = 50_000
"""Customers of the cutoff itself that totals are set right on at most, per horizon."""

_CUSTOMERS = """
select
    f.customer_id, f.cutoff, f.frequency, f.recency_days, f.tenure_days, f.days_since_last, f.orders,
    cast(f.revenue as double) as revenue, cast(f.monetary_value as double) as monetary_value, w.horizon_days,
    w.purchases_last_window, cast(w.spend_last_window as double) as spend_last_window,
    w.purchases_same_window_last_year,
    cast(w.spend_same_window_last_year as double) as spend_same_window_last_year,
    f.purchases_30_days, f.purchases_90_days, f.purchases_180_days, f.purchases_365_days,
    cast(f.spend_30_days as double) as spend_30_days, cast(f.spend_90_days as double) as spend_90_days,
    cast(f.spend_180_days as double) as spend_180_days, cast(f.spend_365_days as double) as spend_365_days,
    f.mean_gap_days, f.gap_deviation_days, f.lines_per_order, f.products, f.first_purchase_date, f.country
from customer_features as f
inner join customer_windows as w using (customer_id, cutoff)
"""


def customers(session: Session, cutoff: date, horizon_days: int, *, most: int | None = None) -> pl.DataFrame:
    """The customers frame of one window, ordered by customer; of more than `most`, those with the smallest md5."""
    return _described(session, cutoff, [horizon_days], most)


def customers_query(cutoff: date, horizon_days: int, columns: OptionalColumns) -> tuple[str, list[Any]]:
    """A query for the customers of one window with its parameters: a customers frame once `columns` are named."""
    return columns.added_to(f"{_CUSTOMERS} where f.cutoff = ? and w.horizon_days = ?"), [cutoff, horizon_days]


def outcomes(session: Session, cutoff: date, horizon_days: int, *, most: int | None = None) -> pl.DataFrame:
    """What came in one completed window, of the customers that `customers` gives: actual_purchases, actual_spend."""
    drawn, parameters = _drawn("customer_outcomes", cutoff, [horizon_days], most)
    return session.read(
        "select customer_id, actual_purchases, cast(actual_spend as double) as actual_spend"
        f" from customer_outcomes {drawn} where cutoff = ? and horizon_days = ? order by customer_id",
        [*parameters, cutoff, horizon_days],
    )


def training_data(session: Session, cutoff: date, horizons_days: Sequence[int]) -> TrainingData:
    """Everything that a model may learn as of `cutoff` to forecast these horizons."""
    from clv_pipeline.forecasting.protocol import TrainingData

    columns = OptionalColumns.known(session, cutoff)
    windows = (
        f"with windows as ({_CUSTOMERS} where f.in_sample and w.cutoff + w.horizon_days <= ?"
        " and list_contains(?, w.horizon_days))"
        " select windows.*, o.actual_purchases, cast(o.actual_spend as double) as actual_spend from windows"
        " inner join customer_outcomes as o using (customer_id, cutoff, horizon_days)"
        " qualify row_number() over (partition by o.horizon_days order by o.cutoff desc, md5(o.customer_id)) <= ?"
    )
    completed = session.read(
        f"{columns.added_to(windows)} order by cutoff, horizon_days, customer_id",
        [cutoff, list(horizons_days), WINDOW_ROWS],
    )
    return TrainingData(
        cutoff=cutoff,
        customer_counts=session.read(
            "select frequency, recency_days, tenure_days, count(*) as customers from customer_features"
            " where cutoff = ? group by all order by all",
            [cutoff],
        ),
        repeat_spend=session.read(
            "with sampled as (select frequency, monetary_value from customer_features where cutoff = ?"
            " and frequency > 0 and monetary_value > 0 order by md5(customer_id), customer_id limit ?)"
            " select frequency, cast(monetary_value as double) as monetary_value, count(*) as customers"
            " from sampled group by all order by all",
            [cutoff, SPEND_SAMPLE],
        ),
        completed_windows=columns.named(completed),
        current_customers=_described(session, cutoff, horizons_days, CURRENT_SAMPLE),
        daily_totals=session.read(
            "with days as (select purchase_day as day, count(*) as purchases, cast(sum(revenue) as double) as spend"
            " from customer_days where purchase_day <= ? group by purchase_day),"
            " first_days as (select first_purchase_date as day, count(*) as new_customers from customer_features"
            " where cutoff = ? group by first_purchase_date)"
            " select day, purchases, coalesce(new_customers, 0) as new_customers, spend"
            " from days left join first_days using (day) order by day",
            [cutoff, cutoff],
        ),
    )


def _described(session: Session, cutoff: date, horizons_days: Sequence[int], most: int | None) -> pl.DataFrame:
    """Customers frames as of `cutoff`, by horizon and customer; with `most`, so many customers per horizon."""
    columns = OptionalColumns.known(session, cutoff)
    drawn, parameters = _drawn("customer_windows", cutoff, horizons_days, most)
    query = f"{_CUSTOMERS} {drawn} where f.cutoff = ? and list_contains(?, w.horizon_days)"
    frame = session.read(
        f"{columns.added_to(query)} order by horizon_days, customer_id", [*parameters, cutoff, list(horizons_days)]
    )
    return columns.named(frame)


def _drawn(table: str, cutoff: date, horizons_days: Sequence[int], most: int | None) -> tuple[str, list[Any]]:
    """A join that keeps `most` customers per horizon, drawn from the keys alone, with its parameters."""
    if most is None:
        return "", []
    return (
        f"semi join (select customer_id, horizon_days from {table} where cutoff = ? and list_contains(?, horizon_days)"
        " qualify row_number() over (partition by horizon_days order by md5(customer_id), customer_id) <= ?)"
        " as drawn using (customer_id, horizon_days)",
        [cutoff, list(horizons_days), most],
    )
