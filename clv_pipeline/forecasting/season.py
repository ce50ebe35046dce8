"""The clock on which customers buy evenly: calendar days, stretched by season and weekday.

A process of constant intensity on the clock Λ(d) = Σ season(day) · weekday(day) has the shop's rhythm in calendar time
(operational time: Cox & Lewis 1966, "The statistical analysis of series of events"). `cohorts` learns the season.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from clv_pipeline.forecasting.frames import DAYS_PER_YEAR, Floats

HARMONICS, MONTHS, _DECAY, _MONTHS_SD = 8, 12, 4.0, 2.0
"""A season is a sum of waves, smaller the finer they are, and of effects of calendar months, when shops change."""

SEASON_VARIANCES = np.concatenate(
    [np.tile(1.0 / (1.0 + (np.arange(1, HARMONICS + 1) / _DECAY) ** 2), 2), np.full(MONTHS, _MONTHS_SD**2)]
)
"""Prior variances of the coefficients of `season_basis`, in units of the season's size."""

AHEAD_DAYS = 3_700
"""Days after the cutoff that the clock has one by one; after them it runs at the mean of a year."""

EPOCH = date(1970, 1, 1)

Days = NDArray[np.int64]


def ordinal(day: date) -> int:
    """Days since 1970 of a calendar day, as in polars."""
    return (day - EPOCH).days


def season_basis(days: Floats | Days) -> Floats:
    """Cosines and sines of yearly waves, then the MONTHS of the calendar, at these days (since 1970)."""
    whole = np.floor(np.asarray(days, dtype=np.float64)).astype(np.int64)
    angles = 2.0 * np.pi / DAYS_PER_YEAR * np.asarray(days, dtype=np.float64)[:, None] * np.arange(1, HARMONICS + 1)
    months = whole.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % MONTHS
    return np.hstack([np.cos(angles), np.sin(angles), np.eye(MONTHS)[months]])


@dataclass(frozen=True, eq=False)
class Clock:
    """Λ, in days: `elapsed[i]` has passed by the end of the day `first_day` + i - 1 (days since 1970)."""

    first_day: int
    elapsed: Floats

    @classmethod
    def of(cls, first_day: int, cutoff: int, season: Floats, weekdays: Floats) -> Clock:
        """The clock of a season (`season_basis` coefficients on the log scale) and of seven weekday weights of mean 1.

        Days count from 1970; `weekdays` begin with the weekday of day 0, a Thursday. A mean year of the clock has as
        many days as a calendar year.
        """
        days = np.arange(first_day, cutoff + AHEAD_DAYS + 1)
        year = np.arange(cutoff + 1, cutoff + 1 + round(4 * DAYS_PER_YEAR))
        level = np.mean(np.exp(season_basis(year) @ season))
        intensity = np.exp(season_basis(days) @ season) / level * weekdays[days % 7]
        return cls(first_day, np.concatenate([[0.0], np.cumsum(intensity)]))

    def at(self, day: Floats | Days | int) -> Floats:
        """Λ at the end of these days (since 1970); before the first day 0, fractions of a day in proportion."""
        place = np.asarray(day, dtype=np.float64) - self.first_day + 1.0
        last = len(self.elapsed) - 1
        shown = np.interp(place, np.arange(last + 1), self.elapsed)
        return np.asarray(shown + np.maximum(place - last, 0.0), dtype=np.float64)
