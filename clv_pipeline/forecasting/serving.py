"""From the chosen models to the rows that are served: who forecasts what, and discounted value.

Three roles per horizon: spend (with purchases), purchase (p_purchase) and alive (p_alive). Each has candidates, best
first; the first whose fit can forecast the horizon serves.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie
from clv_pipeline.forecasting.protocol import SPEND_TARGETS, FitReport, FittedModel, Model, TrainingData

Role = Literal["spend", "purchase", "alive"]
Seat = tuple[Role, int]
"""A role and the horizon in days that it is played for."""


@dataclass(frozen=True)
class Serving:
    """The fitted model of every seat, and one report per fit that serves somewhere."""

    fits: Mapping[Seat, FittedModel]
    reports: Sequence[FitReport]


def candidates(leaderboard: pl.DataFrame, models: Sequence[Model]) -> dict[Seat, list[Model]]:
    """Who may serve, best first, as the rows of `model_leaderboard` say; `models` in the order of the configuration.

    After the champions come the others, those with the better rank or Brier score first, because a champion of the
    last review may be unable to forecast today. The seat `alive` is for buy-till-you-die models, by rank.
    """
    by_name = {model.name: model for model in models}
    places = {name: place for place, name in enumerate(by_name)}
    seats: dict[Seat, list[Model]] = {}
    for (horizon,), board in leaderboard.partition_by("horizon_days", as_dict=True).items():
        rows = sorted(board.iter_rows(named=True), key=lambda row: places[row["model"]])

        def ordered(chosen: str, by: str, rows: list[dict[str, Any]] = rows) -> list[Model]:
            best_first = sorted(rows, key=lambda row: (not row[chosen], row[by] is None, row[by] or 0.0))
            return [by_name[row["model"]] for row in best_first]

        spend, purchase = ordered("is_champion", "rank"), ordered("serves_purchase", "brier")
        seats["spend", horizon] = [model for model in spend if model.targets >= SPEND_TARGETS]
        seats["purchase", horizon] = [model for model in purchase if "purchase" in model.targets]
        seats["alive", horizon] = [model for model in spend if isinstance(model, BuyTillYouDie)]
    return seats


def fit_serving(seats: Mapping[Seat, Sequence[Model]], training: TrainingData) -> Serving:
    """Fit for every seat the first of its candidates that can forecast the horizon; one fit per model serves.

    A seat `alive` may stay empty; ValueError with the fits' notes when another one does.
    """
    waiting = {seat: list(models) for seat, models in seats.items() if models or seat[0] != "alive"}
    fits: dict[str, tuple[set[int], FittedModel]] = {}
    refusals: dict[Seat, list[str]] = defaultdict(list)
    while True:
        for seat in [seat for seat, models in waiting.items() if not models]:
            role, horizon = seat
            if role != "alive":
                raise ValueError(
                    f"no configured model can serve {role} over {horizon} days. {' '.join(refusals[seat])}"
                )
            del waiting[seat]
        horizons: dict[str, set[int]] = defaultdict(set)
        for (_, horizon), models in waiting.items():
            horizons[models[0].name].add(horizon)
        for model in {models[0].name: models[0] for models in waiting.values()}.values():
            if model.name not in fits or not fits[model.name][0] >= horizons[model.name]:
                fits[model.name] = horizons[model.name], model.fit(training, sorted(horizons[model.name]))
        serving = {seat: fits[models[0].name][1] for seat, models in waiting.items()}
        refused = [seat for seat, fit in serving.items() if not fit.can_forecast(seat[1])]
        if not refused:
            reports = {fit.report.model: fit.report for fit in serving.values()}
            return Serving(serving, [reports[name] for name in sorted(reports)])
        for seat in refused:
            refusals[seat].append(f"{waiting[seat].pop(0).name}: {serving[seat].report.notes}")


@dataclass(frozen=True)
class Scorer:
    """Forecasts one horizon for customers frames, in batches of any size: a function that can be pickled.

    The rows have the columns of `clv_forecasts` without interval and rank, which need all customers. p_alive is the
    spend model's where it gives one, else that of the model in the seat `alive`, else null.
    """

    horizon_days: int
    spend: FittedModel
    purchase: FittedModel
    alive: FittedModel
    annual_discount_rate: float
    """Per year of 365.25 days."""
    margin: float
    """Share of spend that is earned; clv = margin × discounted expected spend."""
    names: Mapping[str, str]
    """What columns of the batches are renamed to, before a model sees them."""

    @classmethod
    def of(
        cls,
        serving: Serving,
        horizon_days: int,
        *,
        annual_discount_rate: float,
        margin: float,
        names: Mapping[str, str],
    ) -> Scorer:
        """The scorer of one horizon."""
        spend, purchase = serving.fits["spend", horizon_days], serving.fits["purchase", horizon_days]
        alive = serving.fits.get(("alive", horizon_days), spend)
        return cls(horizon_days, spend, purchase, alive, annual_discount_rate, margin, names)

    def __call__(self, customers: pl.DataFrame) -> pl.DataFrame:
        """One row per customer."""
        customers = customers.rename(self.names)
        forecasts = {
            name: fit.forecast(customers, self.horizon_days, self.annual_discount_rate)
            for name, fit in {fit.report.model: fit for fit in (self.spend, self.purchase, self.alive)}.items()
        }
        own, alive = forecasts[self.spend.report.model], forecasts[self.alive.report.model]
        return own.with_columns(
            forecasts[self.purchase.report.model]["p_purchase"],
            own["p_alive"] if own["p_alive"].is_not_null().any() else alive["p_alive"],
            as_of=pl.lit(self.spend.report.as_of),
            horizon_days=pl.lit(self.horizon_days, dtype=pl.Int64),
            model=pl.lit(self.spend.report.model),
            purchase_model=pl.lit(self.purchase.report.model),
            clv=self.margin * pl.col("discounted_spend"),
        ).drop("discounted_spend")


def fit_rows(reports: Sequence[FitReport], skipped_horizons: Mapping[tuple[str, date], list[int]]) -> pl.DataFrame:
    """Fit reports as rows of `fitted_models`: estimates become JSON, never pickle."""
    return pl.DataFrame(
        [
            {
                "model": report.model,
                "as_of": report.as_of,
                "verdict": report.verdict,
                "notes": report.notes,
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
            "customers": pl.Int64,
            "log_likelihood": pl.Float64,
            "parameters": pl.String,
            "standard_errors": pl.String,
            "skipped_horizons": pl.List(pl.Int64),
        },
    )
