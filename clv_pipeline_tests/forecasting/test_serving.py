import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.frames import FORECAST_SCHEMA, forecast_frame
from clv_pipeline.forecasting.protocol import ALL_TARGETS, FitReport, Model, Target, TrainingData
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline.forecasting.serving import Scorer, Seat, candidates, fit_serving
from clv_pipeline_tests.forecasting.examples import CUTOFF, simulated, training_data

TRAINING = training_data(simulated(50))


@dataclass
class Fixed:
    """A model that says the same of everybody, about horizons up to a limit; it counts its fits."""

    name: str
    targets: frozenset[Target] = ALL_TARGETS
    longest: int = 1_000
    amount: float = 1.0
    alive: float | None = None
    is_baseline: ClassVar[bool] = False
    fitted_for: list[list[int]] = field(default_factory=list)

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> "FittedFixed":
        self.fitted_for.append(list(horizons_days))
        return FittedFixed(self, FitReport(self.name, training.cutoff, {}, 1, "ok", f"{self.name} needs history."))


@dataclass(frozen=True)
class FittedFixed:
    model: Fixed
    report: FitReport

    def can_forecast(self, horizon_days: int) -> bool:
        return horizon_days <= self.model.longest

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        amount = np.full(customers.height, self.model.amount)
        spends = "spend" in self.model.targets
        return forecast_frame(
            self.model.name,
            customers,
            expected_purchases=amount if spends else None,
            expected_spend=amount * horizon_days if spends else None,
            discounted_spend=0.5 * amount * horizon_days if spends else None,
            p_purchase=amount / 10.0 if "purchase" in self.model.targets else None,
            p_alive=None if self.model.alive is None else np.full(customers.height, self.model.alive),
        )


def board(*rows: tuple[str, int | None, bool, bool, float | None], horizon: int = 90) -> pl.DataFrame:
    """Rows of the leaderboard: model, rank, is_champion, serves_purchase, brier."""
    columns = ["model", "rank", "is_champion", "serves_purchase", "brier"]
    return pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None).with_columns(
        horizon_days=pl.lit(horizon)
    )


def names(models: Sequence[Model]) -> list[str]:
    return [model.name for model in models]


def test_champions_come_first_then_the_others_by_rank_and_brier() -> None:
    classifier = Fixed("classifier", frozenset({"purchase"}))
    rule = Fixed("rule", frozenset({"purchases", "spend"}))
    models: list[Any] = [rule, classifier, Fixed("late"), Fixed("good"), BgNbd()]
    found = candidates(
        board(
            ("good", 1, False, False, 0.2),
            ("bg_nbd", 2, True, False, 0.19),
            ("rule", 3, False, False, None),
            ("late", None, False, False, None),
            ("classifier", None, False, True, 0.15),
        ),
        models,
    )
    assert names(found["spend", 90]) == ["bg_nbd", "good", "rule", "late"]
    assert names(found["purchase", 90]) == ["classifier", "bg_nbd", "good", "late"]
    assert names(found["alive", 90]) == ["bg_nbd"]


def test_a_model_is_fitted_once_for_all_seats_that_it_serves() -> None:
    champion, other = Fixed("champion"), Fixed("other")
    seats: dict[Seat, list[Any]] = {
        ("spend", 30): [champion],
        ("purchase", 30): [other],
        ("alive", 30): [],
        ("spend", 90): [champion, other],
        ("purchase", 90): [champion],
    }
    serving = fit_serving(seats, TRAINING)
    assert (champion.fitted_for, other.fitted_for) == ([[30, 90]], [[30]])
    assert [report.model for report in serving.reports] == ["champion", "other"]
    assert {seat: fit.report.model for seat, fit in serving.fits.items()} == {
        ("spend", 30): "champion",
        ("purchase", 30): "other",
        ("spend", 90): "champion",
        ("purchase", 90): "champion",
    }


def test_where_the_champion_cannot_forecast_today_the_next_best_serves() -> None:
    champion, other = Fixed("champion", longest=60), Fixed("other")
    seats: dict[Seat, list[Any]] = {("spend", h): [champion, other] for h in (30, 90)}
    serving = fit_serving(seats, TRAINING)
    assert serving.fits["spend", 30].report.model == "champion"
    assert serving.fits["spend", 90].report.model == "other"
    assert len(champion.fitted_for) == 1
    seats = {("spend", 90): [champion]}
    with pytest.raises(ValueError, match=r"can serve spend over 90 days\. champion: champion needs history"):
        fit_serving(seats, TRAINING)


def scored(seats: dict[Seat, list[Any]], horizon: int = 90, rate: float = 0.0, margin: float = 1.0) -> pl.DataFrame:
    scorer = Scorer.of(
        fit_serving(seats, TRAINING), horizon, annual_discount_rate=rate, margin=margin, names={"e0": "event:visit"}
    )
    return scorer(simulated(5).with_columns(e0=pl.lit(1.0)))


def test_each_column_is_from_the_model_that_serves_it() -> None:
    spend = Fixed("champion", frozenset({"purchases", "spend"}), amount=3.0)
    purchase, alive = Fixed("classifier", frozenset({"purchase"}), amount=4.0), Fixed("alive", alive=0.7)
    seats: dict[Seat, list[Any]] = {}
    for h in (90, 30):
        seats |= {("spend", h): [spend], ("purchase", h): [purchase], ("alive", h): [alive]}
    assert scored(seats, horizon=30)["horizon_days"].to_list() == [30] * 5
    assert scored(seats, rate=0.1, margin=0.2).drop("customer_id").unique().to_dicts() == [
        {
            "horizon_days": 90,
            "expected_purchases": 3.0,
            "expected_spend": 270.0,
            "p_purchase": 0.4,
            "p_alive": 0.7,
            "as_of": CUTOFF,
            "model": "champion",
            "purchase_model": "classifier",
            "clv": pytest.approx(0.2 * 135.0),
        }
    ]


@pytest.mark.parametrize(("own", "seat", "served"), [(0.9, 0.7, 0.9), (None, 0.7, 0.7), (None, None, None)])
def test_p_alive_is_the_champions_own_else_of_the_seat_else_unknown(
    own: float | None, seat: float | None, served: float | None
) -> None:
    champion = Fixed("champion", alive=own)
    seats: dict[Seat, list[Any]] = {("spend", 90): [champion], ("purchase", 90): [champion]}
    if seat is not None:
        seats["alive", 90] = [Fixed("alive", alive=seat)]
    assert scored(seats)["p_alive"].to_list() == [served] * 5


def test_served_rows_hold_what_a_forecast_says() -> None:
    champion = Fixed("champion")
    seats: dict[Seat, list[Any]] = {("spend", 90): [champion], ("purchase", 90): [champion]}
    assert set(FORECAST_SCHEMA) - set(scored(seats).columns) == {"discounted_spend"}


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_scores_alike_in_any_batch_and_after_pickling(name: str) -> None:
    customers = simulated(300)
    fit = MODELS[name]().fit(training_data(customers, simulated(400, 2, cutoff=CUTOFF - timedelta(days=90))), [90])
    scorer = Scorer(90, fit, fit, fit, annual_discount_rate=0.1, margin=0.5, names={})
    together = scorer(customers)

    unpickled = pickle.loads(pickle.dumps(scorer))  # noqa: S301  (our own bytes)
    batches = pl.concat([unpickled(customers.slice(first, 77)) for first in range(0, customers.height, 77)])

    assert_frame_equal(batches, together, check_exact=True)
