"""Seeded shops whose forecasts can be judged, because what comes after a cutoff is made up as well.

Purchases are those of `buyers.py`, by default Pareto/NBD with lognormal spend. Shops differ as real ones do: by
acquisition that changes, a yearly season, gaps that are regular (Erlang), customers who buy once and never again, a
heavy tail of orders. One seed, one shop. Spend and purchases draw from streams of their own, and so do customers from
before and after the change of acquisition: shops that differ in it alone share their history until then.

Time is cut into days by the pipeline, so that two purchases of one day become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import polars as pl

from clv_pipeline.simulation.buyers import Buyers, Exposure, Streams, draw_purchases
from clv_pipeline.simulation.processes import ParetoNbdProcess
from clv_pipeline.simulation.purchases import DAYS_PER_WEEK, Floats, moments, opening_hours
from clv_pipeline.simulation.spend import LognormalSpend


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
        season = self.buyers.season_from(self.start)
        for streams, exposure in self._arrivals(seed):
            drawn = draw_purchases(streams, self.buyers, season, exposure)
            parts.append(pl.DataFrame({"customer": known + drawn.customer, "day": drawn.day, "amount": drawn.spend}))
            known += len(exposure.effect)
        purchases = pl.concat(parts).sort("day", "customer")
        return purchases.select(
            order_id=pl.format("o{}", pl.int_range(pl.len())),
            customer_id=pl.format("c{}", pl.col("customer")),
            ordered_at=moments(self.start, opening_hours(purchases["day"].to_numpy())),
            amount=pl.max_horizontal(pl.col("amount").round(2), 0.01),
        )

    @property
    def is_foreseeable(self) -> bool:
        """Whether what is to be expected of customers follows from their rates and from who is still there."""
        return isinstance(self.buyers.process, ParetoNbdProcess) and self.buyers.process.regularity == 1

    def foreseeable(self, seed: int, horizon_days: int) -> float:
        """Expected purchase days, within so many days after `as_of`, of those known at its end.

        This is the expectation of somebody who knows every customer's rates and who is still there. What comes differs
        from it by chance alone: no forecast can know better.

        Raises:
            ValueError: the shop is not foreseeable.
        """
        if not self.is_foreseeable:
            raise ValueError(
                "what comes next depends on past purchases, which are not known here, unless customers"
                " are those of Pareto/NBD and not regular"
            )
        season, now = self.buyers.season_from(self.start), float(self.as_of + 1)
        ends: Floats = now + np.arange(horizon_days + 1, dtype=np.float64)
        intensity = np.diff(season.clock(ends))
        expected = 0.0
        for streams, exposure in self._arrivals(seed):
            first = season.day(exposure.arrived(streams.arrivals), self.days)
            lives = self.buyers.process.lives(streams.lives, exposure.effect)
            there = (first < now) & (first + lives.stay_days > now)
            rate, leaving = lives.daily_rate[there, np.newaxis], lives.leaving[there, np.newaxis] / DAYS_PER_WEEK
            alive = np.exp(-leaving * (ends[:-1] + 0.5 - now))
            expected += float(np.sum(alive * -np.expm1(-rate * intensity)))
        return expected

    def _arrivals(self, seed: int) -> list[tuple[Streams, Exposure]]:
        """Whom the shop meets before and after the change of acquisition, and what draws their purchases."""
        early, late = np.random.default_rng(seed).spawn(2)
        season = self.buyers.season_from(self.start)
        change, end = (float(season.clock(day)) for day in (self.acquisition_days, self.days))
        arrivals = [(early, 0.0, change, self.customers)]
        if end > change:
            arrivals.append((late, change, end, round(self.later * self.customers * (end - change) / change)))
        return [
            (Streams(rng, *rng.spawn(3)), Exposure(opens, closes, self.days, np.ones(customers)))
            for rng, opens, closes, customers in arrivals
        ]


_ACQUISITION = {"constant": 1.0, "tripled": 3.0, "fifth": 0.2}
SEEDED_SHOPS: Mapping[str, SeededShop] = {
    **{f"plain_{name}": SeededShop(later=later) for name, later in _ACQUISITION.items()},
    **{f"seasonal_{name}": SeededShop(Buyers(season=0.6), later=later) for name, later in _ACQUISITION.items()},
    # Nobody new for years, and customers who stay.
    "mature": SeededShop(
        Buyers(ParetoNbdProcess(r=2.0, alpha=30.0, s=0.5, beta=300.0), season=0.8, peak_day=320),
        customers=600,
        acquisition_days=365,
        later=0.0,
        as_of=1_734,
        days=2_100,
        start=date(2018, 1, 1),
    ),
    "regular": SeededShop(
        Buyers(ParetoNbdProcess(r=4.0, alpha=20.0, s=0.8, beta=40.0, regularity=4)),
        customers=3_000,
        acquisition_days=700,
        as_of=730,
        days=1_096,
    ),
    "one_time": SeededShop(
        Buyers(ParetoNbdProcess(r=1.0, alpha=20.0, s=0.6, beta=20.0, one_time=0.945)),
        customers=12_000,
        acquisition_days=800,
        as_of=800,
        days=1_166,
    ),
    "young": SeededShop(customers=1_500, acquisition_days=60, as_of=59, days=425),
    "business": SeededShop(
        Buyers(
            ParetoNbdProcess(r=1.2, alpha=6.0, beta=40.0),
            LognormalSpend(median=300.0, between=1.5, within=0.8, with_rate=0.3),
        ),
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
