"""Seeded shops whose forecasts can be judged, because the time after a cutoff is simulated, too.

Pareto/NBD buyers (Schmittlein, Morrison & Colombo 1987): a rate of buying while active ~ Gamma(r, alpha), a time until
they leave for good ~ Exponential with a rate ~ Gamma(s, beta), both in weeks. Real shops differ in further ways, which
can be added: acquisition that changes, a yearly season, regular gaps (Erlang), customers who buy only once, orders with
a heavy tail. One seed, one shop. Spend and purchases have separate random streams, and so do customers from before and
after the change of acquisition: shops that differ only in the change share their history until then.

A season multiplies the intensity of first and repeat purchases; customers leave by the calendar. The pipeline cuts time
into days, so that two purchases of one day become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl

from clv_pipeline.simulation.purchases import Floats, Integers, Season, opening_hours

DAYS_PER_WEEK = 7.0
LATE_NOVEMBER = 330
"""Day of the year on which the seasons of `SEEDED_SHOPS` peak."""


@dataclass(frozen=True)
class Buyers:
    """How the customers of a shop buy.

    `r`, `alpha` (weeks): the gamma of purchase rates; `s`, `beta` (weeks): the gamma of rates of leaving.
    `regularity`: shape k of the Erlang gaps between purchases, 1 for no rhythm. `one_time`: share of customers who
    leave with their first purchase. `spend`: median of customers' usual spend; `spend_between`, `spend_within`:
    standard deviations of its logarithm between customers, and between the purchases of a customer. `spend_with_rate`:
    change of the log of a customer's spend with the log of the customer's rate. `season`: amplitude of the yearly curve
    in [0, 1), highest on `peak_day` of the year.

    Raises:
        ValueError: the parameters are not possible ones.
    """

    r: float = 0.55
    alpha: float = 10.6
    s: float = 0.6
    beta: float = 11.7
    regularity: int = 1
    one_time: float = 0.0
    spend: float = 25.0
    spend_between: float = 0.6
    spend_within: float = 0.5
    spend_with_rate: float = 0.0
    season: float = 0.0
    peak_day: int = LATE_NOVEMBER

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("r", "alpha", "s", "beta", "regularity", "spend")}
        if wrong := [f"{name} = {value}" for name, value in positive.items() if not value > 0.0]:
            raise ValueError(f"should be positive: {', '.join(wrong)}")
        if not (0.0 <= self.season < 1.0 and 0.0 <= self.one_time <= 1.0):
            raise ValueError("season should lie in [0, 1), one_time in [0, 1]")


@dataclass(frozen=True)
class SeededShop:
    """A shop to be simulated; days count from its opening on `start`, day 0.

    `customers` arrive within the first `acquisition_days`; afterwards new ones arrive at `later` times that pace.
    `as_of`: the day of the forecast; `days`: length of the observation, holdout included.
    """

    buyers: Buyers = field(default_factory=Buyers)
    customers: int = 10_000
    acquisition_days: int = 1_000
    later: float = 1.0
    as_of: int = 1_090
    days: int = 1_271
    start: date = date(2022, 1, 1)

    def __post_init__(self) -> None:
        if self.customers < 1 or not 0 < self.acquisition_days <= self.days or self.later < 0.0:
            raise ValueError("should be at least 1 customer, acquisition_days in 1..days, and later not negative")

    @property
    def cutoff(self) -> date:
        """The day of `as_of`."""
        return self.start + timedelta(days=self.as_of)

    def transactions(self, seed: int) -> pl.DataFrame:
        """One row per purchase in chronological order: order_id, customer_id, ordered_at, amount (whole cents)."""
        parts, known = [], 0
        for rng, first in self._arrivals(seed):
            customer, day, spend = _purchases(rng, self.buyers, self._season, first, float(self.days))
            parts.append(pl.DataFrame({"customer": known + customer, "day": day, "amount": spend}))
            known += len(first)
        purchases = pl.concat(parts).sort("day", "customer")
        seconds = pl.Series(opening_hours(purchases["day"].to_numpy())).cast(pl.Duration("ms")) * 1_000
        return purchases.select(
            order_id=pl.format("o{}", pl.int_range(pl.len())),
            customer_id=pl.format("c{}", pl.col("customer")),
            ordered_at=pl.lit(self.start).cast(pl.Datetime("ms")) + seconds,
            amount=pl.max_horizontal(pl.col("amount").round(2), 0.01),
        )

    def foreseeable(self, seed: int, horizon_days: int) -> float:
        """Expected purchase days of customers known at the end of `as_of`, within this many days after it.

        The expectation knows every customer's rates and who is still there. The actual number differs from it by chance
        alone, and no forecast can do better.

        Raises:
            ValueError: the shop has a rhythm.
        """
        if self.buyers.regularity != 1:
            raise ValueError("what regular customers do next depends on their last purchases, which are not known here")
        now = float(self.as_of + 1)
        ends: Floats = now + np.arange(horizon_days + 1, dtype=np.float64)
        intensity = np.diff(self._season.clock(ends))
        expected = 0.0
        for rng, first in self._arrivals(seed):
            lives = _Lives.draw(rng.spawn(3)[0], self.buyers, len(first))
            there = (first < now) & (first + lives.lasts > now)
            rate, leaving = lives.rate[there, np.newaxis], lives.leaving[there, np.newaxis]
            alive = np.exp(-leaving * (ends[:-1] + 0.5 - now))
            expected += float(np.sum(alive * -np.expm1(-rate * intensity)))
        return expected

    @property
    def _season(self) -> Season:
        return Season(self.buyers.season, self.buyers.peak_day - self.start.timetuple().tm_yday)

    def _arrivals(self, seed: int) -> list[tuple[np.random.Generator, Floats]]:
        """Days of customers' first purchases, before and after the change of acquisition; the generator left over."""
        early, late = np.random.default_rng(seed).spawn(2)
        season = self._season
        change, end = (float(season.clock(day)) for day in (self.acquisition_days, self.days))
        arrivals = [(early, 0.0, change, self.customers)]
        if end > change:
            arrivals.append((late, change, end, round(self.later * self.customers * (end - change) / change)))
        return [(rng, season.day(rng.uniform(opens, closes, size=n), self.days)) for rng, opens, closes, n in arrivals]


