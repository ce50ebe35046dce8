"""Ranges on a shop whose truth is known: as many customers are covered as stated, and the total is held."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from clv_pipeline.evaluation.ranges import SpendRanges
from clv_pipeline.evaluation.total_ranges import TotalRange
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.registry import models_of
from clv_pipeline.simulation import Story, simulate_shop
from clv_pipeline_tests.helpers.histories import purchase_days

HORIZON, LEVEL = 180, 0.8
START = date(2022, 1, 1)
CUTOFFS = [START + timedelta(days=400 + HORIZON * k) for k in range(3)]
"""One behind the other: what came from one is known at the next."""


@pytest.fixture(scope="module")
def windows() -> pl.DataFrame:
    """BG/NBD forecasts of a simulated shop, with what came."""
    shop = simulate_shop(3_000, Story(), seed=1, start=START, days=400 + 3 * HORIZON, acquisition_days=400)
    days = purchase_days(shop.transactions)
    [model] = models_of(["bg_nbd"])
    found = []
    for cutoff in CUTOFFS:
        customers = days.customers(cutoff)
        paths = model.fit(Ground(days.training(cutoff, most_windows=0))).forecast(customers, [HORIZON])
        came = days.outcomes(cutoff, HORIZON).drop("customer_id")
        found.append(paths.frame().hstack(customers.select("cutoff", "frequency")).hstack(came))
    return pl.concat(found)


@pytest.fixture(scope="module")
def ranges(windows: pl.DataFrame) -> SpendRanges:
    return SpendRanges.learn(windows.filter(pl.col("cutoff") < CUTOFFS[-1]), LEVEL)


@pytest.fixture(scope="module")
def latest(windows: pl.DataFrame) -> pl.DataFrame:
    return windows.filter(cutoff=CUTOFFS[-1])


def test_four_of_five_of_those_who_may_well_buy_are_covered_and_more_of_the_others(
    ranges: SpendRanges, latest: pl.DataFrame
) -> None:
    lower, upper = ranges.of_paths(latest, 1)
    spent = floats(latest, "actual_spend")
    covered = (lower <= spent) & (spent <= upper)
    assert 0.76 < covered[floats(latest, "p_purchase") > 0.3].mean() < 0.84
    assert covered.mean() > 0.8


def test_the_total_is_held(windows: pl.DataFrame) -> None:
    totals = windows.group_by("cutoff", "horizon_days").agg(pl.col("expected_spend", "actual_spend").sum())
    [now] = totals.filter(cutoff=CUTOFFS[-1]).rows(named=True)
    held = TotalRange.learn(totals.filter(pl.col("cutoff") < CUTOFFS[-1]), HORIZON, LEVEL)
    assert held.lower_factor < now["actual_spend"] / now["expected_spend"] < held.upper_factor
