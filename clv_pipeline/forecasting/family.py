"""A family of forecasts: a purchase process, perhaps with an individual correction, as one path per customer.

A path combines the `ground`, which describes all customers (season, clock, totals, the process), with the family's
correction for single customers. Every number about a customer, at any day, is read from the path (`paths`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie, ProcessFit
from clv_pipeline.forecasting.correction import (
    MINIMUM_PURCHASES,
    Correction,
    LinearCorrection,
    NoCorrection,
    PieceRows,
)
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.look_ahead import NODES_DAYS, Ahead, look_ahead
from clv_pipeline.forecasting.maximum_likelihood import worst
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import CUSTOMER_COLUMNS, PIECES_DAYS, FitReport, require_columns
from clv_pipeline.forecasting.season import Clock
from clv_pipeline.forecasting.value import ValueModel
from clv_pipeline.forecasting.windows import Seen, fit_value

LEVEL_LIMIT = 0.7
"""The cohort table changes the total of the process by at most exp(± this)."""

UNSEASONAL_WEIGHT = 0.5
"""Weight, on the log scale, of a table with less than a year of history, whose season is unknown."""

_NEXT_ORDER_DAYS = (7, 14, 30, 60, 90, 135, 180, 270, 365, 545, 730, 1095, 1825, 3650)


TOTAL_NOTES = {
    "total_by_process": "The total is what the process expects: there is too little history for more.",
    "total_by_age": "The total is that of the cohorts by age; below a year of history no season is known.",
    "total_by_season": "The total is that of the cohorts by age and season.",
}
"""Source of the total of all customers, by code."""


@dataclass(frozen=True, eq=False)
class FittedFamily:
    """A fitted family; the path of a customer depends only on that customer's row.

    `levels`: log factor of each piece that scales all customers to the total of the cohort table. `hazard`: a and b of
    P(at least one) = P(alive) · (1 - exp(-e^a H^b)), where H is the corrected hazard. `value`: None without money.
    """

    report: FitReport
    process: ProcessFit
    clock: Clock
    cutoff: int
    reactivation: float
    correction: Correction
    levels: Floats
    hazard: tuple[float, float]
    value: ValueModel | None

    def can_forecast(self, horizon_days: int) -> bool:
        """True for any horizon: a path has no end."""
        return True

    def forecast(
        self,
        customers: pl.DataFrame,
        days: Sequence[int],
        annual_discount_rate: float = 0.0,
        *,
        with_outlook: bool = False,
    ) -> Paths:
        """The paths at these days; `with_outlook` extends them to the end of a life and to the next order."""
        require_columns(customers, CUSTOMER_COLUMNS, "customers")
        has_lifetime = with_outlook and annual_discount_rate > 0.0
        extra = (*(_NEXT_ORDER_DAYS if with_outlook else ()), *(NODES_DAYS[-1:] if has_lifetime else ()))
        asked = np.unique([*PIECES_DAYS, *days, *extra])
        ahead = look_ahead(
            self.process,
            self.clock,
            customers,
            self.cutoff,
            asked.tolist(),
            annual_discount_rate,
        ).reactivated(self.reactivation)
        piece = np.searchsorted(PIECES_DAYS, asked, side="left")
        factors = self._factors(customers, ahead, np.searchsorted(asked, PIECES_DAYS))
        of_days = factors[:, np.minimum(piece, factors.shape[1] - 1)]

        def along(cumulative: Floats) -> Floats:
            steps = cumulative.copy()
            steps[:, 1:] -= cumulative[:, :-1]
            np.maximum(steps, 0.0, out=steps)
            steps *= of_days
            return np.cumsum(steps, axis=1, out=steps)

        # At most one purchase day a day.
        purchases = np.minimum(along(ahead.purchases), ahead.alive[:, None] * asked)
        discounted = np.minimum(along(ahead.discounted), ahead.alive[:, None] * ahead.discounted_days)
        discounted = np.minimum(discounted, purchases)
        a, b = self.hazard
        at_least_one = -np.expm1(-np.exp(a) * along(ahead.hazard) ** b)
        p_purchase = np.minimum(ahead.alive[:, None] * at_least_one, purchases)
        worth = self.value.per_purchase(customers) if self.value is not None else None
        wanted = np.searchsorted(asked, days)
        next_order = None
        if with_outlook:
            known = p_purchase[:, np.searchsorted(asked, _NEXT_ORDER_DAYS)]
            next_order = first_passing(known, _NEXT_ORDER_DAYS, 0.5)
        return Paths(
            model=self.report.model,
            customer_id=customers["customer_id"],
            days=tuple(days),
            purchases=purchases[:, wanted],
            p_purchase=p_purchase[:, wanted],
            spend=None if worth is None else worth[:, None] * purchases[:, wanted],
            discounted_spend=None if worth is None else worth[:, None] * discounted[:, wanted],
            p_alive=ahead.alive,
            value=worth,
            lifetime_value=worth * discounted[:, -1] if has_lifetime and worth is not None else None,
            next_order_days=next_order,
        )

    def _factors(self, customers: pl.DataFrame, ahead: Ahead, ends: Any) -> Floats:
        """The factor of each customer in each piece, shape (n, pieces); the last one continues."""
        expected = np.diff(ahead.purchases[:, ends], axis=1, prepend=0.0)
        clock_days = np.diff(ahead.clock[ends], prepend=0.0)
        logs = self.correction.log_factors(customers, ahead.alive, expected, clock_days) + self.levels
        return np.asarray(np.exp(logs), dtype=np.float64)


def first_passing(values: Floats, days: Any, level: float) -> Floats:
    """The day on which ascending values pass the level, linear between days; NaN where they never do: shape (n,)."""
    passed = values >= level
    found = passed.any(axis=1)
    right = np.argmax(passed, axis=1)
    rows = np.arange(len(values))
    low = np.where(right > 0, values[rows, right - 1], 0.0)
    begun = np.where(right > 0, np.asarray(days)[right - 1], 0.0)
    high = values[rows, right]
    share = np.divide(level - low, high - low, out=np.ones_like(low), where=found & (high > low))
    return np.where(found, begun + share * (np.asarray(days)[right] - begun), np.nan)


class Family(ABC):
    """A `ground` process with a correction; subclasses define both."""

    name: ClassVar[str]
    is_baseline: ClassVar[bool] = False

    @abstractmethod
    def process(self, ground: Ground) -> BuyTillYouDie:
        """The process before its fit."""

    @property
    def obstacle(self) -> str:
        """Why this machine cannot learn the correction; empty when it can."""
        return ""

    def learn_correction(self, ground: Ground, rows: PieceRows) -> Correction:
        """Learn the correction from completed windows; the default is none."""
        return NoCorrection()

    def fit(self, ground: Ground) -> FittedFamily:
        """Fit as of the cutoff of the ground. `report.parameters` = {"process", "season", "correction", "value", …}."""
        process = ground.process(self.process(ground))
        seen: Seen = ground.once(("windows", process.process), lambda: Seen.of(ground, process))
        correction: Correction = NoCorrection()
        # Notes by code.
        notes = {}
        if process.note:
            notes["histories_merged" if process.verdict == "ok" else f"process_{process.verdict}"] = process.note
        if self.obstacle:
            notes["cannot_learn_here"] = f"{self.obstacle} The process stands."
        elif seen.rows is not None and np.nansum(seen.rows.came[:, 0]) >= MINIMUM_PURCHASES:
            correction = self.learn_correction(ground, seen.rows)
        elif type(self).learn_correction is not Family.learn_correction:
            few = "Too few purchases in completed windows to learn of single customers: the process stands."
            notes["too_few_purchases"] = few
        levels, basis = _levels(ground, process, correction, seen.reactivation)
        notes[basis] = TOTAL_NOTES[basis]
        logs = seen.log_factors(correction)
        hazard = seen.recalibrated(logs)
        worth: ValueModel | None = None
        if ground.training.has_money:
            worth = seen.money_set_right(ground.once("value", lambda: fit_value(ground)), logs, ground.training.cutoff)
        table = ground.cohorts
        report = FitReport(
            model=self.name,
            as_of=ground.training.cutoff,
            parameters={
                "process": asdict(process.process) | process.parameters,
                "reactivation": seen.reactivation,
                "season": {"amplitude": table.amplitude, "noise": table.noise, "recent": table.recent},
                "levels": dict(zip(map(str, PIECES_DAYS), levels.tolist(), strict=True)),
                "hazard": list(hazard),
                **({"value": worth.parameters} if worth is not None else {}),
                "correction": correction.parameters,
            },
            customers=ground.training.customers,
            verdict=worst([process.verdict, "no_training_data"]) if self.obstacle else process.verdict,
            notes=" ".join(notes.values()),
            codes=tuple(notes),
            standard_errors=process.standard_errors,
            log_likelihood=process.log_likelihood,
        )
        return FittedFamily(
            report, process, ground.clock, ground.cutoff, seen.reactivation, correction, levels, hazard, worth
        )


def linear_correction(ground: Ground, rows: PieceRows) -> LinearCorrection:
    """The linear correction of these rows, learned once for all families that use it."""
    learned: LinearCorrection = ground.once(("linear", rows), lambda: LinearCorrection.learn(rows))
    return learned


def _levels(ground: Ground, process: ProcessFit, correction: Correction, reactivation: float) -> tuple[Floats, str]:
    """Log factor of each piece that scales all customers to the total of the cohort table, and a key of TOTAL_NOTES."""
    current = ground.training.current_customers
    if current.is_empty():
        return np.zeros(len(PIECES_DAYS)), "total_by_process"
    ahead: Ahead = ground.once(
        ("current customers", process.process),
        lambda: look_ahead(process, ground.clock, current, ground.cutoff, PIECES_DAYS).reactivated(reactivation),
    )
    expected = np.diff(ahead.purchases, axis=1, prepend=0.0)
    clock_days = np.diff(ahead.clock, prepend=0.0)
    factors = np.exp(correction.log_factors(current, ahead.alive, expected, clock_days))
    share = np.sum(factors * expected, axis=0) / np.maximum(expected.sum(axis=0), 1e-300)
    table = ground.cohorts
    if not table.is_fitted:
        return -np.log(share), "total_by_process"
    of_process = expected.sum(axis=0) * ground.training.customers / current.height
    of_table = np.diff(ground.totals(PIECES_DAYS), prepend=0.0)
    moved = np.log(np.maximum(of_table, 1e-9) / np.maximum(of_process, 1e-9))
    moved *= 1.0 if table.is_seasonal else UNSEASONAL_WEIGHT
    limited = np.clip(moved, -LEVEL_LIMIT, LEVEL_LIMIT)
    return limited - np.log(share), "total_by_season" if table.is_seasonal else "total_by_age"
