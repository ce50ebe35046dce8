"""Generalised linear models: Poisson purchases times gamma spend per purchase, both with readable coefficients.

Logarithmic links: exp(coefficient) is the factor per standard deviation of a feature. Ridge penalties keep the many
and related features from fitting noise (McCullagh & Nelder 1989, "Generalized Linear Models").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.design_matrix import DesignMatrix
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.learned import (
    LearnedModel,
    Means,
    Prediction,
    Predictor,
    bought,
    no_features,
    no_money,
    row_sums,
)
from clv_pipeline.forecasting.protocol import Target

# Chosen on windows of Online Retail II that end before 2011-03-09.
_PENALTY = 0.1


class GeneralizedLinear(LearnedModel):
    """E[purchases] by a Poisson and E[spend per purchase day] by a gamma regression, ridge-regularised."""

    name: ClassVar[str] = "glm"
    targets: ClassVar[frozenset[Target]] = frozenset({"purchases", "spend"})

    def learn(self, rows: pl.DataFrame) -> Predictor:
        """Fit both regressions; spend per purchase day on buyers, weighted by their purchase days."""
        from sklearn.linear_model import GammaRegressor, PoissonRegressor

        design = DesignMatrix.learn(rows)
        if obstacle := no_features(design) or no_money(rows):
            return Means.of(rows, self.targets, obstacle)
        features, purchases, buyers = design.standardised(rows), floats(rows, "actual_purchases"), bought(rows)
        days = purchases[buyers]
        spend = floats(rows, "actual_spend")[buyers]
        unit = float(spend.sum() / days.sum())
        settings = {"alpha": _PENALTY, "solver": "newton-cholesky"}
        count = PoissonRegressor(**settings).fit(features, purchases)
        # A gamma variable is positive; what remains where returns are netted may not be.
        in_units = np.maximum(spend / days / unit, 0.01)
        money = GammaRegressor(**settings).fit(features[buyers], in_units, sample_weight=days)
        return LogLinear(
            design,
            LogLink.of(count, features, design.standardised_names),
            LogLink.of(money, features, design.standardised_names, unit),
        )


@dataclass(frozen=True, eq=False)
class LogLink:
    """One regression with a logarithmic link: exp(intercept + slopes · features)."""

    names: Sequence[str]
    intercept: float
    slopes: Floats
    lowest: float
    highest: float

    @classmethod
    def of(cls, fitted: Any, features: Floats, names: Sequence[str], unit: float = 1.0) -> "LogLink":
        """Take over a scikit-learn regression whose target was in `unit`, and its range in the training rows."""
        slopes = np.asarray(fitted.coef_, dtype=np.float64)
        intercept = float(fitted.intercept_) + math.log(unit)
        seen = row_sums(features, slopes) + intercept
        return cls(names, intercept, slopes, float(seen.min()), float(seen.max()))

    @property
    def coefficients(self) -> dict[str, float]:
        """The intercept and one slope per standardised feature."""
        return {"intercept": self.intercept, **dict(zip(self.names, self.slopes.tolist(), strict=True))}

    def mean(self, features: Floats) -> Floats:
        """Predict, never beyond the most extreme training row: an exponential must not extrapolate."""
        return np.exp(np.clip(row_sums(features, self.slopes) + self.intercept, self.lowest, self.highest))


@dataclass(frozen=True, eq=False)
class LogLinear:
    """Purchases and spend per purchase day of one horizon."""

    design: DesignMatrix
    purchases: LogLink
    spend_per_purchase: LogLink
    obstacle: ClassVar[str] = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Coefficients of both regressions, per standard deviation of a feature."""
        return {
            "purchases": self.purchases.coefficients,
            "spend_per_purchase": self.spend_per_purchase.coefficients,
        }

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Spend is purchases × spend per purchase day."""
        features = self.design.standardised(customers)
        purchases = self.purchases.mean(features)
        return Prediction(purchases=purchases, spend=purchases * self.spend_per_purchase.mean(features))
