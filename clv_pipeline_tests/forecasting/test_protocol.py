import json
from dataclasses import asdict, replace
from datetime import date, timedelta

import polars as pl
import pytest

from clv_pipeline.forecasting.frames import FORECAST_SCHEMA, floats, forecast_frame, uniform_discount
from clv_pipeline.forecasting.protocol import FitReport
from clv_pipeline.forecasting.registry import MODELS, build_models, check_models
from clv_pipeline_tests.forecasting.examples import CUTOFF, customers_frame, simulated, training_data

PAST = CUTOFF - timedelta(days=90)


def test_a_window_that_ends_after_the_cutoff_is_refused() -> None:
    ends_on_the_cutoff = simulated(50, cutoff=PAST)
    training_data(simulated(50), ends_on_the_cutoff)
    ends_a_day_later = simulated(50, cutoff=PAST + timedelta(days=1))
    with pytest.raises(ValueError, match=r"50 rows whose window ends after 2024-06-30"):
        training_data(simulated(50), ends_a_day_later)


def test_training_data_names_a_missing_column() -> None:
    good = training_data(simulated(50))
    with pytest.raises(ValueError, match="customer_counts lacks the columns customers"):
        replace(good, customer_counts=good.customer_counts.drop("customers"))


def test_a_daily_total_after_the_cutoff_is_refused() -> None:
    good = training_data(simulated(50))
    with pytest.raises(ValueError, match="daily_totals reaches 2024-07-01, after 2024-06-30"):
        replace(good, daily_totals=good.daily_totals.with_columns(pl.lit(CUTOFF + timedelta(days=1)).alias("day")))


def test_training_data_counts_customers_and_days_of_history() -> None:
    training = training_data(customers_frame([0, 0, 2], [0, 0, 5], [9, 9, 30], [0.0, 0.0, 4.0]))
    assert (training.customers, training.history_days) == (3, 31)
    empty = training_data(simulated(50).clear())
    assert (empty.customers, empty.history_days) == (0, 0)


def test_the_registry_builds_models_in_the_given_order() -> None:
    names = list(MODELS)[::-1]
    assert [model.name for model in build_models(names)] == names


def test_an_unknown_model_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'bgnbd'; did you mean 'bg_nbd'\?"):
        build_models(["own_rate", "bgnbd"])


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="more than once: own_rate"):
        build_models(["own_rate", "bg_nbd", "own_rate"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["own_rate"], r"none of own_rate forecasts p_purchase; add one of hiatus, .*bg_nbd"),
        (["hiatus", "logistic"], r"none of hiatus, logistic forecasts purchases and spend; add one of own_rate, "),
        (["bgnbd"], "unknown model 'bgnbd'"),
    ],
)
def test_models_that_cannot_serve_are_refused_with_those_that_could(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_models(names)


def test_two_models_may_serve_together() -> None:
    check_models(["own_rate", "hiatus"])


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_keeps_schema_and_row_order(name: str) -> None:
    customers = simulated(400).drop("actual_purchases", "actual_spend")
    fitted = MODELS[name]().fit(training_data(customers, simulated(400, 2, cutoff=PAST)), [90])
    forecast = fitted.forecast(customers, 90, 0.1)
    assert forecast.schema == FORECAST_SCHEMA
    assert forecast["customer_id"].to_list() == customers["customer_id"].to_list()
    columns = {"expected_purchases": "purchases", "expected_spend": "spend", "p_purchase": "purchase"}
    for column, target in {**columns, "discounted_spend": "spend"}.items():
        assert forecast[column].null_count() == (0 if target in MODELS[name]().targets else 400)
    backwards = fitted.forecast(customers.reverse(), 90, 0.1).reverse()
    assert backwards.equals(forecast)
    batches = [fitted.forecast(customers.slice(first, 37), 90, 0.1) for first in range(0, 400, 37)]
    assert pl.concat(batches).equals(forecast)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_reports_in_json_and_fits_again_to_the_same_forecast(name: str) -> None:
    customers = simulated(400)
    model = MODELS[name]()
    fitted = model.fit(training_data(customers, simulated(400, 2, cutoff=PAST)), [90])
    fields = json.loads(json.dumps(asdict(replace(fitted.report)), default=str, allow_nan=False))
    report = FitReport(**{**fields, "as_of": date.fromisoformat(fields["as_of"])})
    assert report == fitted.report
    again = model.fit(training_data(customers, simulated(400, 2, cutoff=PAST)), [90])
    assert again.report == fitted.report
    assert again.forecast(customers, 90, 0.1).equals(fitted.forecast(customers, 90, 0.1))


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_forecasts_nobody_when_there_is_nobody(name: str) -> None:
    customers = simulated(400)
    fitted = MODELS[name]().fit(training_data(customers, simulated(400, 2, cutoff=PAST)), [90])
    assert fitted.forecast(customers.clear(), 90, 0.1).equals(pl.DataFrame(schema=FORECAST_SCHEMA))


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_names_a_missing_column(name: str) -> None:
    customers = simulated(400)
    fitted = MODELS[name]().fit(training_data(customers, simulated(400, 2, cutoff=PAST)), [90])
    with pytest.raises(ValueError, match="customers lacks the columns revenue"):
        fitted.forecast(customers.drop("revenue"), 90)


@pytest.mark.parametrize(
    ("column", "value"), [("expected_spend", -1.0), ("p_alive", 1.5), ("p_purchase", float("nan"))]
)
def test_an_impossible_forecast_never_becomes_a_frame(column: str, value: float) -> None:
    customers = customers_frame([0, 1], [0, 3], [5, 5], [0.0, 4.0])
    good = floats(customers.select(pl.lit(0.5).repeat_by(2).explode().alias("v")), "v")[:2]
    columns = {name: good.copy() for name in FORECAST_SCHEMA.names() if name != "customer_id"}
    forecast_frame("m", customers, **columns)
    columns[column][1] = value
    with pytest.raises(ValueError, match=f"m: {column} of customer c1 is {value}"):
        forecast_frame("m", customers, **columns)


def test_a_uniform_stream_is_discounted_by_its_mean_factor() -> None:
    assert uniform_discount(365, 0.0) == 1.0
    days = [(day + 0.5) / 365.25 for day in range(365)]
    assert uniform_discount(365, 0.1) == pytest.approx(sum(1.1**-t for t in days) / 365, rel=1e-7)
