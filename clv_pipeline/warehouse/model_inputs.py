"""What models are trained on and asked about, read from the feature tables.

Every frame is bounded or grows with customers, never with transactions. Samples are drawn by the md5 of
customer ids: the same on every run and engine, and independent of everything that is forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from clv_pipeline.warehouse.duckdb_engine import Session
from clv_pipeline.warehouse.optional_columns import with_optional_columns

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


def outcomes(session: Session, cutoff: date, horizon_days: int) -> pl.DataFrame:
    """What came in one completed window: customer_id, actual_purchases, actual_spend."""
    return session.read(
        "select customer_id, actual_purchases, cast(actual_spend as double) as actual_spend"
        " from customer_outcomes where cutoff = ? and horizon_days = ? order by customer_id",
        [cutoff, horizon_days],
    )


def training_data(session: Session, cutoff: date, horizons_days: Sequence[int]) -> TrainingData:
    """Everything that a model may learn as of `cutoff` to forecast these horizons."""
    from clv_pipeline.forecasting.protocol import TrainingData

    windows = session.read(
        f"with described as ({_CUSTOMERS} where f.in_sample and w.cutoff + w.horizon_days <= ?"  # noqa: S608
        " and list_contains(?, w.horizon_days))"
        " select described.*, o.actual_purchases, cast(o.actual_spend as double) as actual_spend from described"
        " inner join customer_outcomes as o using (customer_id, cutoff, horizon_days)"
        " qualify row_number() over (partition by horizon_days order by cutoff desc, md5(customer_id)) <= ?"
        " order by cutoff, horizon_days, customer_id",
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
        completed_windows=with_optional_columns(session, windows, as_of=cutoff),
        current_customers=_described(session, cutoff, horizons_days, CURRENT_SAMPLE),
        daily_totals=session.read(
            "with days as (select purchase_day as day, revenue, purchase_day = min(purchase_day) over"
            " (partition by customer_id) as is_first from customer_days where purchase_day <= ?)"
            " select day, count(*) as purchases, count(*) filter (where is_first) as new_customers,"
            " cast(sum(revenue) as double) as spend from days group by day order by day",
            [cutoff],
        ),
    )


def _described(session: Session, cutoff: date, horizons_days: Sequence[int], most: int | None) -> pl.DataFrame:
    """Customers frames as of `cutoff`, by horizon and customer; with `most`, so many customers per horizon."""
    sampled = " qualify row_number() over (partition by w.horizon_days order by md5(f.customer_id), f.customer_id) <= ?"
    frame = session.read(
        f"{_CUSTOMERS} where f.cutoff = ? and list_contains(?, w.horizon_days)"
        f"{'' if most is None else sampled} order by w.horizon_days, f.customer_id",
        [cutoff, list(horizons_days), *([] if most is None else [most])],
    )
    return with_optional_columns(session, frame, as_of=cutoff)
