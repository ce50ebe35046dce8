"""Intervals on a shop whose truth is known: as many customers are covered as stated, and the totals are held."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest

from clv_pipeline.evaluation.intervals import interval_metrics
from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.simulation import Story, simulate_shop
from clv_pipeline_tests.forecasting.examples import training_data
from clv_pipeline_tests.simulation.histories import customers_as_of

HORIZON = 180
START = date(2022, 1, 1)
CUTOFFS = [START + timedelta(days=400 + HORIZON * k) for k in range(3)]


def backtest_of(seed: int) -> pl.DataFrame:
    """BG/NBD forecasts of a simulated shop, with outcomes, at three cutoffs one behind the other."""
    shop = simulate_shop(4_000, Story(), seed=seed, start=START, days=400 + 3 * HORIZON, acquisition_days=400)
    windows = []
    for cutoff in CUTOFFS:
        customers = customers_as_of(shop.transactions, cutoff, HORIZON)
        training = training_data(customers)
        fitted = BgNbd().fit(replace(training, cutoff=cutoff, daily_totals=training.daily_totals.clear()), [HORIZON])
        outcomes = customers.select("actual_spend", "cutoff", "horizon_days", model=pl.lit("bg_nbd"))
        windows.append(fitted.forecast(customers, HORIZON).hstack(outcomes))
    return pl.concat(windows)


@pytest.fixture(scope="module")
def judged() -> pl.DataFrame:
    return interval_metrics(backtest_of(seed=1), 0.8).filter(pl.col("cutoff") > CUTOFFS[0])


def test_four_of_five_customers_are_covered(judged: pl.DataFrame) -> None:
    coverage = judged.filter(metric="interval_coverage")["value"]
    assert len(coverage) == 2
    assert coverage.is_between(0.77, 0.83).all()


def test_the_totals_are_held(judged: pl.DataFrame) -> None:
    assert judged.filter(metric="total_covered")["value"].to_list() == [1.0, 1.0]
