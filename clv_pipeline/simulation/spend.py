"""What a purchase of a made-up shop is worth: Gamma-Gamma or lognormal, a choice like the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clv_pipeline.simulation.processes import Lives, require_positive
from clv_pipeline.simulation.purchases import Floats, Integers


class Spend(Protocol):
    """What purchases are worth."""

    def draw(self, rng: np.random.Generator, lives: Lives, customer: Integers, day: Floats) -> tuple[Floats, Floats]:
        """The spend of every purchase, and what each customer is expected to spend per purchase."""
        ...


@dataclass(frozen=True)
class GammaGammaSpend:
    """Gamma-Gamma (Fader, Hardie & Lee 2005, "RFM and CLV", J. of Marketing Research 42) of p, q and v (money).

    A purchase is Gamma(p, rate ν) with the customer's own ν ~ Gamma(q, rate v). ValueError when a parameter is not
    possible.
    """

    p: float = 6.0
    q: float = 4.0
    v: float = 15.0

    def __post_init__(self) -> None:
        require_positive({"p": self.p, "q": self.q, "v": self.v})

    @property
    def mean(self) -> float:
        """Expected spend per purchase over customers, v p / (q - 1); infinite for q up to 1."""
        return self.v * self.p / (self.q - 1.0) if self.q > 1.0 else float("inf")

    def draw(self, rng: np.random.Generator, lives: Lives, customer: Integers, day: Floats) -> tuple[Floats, Floats]:
        """The spend of every purchase, and what each customer is expected to spend per purchase: p / ν."""
        usual = self.p * self.v / rng.gamma(self.q, size=len(lives.weekly_rate))
        # Drawn in the order of time.
        by_time = np.argsort(day, kind="stable")
        spend = np.empty(len(customer))
        spend[by_time] = rng.gamma(self.p, usual[customer[by_time]] / self.p)
        return spend, usual


@dataclass(frozen=True)
class LognormalSpend:
    """`median`: of what customers usually spend, in money; it has a tail as heavy as is asked for.

    `between`, `within`: standard deviations of the logarithm of it between customers, and of a customer's purchases
    around it. `with_rate`: by how much the logarithm of a customer's spend moves with that of the customer's rate.
    ValueError when the median is not positive.
    """

    median: float = 25.0
    between: float = 0.6
    within: float = 0.5
    with_rate: float = 0.0

    def __post_init__(self) -> None:
        require_positive({"median": self.median})

    def draw(self, rng: np.random.Generator, lives: Lives, customer: Integers, day: Floats) -> tuple[Floats, Floats]:
        """The spend of every purchase, and what each customer is expected to spend per purchase."""
        usual = np.log(self.median) + self.between * rng.normal(size=len(lives.weekly_rate))
        usual += self.with_rate * np.log(lives.relative_rate)
        spend = np.exp(usual[customer] + self.within * rng.normal(size=len(customer)))
        return spend, np.exp(usual + 0.5 * self.within**2)
