"""Frames of customers from purchase days alone, with polars: what the pipeline's SQL hands over, for shops made up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Any

import polars as pl

from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    PAST_DAYS,
    PIECES_DAYS,
    YEAR_AGO_DAYS,
    TrainingData,
    window_columns,
)
from clv_pipeline.simulation.seeded import SeededShop

DAY, SPEND = pl.col("day"), pl.col("spend")
MOST_WINDOWS, WINDOW_STEP_DAYS, LEAST_HISTORY_DAYS = 13, 30, 28
_NO_OUTCOMES = pl.DataFrame(schema={"actual_purchases": pl.Int64, "actual_spend": pl.Float64})


@dataclass(frozen=True)
class PurchaseDays:
    """The purchase days of a shop: customer_id, day, spend, by customer and day."""

    days: pl.DataFrame

    @classmethod
    def of(cls, purchases: pl.DataFrame) -> PurchaseDays:
        """From purchases with customer_id, day and spend; those of one customer and day become one."""
        days = purchases.group_by("customer_id", "day").agg(SPEND.sum()).sort("customer_id", "day")
        return cls(days.select("customer_id", "day", "spend"))

    @classmethod
    def simulated(cls, shop: SeededShop, seed: int = 1) -> PurchaseDays:
        """Those of a seeded shop."""
        bought = shop.transactions(seed)
        return cls.of(bought.select("customer_id", pl.col("ordered_at").dt.date().alias("day"), spend="amount"))

    def until(self, cutoff: date) -> PurchaseDays:
        """What was known by the end of the cutoff day."""
        return PurchaseDays(self.days.filter(cutoff >= DAY))

    def cohort_months(self, cutoff: date) -> pl.DataFrame:
        """What was known of cohorts by the end of the cutoff day (`forecasting.outlook.COHORT_MONTHS`)."""
        first, later = pl.col("first"), pl.col("day").dt.day() > cutoff.day
        is_first = pl.col("first") == DAY
        days = self.until(cutoff).days.with_columns(first=DAY.min().over("customer_id"))
        return (
            days.group_by(cohort_month=first.dt.truncate("1mo"), month=DAY.dt.truncate("1mo"))
            .agg(
                customers=is_first.sum(),
                later_customers=(is_first & later).sum(),
                revenue=SPEND.sum(),
                later_revenue=SPEND.filter(later).sum(),
                first_revenue=SPEND.filter(is_first).sum(),
            )
            .sort("cohort_month", "month")
        )

    def came_by_month(self, cutoff: date, last_day: date) -> pl.DataFrame:
        """What came after a cutoff, by month (`evaluation.outlook.OUTCOME_COLUMNS`)."""
        days = self.until(last_day).days.with_columns(first=DAY.min().over("customer_id")).filter(cutoff < DAY)
        known = pl.col("first") <= cutoff
        return (
            days.group_by(month=DAY.dt.truncate("1mo"))
            .agg(
                known_revenue=SPEND.filter(known).sum(),
                revenue=SPEND.sum(),
                new_customers=(~known & (pl.col("first") == DAY)).sum(),
            )
            .sort("month")
        )

    def customers(self, cutoff: date, horizons: Iterable[int] = ()) -> pl.DataFrame:
        """The customers frame as of a cutoff, by customer_id, with the past windows of these horizons.

        An order is a purchase day with one line; products and countries are not known.
        """
        first, repeats, log = DAY.first(), pl.len().cast(pl.Int64) - 1, SPEND.clip(lower_bound=0.01).log()
        gaps = DAY.diff().dt.total_days()
        columns = {
            "cutoff": pl.lit(cutoff).first(),
            "frequency": repeats,
            "recency_days": (DAY.last() - first).dt.total_days(),
            "tenure_days": (pl.lit(cutoff) - first).dt.total_days(),
            "days_since_last": (pl.lit(cutoff) - DAY.last()).dt.total_days(),
            "orders": pl.len().cast(pl.Int64),
            "revenue": SPEND.sum(),
            "monetary_value": SPEND.slice(1).mean().fill_null(0.0),
            "last_spend": SPEND.last(),
            "largest_spend": SPEND.max(),
            "log_spend": log.sum(),
            "squared_log_spend": log.pow(2).sum(),
            "mean_gap_days": gaps.mean(),
            "gap_deviation_days": gaps.std(),
            "lines_per_order": pl.lit(1.0).first(),
            "products": pl.lit(None, pl.Int64).first(),
            "first_purchase_date": first,
            "country": pl.lit(None, pl.String).first(),
        }
        for days in PAST_DAYS:
            within = cutoff - timedelta(days=days) < DAY
            columns[f"purchases_{days}_days"] = _count(within)
            columns[f"spend_{days}_days"] = SPEND.filter(within).sum()
        for days in YEAR_AGO_DAYS:
            columns[f"purchases_{days}_days_year_ago"] = _count(_after(cutoff - timedelta(days=365), days))
        for horizon in horizons:
            last = cutoff - timedelta(days=horizon) < DAY
            year_ago = _after(cutoff - timedelta(days=365), horizon)
            read = (_count(last), SPEND.filter(last).sum(), _count(year_ago), SPEND.filter(year_ago).sum())
            columns |= dict(zip(window_columns(horizon), read, strict=True))
        known = self.until(cutoff).days.group_by("customer_id", maintain_order=True)
        windows = chain.from_iterable(window_columns(horizon) for horizon in horizons)
        return known.agg(**columns).select(*CUSTOMER_COLUMNS, *windows)

    def outcomes(self, cutoff: date, horizon_days: int) -> pl.DataFrame:
        """customer_id, actual_purchases and actual_spend within the horizon, of all who are known at the cutoff."""
        customers = self.until(cutoff).days.select(pl.col("customer_id").unique(maintain_order=True))
        bought = self.days.filter(_after(cutoff, horizon_days)).group_by("customer_id")
        came = bought.agg(actual_purchases=pl.len().cast(pl.Int64), actual_spend=SPEND.sum())
        joined = customers.join(came, on="customer_id", how="left", maintain_order="left")
        return joined.with_columns(pl.col("actual_purchases", "actual_spend").fill_null(0))

    def window(self, cutoff: date, known_until: date) -> pl.DataFrame:
        """The customers frame as of a cutoff with PIECE_OUTCOMES, null for those not over by `known_until`."""
        frame = self.customers(cutoff)
        for piece in PIECES_DAYS:
            over = cutoff + timedelta(days=piece) <= known_until
            came = self.outcomes(cutoff, piece) if over else _NO_OUTCOMES.clear(frame.height)
            frame = frame.hstack(
                came.select(
                    pl.col("actual_purchases").alias(f"actual_purchases_{piece}"),
                    pl.col("actual_spend").alias(f"actual_spend_{piece}"),
                )
            )
        return frame

    def completed_windows(self, cutoff: date, most: int = MOST_WINDOWS) -> pl.DataFrame:
        """The windows of the latest cutoffs, a month apart, of which a piece was over by the cutoff."""
        opened: Any = cutoff if self.days.is_empty() else self.days["day"].min()
        cutoffs = [cutoff - timedelta(days=WINDOW_STEP_DAYS * step) for step in range(1, most + 1)]
        usable = [day for day in reversed(cutoffs) if (day - opened).days + 1 >= LEAST_HISTORY_DAYS]
        return pl.concat([self.window(day, cutoff) for day in usable]) if usable else pl.DataFrame()

    def training(self, cutoff: date, most_windows: int = MOST_WINDOWS) -> TrainingData:
        """All that a model may learn as of the cutoff."""
        known, current = self.until(cutoff).days, self.customers(cutoff)
        by_day = known.with_columns(first=DAY.first().over("customer_id"))
        return TrainingData(
            cutoff=cutoff,
            customer_counts=_distinct(current, "frequency", "recency_days", "tenure_days"),
            repeat_spend=_distinct(
                current.filter(pl.col("frequency") > 0, pl.col("monetary_value") > 0), "frequency", "monetary_value"
            ),
            completed_windows=self.completed_windows(cutoff, most_windows),
            daily_totals=by_day.group_by("day")
            .agg(
                purchases=pl.len().cast(pl.Int64),
                new_customers=(pl.col("first") == DAY).sum().cast(pl.Int64),
                spend=SPEND.sum(),
            )
            .sort("day"),
            cohort_days=by_day.filter(pl.col("first") < DAY)
            .group_by(pl.col("first").dt.truncate("1w").alias("first_week"), "day")
            .agg(repeats=pl.len().cast(pl.Int64))
            .sort("first_week", "day"),
            current_customers=current,
        )


def _after(day: date, length: int) -> pl.Expr:
    return (day < DAY) & (day + timedelta(days=length) >= DAY)


def _count(rows: pl.Expr) -> pl.Expr:
    return rows.sum().cast(pl.Int64)


def _distinct(customers: pl.DataFrame, *columns: str) -> pl.DataFrame:
    return customers.group_by(*columns).agg(customers=pl.len().cast(pl.Int64)).sort(*columns)
