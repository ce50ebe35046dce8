"""The one generator of purchases: who arrives when, comes back by their process, and spends how much.

`simulate_shop`, `SeededShop` and the lines of measurements draw from here and differ in what they write down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clv_pipeline.simulation.processes import Lives, ParetoNbdProcess, Process
from clv_pipeline.simulation.purchases import Floats, Integers, Season
from clv_pipeline.simulation.spend import LognormalSpend, Spend

LATE_NOVEMBER = 330
"""Day of the year at which seasons peak unless another is asked for."""


@dataclass(frozen=True)
class Buyers:
    """How the customers of a shop buy: their process, their spend, and the season that moves them all.

    `season`: amplitude of the yearly curve of first and repeat purchases in [0, 1), highest on `peak_day` of the year.
    ValueError when it is none.
    """

    process: Process = field(default_factory=ParetoNbdProcess)
    spend: Spend = field(default_factory=LognormalSpend)
    season: float = 0.0
    peak_day: int = LATE_NOVEMBER

    def __post_init__(self) -> None:
        if not 0.0 <= self.season < 1.0:
            raise ValueError("season should lie in [0, 1)")

    def season_from(self, start: date) -> Season:
        """The season of a shop that opens on this day."""
        return Season(self.season, self.peak_day - start.timetuple().tm_yday)


class Streams(NamedTuple):
    """What draws each part of the purchases; streams of their own where a part is to be changed alone."""

    arrivals: np.random.Generator
    lives: np.random.Generator
    times: np.random.Generator
    spend: np.random.Generator


@dataclass(frozen=True)
class Exposure:
    """Whom a shop meets and for how long: first purchases come evenly between `opens` and `closes`.

    Both on the clock of the season, so that it moves first purchases like all others. `days`: until when everybody is
    watched. `effect` has one value per customer, which multiplies the rate of purchases.
    """

    opens: float
    closes: float
    days: int
    effect: Floats

    def arrived(self, rng: np.random.Generator) -> Floats:
        """Draw when each customer first buys, on the clock of the season."""
        return rng.uniform(self.opens, self.closes, size=len(self.effect))


@dataclass(frozen=True)
class Purchases:
    """The purchases of customers 0, 1, … in the order of time, and what drove them.

    One value per purchase: `customer`, `day` (since the opening, with its fraction), `spend`. One per customer:
    `lives`, `active_until` (the day they left on, or the end), `left` (for good), `mean_spend` (expected, each time).
    """

    customer: Integers
    day: Floats
    spend: Floats
    lives: Lives
    active_until: Floats
    left: NDArray[np.bool_]
    mean_spend: Floats


def draw_purchases(streams: Streams, buyers: Buyers, season: Season, exposure: Exposure) -> Purchases:
    """Draw what the customers of an exposure buy, the first purchases included."""
    arrived = exposure.arrived(streams.arrivals)
    lives = buyers.process.lives(streams.lives, exposure.effect)
    repeats = buyers.process.repeats(streams.times, lives, arrived, season, exposure.days)
    customer = np.concatenate([np.arange(len(arrived)), repeats.customer])
    day = np.concatenate([season.day(arrived, exposure.days), repeats.day])
    spend, mean_spend = buyers.spend.draw(streams.spend, lives, customer, day)
    by_time = np.argsort(day, kind="stable")
    return Purchases(
        customer=customer[by_time],
        day=day[by_time],
        spend=spend[by_time],
        lives=lives,
        active_until=repeats.active_until,
        left=repeats.left,
        mean_spend=mean_spend,
    )
