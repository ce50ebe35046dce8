"""What all models that learn from completed windows share: a fit per horizon, its report, its forecast.

A model says how one horizon is learned from its training rows; everything around that (which rows, too few of them,
the verdict, the frame of the forecast) is said here once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.design_matrix import TRAINING_SAMPLE, DesignMatrix, training_rows
from clv_pipeline.forecasting.frames import FORECAST_SCHEMA, Floats, floats, forecast_frame, uniform_discount
from clv_pipeline.forecasting.maximum_likelihood import worst
from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    FitReport,
    Target,
    TrainingData,
    Verdict,
    require_columns,
)

SEED = 20_240_901

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Prediction:
    """Predicted targets of n customers, each of shape (n,); None where a model does not predict it."""

    purchases: Floats | None = None
    spend: Floats | None = None
    p_purchase: Floats | None = None


class Predictor(Protocol):
    """One horizon, learned."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What a reader wants to know of it, in values that JSON can carry."""
        ...

    @property
    def obstacle(self) -> str:
        """Why the rows taught nothing but their mean, which is then the forecast; empty when they did."""
        ...

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Predict each of at least one customers by itself; finite, not negative, probabilities within [0, 1]."""
        ...


class LearnedModel(ABC):
    """A model that learns each horizon from completed windows of that length; subclasses say how."""

    name: ClassVar[str]
    targets: ClassVar[frozenset[Target]]
    is_baseline: ClassVar[bool] = False
    minimum_rows: ClassVar[int] = 100
    """Fewer training rows than this and a fit would be noise."""
    sample: ClassVar[int] = TRAINING_SAMPLE
    """Training rows of one horizon at most."""

    @abstractmethod
    def learn(self, rows: pl.DataFrame) -> Predictor:
        """Learn from completed windows of one horizon, in the order of `training_rows`; never fails on poor data."""

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> "FittedLearned":
        """Fit every horizon that has enough completed windows of that same horizon.

        `report.parameters` = {"horizons": {"<days>": {"rows", "cutoffs", …}}}; what else stands there is said by
        the model's own predictor. The verdict is `degenerate` when a horizon's rows taught nothing but their mean.
        """
        predictors: dict[int, Predictor] = {}
        described: dict[str, Any] = {}
        verdicts: list[Verdict] = []
        notes = []
        with one_thread():
            for horizon in horizons_days:
                rows = training_rows(training, horizon, self.sample)
                if rows.height < self.minimum_rows:
                    notes.append(
                        f"Cannot forecast {horizon} days: {rows.height} customers in completed windows of that "
                        f"length, {self.minimum_rows} needed."
                    )
                    continue
                predictor = self.learn(rows)
                predictors[horizon] = predictor
                size = {"rows": rows.height, "cutoffs": rows["cutoff"].n_unique()}
                described[str(horizon)] = {**size, **predictor.parameters}
                verdicts.append("degenerate" if predictor.obstacle else "ok")
                if predictor.obstacle:
                    notes.append(f"{horizon} days: {predictor.obstacle}")
        if predictors:
            notes.insert(0, f"Learned from completed windows for the horizons {', '.join(described)} days.")
        report = FitReport(
            model=self.name,
            as_of=training.cutoff,
            parameters={"horizons": described},
            customers=max((int(part["rows"]) for part in described.values()), default=0),
            verdict=worst(verdicts) if verdicts else "no_training_data",
            notes=" ".join(notes),
        )
        return FittedLearned(report, predictors)


@dataclass(frozen=True)
class FittedLearned:
    """A predictor per horizon (days), ready to forecast."""

    report: FitReport
    predictors: Mapping[int, Predictor]

    def can_forecast(self, horizon_days: int) -> bool:
        """Whether there were enough completed windows of this horizon at the cutoff."""
        return horizon_days in self.predictors

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        """Predict the model's targets; money is taken to flow evenly over the horizon when it is discounted."""
        require_columns(customers, CUSTOMER_COLUMNS, "customers")
        if not self.can_forecast(horizon_days):
            raise ValueError(f"{self.report.model}: not fitted for {horizon_days} days. {self.report.notes}")
        if customers.is_empty():
            return pl.DataFrame(schema=FORECAST_SCHEMA)
        with one_thread():
            predicted = self.predictors[horizon_days].predict(customers)
        spend = predicted.spend
        return forecast_frame(
            self.report.model,
            customers,
            expected_purchases=predicted.purchases,
            expected_spend=spend,
            discounted_spend=None if spend is None else spend * uniform_discount(horizon_days, annual_discount_rate),
            p_purchase=predicted.p_purchase,
        )


