"""How the customers of a made-up shop come back and leave: a process is a choice, the rest of the shop is not.

BG/NBD (Fader, Hardie & Lee 2005, "Counting your customers the easy way", Marketing Science 24): a customer leaves for
good after a repeat purchase. Pareto/NBD (Schmittlein, Morrison & Colombo 1987, Management Science 33): at any moment.
Both buy at an own rate while they are there, Gamma(r, alpha), alpha in weeks. Another process is another class here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from clv_pipeline.simulation.purchases import DAYS_PER_WEEK, Floats, Integers, Season, random_times

_ALMOST_0 = 1e-12


@dataclass(frozen=True)
class Lives:
    """What customers 0, 1, … are like; one value each.

    `weekly_rate`: purchases per week while active. `relative_rate`: the same as a multiple of the mean of all, above 0.
    `leaving`: how fast they leave, as their process means it. `stay_days`: for how long they stay at most.
    """

    weekly_rate: Floats
    relative_rate: Floats
    leaving: Floats
    stay_days: Floats

    @property
    def daily_rate(self) -> Floats:
        """Purchases per day while active."""
        return self.weekly_rate / DAYS_PER_WEEK


@dataclass(frozen=True)
class Repeats:
    """The repeat purchases of customers 0, 1, …: `customer` and `day` of each; and how long each was active.

    One value per customer: `active_until`, the day they left on or that of the end; `left` for good before the end.
    """

    customer: Integers
    day: Floats
    active_until: Floats
    left: NDArray[np.bool_]


class Process(Protocol):
    """How customers come back and leave."""

    @property
    def leaving(self) -> str:
        """What `Lives.leaving` is, as the name of a column."""
        ...

    def lives(self, rng: np.random.Generator, effect: Floats) -> Lives:
        """Draw customers; `effect` multiplies the rate of each of them."""
        ...

    def repeats(self, rng: np.random.Generator, lives: Lives, arrived: Floats, season: Season, days: int) -> Repeats:
        """Draw what they buy until day `days` after a first purchase at `arrived`, on the clock of the season."""
        ...


@dataclass(frozen=True)
class BgNbdProcess:
    """BG/NBD; after a repeat purchase a customer leaves with an own probability, Beta(a, b).

    ValueError when a parameter is not possible.
    """

    r: float = 0.7
    alpha: float = 10.0
    a: float = 0.8
    b: float = 2.5
    leaving: ClassVar[str] = "leave_probability"

    def __post_init__(self) -> None:
        require_positive({name: getattr(self, name) for name in ("r", "alpha", "a", "b")})

    def lives(self, rng: np.random.Generator, effect: Floats) -> Lives:
        """Draw customers; `effect` multiplies the rate of each of them."""
        customers = len(effect)
        rate = rng.gamma(self.r, 1.0 / self.alpha, size=customers) * effect
        probability = rng.beta(self.a, self.b, size=customers)
        relative = np.maximum(rate, _ALMOST_0) * self.alpha / self.r
        return Lives(rate, relative, probability, stay_days=np.full(customers, np.inf))

    def repeats(self, rng: np.random.Generator, lives: Lives, arrived: Floats, season: Season, days: int) -> Repeats:
        """Draw what they buy until day `days` after a first purchase at `arrived`, on the clock of the season."""
        end = season.clock(days)
        counts = rng.poisson(lives.daily_rate * (end - arrived))
        # The floor keeps the draw defined where a beta variate underflowed to 0: nobody makes 10⁹ purchases.
        until_left = rng.geometric(np.maximum(lives.leaving, 1e-9))
        customer, place, time = random_times(rng, counts, arrived, np.broadcast_to(end, arrived.shape))
        # The earliest happen before the customer leaves.
        kept = place < until_left[customer]
        customer, day = customer[kept], season.day(time[kept], days)
        last_day = season.day(arrived, days)
        np.maximum.at(last_day, customer, day)
        left = until_left <= counts
        return Repeats(customer, day, np.where(left, last_day, float(days)), left)


@dataclass(frozen=True)
class ParetoNbdProcess:
    """Pareto/NBD; a customer leaves at an own rate, Gamma(s, beta), beta in weeks, by the calendar.

    `regularity`: shape k of the Erlang gaps between purchases, 1 for no rhythm. `one_time`: share of customers who
    leave with their first purchase. ValueError when a parameter is not possible.
    """

    r: float = 0.55
    alpha: float = 10.6
    s: float = 0.6
    beta: float = 11.7
    regularity: int = 1
    one_time: float = 0.0
    leaving: ClassVar[str] = "weekly_leave_rate"

    def __post_init__(self) -> None:
        require_positive({name: getattr(self, name) for name in ("r", "alpha", "s", "beta", "regularity")})
        if not 0.0 <= self.one_time <= 1.0:
            raise ValueError("one_time should lie in [0, 1]")

    def lives(self, rng: np.random.Generator, effect: Floats) -> Lives:
        """Draw customers; `effect` multiplies the rate of each of them."""
        customers = len(effect)
        rate = rng.gamma(self.r, 1.0 / self.alpha, size=customers) * effect
        leaving = rng.gamma(self.s, 1.0 / self.beta, size=customers)
        # An exponential time is compared with its rate instead of divided by it: the rate may underflow to 0.
        stay_days = rng.exponential(size=customers) / np.maximum(leaving / DAYS_PER_WEEK, _ALMOST_0)
        stay_days[rng.uniform(size=customers) < self.one_time] = 0.0
        relative = np.maximum(rate / DAYS_PER_WEEK, _ALMOST_0) * self.alpha * DAYS_PER_WEEK / self.r
        return Lives(rate, relative, leaving, stay_days)

    def repeats(self, rng: np.random.Generator, lives: Lives, arrived: Floats, season: Season, days: int) -> Repeats:
        """Draw what they buy until day `days` after a first purchase at `arrived`, on the clock of the season."""
        first, end = season.day(arrived, days), float(days)
        leaves_on = first + lives.stay_days
        until = np.minimum(leaves_on, end)
        # Every k-th event of a Poisson process of k times the rate has Erlang gaps.
        starts, ends = season.clock(first), season.clock(until)
        counts = rng.poisson(self.regularity * lives.daily_rate * (ends - starts))
        customer, place, time = random_times(rng, counts, starts, ends)
        kept = place % self.regularity == self.regularity - 1
        return Repeats(customer[kept], season.day(time[kept], days), until, leaves_on < end)


def require_positive(parameters: Mapping[str, float]) -> None:
    """Parameters are above 0.

    Raises:
        ValueError: some are not; names them.
    """
    if wrong := [f"{name} = {value}" for name, value in parameters.items() if not value > 0.0]:
        raise ValueError(f"should be positive: {', '.join(wrong)}")
