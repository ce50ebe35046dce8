"""Regressions on recency, frequency, money and the past windows, trained on completed windows only.

The yardstick for learned models: ordinary least squares per horizon, two targets, readable coefficients.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.learned import LearnedModel, Prediction, row_sums
from clv_pipeline.forecasting.protocol import Target

# recency_days is left out: it is tenure_days - days_since_last exactly, and would make coefficients
# arbitrary.
FEATURES = (
    "frequency",
    "tenure_days",
    "days_since_last",
    "orders",
    "revenue",
    "monetary_value",
    "purchases_last_window",
    "spend_last_window",
    "purchases_same_window_last_year",
    "spend_same_window_last_year",
)
_ROWS_PER_COEFFICIENT = 3


class LinearRegression(LearnedModel):
    """Ordinary least squares on standardised features: purchases and spend per horizon."""

    name: ClassVar[str] = "linear_regression"
    targets: ClassVar[frozenset[Target]] = frozenset({"purchases", "spend"})
    minimum_rows: ClassVar[int] = _ROWS_PER_COEFFICIENT * (len(FEATURES) + 1)

    def learn(self, rows: pl.DataFrame) -> "LeastSquares":
        """Solve both least-squares problems."""
        x = _features(rows)
        mean, spread = x.mean(axis=0), x.std(axis=0)
        # A feature that never varied has nothing to say: scale 1 makes its standardised column, and so its slope, 0.
        scale = np.where(spread > 0.0, spread, 1.0)
        design = np.column_stack([np.ones(rows.height), (x - mean) / scale])
        # lstsq takes the shortest of all solutions where features are collinear, so the answer is always unique.
        purchases, spend = (
            np.linalg.lstsq(design, floats(rows, f"actual_{target}"), rcond=None)[0]
            for target in ("purchases", "spend")
        )
        return LeastSquares(mean, scale, purchases, spend)


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """Means and scales of the features, and the solutions: the intercept, then one slope per feature."""

    mean: Floats
    scale: Floats
    purchases: Floats
    spend: Floats
    obstacle: ClassVar[str] = ""

    @property
    def parameters(self) -> dict[str, Any]:
        """Mean and scale of each feature, and per target the intercept and slopes per standard deviation."""
        return {
            "mean": dict(zip(FEATURES, self.mean.tolist(), strict=True)),
            "scale": dict(zip(FEATURES, self.scale.tolist(), strict=True)),
            "purchases": dict(zip(("intercept", *FEATURES), self.purchases.tolist(), strict=True)),
            "spend": dict(zip(("intercept", *FEATURES), self.spend.tolist(), strict=True)),
        }

    def predict(self, customers: pl.DataFrame) -> Prediction:
        """Predict both targets, clipped at 0."""
        standardised = (_features(customers) - self.mean) / self.scale
        purchases, spend = (
            np.maximum(row_sums(standardised, solution[1:]) + solution[0], 0.0)
            for solution in (self.purchases, self.spend)
        )
        return Prediction(purchases, spend)


def _features(customers: pl.DataFrame) -> Floats:
    return customers.select(pl.col(FEATURES).cast(pl.Float64)).to_numpy().astype(np.float64)
