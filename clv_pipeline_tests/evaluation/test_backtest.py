"""Rolling-origin backtests: the plan of windows, and the driver, which hands over nothing of the future."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import product

import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import BACKTEST_SCHEMA, Backtest, backtest, plan_windows
from clv_pipeline.evaluation.drivers import DRIVERS_SCHEMA
from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.forecasting.baselines import FittedBaseline, OwnRate
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.protocol import PIECES_DAYS, TrainingData
from clv_pipeline.forecasting.registry import models_of
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, HISTORY_DAYS, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

# One of every kind, and quick: what is tried here is the driver.
TRIED = ["own_rate", "last_window", "same_window_last_year", "hiatus", "hybrid", "pareto_nbd"]
FIRST, AS_OF = date(2022, 1, 1), date(2023, 12, 31)
ALL_HORIZONS = [30, 90, 180, 365]


def day(days_ago: int) -> date:
    return AS_OF - timedelta(days=days_ago)


def days_ago(cutoffs: pl.Series) -> list[int]:
    return [(AS_OF - cutoff).days for cutoff in cutoffs.to_list()]


def test_models_are_tried_from_monthly_cutoffs_wherever_the_outcome_is_known() -> None:
    plan = plan_windows(day(3000), AS_OF, [90], origins=6)
    tried = plan.filter("is_backtest")
    assert days_ago(tried["cutoff"]) == [90, 120, 150, 180]
    assert tried["is_complete"].all()
    assert days_ago(plan.filter(pl.col("is_sampled"), pl.col("horizon_days") == 30)["cutoff"])[:3] == [30, 60, 90]


def test_the_season_ahead_a_year_ago_is_among_the_backtests_of_every_horizon() -> None:
    plan = plan_windows(day(3000), AS_OF, ALL_HORIZONS, origins=13)
    for horizon in ALL_HORIZONS:
        tried = days_ago(plan.filter("is_backtest", pl.col("horizon_days") == horizon)["cutoff"])
        assert tried == [k * 30 for k in range(1, 14) if k * 30 >= horizon]
        assert any(360 <= age <= 390 for age in tried)


def test_every_horizon_is_tried_once_at_least_also_one_longer_than_all_origins_reach() -> None:
    plan = plan_windows(day(3000), AS_OF, [30, 400, 730], origins=2)
    tried = plan.filter("is_backtest").group_by("horizon_days", maintain_order=True).agg("cutoff")
    assert {horizon: days_ago(pl.Series(cutoffs)) for horizon, cutoffs in tried.iter_rows()} == {
        30: [30, 60, 420, 750],
        400: [420, 750],
        730: [750],
    }


def test_cutoffs_of_the_user_are_tried_too_wherever_their_window_is_over() -> None:
    given = [day(days) for days in (91, 183, 275)]
    monthly = plan_windows(day(3000), AS_OF, ALL_HORIZONS, origins=13)
    plan = plan_windows(day(3000), AS_OF, ALL_HORIZONS, 13, given)
    added = plan.filter("is_backtest").join(monthly, on=["cutoff", "horizon_days"], how="anti")
    of_horizon = added.group_by("horizon_days", maintain_order=True).agg("cutoff")
    assert {horizon: days_ago(pl.Series(cutoffs)) for horizon, cutoffs in of_horizon.iter_rows()} == {
        30: [91, 183, 275],
        90: [91, 183, 275],
        180: [183, 275],
    }
    # What was over by then is planned already.
    assert set(plan["cutoff"]) - set(monthly["cutoff"]) == set(given)


def test_only_configured_horizons_are_scored_and_tried_and_models_learn_from_the_same_pieces_anyway() -> None:
    few, all_ = (plan_windows(FIRST, AS_OF, horizons, origins=13) for horizons in ([45, 90], ALL_HORIZONS))
    assert few.filter(~pl.col("is_complete")).select("cutoff", "horizon_days", "is_served").rows() == [
        (AS_OF, 45, True),
        (AS_OF, 90, True),
    ]
    assert set(few.filter("is_backtest")["horizon_days"]) == {45, 90}
    assert few["is_served"].equals(few["horizon_days"].is_in([45, 90]))
    pieces = [
        plan.filter("is_complete", pl.col("horizon_days").is_in(PIECES_DAYS)).select("cutoff", "horizon_days")
        for plan in (few, all_)
    ]
    assert pieces[0].equals(pieces[1])


def test_what_is_not_tried_is_for_training_thirty_days_apart_and_sampled() -> None:
    plan = plan_windows(day(3000), AS_OF, [90], origins=3)
    assert days_ago(plan.filter(pl.col("horizon_days") == 90)["cutoff"]) == [0, *range(90, 880, 30)]
    assert plan["is_sampled"].equals(plan["is_complete"] & ~plan["is_backtest"])
    assert days_ago(plan.filter("is_backtest")["cutoff"]) == [90]


@pytest.mark.parametrize("given", [[], [91, 183, 275], [20, 400], [2000]])
@pytest.mark.parametrize("first", [FIRST, day(3000), day(460)])
def test_something_fresh_can_be_learned_before_every_backtest_and_today(first: date, given: list[int]) -> None:
    plan = plan_windows(first, AS_OF, ALL_HORIZONS, 13, [day(days) for days in given])
    for cutoff, piece in product(plan.filter(~pl.col("is_sampled"))["cutoff"].unique(), PIECES_DAYS):
        if (cutoff - first).days + 1 - piece >= max(28, piece / 4):
            over = plan.filter(pl.col("horizon_days") == piece, pl.col("outcome_ends") <= cutoff)["outcome_ends"]
            assert (cutoff - max(over)).days <= 30


@pytest.mark.parametrize("history_days", [30, 100, 738, 5000])
@pytest.mark.parametrize("horizons", [ALL_HORIZONS, [7], [365], [30, 400]])
def test_a_plan_has_few_distinct_cutoffs_that_all_horizons_share(history_days: int, horizons: list[int]) -> None:
    plan = plan_windows(day(history_days), AS_OF, horizons, origins=13)
    # One more where a piece just fits before the first cutoff of the grid.
    assert plan["cutoff"].n_unique() <= 31
    assert not plan.select("cutoff", "horizon_days").is_duplicated().any()
    past = plan.filter("is_complete")
    assert set(past["cutoff"]) == set(past.filter(pl.col("horizon_days") == 30)["cutoff"])
    assert plan["horizon_days"].is_sorted()


def test_no_complete_window_ends_after_today() -> None:
    plan = plan_windows(FIRST, AS_OF, ALL_HORIZONS, origins=13)
    assert (plan.filter("is_complete")["outcome_ends"] <= AS_OF).all()
    assert (plan.filter(~pl.col("is_complete"))["cutoff"] == AS_OF).all()


@pytest.mark.parametrize(
    ("days_of_history", "horizon", "backtests"),
    [(58, 30, 1), (57, 30, 0), (260, 200, 1), (259, 200, 0), (10, 30, 0)],
)
def test_a_window_needs_28_days_or_a_quarter_of_its_length_before_its_cutoff(
    days_of_history: int, horizon: int, backtests: int
) -> None:
    first = day(days_of_history - 1)
    plan = plan_windows(first, AS_OF, [horizon], origins=13)
    assert plan["is_backtest"].sum() == backtests
    past = plan.filter("is_complete").select("cutoff", "horizon_days")
    assert all((cutoff - first).days + 1 >= max(28, length / 4) for cutoff, length in past.iter_rows())


def test_a_shop_of_one_day_can_be_forecast_in_the_first_year_that_there_is() -> None:
    plan = plan_windows(date.min, date.min, ALL_HORIZONS, origins=13)
    assert plan["horizon_days"].to_list() == ALL_HORIZONS
    assert not plan["is_complete"].any()


@pytest.mark.parametrize(
    ("first", "horizons", "origins", "message"),
    [
        (AS_OF + timedelta(days=1), [30], 3, "before the first day"),
        (FIRST, [0], 3, "at least 1"),
        (FIRST, [30], 0, "at least 1"),
        (FIRST, [30, 30], 3, "repeated"),
    ],
)
def test_plans_that_make_no_sense_are_refused(first: date, horizons: list[int], origins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_windows(first, AS_OF, horizons, origins)


def test_a_backtest_from_today_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must lie before as_of 2023-12-31: 2023-12-31, 2024-02-01"):
        plan_windows(FIRST, AS_OF, [30], 1, [date(2023, 5, 1), AS_OF, date(2024, 2, 1)])


DAYS = shop(400)
PLAN = plan_windows(CUTOFF - timedelta(days=HISTORY_DAYS), CUTOFF, [30, 90, 365], origins=3)
OLDEST, MIDDLE, LATEST = (CUTOFF - timedelta(days=age) for age in (390, 90, 30))


def run(
    days: PurchaseDays, plan: pl.DataFrame, models: Sequence[str], explained: Sequence[tuple[date, int]] = ()
) -> Backtest:
    """The backtest of models on frames as the warehouse would hand them over."""
    return backtest(
        models_of(models),
        plan,
        training_for=lambda cutoff: days.training(cutoff, most_windows=5),
        customers_for=days.customers,
        outcomes_for=days.outcomes,
        explained=explained,
    )


@pytest.fixture(scope="module")
def result() -> Backtest:
    return run(DAYS, PLAN, TRIED, [(LATEST, 30), (MIDDLE, 90)])


def test_the_plan_of_these_tests_has_windows_of_several_horizons_from_one_cutoff() -> None:
    tried = PLAN.filter("is_backtest").sort("cutoff", "horizon_days").select("cutoff", "horizon_days").rows()
    assert tried == [
        *((OLDEST, horizon) for horizon in (30, 90, 365)),
        *((MIDDLE, horizon) for horizon in (30, 90)),
        (CUTOFF - timedelta(days=60), 30),
        (LATEST, 30),
    ]


def test_every_model_forecasts_every_window_or_says_why_not(result: Backtest) -> None:
    assert result.forecasts.schema == BACKTEST_SCHEMA
    windows = PLAN.filter("is_backtest").select("cutoff", "horizon_days").rows()
    assert len(result.reports) == PLAN.filter("is_backtest")["cutoff"].n_unique() * len(TRIED)
    done = set(result.forecasts.select("cutoff", "horizon_days", "model").unique().rows())
    skipped = {(s.cutoff, s.horizon_days, s.model) for s in result.skipped}
    assert done.isdisjoint(skipped)
    assert done | skipped == {(*window, model) for window in windows for model in TRIED}
    assert {(*window, model) for window in windows for model in ("hybrid", "pareto_nbd", "own_rate")} <= done
    assert (OLDEST, 90, "same_window_last_year") in skipped
    [reason] = {s.reason for s in result.skipped if s.model == "same_window_last_year"}
    assert "Cannot forecast without a year of history" in reason


def test_all_customers_of_the_cutoff_have_a_row_that_keeps_their_history(result: Backtest) -> None:
    customers = DAYS.customers(MIDDLE).select("customer_id", "frequency", "tenure_days")
    for horizon in (30, 90):
        of_model = result.forecasts.filter(
            pl.col("cutoff") == MIDDLE, pl.col("model") == "hybrid", pl.col("horizon_days") == horizon
        )
        assert of_model.select(customers.columns).equals(customers)


def test_outcomes_are_joined_to_their_customers_and_horizons(result: Backtest) -> None:
    for horizon in (30, 90, 365):
        of_model = result.forecasts.filter(
            pl.col("cutoff") == OLDEST, pl.col("model") == "hybrid", pl.col("horizon_days") == horizon
        )
        came = DAYS.outcomes(OLDEST, horizon)
        assert of_model["actual_spend"].to_list() == came["actual_spend"].to_list()
        assert of_model["actual_purchases"].to_list() == came["actual_purchases"].cast(pl.Float64).to_list()


def test_forecasts_of_a_cutoff_are_readings_of_one_path(result: Backtest) -> None:
    of_model = result.forecasts.filter(pl.col("model") == "hybrid").sort("cutoff", "customer_id", "horizon_days")
    for name in ("expected_purchases", "expected_spend", "p_purchase"):
        steps = of_model.select(pl.col(name).diff().over("cutoff", "customer_id").drop_nulls()).to_series()
        assert (steps >= -1e-9).all(), name
    assert of_model.filter(pl.col("p_purchase") > pl.min_horizontal("expected_purchases", "p_alive") + 1e-9).is_empty()
    alive = of_model.group_by("cutoff", "customer_id").agg(pl.col("p_alive").n_unique())
    assert alive["p_alive"].max() == 1


def test_drivers_of_every_family_are_measured_on_the_windows_that_are_asked_for(result: Backtest) -> None:
    assert result.drivers.schema == DRIVERS_SCHEMA
    measured = result.drivers.select("cutoff", "horizon_days", "model").unique()
    asked, families = ((LATEST, 30), (MIDDLE, 90)), ("hybrid", "pareto_nbd")
    assert set(measured.rows()) == {(*window, model) for window in asked for model in families}


def test_drivers_of_rules_are_measured_where_no_family_is_configured() -> None:
    plan = PLAN.filter(pl.col("cutoff") == LATEST)
    assert set(run(DAYS, plan, ["own_rate"], [(LATEST, 30)]).drivers["model"]) == {"own_rate"}
    assert run(DAYS, plan, ["own_rate"]).drivers.is_empty()


def test_nothing_after_a_cutoff_changes_a_forecast_of_it(result: Backtest) -> None:
    future = pl.col("day") > OLDEST
    changed = PurchaseDays(
        DAYS.days.filter(~future | (pl.col("day").dt.day() % 2 == 0)).with_columns(
            spend=pl.when(future).then(pl.col("spend") * 7).otherwise("spend")
        )
    )
    models = [name for name in TRIED if name != "same_window_last_year"]
    again = run(changed, PLAN.filter(pl.col("cutoff") <= OLDEST), models).forecasts
    before = result.forecasts.filter(pl.col("cutoff") == OLDEST, pl.col("model").is_in(models))
    assert again.drop("actual_purchases", "actual_spend").equals(before.drop("actual_purchases", "actual_spend"))
    assert not again["actual_spend"].equals(before["actual_spend"])


def test_frames_are_asked_for_once_per_cutoff_and_outcomes_once_per_window() -> None:
    asked: list[object] = []

    def training_for(cutoff: date) -> TrainingData:
        asked.append(cutoff)
        return DAYS.training(cutoff, most_windows=0)

    def customers_for(cutoff: date, horizons: Sequence[int]) -> pl.DataFrame:
        asked.append((cutoff, list(horizons)))
        return DAYS.customers(cutoff, horizons)

    def outcomes_for(cutoff: date, horizon: int) -> pl.DataFrame:
        asked.append((cutoff, horizon))
        return DAYS.outcomes(cutoff, horizon)

    backtest(
        models_of(["own_rate", "last_window"]),
        PLAN.filter(pl.col("cutoff").is_in([MIDDLE, LATEST])),
        training_for=training_for,
        customers_for=customers_for,
        outcomes_for=outcomes_for,
    )
    assert asked == [
        MIDDLE,
        (MIDDLE, [30, 90]),
        (MIDDLE, 30),
        (MIDDLE, 90),
        LATEST,
        (LATEST, [30]),
        (LATEST, 30),
    ]


class Witness(OwnRate):
    """Keeps the grounds that it was fitted on."""

    def __init__(self) -> None:
        self.grounds: list[Ground] = []

    def fit(self, ground: Ground) -> FittedBaseline:
        self.grounds.append(ground)
        return super().fit(ground)


def test_models_of_a_cutoff_share_its_ground() -> None:
    one, other = Witness(), Witness()
    backtest(
        [one, other],
        PLAN.filter(pl.col("cutoff").is_in([MIDDLE, LATEST])),
        training_for=lambda cutoff: DAYS.training(cutoff, most_windows=0),
        customers_for=DAYS.customers,
        outcomes_for=DAYS.outcomes,
    )
    assert all(mine is theirs for mine, theirs in zip(one.grounds, other.grounds, strict=True))
    assert [ground.training.cutoff for ground in one.grounds] == [MIDDLE, LATEST]


def test_a_customer_without_an_outcome_is_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match=r"1 customers have no outcome for 30 days from 2024-05-31, e\.g\. c0"):
        backtest(
            models_of(["own_rate"]),
            PLAN.filter(pl.col("cutoff") == LATEST),
            training_for=lambda cutoff: DAYS.training(cutoff, most_windows=0),
            customers_for=DAYS.customers,
            outcomes_for=lambda cutoff, horizon: DAYS.outcomes(cutoff, horizon).slice(1),
        )


def test_training_data_of_another_cutoff_are_refused() -> None:
    with pytest.raises(ValueError, match="training data as of 2024-04-01 was handed over for the cutoff 2023-06-06"):
        backtest(
            models_of(["own_rate"]),
            PLAN,
            training_for=lambda _: DAYS.training(MIDDLE, most_windows=0),
            customers_for=DAYS.customers,
            outcomes_for=DAYS.outcomes,
        )


def test_no_window_to_backtest_gives_empty_results() -> None:
    plan = plan_windows(CUTOFF - timedelta(days=20), CUTOFF, [90], origins=2)
    result = run(DAYS, plan, ["own_rate"])
    assert (result.forecasts.is_empty(), result.reports, result.skipped) == (True, [], [])
    assert result.forecasts.schema == BACKTEST_SCHEMA
    assert evaluate(result.forecasts).is_empty()


class Reversed(OwnRate):
    """Forecasts the customers from the last to the first."""

    def fit(self, ground: Ground) -> FittedBaseline:
        fitted = super().fit(ground)
        forecast = fitted.forecast
        object.__setattr__(fitted, "forecast", lambda customers, days: forecast(customers.reverse(), days))
        return fitted


def test_a_model_that_forecasts_in_another_order_is_refused() -> None:
    with pytest.raises(ValueError, match="own_rate forecasts other customers than asked for, or in another order"):
        backtest(
            [Reversed()],
            PLAN.filter(pl.col("cutoff") == LATEST),
            training_for=lambda cutoff: DAYS.training(cutoff, most_windows=0),
            customers_for=DAYS.customers,
            outcomes_for=DAYS.outcomes,
        )
