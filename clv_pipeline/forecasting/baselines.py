"""Forecasts without a model: customers go on as before. Families are compared with these baselines.

Simple rules are hard to beat (Wübben & Wangenheim 2008, J. of Marketing 72, "Instant customer base analysis"). They are
evaluated everywhere, and serve only where nothing else is configured. None of them says who is still a customer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.look_ahead import present_values
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    PIECES_DAYS,
    FitReport,
    TrainingData,
    Verdict,
    require_columns,
    window_columns,
)

DAYS_BACK = 365
"""Start of the same window last year, in days before the cutoff; the customers frame uses the same."""

_HIATUS_CANDIDATES = 100
_FEWEST_ROWS = 100


class Rule(Protocol):
    """A rule as of one cutoff: its forecast for a horizon, or the reason why it has none."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Values of the rule that are worth reporting."""
        ...

    def obstacle(self, horizon_days: int) -> str | None:
        """Why this horizon cannot be forecast; None when it can."""
        ...

    def purchases(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """Expected purchase days."""
        ...

    def spend(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """Expected spend."""
        ...

    def p_purchase(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """P(at least one purchase)."""
        ...


@dataclass(frozen=True)
class FittedBaseline:
    """A rule together with its report; without money it says nothing of spend."""

    rule: Rule
    report: FitReport
    has_money: bool = True

    def can_forecast(self, horizon_days: int) -> bool:
        """Whether there is enough history for the rule."""
        return self.rule.obstacle(horizon_days) is None

    def forecast(
        self,
        customers: pl.DataFrame,
        days: Sequence[int],
        annual_discount_rate: float = 0.0,
        *,
        with_outlook: bool = False,
    ) -> Paths:
        """Apply the rule at each day; between the requested days, money flows evenly. A rule has no outlook.

        Raises:
            ValueError: the rule cannot forecast one of the days; the text names the model and the reason.
        """
        require_columns(customers, CUSTOMER_COLUMNS, "customers")
        for day in days:
            if obstacle := self.rule.obstacle(day):
                raise ValueError(f"{self.report.model}: {obstacle}")
        ascending = sorted(days)
        shape = (customers.height, len(days))

        def each(read: Any) -> Floats:
            columns = [read(customers, day) for day in ascending]
            return np.column_stack(columns) if columns else np.empty(shape)

        order = [ascending.index(day) for day in days]
        spend = discounted = None
        if self.has_money:
            # Netted returns can make a past window negative; a forecast of spend cannot be.
            spend = np.maximum(each(self.rule.spend), 0.0)
            flows = np.diff(spend, axis=1, prepend=0.0)
            present = present_values(np.array(ascending, dtype=np.float64), annual_discount_rate)
            discounted = np.maximum(np.cumsum(flows * present, axis=1), 0.0)
        return Paths(
            model=self.report.model,
            customer_id=customers["customer_id"],
            days=tuple(days),
            purchases=each(self.rule.purchases)[:, order],
            p_purchase=each(self.rule.p_purchase)[:, order],
            spend=None if spend is None else spend[:, order],
            discounted_spend=None if discounted is None else discounted[:, order],
        )


class Baseline(ABC):
    """A model that is a rule; a subclass defines the rule as of a cutoff."""

    name: ClassVar[str]
    is_baseline: ClassVar[bool] = True

    @abstractmethod
    def rule(self, training: TrainingData) -> Rule:
        """The rule as of the cutoff."""

    def fit(self, ground: Ground) -> FittedBaseline:
        """Prepare the rule and report what it cannot forecast."""
        training = ground.training
        rule = self.rule(training)
        obstacles = {day: reason for day in PIECES_DAYS if (reason := rule.obstacle(day))}
        verdict: Verdict = "ok" if len(obstacles) < len(PIECES_DAYS) and training.customers else "no_training_data"
        notes = " ".join(["A rule; no process is estimated.", *dict.fromkeys(obstacles.values())])
        codes = ("rule", "too_little_history") if obstacles else ("rule",)
        report = FitReport(self.name, training.cutoff, rule.parameters, training.customers, verdict, notes, codes)
        return FittedBaseline(rule, report, training.has_money)


@dataclass(frozen=True)
class _History(ABC):
    """Base of rules: the length of a shop's history. P(buy) follows from purchases as in a Poisson process."""

    days: int

    @property
    def parameters(self) -> dict[str, Any]:
        return {"history_days": self.days}

    def obstacle(self, horizon_days: int) -> str | None:
        return None

    @abstractmethod
    def purchases(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """Expected purchase days, from which P(buy) follows."""

    def p_purchase(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        return np.asarray(-np.expm1(-self.purchases(customers, horizon_days)), dtype=np.float64)


class OwnRate(Baseline):
    """The customer's own repeat rate goes on, at their mean spend per purchase day. Without tenure the rate is 0."""

    name = "own_rate"

    def rule(self, training: TrainingData) -> Rule:
        """The customer's own rate."""
        return _OwnRate(training.history_days)


@dataclass(frozen=True)
class _OwnRate(_History):
    def purchases(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        repeats, tenure = floats(customers, "frequency"), floats(customers, "tenure_days")
        rate = np.divide(repeats, tenure, out=np.zeros_like(repeats), where=tenure > 0.0)
        return np.asarray(rate * horizon_days, dtype=np.float64)

    def spend(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        each = floats(customers, "revenue") / (floats(customers, "frequency") + 1.0)
        return self.purchases(customers, horizon_days) * each


class LastWindow(Baseline):
    """The next window is like the one just ended, (cutoff - h, cutoff]."""

    name = "last_window"

    def rule(self, training: TrainingData) -> Rule:
        """The window just ended."""
        return _PastWindow(training.history_days, "last_window", "Cannot forecast more days than history has.")


class SameWindowLastYear(Baseline):
    """The next window is like (cutoff - 365, cutoff - 365 + h]: the naive seasonal rule."""

    name = "same_window_last_year"

    def rule(self, training: TrainingData) -> Rule:
        """The window a year ago."""
        told = "Cannot forecast without a year of history, nor more than a year."
        return _PastWindow(training.history_days, "same_window_last_year", told)


@dataclass(frozen=True)
class _PastWindow(_History):
    window: str
    told: str

    def obstacle(self, horizon_days: int) -> str | None:
        """The whole past window must lie inside history."""
        is_last = self.window == "last_window"
        is_inside = self.days >= (horizon_days if is_last else DAYS_BACK)
        return None if is_inside and (is_last or horizon_days <= DAYS_BACK) else self.told

    def purchases(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        return self._read(customers, horizon_days, "purchases")

    def spend(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        return self._read(customers, horizon_days, "spend")

    def _read(self, customers: pl.DataFrame, horizon_days: int, what: str) -> Floats:
        column = f"{what}_{self.window}:{horizon_days}"
        require_columns(customers, window_columns(horizon_days), "customers")
        return floats(customers, column)


class HiatusRule(Baseline):
    """Customers idle for longer than c days are gone; active ones buy like active ones before.

    c is the cut whose two shares of buyers have the best Brier score in completed windows. The paper maximises the
    share of correctly classified customers, which would choose "everybody is inactive" wherever fewer than half come
    back.
    """

    name = "hiatus"

    def rule(self, training: TrainingData) -> Rule:
        """Choose c on the longest piece that windows have completed; compute the means of both sides for each piece."""
        windows = training.completed_windows
        over = [
            days
            for days in PIECES_DAYS
            if not windows.is_empty() and windows[f"actual_purchases_{days}"].count() >= _FEWEST_ROWS
        ]
        if not over:
            return Hiatus(0.0, {})
        known = windows.filter(pl.col(f"actual_purchases_{over[-1]}").is_not_null())
        cut = _best_cut(floats(known, "days_since_last"), floats(known, f"actual_purchases_{over[-1]}") > 0.0)
        sides: dict[int, Mapping[str, tuple[float, float]]] = {}
        for days in over:
            rows = windows.filter(pl.col(f"actual_purchases_{days}").is_not_null())
            active = floats(rows, "days_since_last") <= cut
            purchases = floats(rows, f"actual_purchases_{days}")
            read = {"purchases": purchases, "p_purchase": (purchases > 0.0).astype(np.float64)}
            if training.has_money:
                read["spend"] = floats(rows, f"actual_spend_{days}")
            sides[days] = {what: _shrunk_means(values, active) for what, values in read.items()}
        return Hiatus(cut, sides)


@dataclass(frozen=True)
class Hiatus:
    """The cut c in days, and for each piece the means of active and of idle customers."""

    days: float
    sides: Mapping[int, Mapping[str, tuple[float, float]]]

    @property
    def parameters(self) -> dict[str, Any]:
        """The cut and the means."""
        means = {str(days): {what: list(both) for what, both in read.items()} for days, read in self.sides.items()}
        return {"hiatus_days": self.days, "means": means}

    def obstacle(self, horizon_days: int) -> str | None:
        """Some completed windows must be at least as long. Means are interpolated between pieces."""
        if self.sides and horizon_days <= max(self.sides):
            return None
        return "Cannot forecast longer than windows that are over."

    def purchases(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """The mean of the customer's side."""
        return self._read(customers, horizon_days, "purchases")

    def spend(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """The mean of the customer's side."""
        return self._read(customers, horizon_days, "spend")

    def p_purchase(self, customers: pl.DataFrame, horizon_days: int) -> Floats:
        """The share of buyers of the customer's side."""
        return self._read(customers, horizon_days, "p_purchase")

    def _read(self, customers: pl.DataFrame, horizon_days: int, what: str) -> Floats:
        days = [0, *self.sides]
        means = [np.maximum.accumulate([0.0, *(side[what][place] for side in self.sides.values())]) for place in (0, 1)]
        active, idle = (float(np.interp(horizon_days, days, mean)) for mean in means)
        return np.where(floats(customers, "days_since_last") <= self.days, active, idle)


def _best_cut(idle: Floats, buyers: NDArray[np.bool_]) -> float:
    """The percentile of idle time with the best Brier score; the shortest one when scores are equal."""
    candidates = np.unique(np.quantile(idle, np.linspace(0.0, 1.0, _HIATUS_CANDIDATES + 1), method="lower"))
    brier = [
        float(np.mean((np.where(idle <= days, *_shrunk_means(buyers, idle <= days)) - buyers) ** 2))
        for days in candidates
    ]
    return float(candidates[int(np.argmin(brier))])


def _shrunk_means(values: Any, active: NDArray[np.bool_]) -> tuple[float, float]:
    """Means of active and of idle customers, each shrunk by one average customer: no share is exactly 0 or 1."""
    whole = (float(np.sum(values)) + 0.5 * float(np.any(values))) / (len(values) + 1.0)
    first, second = ((float(np.sum(values[side])) + whole) / (float(side.sum()) + 1.0) for side in (active, ~active))
    return first, second


BASELINES: tuple[type[Baseline], ...] = (OwnRate, LastWindow, SameWindowLastYear, HiatusRule)
