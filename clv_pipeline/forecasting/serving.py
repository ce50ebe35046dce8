"""From the chosen model to the served rows: its fit, and paths with ranges, customer by customer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.protocol import FitReport, FittedModel, Model


class Ranges(Protocol):
    """Ranges of spend, learned from a model's past forecasts (`evaluation.ranges.SpendRanges`)."""

    @property
    def level(self) -> float:
        """Share of customers whose spend should fall into their range."""
        ...

    def of_paths(self, forecasts: pl.DataFrame, horizons: int) -> tuple[Floats, Floats]:
        """Lower and upper ends, for frames with this many ascending horizons per customer, consecutive."""
        ...

    def variances(self, forecasts: pl.DataFrame) -> Floats:
        """The variance of each customer's spend."""
        ...


def serving_order(leaderboard: pl.DataFrame, models: Sequence[Model]) -> list[Model]:
    """The models that may serve, best first: the champion of `model_leaderboard`, the others by rank, rules last."""
    ranks = leaderboard.group_by("model").agg(pl.col("is_champion").any(), pl.col("rank").mean())
    rows = {row["model"]: row for row in ranks.iter_rows(named=True)}

    def place(model: Model) -> tuple[bool, bool, bool, float]:
        row = rows.get(model.name, {"is_champion": False, "rank": None})
        return not row["is_champion"], model.is_baseline, row["rank"] is None, row["rank"] or 0.0

    return sorted(models, key=place)


def fit_serving(order: Sequence[Model], ground: Ground, horizons_days: Sequence[int]) -> FittedModel:
    """The fit of the first model that can forecast all horizons.

    Raises:
        ValueError: no model can; the text holds the notes of the fits.
    """
    refusals = []
    for model in order:
        fit = model.fit(ground)
        if all(fit.can_forecast(horizon) for horizon in horizons_days):
            return fit
        refusals.append(f"{model.name}: {fit.report.notes}")
    raise ValueError(f"no configured model can forecast {list(horizons_days)} days. {' '.join(refusals)}")


@dataclass(frozen=True)
class Scorer:
    """Paths with ranges for customers frames, in batches of any size: a function that can be pickled.

    One row per customer and horizon: the columns of `clv_forecasts` without the rank, which needs all customers; and
    the columns of `customer_outlook`, the same on all rows of a customer.
    """

    fit: FittedModel
    ranges: Ranges
    horizons_days: Sequence[int]
    annual_discount_rate: float
    """Discount rate per year of 365.25 days."""
    margin: float
    """Share of spend that is earned; clv = margin × discounted expected spend."""
    names: Mapping[str, str]
    """New names for columns of the batches, before a model sees them."""

    def __call__(self, customers: pl.DataFrame) -> pl.DataFrame:
        """The rows of these customers, in their order."""
        customers = customers.rename(self.names)
        horizons = sorted(self.horizons_days)
        paths = self.fit.forecast(customers, horizons, self.annual_discount_rate, with_outlook=True)
        paths.require_coherence()
        rows = np.repeat(np.arange(customers.height), len(horizons))
        frame = paths.frame().with_columns(customers["frequency"].gather(rows))
        outlook = paths.outlook().select(
            "value_per_purchase", pl.col("lifetime_value") * self.margin, "next_order_days"
        )
        report = self.fit.report
        return pl.concat(
            [
                frame.with_columns(
                    pl.lit(report.as_of).alias("as_of"),
                    pl.lit(report.model).alias("model"),
                    pl.lit(report.model).alias("purchase_model"),
                    (self.margin * pl.col("discounted_spend")).alias("clv"),
                    **self._ranges_of(frame, knows_spend=paths.spend is not None),
                ).drop("discounted_spend", "frequency"),
                outlook[rows],
            ],
            how="horizontal",
        )

    def _ranges_of(self, frame: pl.DataFrame, *, knows_spend: bool) -> dict[str, pl.Series | pl.Expr]:
        """The columns about the range of spend; null where the model says nothing of spend."""
        if not knows_spend:
            names = ("spend_lower", "spend_upper", "interval_level", "spend_deviation")
            return dict.fromkeys(names, pl.lit(None, pl.Float64))
        lower, upper = self.ranges.of_paths(frame, len(self.horizons_days))
        return {
            "spend_lower": pl.Series(lower),
            "spend_upper": pl.Series(upper),
            "interval_level": pl.lit(self.ranges.level),
            "spend_deviation": pl.Series(np.sqrt(self.ranges.variances(frame))),
        }


def fit_rows(reports: Sequence[FitReport], skipped_horizons: Mapping[tuple[str, date], list[int]]) -> pl.DataFrame:
    """Fit reports as rows of `fitted_models`; estimates are stored as JSON, never as pickle."""
    return pl.DataFrame(
        [
            {
                "model": report.model,
                "as_of": report.as_of,
                "verdict": report.verdict,
                "notes": report.notes,
                "notes_code": ",".join(report.codes),
                "customers": report.customers,
                "log_likelihood": report.log_likelihood,
                "parameters": json.dumps(report.parameters),
                "standard_errors": json.dumps(report.standard_errors),
                "skipped_horizons": sorted(skipped_horizons.get((report.model, report.as_of), [])),
            }
            for report in reports
        ],
        schema={
            "model": pl.String,
            "as_of": pl.Date,
            "verdict": pl.String,
            "notes": pl.String,
            "notes_code": pl.String,
            "customers": pl.Int64,
            "log_likelihood": pl.Float64,
            "parameters": pl.String,
            "standard_errors": pl.String,
            "skipped_horizons": pl.List(pl.Int64),
        },
    )
