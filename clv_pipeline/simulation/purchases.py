"""When customers buy: the purchase process of BG/NBD, a yearly season, and the hours of the day.

Fader, Hardie & Lee 2005 ("Counting your customers the easy way", Marketing Science 24): each customer buys at a rate of
their own and, after every repeat purchase, leaves for good with a probability of their own. Vectorised over customers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAYS_PER_YEAR = 365.25
_OPENS, _OPEN_HOURS = 8, 12


@dataclass(frozen=True)
class Repeats:
    """The repeat purchases of customers 0, 1, …: `customer` and `time` of each, in this order; and who `left`.

    `left` has one value per customer: whether they decided to leave after their last repeat purchase.
    """

    customer: Integers
    time: Floats
    left: NDArray[np.bool_]


def repeat_purchases(
    rng: np.random.Generator, first: Floats, end: float, rate: Floats, leave_probability: Floats
) -> Repeats:
    """Draw the repeat purchases in (first, end) of customers who first bought at `first`.

    `first`, `end` and the rate (purchases per unit while active) share any unit of time; one value per customer.
    """
    customers = len(first)
    repeats = rng.poisson(rate * (end - first))
    # The floor keeps the draw defined where a beta variate underflowed to 0: nobody makes 10⁹ purchases.
    until_left = rng.geometric(np.maximum(leave_probability, 1e-9))
    # Given their number, the times of a Poisson process are uniform; the earliest happen before the customer leaves.
    who = np.repeat(np.arange(customers), repeats)
    when = rng.uniform(first[who], end)
    when = when[np.lexsort((when, who))]
    place = np.arange(len(who)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    kept = place < until_left[who]
    return Repeats(who[kept], when[kept], until_left <= repeats)


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


def opening_hours(day: Floats) -> Integers:
    """Seconds since midnight of day 0, the fraction of the day compressed into the opening hours, 8 to 20 o'clock."""
    whole = np.floor(day)
    return (whole * 86_400 + _OPENS * 3_600 + np.floor((day - whole) * _OPEN_HOURS * 3_600)).astype(np.int64)
