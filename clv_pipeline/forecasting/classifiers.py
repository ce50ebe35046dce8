"""Classifiers of purchase within the horizon: logistic regression and boosted trees, calibrated forward in time.

A model that was trained on one time and is asked about another is too sure of itself. How much is measured on the
latest completed window, by a fit on the windows that ended before it: the slope of Platt scaling (Platt 1999,
"Probabilistic outputs for support vector machines"). Only the slope is kept. The level of one window is its season;
carried over to the next window it made Brier scores worse on Online Retail II (windows that end before 2011-03-09).
"""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Protocol

import numpy as np
import polars as pl

from clv_pipeline.forecasting.design_matrix import DesignMatrix
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.gradient_boosting import TREE_SAMPLE, TREES
from clv_pipeline.forecasting.learned import (
    LearnedModel,
    Means,
    Prediction,
    Predictor,
    bought,
    for_trees,
    no_features,
    one_outcome,
    row_sums,
    share_of_buyers,
)
from clv_pipeline.forecasting.protocol import Target

# Inverse of the ridge penalty, relative to the number of rows as scikit-learn has it; chosen as `TREES` were.
_LOGISTIC_C = 0.01
# One window is no evidence for more than this.
_LEAST_SLOPE, _GREATEST_SLOPE = 0.5, 2.0


class Score(Protocol):
    """A fitted classifier before its calibration."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What a reader wants to know of it."""
        ...

    def log_odds(self, customers: pl.DataFrame) -> Floats:
        """Logarithm of the odds of a purchase, shape (n,)."""
        ...


class PurchaseClassifier(LearnedModel):
    """P(purchase within the horizon) from a score whose spread is calibrated forward in time."""

    targets: ClassVar[frozenset[Target]] = frozenset({"purchase"})

    @abstractmethod
    def score(self, design: DesignMatrix, rows: pl.DataFrame) -> Score:
        """Fit to rows among which some bought and some did not."""

    def learn(self, rows: pl.DataFrame) -> Predictor:
        """Fit to all rows, with the slope that the latest window asked for."""
        design, buyers = DesignMatrix.learn(rows), bought(rows)
        if obstacle := no_features(design) or one_outcome(buyers):
            return Means.of(rows, self.targets, obstacle)
        share = share_of_buyers(buyers)
        slope, latest = self._forward_slope(rows)
        return Calibrated(self.score(design, rows), float(np.log(share / (1.0 - share))), slope, latest)

    def _forward_slope(self, rows: pl.DataFrame) -> tuple[float, date | None]:
        """Slope on the latest window of a fit to windows that ended by its cutoff; 1 and None without such windows."""
        from sklearn.linear_model import LogisticRegression

        latest = pl.col("cutoff").max()
        window = rows.filter(pl.col("cutoff") == latest)
        earlier = rows.filter(pl.col("cutoff") + pl.duration(days=pl.col("horizon_days")) <= latest)
        for part in (window, earlier):
            if part.height < self.minimum_rows or one_outcome(bought(part)):
                return 1.0, None
        design = DesignMatrix.learn(earlier)
        if no_features(design):
            return 1.0, None
        log_odds = self.score(design, earlier).log_odds(window)
        if np.ptp(log_odds) == 0.0:
            return 1.0, None
        platt = LogisticRegression(solver="newton-cholesky").fit(log_odds[:, np.newaxis], bought(window))
        slope = float(np.clip(platt.coef_[0, 0], _LEAST_SLOPE, _GREATEST_SLOPE))
        return slope, window["cutoff"][0]


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A score whose log odds are spread by `slope` around `center`, the log odds of the share of buyers."""

    score: Score
    center: float
    slope: float
    calibrated_on: date | None
    obstacle: ClassVar[str] = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the score, the slope, and the cutoff of the window that it was measured on (or null)."""
        measured_on = None if self.calibrated_on is None else self.calibrated_on.isoformat()
        return {**self.score.parameters, "slope": self.slope, "calibrated_on": measured_on}

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Return the calibrated probability of each customer."""
        from scipy.special import expit

        log_odds = self.center + self.slope * (self.score.log_odds(customers) - self.center)
        return Prediction(p_purchase=np.asarray(expit(log_odds), dtype=np.float64))


class LogisticClassifier(PurchaseClassifier):
    """Ridge-regularised logistic regression with readable coefficients."""

    name: ClassVar[str] = "logistic"

    def score(self, design: DesignMatrix, rows: pl.DataFrame) -> "LogisticScore":
        """Fit scikit-learn's LogisticRegression to standardised features."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=_LOGISTIC_C, solver="newton-cholesky")
        fitted = model.fit(design.standardised(rows), bought(rows))
        return LogisticScore(design, float(fitted.intercept_[0]), np.asarray(fitted.coef_[0], dtype=np.float64))


@dataclass(frozen=True, eq=False)
class LogisticScore:
    """Log odds that are linear in standardised features."""

    design: DesignMatrix
    intercept: float
    slopes: Floats

    @property
    def parameters(self) -> dict[str, Any]:
        """The intercept and one coefficient per standard deviation of a feature, before calibration."""
        named = dict(zip(self.design.standardised_names, self.slopes.tolist(), strict=True))
        return {"log_odds": {"intercept": self.intercept, **named}}

    def log_odds(self, customers: pl.DataFrame) -> Floats:
        """Intercept + slopes · features."""
        return row_sums(self.design.standardised(customers), self.slopes) + self.intercept


class BoostedClassifier(PurchaseClassifier):
    """Gradient-boosted trees on the features as they are."""

    name: ClassVar[str] = "boosted_classifier"
    sample: ClassVar[int] = TREE_SAMPLE

    def score(self, design: DesignMatrix, rows: pl.DataFrame) -> "BoostedScore":
        """Fit scikit-learn's HistGradientBoostingClassifier."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        trees = HistGradientBoostingClassifier(**TREES).fit(for_trees(design.raw(rows)), bought(rows))
        return BoostedScore(design, trees)


@dataclass(frozen=True, eq=False)
class BoostedScore:
    """Log odds by boosted trees."""

    design: DesignMatrix
    trees: Any

    @property
    def parameters(self) -> dict[str, Any]:
        """The features and how the trees are grown."""
        return {"features": list(self.design.names), "trees": TREES}

    def log_odds(self, customers: pl.DataFrame) -> Floats:
        """Sum of the trees."""
        return np.asarray(self.trees.decision_function(self.design.raw(customers)), dtype=np.float64)
