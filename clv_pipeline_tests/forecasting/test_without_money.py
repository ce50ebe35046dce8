"""Shops without money: what is told of purchases does not need any, and nothing is told of money."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.ranges import SpendRanges
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline.forecasting.serving import Scorer
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, shop
from clv_pipeline_tests.helpers.no_money import trained_without_money, without_money

HORIZONS = [30, 90]
SHOP = shop(300)
GROUND = Ground(SHOP.training(CUTOFF))
BARE = Ground(trained_without_money(SHOP.training(CUTOFF)))
CUSTOMERS = SHOP.customers(CUTOFF, HORIZONS)


def test_whether_there_is_money_is_told_by_the_days() -> None:
    assert (GROUND.training.has_money, BARE.training.has_money) == (True, False)


@pytest.mark.parametrize("name", ["own_rate", "last_window", "same_window_last_year", "hiatus", "pareto_nbd"])
def test_purchases_are_those_of_a_shop_with_money(name: str) -> None:
    told = MODELS[name]().fit(GROUND).forecast(CUSTOMERS, HORIZONS, 0.1)
    bare = MODELS[name]().fit(BARE).forecast(without_money(CUSTOMERS), HORIZONS, 0.1)
    assert told.purchases is not None
    assert bare.purchases is not None
    np.testing.assert_array_equal(bare.purchases, told.purchases)
    np.testing.assert_array_equal(bare.p_purchase, told.p_purchase)
    assert (bare.spend, bare.discounted_spend, bare.value, bare.lifetime_value) == (None, None, None, None)


def test_what_a_model_learns_of_single_customers_needs_no_money() -> None:
    fit = MODELS["hybrid"]().fit(BARE)
    assert "value" not in fit.report.parameters
    learned = fit.report.parameters["correction"]["coefficients"]["30"]
    assert "frequency" in learned
    assert not [feature for feature in learned if "spend" in feature or feature in ("revenue", "monetary_value")]
    paths = fit.forecast(without_money(CUSTOMERS), HORIZONS, 0.1, with_outlook=True)
    paths.require_coherence()
    assert paths.purchases is not None
    assert np.isfinite(paths.purchases).all()
    assert paths.spend is None
    outlook = paths.outlook()
    assert outlook.select(pl.col("value_per_purchase", "lifetime_value").null_count()).row(0) == (300, 300)
    assert outlook["next_order_days"].null_count() < 300


def test_served_rows_have_neither_money_nor_ranges() -> None:
    past = pl.DataFrame(
        schema={
            "cutoff": pl.Date,
            **dict.fromkeys(("horizon_days", "frequency"), pl.Int64),
            **dict.fromkeys(("expected_purchases", "expected_spend", "p_purchase", "actual_spend"), pl.Float64),
        }
    )
    scorer = Scorer(MODELS["pareto_nbd"]().fit(BARE), SpendRanges.learn(past, 0.8), HORIZONS, 0.1, 0.4, {})
    rows = scorer(without_money(CUSTOMERS))
    money = ["expected_spend", "spend_lower", "spend_upper", "interval_level", "spend_deviation", "clv"]
    assert rows.height == 600
    assert rows.select(pl.col(*money, "value_per_purchase", "lifetime_value").is_null().all()).row(0) == (True,) * 8
    assert rows["expected_purchases"].is_not_null().all()