@dataclass(frozen=True)
class _Lives:
    """For each customer: purchases per day, the chance of leaving per day, and days until leaving."""

    rate: Floats
    leaving: Floats
    lasts: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, buyers: Buyers, customers: int) -> _Lives:
        rate = rng.gamma(buyers.r, 1.0 / buyers.alpha, size=customers) / DAYS_PER_WEEK
        leaving = rng.gamma(buyers.s, 1.0 / buyers.beta, size=customers) / DAYS_PER_WEEK
        # An exponential time is compared with its rate, not divided by it: the rate may underflow to 0.
        lasts = rng.exponential(size=customers) / np.maximum(leaving, 1e-12)
        lasts[rng.uniform(size=customers) < buyers.one_time] = 0.0
        return cls(rate, leaving, lasts)


def _purchases(
    rng: np.random.Generator, buyers: Buyers, season: Season, first: Floats, end: float
) -> tuple[Integers, Floats, Floats]:
    """Customer, day and spend of every purchase before `end`, first purchases included."""
    of_rates, of_times, of_spend = rng.spawn(3)
    customers = len(first)
    lives = _Lives.draw(of_rates, buyers, customers)
    until = np.minimum(first + lives.lasts, end)

    # Every k-th event of a Poisson process with k times the rate has Erlang gaps.
    starts, ends = season.clock(first), season.clock(until)
    events = of_times.poisson(buyers.regularity * lives.rate * (ends - starts))
    who = np.repeat(np.arange(customers), events)
    when = of_times.uniform(starts[who], ends[who])
    when = when[np.lexsort((when, who))]
    place = np.arange(len(who)) - np.repeat(np.cumsum(events) - events, events)
    kept = place % buyers.regularity == buyers.regularity - 1
    customer = np.concatenate([np.arange(customers), who[kept]])
    day = np.concatenate([first, season.day(when[kept], int(end))])

    usual = np.log(buyers.spend) + buyers.spend_between * of_spend.normal(size=customers)
    usual += buyers.spend_with_rate * np.log(np.maximum(lives.rate, 1e-12) * buyers.alpha * DAYS_PER_WEEK / buyers.r)
    spend = np.exp(usual[customer] + buyers.spend_within * of_spend.normal(size=len(customer)))
    return customer, day, spend


_ACQUISITION = {"constant": 1.0, "tripled": 3.0, "fifth": 0.2}
SEEDED_SHOPS: Mapping[str, SeededShop] = {
    **{f"plain_{name}": SeededShop(later=later) for name, later in _ACQUISITION.items()},
    **{f"seasonal_{name}": SeededShop(Buyers(season=0.6), later=later) for name, later in _ACQUISITION.items()},
    # Nobody new for years, and customers who stay.
    "mature": SeededShop(
        Buyers(r=2.0, alpha=30.0, s=0.5, beta=300.0, season=0.8, peak_day=320),
        customers=600,
        acquisition_days=365,
        later=0.0,
        as_of=1_734,
        days=2_100,
        start=date(2018, 1, 1),
    ),
    "regular": SeededShop(
        Buyers(r=4.0, alpha=20.0, s=0.8, beta=40.0, regularity=4),
        customers=3_000,
        acquisition_days=700,
        as_of=730,
        days=1_096,
    ),
    "one_time": SeededShop(
        Buyers(r=1.0, alpha=20.0, s=0.6, beta=20.0, one_time=0.945),
        customers=12_000,
        acquisition_days=800,
        as_of=800,
        days=1_166,
    ),
    "young": SeededShop(customers=1_500, acquisition_days=60, as_of=59, days=425),
    "business": SeededShop(
        Buyers(r=1.2, alpha=6.0, beta=40.0, spend=300.0, spend_between=1.5, spend_within=0.8, spend_with_rate=0.3),
        customers=800,
        acquisition_days=900,
        as_of=900,
        days=1_266,
    ),
}
"""The seeded shops on which accuracy is measured; their seeds are in `SEEDS`."""

SEEDS: Mapping[str, tuple[int, ...]] = {
    name: (1, 2, 3, 4, 5) if name.startswith(("plain_", "seasonal_")) else (1,) for name in SEEDED_SHOPS
}
"""The seeds of each of `SEEDED_SHOPS`."""
