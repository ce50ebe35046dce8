"""What customers bring by an age: so many months after their first purchases, read from the same paths as all else.

A path is known at a few days after the cutoff. Each customer reaches an age on a day of their own, for which the path
is taken to be a line between two of these days.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import DAYS_PER_YEAR, Floats, floats
from clv_pipeline.forecasting.paths import Paths

AGES_MONTHS = (1, 3, 6, 9, 12, 18, 24, 30, 36)
"""Months after a first purchase; a month is the twelfth part of a year. The last one ends a customer's LTV."""

PROJECTED_MONTHS = (12, 24, 36)
"""Those of them that are projected with an interval."""

AHEAD_DAYS = (7, 14, 30, 60, 90, 135, 180, 270, 365, 545, 730, 1095)
"""Days after the cutoff at which a path is read for this."""


def age_days(months: int) -> int:
    """An age in days, rounded down."""
    return int(months * DAYS_PER_YEAR / 12)


def ahead_columns() -> list[str]:
    """Columns of what is still to come: margin by each age, purchases by some, and margin by the last discounted."""
    purchases = [f"purchases_ahead_{months}" for months in PROJECTED_MONTHS]
    return [*(f"margin_ahead_{months}" for months in AGES_MONTHS), *purchases, "discounted_ahead"]


def nothing_known(customers: int) -> pl.DataFrame:
    """These columns where a model cannot tell: null."""
    return pl.DataFrame(dict.fromkeys(ahead_columns(), pl.repeat(None, customers, dtype=pl.Float64, eager=True)))


def still_to_come(
    customers: pl.DataFrame, paths: Paths | None, margins: Sequence[float] | pl.Series, annual_discount_rate: float
) -> pl.DataFrame:
    """What each customer still brings from the cutoff up to each age, in ahead_columns(); 0 for whoever is older.

    `customers`: with tenure_days; `paths`: theirs, read at AHEAD_DAYS, None where the model cannot tell; `margins`: the
    share of spend that is earned. What is discounted is worth so much at the first purchase.
    """
    if paths is None or paths.spend is None or paths.discounted_spend is None or paths.purchases is None:
        return nothing_known(customers.height)
    tenure, margin = floats(customers, "tenure_days"), np.asarray(margins, dtype=np.float64)
    columns = {}
    for months in AGES_MONTHS:
        days = np.clip(age_days(months) - tenure, 0.0, AHEAD_DAYS[-1])
        columns[f"margin_ahead_{months}"] = margin * _between(paths.spend, days)
        if months in PROJECTED_MONTHS:
            columns[f"purchases_ahead_{months}"] = _between(paths.purchases, days)
        if months == AGES_MONTHS[-1]:
            present = (1.0 + annual_discount_rate) ** (-tenure / DAYS_PER_YEAR)
            columns["discounted_ahead"] = present * margin * _between(paths.discounted_spend, days)
    return pl.DataFrame(columns).select(ahead_columns())


def _between(values: Floats, days: Floats) -> Floats:
    """Each customer's cumulative values at a day of their own: 0 at day 0, and a line between AHEAD_DAYS."""
    known = np.array([0, *AHEAD_DAYS], dtype=np.float64)
    along = np.concatenate([np.zeros((len(values), 1)), values], axis=1)
    right = np.clip(np.searchsorted(known, days, side="left"), 1, len(known) - 1)
    share = (days - known[right - 1]) / (known[right] - known[right - 1])
    rows = np.arange(len(values))
    low = along[rows, right - 1]
    return np.asarray(low + share * (along[rows, right] - low), dtype=np.float64)
