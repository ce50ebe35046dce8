"""The hiatus rule: who has been idle for longer than c days is gone. The yardstick of purchase probabilities.

Wübben & Wangenheim 2008 (J. of Marketing 72, "Instant customer base analysis"): managers' rule, hard to beat. Here c
is learned on completed windows, and the share of buyers on either side of it is the probability.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.learned import Flags, LearnedModel, Prediction, bought, one_outcome, share_of_buyers
from clv_pipeline.forecasting.protocol import Target

_CANDIDATES = 100


class HiatusRule(LearnedModel):
    """Inactive when idle for longer than c days, c being the cut whose two shares of buyers have the best Brier score.

    The share of rightly classified customers, as in the paper, would choose "everybody is inactive" wherever fewer
    than half of the customers come back.
    """

    name: ClassVar[str] = "hiatus"
    targets: ClassVar[frozenset[Target]] = frozenset({"purchase"})
    is_baseline: ClassVar[bool] = True

    def learn(self, rows: pl.DataFrame) -> "Hiatus":
        """Choose c among the percentiles of idle time; of equally good ones the shortest."""
        idle, buyers = floats(rows, "days_since_last"), bought(rows)
        candidates = np.unique(np.quantile(idle, np.linspace(0.0, 1.0, _CANDIDATES + 1), method="lower"))
        sides = [_shares(buyers, idle <= days) for days in candidates]
        brier = [
            float(np.mean((np.where(idle <= days, *side) - buyers) ** 2))
            for days, side in zip(candidates, sides, strict=True)
        ]
        best = int(np.argmin(brier))
        return Hiatus(float(candidates[best]), *sides[best], brier[best], one_outcome(buyers))


@dataclass(frozen=True)
class Hiatus:
    """The cut c in days, the probabilities on either side of it, and their Brier score in the training rows."""

    days: float
    p_active: float
    p_inactive: float
    brier: float
    obstacle: str

    @property
    def parameters(self) -> dict[str, Any]:
        """The cut, both probabilities and their Brier score."""
        return {
            "hiatus_days": self.days,
            "p_purchase_active": self.p_active,
            "p_purchase_inactive": self.p_inactive,
            "brier": self.brier,
        }

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Give every customer the probability of their side."""
        active = floats(customers, "days_since_last") <= self.days
        return Prediction(p_purchase=np.where(active, self.p_active, self.p_inactive))


def _shares(buyers: Flags, active: Flags) -> tuple[float, float]:
    """Shares of buyers among the active and the inactive, shrunk by one customer of the whole: never 0 or 1."""
    whole = share_of_buyers(buyers)
    active_share, inactive_share = ((buyers[side].sum() + whole) / (side.sum() + 1.0) for side in (active, ~active))
    return float(active_share), float(inactive_share)
