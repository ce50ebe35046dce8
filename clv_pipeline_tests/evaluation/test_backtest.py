from collections.abc import Callable
from datetime import date, timedelta

import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import BACKTEST_SCHEMA, Backtest, backtest, plan_windows
from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.forecasting.protocol import TrainingData
from clv_pipeline.forecasting.registry import MODELS, build_models
from clv_pipeline_tests.golden import cdnow

FIRST, AS_OF = date(2022, 1, 1), date(2023, 12, 31)


def test_windows_of_a_horizon_are_a_chain_back_from_today() -> None:
    plan = plan_windows(FIRST, AS_OF, [90], folds=3)
    assert plan["cutoff"].to_list() == [AS_OF - timedelta(days=90 * k) for k in range(5)]
    assert plan["outcome_ends"].to_list()[1:] == plan["cutoff"].to_list()[:-1]
    assert plan["is_complete"].to_list() == [False, True, True, True, True]
    assert plan["is_backtest"].to_list() == [False, True, True, True, False]


def test_no_complete_window_ends_after_today() -> None:
    plan = plan_windows(FIRST, AS_OF, [30, 90, 180, 365], folds=3)
    assert (plan.filter("is_complete")["outcome_ends"] <= AS_OF).all()
    assert (plan.filter(~pl.col("is_complete"))["cutoff"] == AS_OF).all()


@pytest.mark.parametrize(
    ("days_of_history", "horizon", "backtests"),
    [(58, 30, 1), (57, 30, 0), (250, 200, 1), (249, 200, 0), (10, 30, 0)],
)
def test_a_window_needs_28_days_or_a_quarter_of_its_length_before_its_cutoff(
    days_of_history: int, horizon: int, backtests: int
) -> None:
    first = AS_OF - timedelta(days=days_of_history - 1)
    plan = plan_windows(first, AS_OF, [horizon], folds=3)
    assert plan["is_backtest"].sum() == backtests
    assert plan.height == backtests + 1


