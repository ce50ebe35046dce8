"""Revenue by calendar month: of the customers who are known, and of those who are yet to come.

Known customers: the served totals over the horizons, spread over the days between by the cohort table, whose season and
ageing all families share. New customers: how many come in each month (`acquisition`), times what a customer brings in
the month of the first order and in each month after it, as cohorts did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting.acquisition import SETTLING_MONTHS, YEAR, expect_new_customers, settled
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import require_columns
from clv_pipeline.forecasting.season import EPOCH, season_basis

if TYPE_CHECKING:
    from clv_pipeline.forecasting.cohorts import CohortTable

WEEKS_SCHEMA = pl.Schema(
    {"cutoff": pl.Date, "week_ends": pl.Date, "expected_purchases": pl.Float64, "season": pl.Float64}
)
COHORT_MONTHS: Mapping[str, str] = {
    "cohort_month": "first day of the month of the first purchase",
    "month": "first day of the month of the purchases",
    "customers": "customers whose first purchase was in `month`; 0 in later months",
    "later_customers": "those of them who came after the cutoff's day of the month",
    "revenue": "money that the cohort spent in the month",
    "later_revenue": "the part of it after the cutoff's day of the month",
    "first_revenue": "the part of it that was spent on first purchase days",
}
"""Columns of a frame of what was known of cohorts by a cutoff, one row per cohort and month with purchases."""

WEEKS = 57
"""Weeks ahead of which the cohort table is kept: twelve whole months and the rest of the running one."""

MOST_MONTHS = 12
"""Most whole months of an outlook."""

_COHORTS = 12
"""Latest cohorts from which the worth of a new customer at an age is learned: a year, so that seasons even out."""

_ENOUGH = 100
"""So many new customers after the first months of history tell what a new one brings without those."""

_EARLY_DAYS = 3
"""A history that begins by this day of a month has the whole month."""

_CYCLE_DAYS = 1461

OUTLOOK_SCHEMA = pl.Schema(
    {
        "month": pl.Date,
        "lead_months": pl.Int64,
        "days": pl.Int64,
        "revenue_so_far": pl.Float64,
        "known_revenue": pl.Float64,
        "new_customers": pl.Float64,
        "new_revenue": pl.Float64,
        "last_year_revenue": pl.Float64,
        "naive_revenue": pl.Float64,
        "naive_customers": pl.Float64,
    }
)


def weeks_ahead(table: CohortTable, weeks: int = WEEKS) -> pl.DataFrame:
    """What the cohort table expects of each week after its cutoff (WEEKS_SCHEMA).

    `expected_purchases`: of the customers known at the cutoff; `season`: how lively the week is, 1 in a mean week.
    """
    ends = table.cutoff + 7 * (1 + np.arange(weeks))
    year = np.arange(table.cutoff + 1, table.cutoff + 1 + _CYCLE_DAYS)
    level = np.mean(np.exp(season_basis(year) @ table.season))
    return pl.DataFrame(
        {
            "cutoff": pl.Series([EPOCH + timedelta(days=table.cutoff)] * weeks, dtype=pl.Date),
            "week_ends": pl.Series(ends, dtype=pl.Int32).cast(pl.Date),
            "expected_purchases": table.by_week(7 * weeks) * np.exp(table.recent),
            "season": np.exp(season_basis(np.asarray(ends - 3.5, dtype=np.float64)) @ table.season) / level,
        },
        schema=WEEKS_SCHEMA,
    )


@dataclass(frozen=True, eq=False)
class Known:
    """What an outlook is made from: everything that was known by a cutoff.

    `first_day`: where history begins. `cohorts`: a frame of COHORT_MONTHS. `totals`: horizon_days and expected_spend,
    what the customers of the cutoff are expected to spend within each horizon; empty without money. `weeks`: as
    `weeks_ahead`. `model`: who made the totals.

    Raises:
        ValueError: a column is missing, or a cohort bought after the cutoff.
    """

    cutoff: date
    first_day: date
    cohorts: pl.DataFrame
    totals: pl.DataFrame
    weeks: pl.DataFrame
    model: str
    has_money: bool = True

    def __post_init__(self) -> None:
        require_columns(self.cohorts, COHORT_MONTHS, "cohorts")
        require_columns(self.totals, ["horizon_days", "expected_spend"], "totals")
        require_columns(self.weeks, ["week_ends", "expected_purchases", "season"], "weeks")
        latest: Any = self.cohorts["month"].max()
        if latest is not None and latest > self.cutoff:
            raise ValueError(f"cohorts reach {latest}, after {self.cutoff}: an outlook would learn from the future")


@dataclass(frozen=True, eq=False)
class Outlook:
    """The months ahead (OUTLOOK_SCHEMA), how new customers were forecast, and the unit that errors are seen in.

    `months.days`: days of the month after the cutoff. `naive_revenue`, `naive_customers`: of the same days of last
    year. `method`, `code`, `facts`: as in `Acquisition`; the facts also have what a new customer brings
    (`first_order`, `by_age`) and `ages_seen`, the months since the first order of which a whole one was seen. `unit`:
    the worth of one first order, 0 without money.
    """

    cutoff: date
    model: str
    months: pl.DataFrame
    method: str
    code: str
    facts: Mapping[str, Any]
    unit: float


def months_ahead(cutoff: date, days: int) -> list[tuple[date, date, int]]:
    """First and last day of the months that end within this many days, and their lead: 0 for the running month.

    At most MOST_MONTHS whole ones.
    """
    month, found = (cutoff + timedelta(days=1)).replace(day=1), []
    lead = 0 if month <= cutoff else 1
    while lead <= MOST_MONTHS:
        after = _plus(month, 1)
        last = after - timedelta(days=1)
        if last > cutoff + timedelta(days=days):
            break
        found.append((month, last, lead))
        month, lead = after, lead + 1
    return found


def outlook(known: Known, days: int) -> Outlook:
    """The outlook for the months that end within this many days."""
    ahead = months_ahead(known.cutoff, days)
    past = _Past.of(known)
    customers = past.new_customers()
    acquired = expect_new_customers(customers, MOST_MONTHS + 1)
    first_order, by_age, ages_seen = past.worth()
    arrivals = _arrivals(known.cutoff, ahead, acquired.expected)
    season = _season_by_month(known.weeks)
    spend = _spend_by_day(known)
    rows = []
    for place, (month, last, lead) in enumerate(ahead):
        begun = max((month - known.cutoff).days - 1, 0)
        ended = (last - known.cutoff).days
        left = (ended - begun) / ((last - month).days + 1)
        # Those who come late in the running month buy again in fewer days of it.
        same_month = first_order + (by_age[0] - first_order) * left
        again = float(arrivals[:place] @ by_age[place - np.arange(place)]) * season[month.month - 1]
        year_ago = _plus(month, -YEAR)
        rows.append(
            {
                "month": month,
                "lead_months": lead,
                "days": ended - begun,
                "revenue_so_far": past.total(month, "revenue") if lead == 0 else 0.0,
                "known_revenue": spend[ended] - spend[begun],
                "new_customers": arrivals[place],
                "new_revenue": arrivals[place] * same_month + again,
                "last_year_revenue": past.total(year_ago, "revenue") if past.is_whole(year_ago) else None,
                "naive_revenue": past.same_days(year_ago, lead, "revenue"),
                "naive_customers": past.same_days(year_ago, lead, "customers"),
            }
        )
    months = pl.DataFrame(rows, schema=OUTLOOK_SCHEMA)
    if not known.has_money:
        money = ("revenue_so_far", "known_revenue", "new_revenue", "last_year_revenue", "naive_revenue")
        months = months.with_columns(pl.lit(None, pl.Float64).alias(name) for name in money)
    facts = {
        **acquired.facts,
        "method": acquired.method,
        "ages_seen": ages_seen,
        "first_order": round(first_order, 2) if known.has_money else None,
        "by_age": [round(amount, 2) for amount in by_age.tolist()] if known.has_money else None,
    }
    return Outlook(known.cutoff, known.model, months, acquired.method, acquired.code, facts, first_order)


@dataclass(frozen=True, eq=False)
class _Past:
    """The months of history: sums over cohorts, and what cohorts brought at each age."""

    cutoff: date
    first_whole: date
    last_whole: date
    rows: pl.DataFrame
    sums: Mapping[date, Mapping[str, float]]
    season: Floats

    @classmethod
    def of(cls, known: Known) -> _Past:
        cutoff, first = known.cutoff, known.first_day
        begun = first.replace(day=1)
        numbers = [name for name in COHORT_MONTHS if name not in ("cohort_month", "month")]
        rows = known.cohorts.with_columns(pl.col(numbers).cast(pl.Float64).fill_null(0.0))
        sums = rows.group_by("month").agg(pl.col(numbers).sum()).sort("month")
        return cls(
            cutoff,
            begun if first.day <= _EARLY_DAYS else _plus(begun, 1),
            _plus((cutoff + timedelta(days=1)).replace(day=1), -1),
            rows,
            {row["month"]: row for row in sums.iter_rows(named=True)},
            _season_by_month(known.weeks),
        )

    def is_whole(self, month: date) -> bool:
        """Whether history has all days of the month."""
        return self.first_whole <= month <= self.last_whole

    def total(self, month: date, what: str) -> float:
        """A sum over the days of a month that are known."""
        return float(self.sums[month][what]) if month in self.sums else 0.0

    def same_days(self, month: date, lead: int, what: str) -> float | None:
        """A sum over a past month, or, for the running one (lead 0), over its days after the cutoff's; None if unknown.

        The running month's own days are not over.
        """
        if not self.is_whole(month):
            return None
        return self.total(month, what if lead else f"later_{what}")

    def new_customers(self) -> Floats:
        """New customers of each whole month, without the first months of history."""
        months = []
        month = self.first_whole
        while month <= self.last_whole:
            months.append(self.total(month, "customers"))
            month = _plus(month, 1)
        return settled(np.array(months))

    def worth(self) -> tuple[float, Floats, int]:
        """What a new customer brings: the first order; by months of age, the first one included; and the ages seen.

        Each age is learned from the latest cohorts that have lived through all of it, at the season of a mean month.
        An age that no cohort has reached brings as much as the last one that was reached.
        """
        cohorts = self.rows.filter(pl.col("customers") > 0.0).select("cohort_month", members="customers")
        settling = _plus(self.first_whole, SETTLING_MONTHS)
        later = cohorts.filter(pl.col("cohort_month") >= settling)
        if later["members"].sum() >= _ENOUGH:
            cohorts = later
        seasons = pl.DataFrame({"calendar": range(1, YEAR + 1), "season": self.season}).cast({"calendar": pl.Int8})
        found = (
            cohorts.join(pl.DataFrame({"age": range(MOST_MONTHS + 1)}), how="cross")
            .with_columns(month=pl.col("cohort_month").dt.offset_by(pl.format("{}mo", "age")))
            .filter(pl.col("month") <= self.last_whole)
            .join(self.rows.drop("customers"), on=["cohort_month", "month"], how="left")
            .join(seasons, left_on=pl.col("month").dt.month(), right_on="calendar", how="left")
            .with_columns(
                pl.col("revenue", "first_revenue").fill_null(0.0),
                lively=pl.col("members") * pl.when(pl.col("age") == 0).then(1.0).otherwise("season"),
            )
            .sort("age", "cohort_month", descending=[False, True])
            .group_by("age", maintain_order=True)
            .agg(pl.col("revenue", "first_revenue", "members", "lively").head(_COHORTS).sum())
        )
        if found.is_empty():
            # Without a whole month the running one has to do.
            people = float(self.rows["customers"].sum())
            first = float(self.rows["first_revenue"].sum()) / people if people else 0.0
            return first, np.concatenate([[first], np.zeros(MOST_MONTHS)]), 0
        brought = (found["revenue"] / found["lively"]).to_numpy()
        # What is unknown of the months after the first is not taken for another first order.
        last = brought[-1] if len(brought) > 1 else 0.0
        by_age = np.concatenate([brought, np.full(MOST_MONTHS + 1 - len(brought), last)])
        return float(found["first_revenue"][0] / found["members"][0]), by_age, len(brought) - 1


def _arrivals(cutoff: date, ahead: list[tuple[date, date, int]], expected: Floats) -> Floats:
    """New customers of each month ahead; of the running one those of the days that are left."""
    arrivals = np.zeros(len(ahead))
    if not ahead:
        return arrivals
    arrivals[:] = expected[: len(ahead)]
    first, last, lead = ahead[0]
    if lead == 0:
        arrivals[0] *= (last - cutoff).days / ((last - first).days + 1)
    return arrivals


def _season_by_month(weeks: pl.DataFrame) -> Floats:
    """How lively each calendar month is, by the season of the weeks ahead, January first; 1 where no week tells."""
    if weeks.is_empty():
        return np.ones(YEAR)
    days = weeks.select("season", day=pl.date_ranges(pl.col("week_ends") - pl.duration(days=6), "week_ends")).explode(
        "day"
    )
    found = days.group_by(month=pl.col("day").dt.month().cast(pl.Int64)).agg(pl.col("season").mean())
    season = np.ones(YEAR)
    season[found["month"].to_numpy() - 1] = found["season"].to_numpy()
    return season


def _spend_by_day(known: Known) -> Floats:
    """What the known customers are expected to spend by each day after the cutoff, from day 0 on."""
    totals = known.totals.drop_nulls().sort("horizon_days")
    longest: Any = totals["horizon_days"].max()
    size = max(7 * known.weeks.height, int(longest or 0), 31 * (MOST_MONTHS + 2)) + 1
    by_week = floats(known.weeks.sort("week_ends"), "expected_purchases") / 7.0
    by_day = np.concatenate([[0.0], np.repeat(by_week, 7), np.zeros(size)])[:size]
    shape = np.cumsum(by_day)
    spend = np.zeros(size)
    begun, reached = 0, 0.0
    for horizon, total in totals.select("horizon_days", "expected_spend").iter_rows():
        part = shape[begun : horizon + 1] - shape[begun]
        share = part / part[-1] if part[-1] > 0.0 else np.linspace(0.0, 1.0, len(part))
        spend[begun : horizon + 1] = reached + max(total - reached, 0.0) * share
        begun, reached = horizon, spend[horizon]
    spend[begun:] = reached
    return spend


def _plus(month: date, months: int) -> date:
    """The first day of the month so many months later."""
    place = month.year * YEAR + month.month - 1 + months
    return date(place // YEAR, place % YEAR + 1, 1)
