"""Forecasts without estimation: what a customer did goes on. The yardsticks that a model has to beat.

Baselines are hard to beat (Wübben & Wangenheim 2008, J. of Marketing 72, "Instant customer base analysis").
Each is a rule: an expression over the customers frame, and the length of history that it needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from clv_pipeline.forecasting.frames import floats, forecast_frame, uniform_discount
from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    FitReport,
    Target,
    TrainingData,
    Verdict,
    require_columns,
)

DAYS_BACK = 365  # "the same window last year" starts 365 days before the cutoff, as in the customers frame


class BaselineModel(ABC):
    """A rule that needs no fit; subclasses say the two expressions and the history that they need."""

    name: ClassVar[str]
    targets: ClassVar[frozenset[Target]] = frozenset({"purchases", "spend"})
    is_baseline: ClassVar[bool] = True

    @abstractmethod
    def purchases(self, horizon_days: int) -> pl.Expr:
        """Return the expected purchase days within the horizon."""

    @abstractmethod
    def spend(self, horizon_days: int) -> pl.Expr:
        """Return the expected spend within the horizon, in money; the caller clips it at 0."""

    def obstacle(self, horizon_days: int, history_days: int) -> str | None:
        """Say why this horizon cannot be forecast from so much history; None when it can."""
        return None

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> "FittedBaseline":
        """Note the length of history; nothing is estimated."""
        history = training.history_days
        obstacles = [reason for h in horizons_days if (reason := self.obstacle(h, history))]
        served = len(obstacles) < len(horizons_days)
        verdict: Verdict = "ok" if served and history > 0 else "no_training_data"
        notes = " ".join(["A rule; nothing is estimated.", *obstacles])
        report = FitReport(self.name, training.cutoff, {"history_days": history}, training.customers, verdict, notes)
        return FittedBaseline(self, report)


@dataclass(frozen=True)
class FittedBaseline:
    """A rule together with the length of history as of its cutoff."""

    rule: BaselineModel
    report: FitReport

    def can_forecast(self, horizon_days: int) -> bool:
        """Whether history is long enough for the rule."""
        return self.rule.obstacle(horizon_days, self.report.parameters["history_days"]) is None

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        """Apply the rule; money is taken to flow evenly over the horizon when it is discounted."""
        require_columns(customers, CUSTOMER_COLUMNS, "customers")
        obstacle = self.rule.obstacle(horizon_days, self.report.parameters["history_days"])
        if obstacle:
            raise ValueError(f"{self.rule.name}: {obstacle}")
        values = customers.select(
            self.rule.purchases(horizon_days).alias("purchases"),
            # Returns that are netted can make a past window negative; a forecast of spend cannot be.
            self.rule.spend(horizon_days).clip(lower_bound=0.0).alias("spend"),
        )
        spend = floats(values, "spend")
        return forecast_frame(
            self.rule.name,
            customers,
            expected_purchases=floats(values, "purchases"),
            expected_spend=spend,
            discounted_spend=spend * uniform_discount(horizon_days, annual_discount_rate),
        )


class OwnRate(BaselineModel):
    """The customer's own repeat rate goes on, at their mean spend per purchase day.

    A customer of the cutoff day has no tenure and no repeat: 0.
    """

    name = "own_rate"

    def purchases(self, horizon_days: int) -> pl.Expr:
        """Return frequency / tenure × horizon."""
        rate = pl.col("frequency") / pl.col("tenure_days")
        return pl.when(pl.col("tenure_days") > 0).then(rate * horizon_days).otherwise(0.0)

    def spend(self, horizon_days: int) -> pl.Expr:
        """Return the expected purchases × revenue per purchase day."""
        return self.purchases(horizon_days) * pl.col("revenue") / (pl.col("frequency") + 1)


class LastWindow(BaselineModel):
    """The next window is like the one just ended, (cutoff - h, cutoff]."""

    name = "last_window"

    def purchases(self, horizon_days: int) -> pl.Expr:
        """Return the purchase days of the window just ended."""
        return pl.col("purchases_last_window")

    def spend(self, horizon_days: int) -> pl.Expr:
        """Return the spend of the window just ended."""
        return pl.col("spend_last_window")

    def obstacle(self, horizon_days: int, history_days: int) -> str | None:
        """A window that is longer than history would be compared with a part of itself."""
        if history_days >= horizon_days:
            return None
        return f"Cannot forecast {horizon_days} days from {history_days} days of history."


class SameWindowLastYear(BaselineModel):
    """The next window is like (cutoff - 365, cutoff - 365 + h]: the naive seasonal rule."""

    name = "same_window_last_year"

    def purchases(self, horizon_days: int) -> pl.Expr:
        """Return the purchase days of that window last year."""
        return pl.col("purchases_same_window_last_year")

    def spend(self, horizon_days: int) -> pl.Expr:
        """Return the spend of that window last year."""
        return pl.col("spend_same_window_last_year")

    def obstacle(self, horizon_days: int, history_days: int) -> str | None:
        """The whole window a year back must lie inside history: neither before it nor after the cutoff."""
        if horizon_days > DAYS_BACK:
            return f"Cannot forecast {horizon_days} days: that window, a year back, ends after the cutoff."
        if history_days < DAYS_BACK:
            return f"Cannot forecast {horizon_days} days: {history_days} days of history, a year back needs 365."
        return None
