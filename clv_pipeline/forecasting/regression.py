"""Regressions on recency, frequency, money and the past windows, trained on completed windows only.

The yardstick for learned models: ordinary least squares per horizon, two targets, readable coefficients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats, floats, forecast_frame, uniform_discount
from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    FitReport,
    Target,
    TrainingData,
    Verdict,
    require_columns,
)

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
# Fewer rows than this per coefficient and the fit would be noise.
ROWS_PER_COEFFICIENT = 3


class LinearRegression:
    """Ordinary least squares on standardised features: purchases and spend per horizon."""

    name: ClassVar[str] = "linear_regression"
    targets: ClassVar[frozenset[Target]] = frozenset({"purchases", "spend"})

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> "FittedLinearRegression":
        """Fit every horizon that has enough completed windows of that same horizon.

        `report.parameters` = {"horizons": {"<days>": {"rows", "mean", "scale", "purchases", "spend"}}}; the
        last two map "intercept" and each feature to its coefficient per standard deviation of the feature.
        """
        needed = ROWS_PER_COEFFICIENT * (len(FEATURES) + 1)
        fitted: dict[str, Any] = {}
        notes = []
        for horizon in horizons_days:
            windows = training.completed_windows
            rows = windows if windows.is_empty() else windows.filter(pl.col("horizon_days") == horizon)
            if rows.height < needed:
                notes.append(
                    f"Cannot forecast {horizon} days: {rows.height} customers in completed windows of that "
                    f"length, {needed} needed."
                )
            else:
                fitted[str(horizon)] = _least_squares(rows)
        verdict: Verdict = "ok" if fitted else "no_training_data"
        trained = max((int(part["rows"]) for part in fitted.values()), default=0)
        if fitted:
            notes.insert(0, f"Least squares on completed windows for the horizons {', '.join(fitted)} days.")
        report = FitReport(self.name, training.cutoff, {"horizons": fitted}, trained, verdict, " ".join(notes))
        return FittedLinearRegression(report)

    def restore(self, report: FitReport) -> "FittedLinearRegression":
        """Rebuild the fitted regression from its report."""
        return FittedLinearRegression(report)


@dataclass(frozen=True)
class FittedLinearRegression:
    """Coefficients per horizon, ready to forecast; the report holds all of them."""

    report: FitReport

    def can_forecast(self, horizon_days: int) -> bool:
        """Whether completed windows of this horizon existed at the cutoff."""
        return str(horizon_days) in self.report.parameters["horizons"]

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        """Predict both targets, clipped at 0; money is taken to flow evenly over the horizon."""
        require_columns(customers, CUSTOMER_COLUMNS, "customers")
        if not self.can_forecast(horizon_days):
            raise ValueError(f"{self.report.model}: not fitted for {horizon_days} days. {self.report.notes}")
        part = self.report.parameters["horizons"][str(horizon_days)]
        mean, scale = (np.array([part[key][feature] for feature in FEATURES]) for key in ("mean", "scale"))
        standardised = (_features(customers) - mean) / scale

        def predict(target: str) -> Floats:
            slopes = np.array([part[target][feature] for feature in FEATURES])
            # einsum sums each row by itself; a matrix product may round a row differently in another batch.
            predicted = np.einsum("ij,j->i", standardised, slopes) + part[target]["intercept"]
            return np.asarray(np.clip(predicted, 0.0, None), dtype=np.float64)

        spend = predict("spend")
        return forecast_frame(
            self.report.model,
            customers,
            expected_purchases=predict("purchases"),
            expected_spend=spend,
            discounted_spend=spend * uniform_discount(horizon_days, annual_discount_rate),
        )


def _features(customers: pl.DataFrame) -> Floats:
    return customers.select(pl.col(FEATURES).cast(pl.Float64)).to_numpy().astype(np.float64)


def _least_squares(rows: pl.DataFrame) -> dict[str, Any]:
    x = _features(rows)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    # A feature that never varied has nothing to say: scale 1 makes its standardised column, and so its slope,
    # 0.
    scale = np.where(spread > 0.0, spread, 1.0)
    design = np.column_stack([np.ones(rows.height), (x - mean) / scale])
    part: dict[str, Any] = {
        "rows": rows.height,
        "mean": dict(zip(FEATURES, mean.tolist(), strict=True)),
        "scale": dict(zip(FEATURES, scale.tolist(), strict=True)),
    }
    for target in ("purchases", "spend"):
        # lstsq takes the shortest of all solutions where features are collinear, so the answer is always
        # unique.
        solution = np.linalg.lstsq(design, floats(rows, f"actual_{target}"), rcond=None)[0]
        part[target] = dict(zip(("intercept", *FEATURES), solution.tolist(), strict=True))
    return part
