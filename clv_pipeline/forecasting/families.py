"""The families of forecasts by name: the process of each, and what it learns about single customers."""

from __future__ import annotations

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.boosted import HybridBoosted
from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie
from clv_pipeline.forecasting.correction import Correction, PieceRows
from clv_pipeline.forecasting.family import Family, linear_correction
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.mbg_nbd import MbgNbd
from clv_pipeline.forecasting.neural import HybridNeural
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.regular_nbd import RegularNbd, estimate_k


class BgNbdPath(Family):
    """BG/NBD on the shop's clock, at the total of the cohort table."""

    name = "bg_nbd"

    def process(self, ground: Ground) -> BuyTillYouDie:
        """BG/NBD."""
        return BgNbd()


class MbgNbdPath(Family):
    """MBG/NBD on the shop's clock, at the total of the cohort table."""

    name = "mbg_nbd"

    def process(self, ground: Ground) -> BuyTillYouDie:
        """MBG/NBD."""
        return MbgNbd()


class ParetoNbdPath(Family):
    """Pareto/NBD on the shop's clock, at the total of the cohort table."""

    name = "pareto_nbd"

    def process(self, ground: Ground) -> BuyTillYouDie:
        """Pareto/NBD."""
        return ParetoNbd()


class RegularNbdPath(Family):
    """MBG/CNBD-k on the shop's clock, at the total of the cohort table; k is the regularity of current customers."""

    name = "regular_nbd"

    def process(self, ground: Ground) -> BuyTillYouDie:
        """MBG/CNBD-k; MBG/NBD where no customer is known at the cutoff."""
        customers = ground.training.current_customers
        if customers.is_empty():
            return RegularNbd()
        gaps = (floats(customers, name) for name in ("mean_gap_days", "gap_deviation_days", "frequency"))
        return RegularNbd(estimate_k(*gaps))


class Hybrid(Family):
    """Pareto/NBD with a linear individual correction."""

    name = "hybrid"

    def process(self, ground: Ground) -> BuyTillYouDie:
        """Pareto/NBD."""
        return ParetoNbd()

    def learn_correction(self, ground: Ground, rows: PieceRows) -> Correction:
        """Learn Poisson ridges with the process as offset."""
        return linear_correction(ground, rows)


FAMILIES: tuple[type[Family], ...] = (
    Hybrid,
    ParetoNbdPath,
    MbgNbdPath,
    BgNbdPath,
    RegularNbdPath,
    HybridBoosted,
    HybridNeural,
)
"""All families. `evaluation.choice` says which one is preferred when there is little evidence."""
