import polars as pl
import pytest
from hypothesis import given

from clv_pipeline.forecasting.frames import uniform_discount
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline_tests.forecasting.examples import any_customers, customers_frame, training_data

CUSTOMERS = customers_frame([0, 4, 1], [0, 350, 10], [0, 400, 500], [0.0, 30.0, 8.0])


def test_own_rate_continues_the_repeat_rate_at_mean_spend() -> None:
    forecast = MODELS["own_rate"]().fit(training_data(CUSTOMERS), [90]).forecast(CUSTOMERS, 90)
    assert forecast["expected_purchases"].to_list() == pytest.approx([0.0, 4 / 400 * 90, 1 / 500 * 90])
    mean_spend = (4 * 30.0 + 20.0) / 5
    assert forecast["expected_spend"][1] == pytest.approx(4 / 400 * 90 * mean_spend)


def test_own_rate_of_a_customer_of_the_cutoff_day_is_zero_not_infinite() -> None:
    forecast = MODELS["own_rate"]().fit(training_data(CUSTOMERS), [90]).forecast(CUSTOMERS, 90)
    assert forecast.row(0)[1:3] == (0.0, 0.0)


@pytest.mark.parametrize("name", ["last_window", "same_window_last_year"])
def test_past_windows_are_repeated(name: str) -> None:
    forecast = MODELS[name]().fit(training_data(CUSTOMERS), [90]).forecast(CUSTOMERS, 90, 0.1)
    assert forecast["expected_purchases"].to_list() == CUSTOMERS[f"purchases_{name}"].to_list()
    assert forecast["expected_spend"].to_list() == CUSTOMERS[f"spend_{name}"].to_list()
    discounted = (CUSTOMERS[f"spend_{name}"] * uniform_discount(90, 0.1)).to_list()
    assert forecast["discounted_spend"].to_list() == pytest.approx(discounted)


def test_netted_returns_do_not_make_a_negative_forecast() -> None:
    returned = CUSTOMERS.with_columns(spend_last_window=pl.lit(-12.0))
    forecast = MODELS["last_window"]().fit(training_data(returned), [90]).forecast(returned, 90)
    assert forecast["expected_spend"].to_list() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "tenure_days", "horizon_days", "able"),
    [
        ("last_window", 89, 90, True),
        ("last_window", 88, 90, False),
        ("same_window_last_year", 364, 90, True),
        ("same_window_last_year", 363, 90, False),
        ("same_window_last_year", 2000, 365, True),
        ("same_window_last_year", 2000, 366, False),
        ("own_rate", 0, 365, True),
    ],
)
def test_a_baseline_says_when_history_is_too_short(name: str, tenure_days: int, horizon_days: int, able: bool) -> None:
    customers = customers_frame([0], [0], [tenure_days], [0.0], horizon_days)
    fitted = MODELS[name]().fit(training_data(customers), [horizon_days])
    assert fitted.can_forecast(horizon_days) is able
    if able:
        assert fitted.report.verdict == "ok"
    else:
        assert fitted.report.verdict == "no_training_data"
        assert f"Cannot forecast {horizon_days} days" in fitted.report.notes
        with pytest.raises(ValueError, match=f"{name}: Cannot forecast"):
            fitted.forecast(customers, horizon_days)


@given(any_customers())
def test_baselines_are_finite_for_any_customers(customers: pl.DataFrame) -> None:
    # forecast_frame raises for anything that is not finite and >= 0, so reaching the end is the assertion.
    for name in ("own_rate", "last_window", "same_window_last_year"):
        fitted = MODELS[name]().fit(training_data(CUSTOMERS), [90])
        assert fitted.forecast(customers, 90, 0.1).height == customers.height
