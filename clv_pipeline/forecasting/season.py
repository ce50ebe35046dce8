"""How many purchases all customers known at a cutoff will make within a horizon: season and growth.

Customer models see each customer's own past and no calendar; their totals miss Christmas. Here is the total alone,
from what all customers did together day by day. How it is shared out among customers is the hybrid's business.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

YEAR = 365
MINIMUM_OVERLAP_DAYS = 28
"""Growth over the year is measured on at least so many days that lie a year apart."""

OPEN_SHOP = 0.05
"""Share of purchases that are somebody's first, below which acquisition has all but ended. A closed cohort ages, and
the ratio to a year ago would take its ageing for season and growth."""


@dataclass(frozen=True)
class ExpectedTotal:
    """Purchase days that the customers known at the cutoff will have within the horizon, and how that was found."""

    purchases: float
    note: str


def expected_total(
    daily_totals: pl.DataFrame,
    cutoff: date,
    horizon_days: int,
    *,
    known_share: float,
    process_total: float,
) -> ExpectedTotal:
    """The same window a year ago × growth over the year × the share of purchases that known customers make.

    Growth: purchases of the last L days over those of the same days a year before, L as long as history allows, up
    to a year. Where history is shorter than a year and MINIMUM_OVERLAP_DAYS, the horizon longer than a year, or the
    shop closed to new customers, the purchase process says the total. How it did on the latest completed window does
    not correct it: one window is as much season as error (on Online Retail II and 180 days that made totals worse).

    Args:
        daily_totals: `TrainingData.daily_totals`.
        cutoff: last day of history.
        horizon_days: length of the window to forecast.
        known_share: of all purchases in the latest completed window, those by customers known at its cutoff.
        process_total: what a buy-till-you-die model expects, purchase days.
    """
    by_process = ExpectedTotal(process_total, "what the purchase process expects")
    if daily_totals.is_empty() or horizon_days > YEAR:
        return by_process
    first_day: date = daily_totals["day"].min()  # type: ignore[assignment]
    overlap = min(YEAR, (cutoff - first_day).days + 1 - YEAR)
    if overlap < MINIMUM_OVERLAP_DAYS:
        return by_process
    year_ago = cutoff - timedelta(days=YEAR)
    lately, then = _sums(daily_totals, cutoff, overlap), _sums(daily_totals, year_ago, overlap)
    window = _sums(daily_totals, year_ago + timedelta(days=horizon_days), horizon_days)
    if min(lately[0], then[0], window[0]) == 0 or lately[1] < OPEN_SHOP * lately[0]:
        return by_process
    growth = lately[0] / then[0]
    return ExpectedTotal(
        window[0] * growth * known_share,
        f"the same window a year ago ({window[0]:,} purchase days) × growth over the year ({growth:.2f}, measured on"
        f" {overlap} days) × the share of customers already known ({known_share:.2f})",
    )


def _sums(daily_totals: pl.DataFrame, end: date, days: int) -> tuple[int, int]:
    """Purchases and new customers of the `days` days up to and including `end`."""
    within = daily_totals.filter(pl.col("day") > end - timedelta(days=days), pl.col("day") <= end)
    return int(within["purchases"].sum()), int(within["new_customers"].sum())
