"""The parts that all families share as of one cutoff, learned once: season, clock, totals, processes, histories.

A family adds differences between customers, and nothing about their total.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting import cohorts
from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie, ProcessFit
from clv_pipeline.forecasting.cohorts import CohortTable
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.protocol import TrainingData
from clv_pipeline.forecasting.season import Clock, Days, ordinal

HISTORIES_TO_FIT = 10_000
"""Distinct histories that a process is fitted on. More do not improve the parameters beyond their standard errors."""

_CALENDAR_HISTORIES = 2_000


class Ground:
    """The data of one cutoff with everything learned from them; each part is learned when it is first needed."""

    def __init__(self, training: TrainingData) -> None:
        self.training = training
        self.cutoff = ordinal(training.cutoff)
        self._kept: dict[Any, Any] = {}

    def once(self, key: Any, learn: Callable[[], Any]) -> Any:
        """The result of `learn`, computed at the first call with this key: for parts that several families share."""
        if key not in self._kept:
            self._kept[key] = learn()
        return self._kept[key]

    @cached_property
    def calendar_process(self) -> ProcessFit:
        """Pareto/NBD in calendar time, the cohort table's prior of ageing."""
        return ParetoNbd().estimate(self.training.customer_counts, rows=_CALENDAR_HISTORIES)

    @cached_property
    def cohorts(self) -> CohortTable:
        """The cohort table: the season, and the total of the known customers."""
        training = self.training
        rate = self.calendar_process.rate_at_age
        return cohorts.fit(training.daily_totals, training.cohort_days, training.cutoff, rate)

    @cached_property
    def clock(self) -> Clock:
        """The clock of season and weekdays, from the first day of history."""
        first = self.cutoff - max(self.training.history_days - 1, 0)
        weekdays = cohorts.weekday_weights(self.training.daily_totals, self.cutoff)
        return Clock.of(first, self.cutoff, self.cohorts.season, weekdays)

    @cached_property
    def clocked_counts(self) -> pl.DataFrame:
        """`customer_counts` with times on the clock, in days."""
        counts = self.training.customer_counts
        _, t_x, T = clocked(self.clock, counts, self.cutoff)
        return counts.with_columns(recency_days=pl.Series(t_x), tenure_days=pl.Series(T))

    def process(self, process: BuyTillYouDie) -> ProcessFit:
        """A process fitted on the clock, once for all families that build on it."""

        def learn() -> ProcessFit:
            similar = self.calendar_process if process.name == self.calendar_process.process.name else None
            return process.estimate(self.clocked_counts, similar, rows=HISTORIES_TO_FIT)

        fitted: ProcessFit = self.once(("process", process), learn)
        return fitted

    def totals(self, days: Sequence[int]) -> Floats:
        """Purchase days of all known customers up to each of these days after the cutoff, from the cohort table."""

        def read() -> Floats:
            return np.array([self.cohorts.purchases(day) for day in days])

        found: Floats = self.once(("totals", tuple(days)), read)
        return found


def one_thread() -> AbstractContextManager[object]:
    """Keep numerical libraries to one thread: sums do not depend on the machine, and no thread waits for a busy core.

    Only a loaded thread pool can be limited. Code that uses a library other than numpy and scipy imports it first.
    """
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def clocked(clock: Clock, customers: pl.DataFrame, cutoff: int) -> tuple[Floats, Floats, Floats]:
    """x, and t_x and T in days of the clock, from frames with frequency, recency_days and tenure_days."""
    x, recency, tenure = (floats(customers, name) for name in ("frequency", "recency_days", "tenure_days"))
    first: Days | Floats = cutoff - tenure
    begun = clock.at(first)
    return x, clock.at(first + recency) - begun, clock.at(cutoff) - begun
