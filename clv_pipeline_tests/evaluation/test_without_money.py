"""Shops without money are judged on purchases alone: choice, accuracy as served, drivers, totals."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import backtest, plan_windows
from clv_pipeline.evaluation.champion import leaderboard
from clv_pipeline.evaluation.choice import Evidence
from clv_pipeline.evaluation.drivers import permutation_importance
from clv_pipeline.evaluation.metrics import calibration, evaluate
from clv_pipeline.evaluation.total_ranges import TOTALS_SCHEMA, forecast_totals
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.registry import MODELS, models_of
from clv_pipeline_tests.helpers import forecast_examples
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF
from clv_pipeline_tests.helpers.no_money import trained_without_money, without_money
from clv_pipeline_tests.helpers.served_forecasts import CONTENDERS, CUTOFFS, HORIZONS, shop, walk


@pytest.fixture(scope="module")
def forecasts() -> pl.DataFrame:
    return without_money(shop())


@pytest.fixture(scope="module")
def served(forecasts: pl.DataFrame) -> pl.DataFrame:
    return walk(forecasts)


def test_purchases_are_scored_as_in_a_shop_with_money(forecasts: pl.DataFrame) -> None:
    metrics = evaluate(forecasts)
    assert set(metrics["target"]) == {"purchases", "purchase"}
    assert metrics.equals(evaluate(shop()).filter(pl.col("target") != "spend"))
    assert calibration(forecasts).is_empty()


def test_the_choice_rests_on_the_deviance_of_purchases(forecasts: pl.DataFrame) -> None:
    metrics = evaluate(forecasts)
    evidence = Evidence.of(metrics)
    of_model = metrics.filter(pl.col("model") == "hybrid", pl.col("target") == "purchases").sort(
        "cutoff", "horizon_days"
    )
    deviances = of_model.filter(pl.col("metric") == "poisson_deviance")["value"].to_numpy()
    np.testing.assert_allclose(evidence.losses["hybrid"], np.log(deviances))
    skills = of_model.filter(pl.col("metric") == "poisson_skill")["value"].to_numpy()
    np.testing.assert_allclose(evidence.skills["hybrid"], skills)
    board = leaderboard(metrics, CONTENDERS, HORIZONS, date(2030, 1, 1))
    champion = board.filter("is_champion").row(0, named=True)
    assert (champion["model"], champion["why_code"]) == ("pareto_nbd", "replaced_preferred")
    assert board.select(pl.col("mae", "score", "tweedie_skill", "bias").is_null().all()).row(0) == (True,) * 4
    assert board["poisson_skill"].is_not_null().all()


def test_served_accuracy_is_told_of_purchases(served: pl.DataFrame) -> None:
    assert set(served["target"]) == {"purchases", "purchase", "alive"}
    assert set(served["cutoff"]) == set(CUTOFFS)
    rules = served.filter(pl.col("metric").str.starts_with("best_rule_"))
    assert set(rules["metric"]) == {"best_rule_absolute_bias", "best_rule_mae", "best_rule_poisson_skill"}
    deciles = served.filter(
        pl.col("group_kind") == "decile", pl.col("metric") == "predicted_mean", pl.col("target") == "purchases"
    )
    means = deciles.group_by("group_name").agg(pl.col("value").mean())
    told = dict(means.iter_rows())
    assert told["best 1 %"] > told["1"] > told["5"] > told["10"]


def test_drivers_are_those_of_purchases() -> None:
    cutoff_shop = forecast_examples.shop(300)
    customers = without_money(cutoff_shop.customers(CUTOFF))
    fit = MODELS["hybrid"]().fit(Ground(trained_without_money(cutoff_shop.training(CUTOFF))))
    found = permutation_importance(fit, customers, {90: without_money(cutoff_shop.outcomes(CUTOFF, 90))})
    facts = dict(found.select("feature", "direction").iter_rows())
    assert "spend_per_purchase" not in facts
    assert (facts["frequency"], facts["days_since_last"]) == ("up", "down")
    assert found["importance"].is_not_null().all()


def test_a_backtest_refuses_spend_that_is_unknown_of_some_only() -> None:
    days = forecast_examples.shop(100)
    windows = plan_windows(date(2022, 8, 1), CUTOFF, [30], 1)

    def outcomes(cutoff: date, horizon: int) -> pl.DataFrame:
        known = days.outcomes(cutoff, horizon)
        return known.with_columns(pl.when(pl.int_range(pl.len()) > 0).then("actual_spend").alias("actual_spend"))

    def run(outcomes_for: object) -> None:
        backtest(
            models_of(["own_rate"]),
            windows,
            training_for=lambda cutoff: trained_without_money(days.training(cutoff)),
            customers_for=lambda cutoff, horizons: without_money(days.customers(cutoff, horizons)),
            outcomes_for=outcomes_for,  # type: ignore[arg-type]
        )

    with pytest.raises(ValueError, match="1 customers have no outcome"):
        run(outcomes)
    run(lambda cutoff, horizon: without_money(days.outcomes(cutoff, horizon)))


def test_totals_have_no_range_and_say_why() -> None:
    served = pl.DataFrame(
        {
            "horizon_days": [90, 30],
            "as_of": [CUTOFF] * 2,
            "model": ["hybrid"] * 2,
            "expected_purchases": [30.0, 10.0],
            "expected_spend": pl.Series([None, None], dtype=pl.Float64),
        }
    )
    totals = forecast_totals(served, pl.DataFrame(), 0.8)
    assert totals.schema == TOTALS_SCHEMA
    assert totals["expected_purchases"].to_list() == [10.0, 30.0]
    unknown = ("expected_spend", "spend_lower", "spend_upper", "interval_level")
    assert totals.select(pl.col(unknown).is_null().all()).row(0) == (True,) * 4
    assert set(totals["notes_code"]) == {"no_money"}
