"""What every model keeps to, ours and the yardsticks; and training data that hold nothing of the future."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import date, timedelta
from functools import cache

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.paths import PATH_SCHEMA
from clv_pipeline.forecasting.protocol import (
    CUSTOMER_COLUMNS,
    PIECE_OUTCOMES,
    PIECES_DAYS,
    FitReport,
    FittedModel,
    TrainingData,
    window_columns,
)
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, customers_frame, shop, training_data

HORIZONS = [30, 90, 180]
CUSTOMERS = shop(400).customers(CUTOFF, HORIZONS)
every_model = pytest.mark.parametrize("name", list(MODELS))


@cache
def training() -> TrainingData:
    return shop(400).training(CUTOFF)


@cache
def fitted(name: str) -> FittedModel:
    return MODELS[name]().fit(Ground(training()))


def window(cutoff: date, known_until: date = CUTOFF) -> TrainingData:
    """Training data with one window."""
    return replace(training(), completed_windows=shop(400).window(cutoff, known_until))


def test_frames_have_the_columns_of_the_protocol() -> None:
    assert CUSTOMERS.columns == [*CUSTOMER_COLUMNS, *(name for h in HORIZONS for name in window_columns(h))]
    assert set(training().completed_windows.columns) == {*CUSTOMER_COLUMNS, *PIECE_OUTCOMES}
    assert training().completed_windows["cutoff"].n_unique() == 13


@pytest.mark.parametrize("days", PIECES_DAYS)
def test_an_outcome_that_ends_after_the_cutoff_is_refused(days: int) -> None:
    ends_on_the_cutoff = CUTOFF - timedelta(days=days)
    window(ends_on_the_cutoff)
    window(ends_on_the_cutoff + timedelta(days=1))
    with pytest.raises(ValueError, match=rf"outcomes of {days} days that end after 2024-06-30.* learn from the future"):
        window(ends_on_the_cutoff + timedelta(days=1), CUTOFF + timedelta(days=1))


@pytest.mark.parametrize("name", ["daily_totals", "cohort_days"])
def test_a_day_after_the_cutoff_is_refused(name: str) -> None:
    frame: pl.DataFrame = getattr(training(), name)
    late = {name: frame.with_columns(pl.lit(CUTOFF + timedelta(days=1)).alias("day"))}
    change: Callable[..., TrainingData] = replace
    with pytest.raises(ValueError, match=f"{name} reaches 2024-07-01, after 2024-06-30"):
        change(training(), **late)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("customer_counts", "customers"),
        ("repeat_spend", "monetary_value"),
        ("daily_totals", "new_customers"),
        ("cohort_days", "repeats"),
        ("completed_windows", "actual_spend_180"),
    ],
)
def test_training_data_name_a_missing_column(name: str, column: str) -> None:
    change: Callable[..., TrainingData] = replace
    with pytest.raises(ValueError, match=f"{name} lacks the columns {column}"):
        change(training(), **{name: getattr(training(), name).drop(column)})


def test_nothing_after_the_cutoff_is_in_what_a_model_learns_from() -> None:
    days = shop(400)
    assert days.until(CUTOFF).days.height < days.days.height
    past = days.until(CUTOFF).training(CUTOFF)
    for name in ("customer_counts", "repeat_spend", "completed_windows", "daily_totals", "cohort_days"):
        assert_frame_equal(getattr(past, name), getattr(training(), name))


def test_training_data_count_customers_and_days_of_history() -> None:
    some = training_data(customers_frame([0, 0, 2], [0, 0, 5], [9, 9, 30], [0.0, 0.0, 4.0]))
    assert (some.customers, some.history_days) == (3, 31)
    nobody = training_data(CUSTOMERS.clear())
    assert (nobody.customers, nobody.history_days) == (0, 0)


@every_model
def test_every_model_keeps_customers_days_and_their_order(name: str) -> None:
    paths = fitted(name).forecast(CUSTOMERS, [90, 30], 0.1)
    paths.require_coherence()
    frame = paths.frame()
    assert frame.schema == PATH_SCHEMA
    assert frame["customer_id"].to_list() == [customer for customer in CUSTOMERS["customer_id"] for _ in range(2)]
    assert frame["horizon_days"].to_list() == [90, 30] * CUSTOMERS.height
    assert paths.outlook()["customer_id"].equals(CUSTOMERS["customer_id"])
    said = {"expected_purchases", "expected_spend", "p_purchase", "discounted_spend"}
    assert frame.select(said).null_count().sum_horizontal().item() == 0
    assert frame["p_alive"].null_count() == (frame.height if MODELS[name].is_baseline else 0)


@every_model
def test_every_model_says_the_same_of_customers_in_any_batch_and_order(name: str) -> None:
    whole = fitted(name).forecast(CUSTOMERS, HORIZONS, 0.1, with_outlook=True)
    batches = [
        fitted(name).forecast(CUSTOMERS.slice(first, 37), HORIZONS, 0.1, with_outlook=True)
        for first in range(0, 400, 37)
    ]
    assert pl.concat([batch.frame() for batch in batches]).equals(whole.frame())
    assert pl.concat([batch.outlook() for batch in batches]).equals(whole.outlook())
    backwards = fitted(name).forecast(CUSTOMERS.reverse(), HORIZONS, 0.1, with_outlook=True)
    keys = ["customer_id", "horizon_days"]
    assert backwards.frame().sort(keys).equals(whole.frame().sort(keys))


@every_model
def test_every_model_reports_in_json_and_fits_again_to_the_same_forecast(name: str) -> None:
    report = fitted(name).report
    fields = json.loads(json.dumps(asdict(report), default=str, allow_nan=False))
    read = {**fields, "as_of": date.fromisoformat(fields["as_of"]), "codes": tuple(fields["codes"])}
    assert FitReport(**read) == report
    assert (report.model, report.as_of, report.customers) == (name, CUTOFF, 400)
    again = MODELS[name]().fit(Ground(training()))
    assert again.report == report
    before = fitted(name).forecast(CUSTOMERS, HORIZONS, 0.1)
    assert again.forecast(CUSTOMERS, HORIZONS, 0.1).frame().equals(before.frame())


@every_model
def test_the_order_of_training_rows_does_not_matter(name: str) -> None:
    given = training()
    shuffled = replace(
        given,
        customer_counts=given.customer_counts.sample(fraction=1.0, shuffle=True, seed=1),
        completed_windows=given.completed_windows.sample(fraction=1.0, shuffle=True, seed=2),
    )
    other = MODELS[name]().fit(Ground(shuffled)).forecast(CUSTOMERS, HORIZONS, 0.1)
    before = fitted(name).forecast(CUSTOMERS, HORIZONS, 0.1)
    assert_frame_equal(other.frame(), before.frame(), rel_tol=1e-9)


@every_model
def test_every_model_forecasts_nobody_when_there_is_nobody(name: str) -> None:
    nobody = fitted(name).forecast(CUSTOMERS.clear(), [90], 0.1, with_outlook=True)
    assert nobody.frame().equals(pl.DataFrame(schema=PATH_SCHEMA))
    assert nobody.outlook().is_empty()


@every_model
def test_every_model_names_a_missing_column(name: str) -> None:
    with pytest.raises(ValueError, match="customers lacks the columns revenue"):
        fitted(name).forecast(CUSTOMERS.drop("revenue"), [90])
