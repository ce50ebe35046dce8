"""Customers frames and training data made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache

import polars as pl
from hypothesis import strategies as st

from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    OUTCOME_COLUMNS,
    PAST_DAYS,
    YEAR_AGO_DAYS,
    TrainingData,
    window_columns,
)
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import Process
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline.simulation.spend import Spend
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

CUTOFF = date(2024, 6, 30)
HISTORY_DAYS, WATCHED_DAYS = 700, 1_100
FIRST_SPEND = 20.0
BUYERS = Buyers()


@cache
def shop(
    customers: int = 800,
    seed: int = 1,
    cutoff: date = CUTOFF,
    process: Process = BUYERS.process,
    spend: Spend = BUYERS.spend,
    season: float = 0.0,
) -> PurchaseDays:
    """A shop that opened 700 days before the cutoff, and whose next 400 days are known; of Pareto/NBD by default."""
    story = SeededShop(
        buyers=Buyers(process, spend, season),
        customers=customers,
        acquisition_days=HISTORY_DAYS,
        later=0.0,
        as_of=HISTORY_DAYS,
        days=WATCHED_DAYS,
        start=cutoff - timedelta(days=HISTORY_DAYS),
    )
    return PurchaseDays.simulated(story, seed)


def simulated(customers: int, seed: int = 1, horizon_days: int = 90, cutoff: date = CUTOFF) -> pl.DataFrame:
    """Customers of such a shop with what came within the horizon; some of them in a country, with several products."""
    days = shop(customers, seed, cutoff)
    return varied(days.customers(cutoff)).hstack(days.outcomes(cutoff, horizon_days).drop("customer_id"))


def varied(customers: pl.DataFrame) -> pl.DataFrame:
    """The same customers with orders of several lines, products, and a country for six of seven."""
    number = pl.int_range(pl.len())
    return customers.with_columns(
        lines_per_order=1.0 + number % 3,
        products=pl.col("frequency") + 1,
        country=pl.when(number % 7 > 0).then(pl.lit("France")),
    )


def customers_frame(
    frequency: Sequence[int],
    recency_days: Sequence[int],
    tenure_days: Sequence[int],
    monetary_value: Sequence[float],
    cutoff: date = CUTOFF,
    horizons: Sequence[int] = (),
) -> pl.DataFrame:
    """A customers frame whose other columns follow from these four: first 20, then the mean each time."""
    frame = pl.DataFrame(
        {
            "frequency": frequency,
            "recency_days": recency_days,
            "tenure_days": tenure_days,
            "monetary_value": monetary_value,
        },
        schema={
            "frequency": pl.Int64,
            "recency_days": pl.Int64,
            "tenure_days": pl.Int64,
            "monetary_value": pl.Float64,
        },
    )
    repeats, each = pl.col("frequency"), pl.col("monetary_value")
    log, first_log = each.clip(lower_bound=0.01).log(), pl.lit(FIRST_SPEND).log()
    usual = pl.when(repeats > 0).then(each).otherwise(FIRST_SPEND)
    return frame.with_columns(
        pl.format("c{}", pl.int_range(pl.len())).alias("customer_id"),
        pl.lit(cutoff).alias("cutoff"),
        (pl.col("tenure_days") - pl.col("recency_days")).alias("days_since_last"),
        (repeats + 1).alias("orders"),
        (repeats * each + FIRST_SPEND).alias("revenue"),
        *(_past(days).alias(f"purchases_{days}_days") for days in PAST_DAYS),
        *((_past(days) * each).alias(f"spend_{days}_days") for days in PAST_DAYS),
        *(_year_ago(days).alias(f"purchases_{days}_days_year_ago") for days in YEAR_AGO_DAYS),
        usual.alias("last_spend"),
        pl.max_horizontal(usual, pl.lit(FIRST_SPEND)).alias("largest_spend"),
        (first_log + repeats * log).alias("log_spend"),
        (first_log**2 + repeats * log**2).alias("squared_log_spend"),
        pl.when(repeats > 0).then(pl.col("recency_days") / repeats).alias("mean_gap_days"),
        pl.when(repeats > 1).then(pl.col("recency_days") / repeats / 2.0).alias("gap_deviation_days"),
        (pl.lit(cutoff) - pl.duration(days=pl.col("tenure_days"))).cast(pl.Date).alias("first_purchase_date"),
        pl.lit(1.0).alias("lines_per_order"),
        (repeats + 1).alias("products"),
        pl.lit("France").alias("country"),
        *(
            column.alias(name)
            for horizon in horizons
            for name, column in zip(
                window_columns(horizon),
                (_past(horizon), _past(horizon) * each, _year_ago(horizon), _year_ago(horizon) * each),
                strict=True,
            )
        ),
    ).select(*CUSTOMER_COLUMNS, *(name for horizon in horizons for name in window_columns(horizon)))


def _past(days: int) -> pl.Expr:
    """Purchase days within the last `days`: the repeats spread evenly over the time that was watched."""
    watched = pl.max_horizontal(pl.col("tenure_days"), pl.lit(1))
    idle = pl.col("tenure_days") - pl.col("recency_days")
    share = (days - idle).clip(lower_bound=0) / watched
    return ((pl.col("frequency") + 1) * share).ceil().clip(upper_bound=pl.col("frequency") + 1).cast(pl.Int64)


def _year_ago(days: int) -> pl.Expr:
    """The same within so many days from a year ago on."""
    return (_past(365) - _past(max(365 - days, 0))).clip(lower_bound=0)


def training_data(customers: pl.DataFrame, completed_windows: pl.DataFrame | None = None) -> TrainingData:
    """What a customers frame is reduced to; its customers spread their repeat purchases evenly over time."""
    customers = customers.drop(OUTCOME_COLUMNS, strict=False)
    counts = customers.group_by("frequency", "recency_days", "tenure_days", maintain_order=True)
    repeat = customers.filter(pl.col("frequency") > 0, pl.col("monetary_value") > 0)
    spend = repeat.group_by("frequency", "monetary_value", maintain_order=True)
    purchases = _purchases(customers)
    return TrainingData(
        cutoff=customers["cutoff"][0] if customers.height else CUTOFF,
        customer_counts=counts.agg(pl.len().cast(pl.Int64).alias("customers")),
        repeat_spend=spend.agg(pl.len().cast(pl.Int64).alias("customers")),
        completed_windows=pl.DataFrame() if completed_windows is None else completed_windows,
        daily_totals=purchases.group_by("day")
        .agg(
            pl.len().cast(pl.Int64).alias("purchases"),
            (pl.col("repeat") == 0).sum().cast(pl.Int64).alias("new_customers"),
            pl.col("spend").sum(),
        )
        .sort("day"),
        cohort_days=purchases.filter(pl.col("repeat") > 0)
        .group_by(pl.col("first_purchase_date").dt.truncate("1w").alias("first_week"), "day")
        .agg(pl.len().cast(pl.Int64).alias("repeats"))
        .sort("first_week", "day"),
        current_customers=customers,
    )


def _purchases(customers: pl.DataFrame) -> pl.DataFrame:
    """The purchases of customers who spread their repeats evenly over their recency."""
    each = pl.col("revenue") / (pl.col("frequency") + 1)
    purchases = customers.select(
        "first_purchase_date",
        "recency_days",
        "frequency",
        each.alias("spend"),
        pl.int_ranges(0, pl.col("frequency") + 1).alias("repeat"),
    ).explode("repeat")
    share = pl.col("repeat") / pl.max_horizontal(pl.col("frequency"), pl.lit(1))
    after = (pl.col("recency_days") * share).round().cast(pl.Int64)
    return purchases.with_columns(day=(pl.col("first_purchase_date") + pl.duration(days=after)).cast(pl.Date))


@st.composite
def any_customers(draw: st.DrawFn, max_frequency: int = 10_000) -> pl.DataFrame:
    """Any customers that can occur: from the cutoff day itself to decades, from no repeat to 10,000."""
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        tenure = draw(st.integers(0, 15_000))
        recency = draw(st.integers(0, tenure))
        frequency = draw(st.integers(1, max_frequency)) if recency > 0 else 0
        value = draw(st.floats(-50.0, 1e6)) if frequency > 0 else 0.0
        rows.append((frequency, recency if frequency else 0, tenure, value))
    columns = [list(column) for column in zip(*rows, strict=True)]
    return customers_frame(columns[0], columns[1], columns[2], columns[3])


@st.composite
def any_shop(draw: st.DrawFn) -> tuple[PurchaseDays, date]:
    """A small shop that can occur, and its last day: any number of days, repeats on any of them, any money."""
    history = draw(st.sampled_from([1, 2, 10, 60, 200, 400, 1_000]))
    money = st.one_of(st.just(9.99), st.floats(0.01, 1e6))
    rows = [
        (f"c{number:02}", CUTOFF - timedelta(days=days_ago), draw(money))
        for number in range(draw(st.integers(1, 15)))
        for days_ago in draw(st.lists(st.integers(0, history - 1), min_size=1, max_size=12))
    ]
    purchases = pl.DataFrame(rows, schema=["customer_id", "day", "spend"], orient="row")
    return PurchaseDays.of(purchases), CUTOFF