@pytest.mark.parametrize(
    ("first", "horizons", "folds", "message"),
    [
        (AS_OF + timedelta(days=1), [30], 3, "before the first day"),
        (FIRST, [0], 3, "at least 1"),
        (FIRST, [30], 0, "at least 1"),
        (FIRST, [30, 30], 3, "repeated"),
    ],
)
def test_plans_that_make_no_sense_are_refused(first: date, horizons: list[int], folds: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_windows(first, AS_OF, horizons, folds)


@pytest.fixture(scope="module")
def days() -> pl.DataFrame:
    return cdnow.purchase_days()


def sources(
    days: pl.DataFrame, plan: pl.DataFrame
) -> tuple[
    Callable[[date], TrainingData],
    Callable[[date, int], pl.DataFrame],
    Callable[[date, int], pl.DataFrame],
]:
    """Training, customers and outcomes, as the warehouse would hand them over."""

    def customers_for(cutoff: date, horizon: int) -> pl.DataFrame:
        return cdnow.customers_frame(days, cutoff, horizon)

    def outcomes_for(cutoff: date, horizon: int) -> pl.DataFrame:
        return cdnow.outcomes_frame(days, customers_for(cutoff, horizon))

    def training_for(cutoff: date) -> TrainingData:
        completed = plan.filter(pl.col("is_complete"), pl.col("outcome_ends") <= cutoff)
        windows = [
            customers_for(c, h).join(outcomes_for(c, h), on=["customer_id", "cutoff", "horizon_days"])
            for c, h in completed.select("cutoff", "horizon_days").iter_rows()
        ]
        return cdnow.training_data(cdnow.customers_frame(days, cutoff, 1), pl.concat(windows) if windows else None)

    return training_for, customers_for, outcomes_for


def run(days: pl.DataFrame, plan: pl.DataFrame, models: list[str]) -> Backtest:
    training_for, customers_for, outcomes_for = sources(days, plan)
    return backtest(
        build_models(models),
        plan,
        training_for=training_for,
        customers_for=customers_for,
        outcomes_for=outcomes_for,
    )


@pytest.fixture(scope="module")
def plan() -> pl.DataFrame:
    return plan_windows(date(1997, 1, 1), date(1998, 6, 15), [90], folds=2)


@pytest.fixture(scope="module")
def result(days: pl.DataFrame, plan: pl.DataFrame) -> Backtest:
    return run(days, plan, list(MODELS))


def test_every_model_forecasts_every_window_or_says_why_not(result: Backtest, plan: pl.DataFrame) -> None:
    assert result.forecasts.schema == BACKTEST_SCHEMA
    cutoffs = plan.filter("is_backtest")["cutoff"].to_list()
    assert len(result.reports) == len(cutoffs) * len(MODELS)
    done = set(result.forecasts.select("cutoff", "model").unique().iter_rows())
    skipped = {(s.cutoff, s.model) for s in result.skipped}
    assert done.isdisjoint(skipped)
    assert done | skipped == {(cutoff, model) for cutoff in cutoffs for model in MODELS}
    assert skipped == {(min(cutoffs), "same_window_last_year")}
    assert "a year back needs 365" in result.skipped[0].reason


def test_the_training_window_behind_the_oldest_fold_lets_regressions_be_judged_on_it(
    result: Backtest, plan: pl.DataFrame
) -> None:
    oldest = plan.filter("is_backtest")["cutoff"].min()
    fits = [r for r in result.reports if r.model == "linear_regression" and r.as_of == oldest]
    assert [fit.verdict for fit in fits] == ["ok"]


def test_outcomes_are_joined_to_their_customers(result: Backtest, days: pl.DataFrame) -> None:
    cutoff = result.forecasts["cutoff"].max()
    assert isinstance(cutoff, date)
    of_model = result.forecasts.filter(pl.col("cutoff") == cutoff, pl.col("model") == "bg_nbd")
    spent = days.filter(pl.col("day") > cutoff, pl.col("day") <= cutoff + timedelta(days=90))
    expected = spent.group_by("customer_id").agg(pl.col("spend").sum())
    joined = of_model.filter(pl.col("actual_spend") > 0).join(expected, on="customer_id")
    assert joined["actual_spend"].to_list() == pytest.approx(joined["spend"].to_list())
    assert of_model["actual_spend"].sum() == pytest.approx(spent["spend"].sum())


def test_nothing_after_a_cutoff_changes_a_forecast_of_it(
    result: Backtest, days: pl.DataFrame, plan: pl.DataFrame
) -> None:
    cutoff = result.forecasts["cutoff"].min()
    assert isinstance(cutoff, date)
    changed = days.filter((pl.col("day") <= cutoff) | (pl.col("day").dt.day() % 2 == 0)).with_columns(
        spend=pl.when(pl.col("day") > cutoff).then(pl.col("spend") * 7).otherwise("spend")
    )
    again = run(changed, plan.filter(pl.col("cutoff") <= cutoff), ["bg_nbd", "linear_regression"])
    forecast_columns = BACKTEST_SCHEMA.names()[:-2]
    before = result.forecasts.filter(pl.col("cutoff") == cutoff, pl.col("model").is_in(["bg_nbd", "linear_regression"]))
    keys = ["model", "customer_id"]
    assert again.forecasts.select(forecast_columns).sort(keys).equals(before.select(forecast_columns).sort(keys))
    assert not again.forecasts["actual_spend"].equals(before["actual_spend"])


def test_frames_are_asked_for_once_per_cutoff_and_window(days: pl.DataFrame, plan: pl.DataFrame) -> None:
    training_for, customers_for, outcomes_for = sources(days, plan)
    asked: list[object] = []

    def noted_training(cutoff: date) -> TrainingData:
        asked.append(cutoff)
        return training_for(cutoff)

    def noted_customers(cutoff: date, horizon: int) -> pl.DataFrame:
        asked.append((cutoff, horizon))
        return customers_for(cutoff, horizon)

    backtest(
        build_models(["own_rate", "last_window"]),
        plan,
        training_for=noted_training,
        customers_for=noted_customers,
        outcomes_for=outcomes_for,
    )
    old, new = sorted(plan.filter("is_backtest")["cutoff"].to_list())
    assert asked == [old, (old, 90), new, (new, 90)]


def test_a_customer_without_an_outcome_is_an_error_not_a_zero(days: pl.DataFrame, plan: pl.DataFrame) -> None:
    training_for, customers_for, outcomes_for = sources(days, plan)
    with pytest.raises(ValueError, match="1 customers have no outcome for 90 days"):
        backtest(
            build_models(["own_rate"]),
            plan,
            training_for=training_for,
            customers_for=customers_for,
            outcomes_for=lambda cutoff, horizon: outcomes_for(cutoff, horizon).slice(1),
        )


def test_training_data_of_another_cutoff_are_refused(days: pl.DataFrame, plan: pl.DataFrame) -> None:
    training_for, customers_for, outcomes_for = sources(days, plan)
    with pytest.raises(ValueError, match="training data as of 1997-03-01 was handed over"):
        backtest(
            build_models(["own_rate"]),
            plan,
            training_for=lambda _: training_for(date(1997, 3, 1)),
            customers_for=customers_for,
            outcomes_for=outcomes_for,
        )


def test_no_window_to_backtest_gives_empty_results(days: pl.DataFrame) -> None:
    plan = plan_windows(date(1998, 6, 1), date(1998, 6, 30), [90], folds=2)
    result = run(days, plan, ["own_rate"])
    assert (result.forecasts.is_empty(), result.reports, result.skipped) == (True, [], [])
    assert evaluate(result.forecasts).is_empty()
