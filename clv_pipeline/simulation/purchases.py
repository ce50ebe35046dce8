"""When things happen in a made-up shop: a yearly season, purchases at random times, and the hours of the day.

What every shop shares, whatever its customers are like (`processes.py`). Vectorised over customers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAYS_PER_YEAR = 365.25
DAYS_PER_WEEK = 7.0
_OPENS, _OPEN_HOURS = 8, 12


@dataclass(frozen=True)
class Season:
    """A yearly curve of the purchase intensity, 1 + amplitude · cos(2π (t - peak) / 365.25), of mean 1.

    `amplitude` in [0, 1), 0 for no season; `peak` and all times in days since the shop opened. A process with constant
    intensity on the clock Λ(t) = ∫ intensity has this intensity in t. A season is therefore a change of the clock.
    """

    amplitude: float
    peak: float

    def clock(self, day: float | Floats) -> Floats:
        """Λ(t), in days; Λ(0) = 0."""
        angle = 2.0 * np.pi / DAYS_PER_YEAR
        swing = np.sin(angle * (np.asarray(day) - self.peak)) + np.sin(angle * self.peak)
        return np.asarray(day + self.amplitude / angle * swing, dtype=np.float64)

    def day(self, clock: Floats, days: int) -> Floats:
        """The day on which the clock shows these values, within `days` of the opening; linear within a day."""
        grid = np.arange(days + 1, dtype=np.float64)
        return np.interp(clock, self.clock(grid), grid)


NO_SEASON = Season(0.0, peak=0.0)


def numbered(counts: Integers) -> tuple[Integers, Integers]:
    """Owner and place of so many things per owner: 2, 0, 1 of them are (0, 0), (0, 1), (2, 0)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def random_times(
    rng: np.random.Generator, counts: Integers, starts: Floats, ends: Floats
) -> tuple[Integers, Integers, Floats]:
    """Customer, place and time of so many events per customer between two times, each customer's in order.

    Given their number, the times of a Poisson process are uniform.
    """
    customer, place = numbered(counts)
    time = rng.uniform(starts[customer], ends[customer])
    return customer, place, time[np.lexsort((time, customer))]


def opening_hours(day: Floats) -> Integers:
    """Seconds since midnight of day 0, the fraction of the day compressed into the opening hours, 8 to 20 o'clock."""
    whole = np.floor(day)
    return (whole * 86_400 + _OPENS * 3_600 + np.floor((day - whole) * _OPEN_HOURS * 3_600)).astype(np.int64)


def moments(start: date, seconds: Floats | Integers) -> pl.Series:
    """Timestamps in whole seconds, from seconds since the start of the first day."""
    since = np.floor(seconds).astype("timedelta64[s]").astype("timedelta64[ms]")
    return pl.Series(np.datetime64(start, "ms") + since)
