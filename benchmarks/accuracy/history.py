"""What is known of customers as of a day, and what came after it, from their purchase days alone.

Beside the pipeline's own feature tables and independent of them: peers are to judge the same customers, not to share
the pipeline's mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RECENT_DAYS = (30, 90, 180, 365)
MINIMUM_HISTORY_DAYS = 28
"""Days of history without which nothing is learned."""


@dataclass(frozen=True)
class Came:
    """What customers bought within a window: purchase days and money, one value per customer."""

    purchases: Floats
    spend: Floats


@dataclass(frozen=True)
class History:
    """The purchase days of a shop: customer_id, day, spend, by customer and day."""

    days: pl.DataFrame
    _described: dict[date, pl.DataFrame] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, warehouse: Path) -> History:
        """The purchase days that the pipeline found in its sources."""
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            found = connection.sql(
                "select customer_id, purchase_day as day, cast(revenue as double) as spend from customer_days"
                " where superseded_on is null order by customer_id, purchase_day"
            )
            return cls(found.pl())

    @property
    def first_day(self) -> date:
        """The day of anyone's first purchase."""
        day = self.days["day"].min()
        assert isinstance(day, date)  # noqa: S101 - for the type checker: polars' minimum may be anything
        return day

    def is_known(self, cutoff: date) -> bool:
        """Whether there is enough history by this day to learn from."""
        return (cutoff - self.first_day).days + 1 >= MINIMUM_HISTORY_DAYS

    def customers(self, cutoff: date) -> pl.DataFrame:
        """Everybody known as of the cutoff, by customer_id: what they did until then, in days and money."""
        # Every rule and peer asks for the same cutoffs.
        if cutoff not in self._described:
            self._described[cutoff] = self._describe(cutoff)
        return self._described[cutoff]

    def _describe(self, cutoff: date) -> pl.DataFrame:
        day, spend, frequency = pl.col("day"), pl.col("spend"), pl.col("frequency")
        since = {days: day > cutoff - timedelta(days=days) for days in RECENT_DAYS}
        return (
            self.days.filter(day <= cutoff)
            .group_by("customer_id")
            .agg(
                (pl.len() - 1).cast(pl.Int64).alias("frequency"),
                (day.max() - day.min()).dt.total_days().alias("recency_days"),
                (pl.lit(cutoff) - day.min()).dt.total_days().alias("tenure_days"),
                (pl.lit(cutoff) - day.max()).dt.total_days().alias("idle_days"),
                spend.sum().alias("revenue"),
                spend.sort_by("day").slice(1).sum().alias("repeat_revenue"),
                spend.sort_by("day").last().alias("last_spend"),
                spend.max().alias("largest_spend"),
                *(within.sum().cast(pl.Int64).alias(f"purchases_{days}") for days, within in since.items()),
                *(spend.filter(within).sum().alias(f"spend_{days}") for days, within in since.items()),
            )
            .with_columns(
                monetary_value=pl.when(frequency > 0).then(pl.col("repeat_revenue") / frequency).otherwise(0.0),
                mean_gap_days=pl.when(frequency > 0).then(pl.col("recency_days") / frequency),
            )
            .drop("repeat_revenue")
            .sort("customer_id")
        )

    def came(self, customers: pl.DataFrame, after: date, until: date) -> Came:
        """What these customers bought in (after, until], in their order."""
        bought = (
            self.days.filter(pl.col("day") > after, pl.col("day") <= until)
            .group_by("customer_id")
            .agg(purchases=pl.len().cast(pl.Float64), spend=pl.col("spend").sum())
        )
        of_each = customers.select("customer_id").join(bought, on="customer_id", how="left", maintain_order="left")
        return Came(*(of_each[column].fill_null(0.0).to_numpy() for column in ("purchases", "spend")))
