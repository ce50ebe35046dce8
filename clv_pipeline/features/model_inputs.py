"""Training data and customers frames of the models, read from the feature tables.

Frames are bounded, except for `customer_counts` (one row per distinct history), `cohort_days` (weeks by days of
history) and a complete customers frame. Samples are drawn by the md5 of customer ids: they are the same on every run
and engine, and independent of the forecasts.
"""

# Only names that this module wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.features.optional_columns import OptionalColumns
from clv_pipeline.warehouse.duckdb_engine import Session

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.forecasting.protocol import TrainingData

TABLES = (
    "forecast_windows",
    "customer_days",
    "cohort_days",
    "customer_features",
    "customer_windows",
    "customer_outcomes",
    "customer_attributes",
    "customer_events",
)
"""Source tables of the frames; every step that needs one of the frames depends on all of them."""

SPEND_SAMPLE = 100_000
"""Most repeat buyers that the spend model is fitted on."""

WINDOW_CUTOFFS = 13
"""Most earlier cutoffs whose outcomes models learn from, the latest ones: a year, and the one before."""

WINDOW_ROWS = 30_000
"""Most customers whose outcomes models learn from, over all these cutoffs."""

CURRENT_SAMPLE = 50_000
"""Most customers of the cutoff itself: those that totals are scaled on, and those that a backtest forecasts.

They have the smallest md5 of their id. More would hardly sharpen the estimates of accuracy, and would slow down the
review without limit.
"""

_Sample = tuple[str, str, list[Any]]
"""A sample of customers: a CTE with its parameters (last), and the join with it; texts are empty for everybody."""

_EVERYBODY: _Sample = ("", "", [])
_AS_OF = "customer_features where cutoff = ?"

_CUSTOMERS = """
select
    f.customer_id, f.cutoff, f.frequency, f.recency_days, f.tenure_days, f.days_since_last, f.orders,
    cast(f.revenue as double) as revenue, cast(f.monetary_value as double) as monetary_value,
    f.purchases_30_days, f.purchases_90_days, f.purchases_180_days, f.purchases_365_days,
    cast(f.spend_30_days as double) as spend_30_days, cast(f.spend_90_days as double) as spend_90_days,
    cast(f.spend_180_days as double) as spend_180_days, cast(f.spend_365_days as double) as spend_365_days,
    f.purchases_30_days_year_ago, f.purchases_90_days_year_ago, f.purchases_180_days_year_ago,
    cast(f.last_spend as double) as last_spend, cast(f.largest_spend as double) as largest_spend,
    f.log_spend, f.squared_log_spend, f.mean_gap_days, f.gap_deviation_days, f.lines_per_order, f.products,
    f.first_purchase_date, f.country"""
"""The columns of a customers frame from customer_features as f; optional columns are added."""


def customers(session: Session, cutoff: date, *, horizons: Sequence[int] = (), most: int | None = None) -> pl.DataFrame:
    """The customers frame as of `cutoff`, ordered by customer; above `most` rows, those with the smallest md5.

    With `horizons` the frame also has the past windows (`window_columns`) of those horizons that `forecast_windows`
    scores or evaluates from this cutoff; the windows of other horizons are null.
    """
    return _described(session, OptionalColumns.known(session, cutoff), cutoff, horizons, most)


def customers_query(cutoff: date, columns: OptionalColumns, horizons: Sequence[int] = ()) -> tuple[str, list[Any]]:
    """A query for all customers as of `cutoff` with its parameters: a customers frame once `columns` are named.

    No model needs `horizons`. Only the rules that repeat a past window do, where they alone are configured.
    """
    return _asked(columns, cutoff, horizons, _EVERYBODY)


def outcomes(session: Session, cutoff: date, horizon_days: int, *, most: int | None = None) -> pl.DataFrame:
    """The outcomes of one completed window for the customers of `customers`: actual_purchases, actual_spend."""
    window = "customer_outcomes where cutoff = ? and horizon_days = ?"
    drawn, semi_join, draw = _drawn(session, window, [cutoff, horizon_days], most)
    return session.read(
        f"{drawn} select customer_id, actual_purchases, cast(actual_spend as double) as actual_spend"
        f" from customer_outcomes {semi_join} where cutoff = ? and horizon_days = ? order by customer_id",
        [*draw, cutoff, horizon_days],
    )


def training_data(session: Session, cutoff: date, current: pl.DataFrame | None = None) -> TrainingData:
    """The training data as of `cutoff`.

    `current`: the result of `customers` as of the same cutoff for at most CURRENT_SAMPLE customers, where it was read
    already.
    """
    from clv_pipeline.forecasting.protocol import TrainingData

    columns = OptionalColumns.known(session, cutoff)
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
        completed_windows=_completed_windows(session, columns, cutoff),
        current_customers=_described(session, columns, cutoff, (), CURRENT_SAMPLE) if current is None else current,
        daily_totals=session.read(
            "with days as (select purchase_day as day, count(*) as purchases, cast(sum(revenue) as double) as spend"
            " from customer_days where known_from <= ? and coalesce(superseded_on > ?, true) group by purchase_day),"
            " first_days as (select first_purchase_date as day, count(*) as new_customers from customer_features"
            " where cutoff = ? group by first_purchase_date)"
            " select day, purchases, coalesce(new_customers, 0) as new_customers, spend"
            " from days left join first_days using (day) order by day",
            [cutoff, cutoff, cutoff],
        ),
        cohort_days=session.read(
            "select first_week, day, cast(sum(repeats) as integer) as repeats from cohort_days where known_from <= ?"
            " group by first_week, day having sum(repeats) > 0 order by first_week, day",
            [cutoff],
        ),
    )


