from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache

import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import BACKTEST_SCHEMA, Backtest, backtest, plan_windows
from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.forecasting.protocol import TrainingData
from clv_pipeline.forecasting.registry import build_models
from clv_pipeline_tests.golden import cdnow

# One of every kind, and quick: what is tried here is the driver.
TRIED = ["own_rate", "last_window", "same_window_last_year", "linear_regression", "bg_nbd"]
FIRST, AS_OF = date(2022, 1, 1), date(2023, 12, 31)


ALL_HORIZONS = [30, 90, 180, 365]


def days_ago(cutoffs: pl.Series) -> list[int]:
    return [(AS_OF - cutoff).days for cutoff in cutoffs.to_list()]


def test_backtest_windows_of_a_horizon_are_a_chain_back_from_today() -> None:
    plan = plan_windows(FIRST, AS_OF, [90], folds=3)
    tried = plan.filter("is_backtest")
    assert days_ago(tried["cutoff"]) == [90, 180, 270]
    assert tried["outcome_ends"].to_list() == [AS_OF, *tried["cutoff"][:2]]
    assert tried["is_complete"].all()
    assert plan.filter(~pl.col("is_complete")).select("cutoff", "is_backtest", "is_sampled").rows() == [
        (AS_OF, False, False)
    ]


def test_windows_between_and_behind_the_backtests_are_for_training_thirty_days_apart() -> None:
    plan = plan_windows(FIRST, AS_OF, [90], folds=3)
    assert days_ago(plan["cutoff"]) == [0, *range(90, 700, 30)]
    assert plan["is_sampled"].to_list() == [days not in (0, 90, 180, 270) for days in days_ago(plan["cutoff"])]


def test_given_cutoffs_are_tried_out_instead_wherever_their_window_is_over() -> None:
    given = [AS_OF - timedelta(days=days) for days in (91, 183, 275)]
    plan = plan_windows(FIRST, AS_OF, ALL_HORIZONS, folds=1, backtest_cutoffs=given)
    tried = plan.filter("is_backtest").group_by("horizon_days", maintain_order=True).agg("cutoff")
    assert {horizon: days_ago(pl.Series(cutoffs)) for horizon, cutoffs in tried.iter_rows()} == {
        30: [91, 183, 275],
        90: [91, 183, 275],
        180: [183, 275],
    }


@pytest.mark.parametrize("given", [None, [91, 183, 275], [20, 400]])
@pytest.mark.parametrize("first", [FIRST, FIRST - timedelta(days=3000)])
def test_something_fresh_can_be_learned_before_every_backtest_and_today(first: date, given: list[int] | None) -> None:
    cutoffs = None if given is None else [AS_OF - timedelta(days=days) for days in given]
    plan = plan_windows(first, AS_OF, ALL_HORIZONS, 3, cutoffs)
    for cutoff, horizon in plan.filter(~pl.col("is_sampled")).select("cutoff", "horizon_days").iter_rows():
        ends = plan.filter(pl.col("horizon_days") == horizon, pl.col("outcome_ends") <= cutoff)["outcome_ends"]
        needed = horizon + max(28, horizon / 4)
        if (cutoff - first).days + 1 >= needed:
            assert (cutoff - max(ends)).days <= 10


@pytest.mark.parametrize("history_days", [30, 100, 738, 5000])
@pytest.mark.parametrize("horizons", [ALL_HORIZONS, [7], [365], [30, 400]])
def test_a_plan_has_few_distinct_cutoffs_that_all_horizons_share(history_days: int, horizons: list[int]) -> None:
    first = AS_OF - timedelta(days=history_days)
    plan = plan_windows(first, AS_OF, horizons, folds=3)
    assert plan["cutoff"].n_unique() <= 30
    assert not plan.select("cutoff", "horizon_days").is_duplicated().any()
    shortest = plan.filter(pl.col("horizon_days") == min(horizons))["cutoff"]
    assert set(plan["cutoff"]) == set(shortest)
    assert plan["horizon_days"].is_sorted()


def test_no_complete_window_ends_after_today() -> None:
    plan = plan_windows(FIRST, AS_OF, ALL_HORIZONS, folds=3)
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
    past = plan.filter("is_complete")["cutoff"].to_list()
    assert all((cutoff - first).days + 1 >= max(28, horizon / 4) for cutoff in past)


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


def test_a_backtest_from_today_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie before as_of 2023-12-31: 2023-12-31, 2024-02-01"):
        plan_windows(FIRST, AS_OF, [30], 1, [date(2023, 5, 1), AS_OF, date(2024, 2, 1)])


@pytest.fixture(scope="module")
def days() -> pl.DataFrame:
    return cdnow.purchase_days()


def sources(
    days: pl.DataFrame, plan: pl.DataFrame
) -> tuple[
    Callable[[date, Sequence[int]], TrainingData],
    Callable[[date, int], pl.DataFrame],
    Callable[[date, int], pl.DataFrame],
]:
    """Training, customers and outcomes, as the warehouse would hand them over."""

    @cache
    def customers_for(cutoff: date, horizon: int) -> pl.DataFrame:
        return cdnow.customers_frame(days, cutoff, horizon)

    @cache
    def outcomes_for(cutoff: date, horizon: int) -> pl.DataFrame:
        return cdnow.outcomes_frame(days, customers_for(cutoff, horizon))

    def training_for(cutoff: date, horizons: Sequence[int]) -> TrainingData:
        completed = plan.filter("is_complete", pl.col("outcome_ends") <= cutoff, pl.col("horizon_days").is_in(horizons))
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
    return run(days, plan, TRIED)


def test_every_model_forecasts_every_window_or_says_why_not(result: Backtest, plan: pl.DataFrame) -> None:
    assert result.forecasts.schema == BACKTEST_SCHEMA
    cutoffs = plan.filter("is_backtest")["cutoff"].to_list()
    assert len(result.reports) == len(cutoffs) * len(TRIED)
    done = set(result.forecasts.select("cutoff", "model").unique().iter_rows())
    skipped = {(s.cutoff, s.model) for s in result.skipped}
    assert done.isdisjoint(skipped)
    assert done | skipped == {(cutoff, model) for cutoff in cutoffs for model in TRIED}
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

    def noted_training(cutoff: date, horizons: Sequence[int]) -> TrainingData:
        asked.append((cutoff, tuple(horizons)))
        return training_for(cutoff, horizons)

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
    assert asked == [(old, (90,)), (old, 90), (new, (90,)), (new, 90)]


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
            training_for=lambda _, horizons: training_for(date(1997, 3, 1), horizons),
            customers_for=customers_for,
            outcomes_for=outcomes_for,
        )


def test_no_window_to_backtest_gives_empty_results(days: pl.DataFrame) -> None:
    plan = plan_windows(date(1998, 6, 1), date(1998, 6, 30), [90], folds=2)
    result = run(days, plan, ["own_rate"])
    assert (result.forecasts.is_empty(), result.reports, result.skipped) == (True, [], [])
    assert evaluate(result.forecasts).metrics.is_empty()
