"""From the chosen model to rows: who serves, and paths with ranges as the tables have them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.contracts.loader import load_models
from clv_pipeline.evaluation.backtest import backtest, plan_windows
from clv_pipeline.evaluation.ranges import SpendRanges
from clv_pipeline.forecasting.families import Hybrid, ParetoNbdPath
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import FitReport, FittedModel, Model
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline.forecasting.serving import (
    PROBABILITY_DAYS,
    Scorer,
    fit_rows,
    fit_serving,
    probability_days,
    serving_order,
)
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, HISTORY_DAYS, shop

HORIZONS = [30, 90, 180]
DAYS = shop(300)
GROUND = Ground(DAYS.training(CUTOFF))
CUSTOMERS = DAYS.customers(CUTOFF, HORIZONS)
RATE, MARGIN = 0.1, 0.4


@dataclass
class Fixed:
    """A model that says the same of everybody, about horizons up to a limit; it counts its fits."""

    name: str
    longest: int = 1_000
    is_baseline: bool = False
    fits: int = 0

    def fit(self, ground: Ground) -> FittedFixed:
        self.fits += 1
        report = FitReport(self.name, ground.training.cutoff, {}, 1, "ok", f"{self.name} needs history.")
        return FittedFixed(self, report)


@dataclass(frozen=True)
class FittedFixed:
    model: Fixed
    report: FitReport

    def can_forecast(self, horizon_days: int) -> bool:
        return horizon_days <= self.model.longest

    def forecast(
        self,
        customers: pl.DataFrame,
        days: Sequence[int],
        annual_discount_rate: float = 0.0,
        *,
        with_outlook: bool = False,
    ) -> Paths:
        amount = np.tile(np.array(days, dtype=np.float64), (customers.height, 1))
        return Paths(self.model.name, customers["customer_id"], tuple(days), spend=amount, discounted_spend=amount / 2)


@dataclass(frozen=True)
class Halves:
    """Ranges from half to twice what is expected."""

    level: ClassVar[float] = 0.8
    asked: list[pl.DataFrame] = field(default_factory=list)

    def of_paths(self, forecasts: pl.DataFrame, horizons: int) -> tuple[Any, Any]:
        self.asked.append(forecasts)
        spend = forecasts["expected_spend"].to_numpy()
        return 0.5 * spend, 2.0 * spend

    def variances(self, forecasts: pl.DataFrame) -> Any:
        return forecasts["expected_spend"].to_numpy() ** 2


def board(*rows: tuple[str, int | None, bool], horizons: Sequence[int] = HORIZONS) -> pl.DataFrame:
    """Rows of the leaderboard: model, rank and is_champion, the same at every horizon."""
    schema = {"model": pl.String, "rank": pl.Int64, "is_champion": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row").join(pl.DataFrame({"horizon_days": horizons}), how="cross")


def names(models: Sequence[Model]) -> list[str]:
    return [model.name for model in models]


def test_the_champion_serves_then_the_others_by_rank_and_rules_last() -> None:
    rule: Any = Fixed("rule", is_baseline=True)
    models: list[Any] = [rule, Fixed("unknown"), Fixed("late"), Fixed("good"), ParetoNbdPath()]
    found = serving_order(
        board(("good", 1, False), ("pareto_nbd", 3, True), ("rule", 2, False), ("late", None, False)), models
    )
    assert names(found) == ["pareto_nbd", "good", "unknown", "late", "rule"]


def test_a_rule_serves_first_only_where_it_is_the_champion() -> None:
    rules: list[Any] = [Fixed("one", is_baseline=True), Fixed("other", is_baseline=True)]
    assert names(serving_order(board(("one", 2, False), ("other", 1, True)), rules)) == ["other", "one"]


def test_without_a_review_the_given_order_stands() -> None:
    models: list[Any] = [Fixed("b"), Fixed("rule", is_baseline=True), Fixed("a")]
    assert names(serving_order(board(), models)) == ["b", "a", "rule"]


def test_the_first_that_can_forecast_all_horizons_serves_and_no_other_is_fitted() -> None:
    short, able, third = Fixed("short", longest=90), Fixed("able"), Fixed("third")
    order: list[Any] = [short, able, third]
    assert fit_serving(order, GROUND, HORIZONS).report.model == "able"
    assert (short.fits, able.fits, third.fits) == (1, 1, 0)
    assert fit_serving(order, GROUND, [30, 90]).report.model == "short"


def test_where_nobody_can_forecast_all_horizons_each_says_why() -> None:
    models: list[Any] = [Fixed("a", longest=60), Fixed("b", longest=20)]
    told = r"no configured model can forecast \[30, 90\] days\. a: a needs history\. b: b needs history\."
    with pytest.raises(ValueError, match=told):
        fit_serving(models, GROUND, [30, 90])


@cache
def served(name: str) -> tuple[FittedModel, SpendRanges]:
    """A model with the ranges that its own backtest teaches."""
    plan = plan_windows(CUTOFF - timedelta(days=HISTORY_DAYS), CUTOFF, HORIZONS, 3)
    tried = backtest(
        [MODELS[name]()],
        plan,
        training_for=lambda cutoff: DAYS.training(cutoff, most_windows=4),
        customers_for=DAYS.customers,
        outcomes_for=DAYS.outcomes,
    )
    return MODELS[name]().fit(GROUND), SpendRanges.learn(tried.forecasts, 0.8)


def scorer(name: str = "hybrid", horizons: Sequence[int] = HORIZONS) -> Scorer:
    fit, ranges = served(name)
    return Scorer(fit, ranges, horizons, RATE, MARGIN, {}, PROBABILITY_DAYS if name == "hybrid" else ())


def test_what_is_scored_is_what_the_tables_hold() -> None:
    tables = load_models()
    forecasts, outlook = (
        [column.name for column in tables[table].contract.columns] for table in ("clv_forecasts", "customer_outlook")
    )
    assert set(scorer()(CUSTOMERS).columns) == {*forecasts, *outlook} - {"clv_rank", "next_order_date"}


def test_a_row_says_what_the_path_says() -> None:
    fit, _ = served("hybrid")
    paths = fit.forecast(CUSTOMERS, HORIZONS, RATE, with_outlook=True)
    rows = scorer(horizons=HORIZONS[::-1])(CUSTOMERS)
    frame = paths.frame()
    same = ["customer_id", "horizon_days", "expected_purchases", "expected_spend", "p_purchase", "p_alive"]
    assert_frame_equal(rows.select(same), frame.select(same))
    np.testing.assert_allclose(rows["clv"], MARGIN * frame["discounted_spend"].to_numpy(), rtol=1e-12)
    assert rows.select("model", "purchase_model", "as_of", "interval_level").unique().rows() == [
        ("hybrid", "hybrid", CUTOFF, 0.8)
    ]
    once = rows.filter(pl.col("horizon_days") == 90)
    outlook = paths.outlook()
    assert once["next_order_days"].equals(outlook["next_order_days"])
    np.testing.assert_allclose(once["lifetime_value"], MARGIN * outlook["lifetime_value"].to_numpy(), rtol=1e-12)
    assert rows.group_by("customer_id").agg(pl.col("lifetime_value", "p_alive").n_unique()).select(
        pl.col("lifetime_value", "p_alive").max()
    ).row(0) == (1, 1)


def test_no_row_contradicts_another() -> None:
    rows = scorer()(CUSTOMERS)
    assert (rows["spend_lower"] <= rows["expected_spend"]).all()
    assert (rows["expected_spend"] <= rows["spend_upper"]).all()
    assert rows.filter(pl.col("p_purchase") > pl.min_horizontal("expected_purchases", "p_alive")).is_empty()
    for name in ("expected_purchases", "expected_spend", "p_purchase", "clv", "spend_lower", "spend_upper"):
        steps = rows.select(pl.col(name).diff().over("customer_id").drop_nulls()).to_series()
        assert (steps >= -1e-9).all(), name
    assert (rows["clv"] <= MARGIN * rows["expected_spend"]).all()
    longest = rows.filter(pl.col("horizon_days") == max(HORIZONS))
    assert (longest["lifetime_value"] >= longest["clv"]).all()


def test_a_horizon_says_the_same_whichever_others_are_configured() -> None:
    columns = ["customer_id", "expected_purchases", "expected_spend", "p_purchase", "p_alive", "clv", "lifetime_value"]
    among = scorer()(CUSTOMERS).filter(pl.col("horizon_days") == 90).select(columns)
    alone = scorer(horizons=[90])(CUSTOMERS).select(columns)
    assert_frame_equal(alone, among, rel_tol=1e-12, abs_tol=1e-12)


@pytest.mark.parametrize("horizons", [[30, 90, 180], [7], [365, 1000]])
def test_the_probability_in_30_90_and_365_days_is_read_from_the_path_whatever_is_configured(
    horizons: list[int],
) -> None:
    rows = scorer(horizons=horizons)(CUSTOMERS).unique("customer_id", maintain_order=True)
    fit, _ = served("hybrid")
    path = fit.forecast(CUSTOMERS, PROBABILITY_DAYS, RATE).p_purchase
    assert path is not None
    said = rows.select("p_purchase_30_days", "p_purchase_90_days", "p_purchase_365_days").to_numpy()
    np.testing.assert_allclose(said, path, rtol=1e-12)
    assert scorer(horizons=horizons)(CUSTOMERS)["horizon_days"].unique().to_list() == sorted(horizons)


def test_a_rule_is_read_at_the_horizons_alone_and_a_model_as_far_as_it_can_forecast() -> None:
    rule: Any = Fixed("rule", is_baseline=True)
    short: Any = Fixed("short", longest=90)
    models = [rule, short]
    assert probability_days(rule.fit(GROUND), [90, 180], models) == [90]
    assert probability_days(short.fit(GROUND), [7], models) == [30, 90]
    rows = scorer("own_rate", horizons=[90])(CUSTOMERS.head(3))
    assert rows["p_purchase_90_days"].null_count() == 3
    fit, ranges = served("own_rate")
    rows = Scorer(fit, ranges, [90], RATE, MARGIN, {}, [90])(CUSTOMERS.head(3))
    assert rows["p_purchase_90_days"].equals(rows["p_purchase"], check_names=False)
    assert rows["p_purchase_30_days"].null_count() == 3


@pytest.mark.parametrize("name", ["hybrid", "bg_nbd", "own_rate", "hiatus"])
def test_customers_are_scored_alike_in_any_batch_and_after_pickling(name: str) -> None:
    score = scorer(name)
    together = score(CUSTOMERS)
    unpickled = pickle.loads(pickle.dumps(score))  # noqa: S301  (our own bytes)
    batches = [unpickled(CUSTOMERS.slice(first, 77)) for first in range(0, CUSTOMERS.height, 77)]
    assert_frame_equal(pl.concat(batches), together, check_exact=True)


def test_columns_of_batches_are_renamed_before_a_model_sees_them() -> None:
    score = Scorer(Hybrid().fit(GROUND), Halves(), [90], RATE, MARGIN, {"e0": "event:visit", "x": "revenue"})
    rows = score(CUSTOMERS.rename({"revenue": "x"}).with_columns(e0=pl.lit(1.0)))
    assert rows.height == CUSTOMERS.height


def test_a_rule_serves_what_it_says_and_null_for_what_it_does_not() -> None:
    fixed: Any = Fixed("rule", is_baseline=True)
    ranges = Halves()
    rows = Scorer(fixed.fit(GROUND), ranges, [90, 30], RATE, MARGIN, {})(CUSTOMERS.head(2))
    assert rows["horizon_days"].to_list() == [30, 90] * 2
    assert rows.row(1, named=True) == {
        "customer_id": CUSTOMERS["customer_id"][0],
        "horizon_days": 90,
        "expected_purchases": None,
        "expected_spend": 90.0,
        "p_purchase": None,
        "p_alive": None,
        "as_of": CUTOFF,
        "model": "rule",
        "purchase_model": "rule",
        "spend_lower": 45.0,
        "spend_upper": 180.0,
        "interval_level": 0.8,
        "clv": MARGIN * 45.0,
        "spend_deviation": 90.0,
        "value_per_purchase": None,
        "lifetime_value": None,
        "next_order_days": None,
        "p_purchase_30_days": None,
        "p_purchase_90_days": None,
        "p_purchase_365_days": None,
    }
    [asked] = ranges.asked
    assert asked["frequency"].to_list() == [f for f in CUSTOMERS["frequency"].head(2) for _ in range(2)]


def test_nobody_is_scored_when_there_is_nobody() -> None:
    nobody = scorer()(CUSTOMERS.clear())
    assert nobody.is_empty()
    assert nobody.schema == scorer()(CUSTOMERS.head(1)).schema


def test_fits_become_rows_that_hold_json() -> None:
    report = Hybrid().fit(GROUND).report
    rows = fit_rows([report], {("hybrid", CUTOFF): [365, 30]})
    row = rows.row(0, named=True)
    assert (row["model"], row["as_of"], row["skipped_horizons"]) == ("hybrid", CUTOFF, [30, 365])
    assert json.loads(row["parameters"]) == report.parameters
    assert json.loads(row["standard_errors"]) == report.standard_errors
    assert fit_rows([], {}).schema == rows.schema