@dataclass(frozen=True)
class Means:
    """The forecast where features have nothing to say: the means of the training rows for everybody."""

    purchases: float
    spend: float
    p_purchase: float
    targets: frozenset[Target]
    obstacle: str

    @classmethod
    def of(cls, rows: pl.DataFrame, targets: frozenset[Target], obstacle: str) -> "Means":
        """Take the means of the model's targets; a negative mean spend (returns) becomes 0."""
        purchases = floats(rows, "actual_purchases")
        spend = max(0.0, float(floats(rows, "actual_spend").mean()))
        return cls(float(purchases.mean()), spend, share_of_buyers(purchases > 0), targets, obstacle)

    @property
    def parameters(self) -> dict[str, Any]:
        """The mean of every target of the model."""
        return {"means": {target: value for target, value in self._values().items() if target in self.targets}}

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Give the means to everybody."""
        everybody = {
            target: np.full(customers.height, value) if target in self.targets else None
            for target, value in self._values().items()
        }
        return Prediction(everybody["purchases"], everybody["spend"], everybody["purchase"])

    def _values(self) -> dict[Target, float]:
        return {"purchases": self.purchases, "spend": self.spend, "purchase": self.p_purchase}


def one_thread() -> AbstractContextManager[object]:
    """Keep numerical libraries to one thread: no sum depends on the machine, no thread waits for a busy core."""
    # Only a thread pool that is loaded can be limited; this loads OpenMP before the first fit imports the rest.
    import sklearn.utils  # noqa: F401
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def bought(rows: pl.DataFrame) -> Flags:
    """Which customers of completed windows bought in them, shape (n,)."""
    return floats(rows, "actual_purchases") > 0


def share_of_buyers(buyers: Flags) -> float:
    """Share of buyers, kept off 0 and 1 (Jeffreys' prior): a sample cannot say never or always."""
    return float((buyers.sum() + 0.5) / (len(buyers) + 1.0))


def one_outcome(buyers: Flags) -> str:
    """Say that all customers of the training rows did the same; empty when some bought and some did not."""
    if not buyers.any():
        return "Nobody bought in the training windows."
    return "Everybody bought in the training windows." if buyers.all() else ""


def few_buyers(buyers: Flags, needed: int = 30) -> str:
    """Say that too few bought to learn amounts from; empty when there were enough."""
    return (
        "" if buyers.sum() >= needed else f"{buyers.sum()} customers bought in the training windows, {needed} needed."
    )


def no_money(rows: pl.DataFrame) -> str:
    """Say that the customers of the training rows brought no money; empty when they did."""
    return "" if floats(rows, "actual_spend").sum() > 0.0 else "No money was spent in the training windows."


def no_features(design: DesignMatrix) -> str:
    """Say that nothing tells the customers of the training rows apart; empty when something does."""
    return "" if design.names else "All customers of the training windows are alike."


def row_sums(matrix: Floats, weights: Floats) -> Floats:
    """Matrix times vector, each row summed by itself: a matrix product may round a row differently in another batch."""
    return np.asarray(np.einsum("ij,j->i", matrix, weights), dtype=np.float64)


def for_trees(features: Floats) -> Floats:
    """Features with 0 where a column is missing for all rows, which scikit-learn cannot bin for its trees."""
    return np.where(np.isnan(features).all(axis=0), 0.0, features)
