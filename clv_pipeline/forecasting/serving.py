"""From the chosen model to the served rows: its fit, and paths with ranges, customer by customer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
import polars as pl

from clv_pipeline.forecasting.ages import still_to_come
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import FitReport, FittedModel, Model

MARGIN_COLUMN = "own_margin"
"""Column of a batch with the share of each customer's spend that is earned; null, or absent, where it is not known."""

PROBABILITY_DAYS = (30, 90, 365)
"""The days by which everybody asks for the probability of a purchase, whatever horizons are configured."""


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


def probability_days(fit: FittedModel, horizons_days: Sequence[int], models: Sequence[Model]) -> list[int]:
    """Those of PROBABILITY_DAYS that this fit of one of `models` can be read at.

    A rule is read at the configured horizons only: past windows of other lengths are not at hand when it serves.
    """
    is_rule = next(model.is_baseline for model in models if model.name == fit.report.model)
    return [day for day in PROBABILITY_DAYS if fit.can_forecast(day) and (day in horizons_days or not is_rule)]


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
    """Share of spend that is earned where a customer has no MARGIN_COLUMN; clv = margin × discounted spend."""
    names: Mapping[str, str]
    """New names for columns of the batches, before a model sees them."""
    probability_days: Sequence[int] = ()
    """Those of PROBABILITY_DAYS at which the probability of a purchase is read; it is null at the others."""
    ahead_days: Sequence[int] | None = None
    """AHEAD_DAYS where it is read what customers still bring by an age (`ages`); empty where the fit cannot tell, so
    that those columns are null; None: there are no such columns."""

    def __call__(self, customers: pl.DataFrame) -> pl.DataFrame:
        """The rows of these customers, in their order."""
        customers = customers.rename(self.names)
        horizons = sorted(self.horizons_days)
        asked = sorted({*horizons, *self.probability_days, *(self.ahead_days or ())})
        read = self.fit.forecast(customers, asked, self.annual_discount_rate, with_outlook=True)
        read.require_coherence()
        paths = read.at(horizons)
        rows = np.repeat(np.arange(customers.height), len(horizons))
        frame = paths.frame().with_columns(customers["frequency"].gather(rows))
        margins = margins_of(customers, self.margin)
        outlook = paths.outlook().select(
            "value_per_purchase",
            pl.col("lifetime_value") * margins,
            "next_order_days",
            **{f"p_purchase_{day}_days": self._probability(read, day) for day in PROBABILITY_DAYS},
        )
        ahead = []
        if self.ahead_days is not None:
            known = read.at(self.ahead_days) if self.ahead_days else None
            ahead = [still_to_come(customers, known, margins, self.annual_discount_rate)[rows]]
        report = self.fit.report
        return pl.concat(
            [
                frame.with_columns(
                    pl.lit(report.as_of).alias("as_of"),
                    pl.lit(report.model).alias("model"),
                    pl.lit(report.model).alias("purchase_model"),
                    (margins.gather(rows) * pl.col("discounted_spend")).alias("clv"),
                    **self._ranges_of(frame, knows_spend=paths.spend is not None),
                ).drop("discounted_spend", "frequency"),
                outlook[rows],
                *ahead,
            ],
            how="horizontal",
        )

    def _probability(self, read: Paths, day: int) -> pl.Series | pl.Expr:
        """The probability of a purchase by this day; null where it is not read."""
        if day not in self.probability_days or read.p_purchase is None:
            return pl.lit(None, pl.Float64)
        return pl.Series(read.p_purchase[:, read.days.index(day)])

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


def margins_of(customers: pl.DataFrame, otherwise: float) -> pl.Series:
    """The share of each customer's spend that is earned: MARGIN_COLUMN, else the one share of all."""
    if MARGIN_COLUMN not in customers.columns:
        return pl.repeat(otherwise, customers.height, dtype=pl.Float64, eager=True)
    return customers[MARGIN_COLUMN].cast(pl.Float64).fill_null(otherwise)


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
