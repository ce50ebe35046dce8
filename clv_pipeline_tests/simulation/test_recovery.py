"""Known parameters come back from simulated shops, and forecasts of them are right in total and calibrated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting import gamma_gamma
from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.families import BgNbdPath
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.simulation import Story, simulate_shop
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import BgNbdProcess
from clv_pipeline.simulation.spend import GammaGammaSpend
from clv_pipeline_tests.helpers.histories import purchase_days
from clv_pipeline_tests.helpers.holdout import holdout

CUSTOMERS, HORIZON = 6_000, 180
PROCESS, SPEND = BgNbdProcess(), GammaGammaSpend()
STORY = Story(Buyers(PROCESS, SPEND))
KNOWN = asdict(PROCESS) | asdict(SPEND)
SEEDS = (1, 2, 3)
START, CUTOFF, DAYS = date(2022, 1, 1), date(2023, 12, 31), 730 + HORIZON


@dataclass(frozen=True)
class Recovered:
    """What two years of a simulated shop tell of its parameters and of the half year after, beside what came."""

    verdicts: set[str]
    parameters: dict[str, float]
    standard_errors: dict[str, float]
    forecast: pl.DataFrame


@pytest.fixture(scope="module")
def shops() -> list[Recovered]:
    return [recovered(seed) for seed in SEEDS]


def recovered(seed: int) -> Recovered:
    shop = simulate_shop(CUSTOMERS, STORY, seed=seed, start=START, days=DAYS, acquisition_days=365)
    days = purchase_days(shop.transactions)
    training = days.training(CUTOFF, most_windows=2)
    process, money = BgNbd().estimate(training.customer_counts), gamma_gamma.fit(training.repeat_spend)
    customers = training.current_customers
    paths = BgNbdPath().fit(Ground(training)).forecast(customers, [HORIZON])
    alone = holdout(process, customers, HORIZON, days.outcomes(CUTOFF, HORIZON))
    is_gone = (pl.col("left_on") <= CUTOFF).fill_null(value=False)
    forecast = paths.frame().hstack(
        alone.select("actual_purchases", "actual_spend", customers["frequency"], by_process="expected_purchases")
    )
    return Recovered(
        {process.verdict, money.verdict},
        process.parameters | money.parameters,
        process.standard_errors | money.standard_errors,
        forecast.hstack(shop.truth.select(is_alive=~is_gone)),
    )


@pytest.mark.parametrize("seed", range(len(SEEDS)))
@pytest.mark.parametrize("parameter", KNOWN)
def test_the_parameters_come_back_within_two_standard_errors(shops: list[Recovered], seed: int, parameter: str) -> None:
    found = shops[seed]
    assert found.verdicts == {"ok"}
    error = found.standard_errors[parameter]
    assert abs(found.parameters[parameter] - KNOWN[parameter]) < 2 * error
    # Two standard errors would not say much if they were large.
    assert error < 0.15 * KNOWN[parameter]


def test_the_totals_of_the_holdout_are_forecast_within_a_few_percent(shops: list[Recovered]) -> None:
    everybody = pl.concat([shop.forecast for shop in shops])
    totals = everybody.select(pl.col(pl.Float64, pl.Int64).sum()).row(0, named=True)
    assert totals["by_process"] == pytest.approx(totals["actual_purchases"], rel=0.03)
    assert totals["expected_purchases"] == pytest.approx(totals["actual_purchases"], rel=0.05)
    assert totals["expected_spend"] == pytest.approx(totals["actual_spend"], rel=0.05)


@pytest.mark.parametrize(
    ("probability", "happened"),
    [("p_purchase", pl.col("actual_purchases") > 0), ("p_alive", pl.col("is_alive"))],
)
def test_probabilities_are_calibrated_in_every_decile(
    shops: list[Recovered], probability: str, happened: pl.Expr
) -> None:
    everybody = pl.concat([shop.forecast for shop in shops])
    if probability == "p_alive":
        # One-time buyers are alive, in truth too, unless they came and left on their first day.
        once = everybody.filter(pl.col("frequency") == 0)["is_alive"]
        assert once.sum() > 0.99 * len(once)
        everybody = everybody.filter(pl.col("frequency") > 0)
    ordered = everybody.sort(probability).select(forecast=probability, actual=happened.cast(pl.Float64))
    for decile in np.array_split(ordered.to_numpy(), 10):
        forecast, actual = decile.mean(axis=0)
        assert abs(forecast - actual) < 4 * np.sqrt(max(forecast * (1 - forecast), 0.005) / len(decile)) + 0.01
