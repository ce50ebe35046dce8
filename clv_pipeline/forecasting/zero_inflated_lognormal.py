"""The zero-inflated lognormal distribution of what a customer brings: its bounds, its likelihood, its means.

Wang, Liu & Miao (2019), "A deep probabilistic model for customer lifetime value prediction", arXiv 1912.07753: a
probability of buying, and a lognormal spend of those who do. Their purchases are counted beside it, as 1 + Poisson.
Functions take `xp`, numpy or jax.numpy, so that training and forecasting share one text.
"""

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.learned import Prediction, bought, share_of_buyers

MU_LIMIT = 6.0
SIGMA_RANGE = (0.1, 1.5)
"""Mean and standard deviation of a customer's log spend, in standard deviations of all buyers: no tail runs away."""
LOG_RATE_LIMIT = 8.0


class Distribution(NamedTuple):
    """The outcome distribution of n customers, each of shape (n,); `mu` and `sigma` of the standardised log spend."""

    logit: Any
    mu: Any
    sigma: Any
    log_rate: Any

    @classmethod
    def of(cls, heads: Any, xp: ModuleType) -> "Distribution":
        """Bound the four unbounded outputs of a network, shape (n, 4): no loss and no forecast can explode."""
        logit, mu, sigma, log_rate = (heads[:, head] for head in range(4))
        low, high = SIGMA_RANGE
        return cls(
            logit,
            MU_LIMIT * xp.tanh(mu / MU_LIMIT),
            low + (high - low) * _logistic(sigma, xp),
            LOG_RATE_LIMIT * xp.tanh(log_rate / LOG_RATE_LIMIT),
        )


class Outcomes(NamedTuple):
    """What n customers did, each of shape (n,): bought and spent (0 or 1), log spend, purchases after the first."""

    bought: Any
    spent: Any
    log_spend: Any
    further_purchases: Any


def loss(said: Distribution, came: Outcomes, xp: ModuleType) -> Any:
    """Negative log likelihood of every outcome up to constants, shape (n,).

    Who bought but got the money back counts as a buyer and says nothing about spend.
    """
    purchase = xp.logaddexp(0.0, said.logit) - came.bought * said.logit
    spend = xp.log(said.sigma) + 0.5 * ((came.log_spend - said.mu) / said.sigma) ** 2
    purchases = xp.exp(said.log_rate) - came.further_purchases * said.log_rate
    return purchase + came.spent * spend + came.bought * purchases


@dataclass(frozen=True)
class Scale:
    """The training rows in a few numbers: units of the money, and what is true of the average customer.

    `center`, `spread`: mean and standard deviation of log spend; `largest_spend` of any customer in the horizon;
    `share_of_buyers`; `further_purchases` after the first, per buyer.
    """

    center: float
    spread: float
    largest_spend: float
    share_of_buyers: float
    further_purchases: float

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Scale":
        """Measure completed windows in which somebody bought and money was spent."""
        spend, buyers = floats(rows, "actual_spend"), bought(rows)
        logs = np.log(spend[spend > 0.0])
        further = floats(rows, "actual_purchases")[buyers] - 1.0
        return cls(
            center=float(logs.mean()),
            # Equal amounts have no spread; any unit will do for them.
            spread=float(logs.std()) or 1.0,
            largest_spend=float(spend.max()),
            share_of_buyers=share_of_buyers(buyers),
            further_purchases=float(np.clip(further.mean(), 0.01, 1000.0)),  # within what log_rate can say
        )

    @property
    def average_heads(self) -> Floats:
        """Outputs of a network, shape (4,), that say the average customer to everybody."""
        low, high = SIGMA_RANGE
        unit_sigma = (1.0 - low) / (high - low)
        log_rate = math.log(self.further_purchases) / LOG_RATE_LIMIT
        return np.array([_logit(self.share_of_buyers), 0.0, _logit(unit_sigma), LOG_RATE_LIMIT * math.atanh(log_rate)])

    def outcomes(self, rows: pl.DataFrame) -> Outcomes:
        """Outcomes of completed windows in these units; 0 where a likelihood does not look."""
        spend, buyers = floats(rows, "actual_spend"), bought(rows)
        spent = spend > 0.0
        logs = np.log(np.where(spent, spend, 1.0))
        return Outcomes(
            bought=buyers.astype(np.float64),
            spent=spent.astype(np.float64),
            log_spend=np.where(spent, (logs - self.center) / self.spread, 0.0),
            further_purchases=np.where(buyers, floats(rows, "actual_purchases") - 1.0, 0.0),
        )

    def expected(self, said: Distribution) -> Prediction:
        """Means of the distribution: p, p (1 + rate) and p exp(mu + sigma²/2).

        What a buyer is expected to spend is at most what the best customer of the training windows spent.
        """
        p_purchase = _logistic(said.logit, np)
        log_mean = self.center + self.spread * said.mu + (self.spread * said.sigma) ** 2 / 2.0
        spend = np.exp(np.minimum(log_mean, math.log(self.largest_spend)))
        return Prediction(
            purchases=p_purchase * (1.0 + np.exp(said.log_rate)), spend=p_purchase * spend, p_purchase=p_purchase
        )


def _logistic(x: Any, xp: ModuleType) -> Any:
    return 0.5 * (1.0 + xp.tanh(0.5 * x))  # exp(-x) would overflow


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))