def _completed_windows(session: Session, columns: OptionalColumns, cutoff: date) -> pl.DataFrame:
    """Customers as of earlier cutoffs, with the outcome of each piece that was complete by `cutoff`.

    The latest cutoffs contribute equally many customers each, those with the smallest md5, WINDOW_ROWS in all.
    """
    from clv_pipeline.forecasting.protocol import PIECES_DAYS

    came = ", ".join(
        f"max(o.actual_purchases) filter (where o.horizon_days = {piece}) as actual_purchases_{piece},"
        f" cast(max(o.actual_spend) filter (where o.horizon_days = {piece}) as double) as actual_spend_{piece}"
        for piece in PIECES_DAYS
    )
    selected = ", ".join(f"came.actual_purchases_{piece}, came.actual_spend_{piece}" for piece in PIECES_DAYS)
    windows = (
        "with cutoffs as (select cutoff from forecast_windows"
        " where is_complete and horizon_days = ? and outcome_ends <= ? order by cutoff desc limit ?),"
        " known as (select customer_id, cutoff from customer_features"
        " semi join cutoffs using (cutoff) where in_sample),"
        # Numbers are sorted faster than hashes, and a customer has the same hash at all cutoffs.
        " tickets as (select customer_id, row_number() over (order by md5(customer_id), customer_id) as ticket"
        " from (select distinct customer_id from known)),"
        " placed as (select customer_id, cutoff, row_number() over (partition by cutoff order by ticket) as place"
        " from known inner join tickets using (customer_id)),"
        " drawn as (select customer_id, cutoff, place from placed order by place, cutoff desc limit ?),"
        f" came as (select o.customer_id, o.cutoff, {came} from customer_outcomes as o"
        " semi join drawn using (customer_id, cutoff) where o.cutoff + o.horizon_days <= ?"
        " group by o.customer_id, o.cutoff)"
        f" {_CUSTOMERS}, {selected} from customer_features as f inner join came using (customer_id, cutoff)"
    )
    frame = session.read(
        f"{columns.added_to(windows)} order by cutoff, customer_id",
        [min(PIECES_DAYS), cutoff, WINDOW_CUTOFFS, WINDOW_ROWS, cutoff],
    )
    return columns.named(frame)


def _described(
    session: Session, columns: OptionalColumns, cutoff: date, horizons: Sequence[int], most: int | None
) -> pl.DataFrame:
    query, parameters = _asked(columns, cutoff, horizons, _drawn(session, _AS_OF, [cutoff], most))
    return columns.named(session.read(f"{query} order by customer_id", parameters))


def _asked(columns: OptionalColumns, cutoff: date, horizons: Sequence[int], sample: _Sample) -> tuple[str, list[Any]]:
    """A query for the customers as of `cutoff` with its parameters; optional columns are still numbered."""
    drawn, semi_join, parameters = sample[0], sample[1], [*sample[2]]
    selected, joined = "", ""
    if horizons:
        aggregates = _window_aggregates(horizons)
        selected = "".join(f", w.{name}" for name in aggregates)
        joined = (
            f" left join (select customer_id, {', '.join(f'{sql} as {name}' for name, sql in aggregates.items())}"
            f" from customer_windows {semi_join} where cutoff = ? and list_contains(?, horizon_days)"
            " group by customer_id) as w using (customer_id)"
        )
        parameters += [cutoff, list(horizons)]
    query = f"{drawn} {_CUSTOMERS}{selected} from customer_features as f {semi_join} {joined} where f.cutoff = ?"
    return columns.added_to(query), [*parameters, cutoff]


def _window_aggregates(horizons: Sequence[int]) -> dict[str, str]:
    """The aggregate of a customer's rows of customer_windows, by quoted name of the column for a past window."""
    from clv_pipeline.forecasting.protocol import window_columns

    def aggregate(column: str, horizon: int) -> str:
        value = f"cast({column} as double)" if column.startswith("spend") else column
        return f"max({value}) filter (where horizon_days = {horizon})"

    return {
        quote_identifier(name): aggregate(name.partition(":")[0], horizon)
        for horizon in horizons
        for name in window_columns(horizon)
    }


def _drawn(session: Session, window: str, keys: Sequence[Any], most: int | None) -> _Sample:
    """The sample of `most` customers of a window, those with the smallest md5; no draw where there are fewer."""
    if most is None or session.read(f"select count(*) as customers from {window}", keys).item() <= most:
        return _EVERYBODY
    drawn = f"with drawn as (select customer_id from {window} order by md5(customer_id), customer_id limit ?)"
    return drawn, "semi join drawn using (customer_id)", [*keys, most]
