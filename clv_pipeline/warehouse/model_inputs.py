"""What models are trained on and asked about, read from the feature tables.

Every frame is bounded or grows with customers, never with transactions. Samples are the customers with the
smallest md5 of their id: the same on every run and engine, and independent of everything that is forecast.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from clv_pipeline.warehouse.duckdb_engine import Session

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.forecasting.protocol import TrainingData

SPEND_SAMPLE = 100_000
"""Repeat buyers that the spend model is fitted on at most."""

WINDOW_SAMPLE = 50_000
"""Customers per completed window that regressions are trained on at most."""

_CUSTOMERS = """
select
    f.customer_id, f.cutoff, f.frequency, f.recency_days, f.tenure_days, f.days_since_last, f.orders,
    cast(f.revenue as double) as revenue, cast(f.monetary_value as double) as monetary_value, w.horizon_days,
    w.purchases_last_window, cast(w.spend_last_window as double) as spend_last_window,
    w.purchases_same_window_last_year,
    cast(w.spend_same_window_last_year as double) as spend_same_window_last_year
from customer_features as f
inner join customer_windows as w using (customer_id, cutoff)
"""


def customers(session: Session, cutoff: date, horizon_days: int) -> pl.DataFrame:
    """The customers frame of one window, ordered by customer."""
    return session.read(
        f"{_CUSTOMERS} where f.cutoff = ? and w.horizon_days = ? order by f.customer_id",
        [cutoff, horizon_days],
    )


def outcomes(session: Session, cutoff: date, horizon_days: int) -> pl.DataFrame:
    """What came in one completed window: customer_id, actual_purchases, actual_spend."""
    return session.read(
        "select customer_id, actual_purchases, cast(actual_spend as double) as actual_spend"
        " from customer_outcomes where cutoff = ? and horizon_days = ? order by customer_id",
        [cutoff, horizon_days],
    )


def training_data(session: Session, cutoff: date) -> TrainingData:
    """Everything that a model may learn as of `cutoff`."""
    from clv_pipeline.forecasting.protocol import TrainingData

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
        completed_windows=session.read(
            f"with described as ({_CUSTOMERS}) select described.*, o.actual_purchases,"  # noqa: S608
            " cast(o.actual_spend as double) as actual_spend from described"
            " inner join customer_outcomes as o using (customer_id, cutoff, horizon_days)"
            " where described.cutoff + described.horizon_days <= ?"
            " qualify row_number() over (partition by described.cutoff, described.horizon_days"
            " order by md5(described.customer_id), described.customer_id) <= ?"
            " order by described.cutoff, described.horizon_days, described.customer_id",
            [cutoff, WINDOW_SAMPLE],
        ),
    )
