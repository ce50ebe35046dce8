from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.regression import FEATURES, LinearRegression
from clv_pipeline_tests.forecasting.examples import CUTOFF, simulated, training_data

PAST = CUTOFF - timedelta(days=90)


def test_a_linear_truth_is_recovered_exactly() -> None:
    window = simulated(500, cutoff=PAST).with_columns(
        actual_spend=3.0 + 2.0 * pl.col("frequency") + 0.5 * pl.col("revenue"),
        actual_purchases=1.0 + pl.col("purchases_last_window"),
    )
    today = simulated(300, seed=9)
    forecast = LinearRegression().fit(training_data(today, window), [90]).forecast(today, 90)
    spend = 3.0 + 2.0 * today["frequency"] + 0.5 * today["revenue"]
    np.testing.assert_allclose(forecast["expected_spend"], spend, rtol=1e-9)
    np.testing.assert_allclose(forecast["expected_purchases"], 1.0 + today["purchases_last_window"], rtol=1e-9)


def test_coefficients_of_every_feature_are_in_the_report() -> None:
    report = LinearRegression().fit(training_data(simulated(300), simulated(300, 2, cutoff=PAST)), [90]).report
    part = report.parameters["horizons"]["90"]
    assert set(part["spend"]) == set(part["purchases"]) == {"intercept", *FEATURES}
    assert (part["rows"], report.customers, report.verdict) == (300, 300, "ok")


def test_a_feature_that_never_varied_has_no_influence() -> None:
    window = simulated(300, cutoff=PAST)
    assert window["spend_same_window_last_year"].n_unique() == 1
    today = simulated(300, seed=3)
    fitted = LinearRegression().fit(training_data(today, window), [90])
    assert fitted.report.parameters["horizons"]["90"]["spend"]["spend_same_window_last_year"] == pytest.approx(0.0)
    surprised = today.with_columns(spend_same_window_last_year=pl.lit(1e6))
    np.testing.assert_allclose(
        fitted.forecast(surprised, 90)["expected_spend"],
        fitted.forecast(today, 90)["expected_spend"],
        atol=1e-3,
    )


def test_forecasts_are_clipped_at_zero() -> None:
    window = simulated(300, cutoff=PAST).with_columns(actual_spend=100.0 - pl.col("tenure_days"))
    forecast = LinearRegression().fit(training_data(window, window), [90]).forecast(window, 90)
    assert forecast["expected_spend"].min() == 0.0
    assert forecast["expected_spend"].max() == pytest.approx(100.0 - window["tenure_days"].to_numpy().min(), rel=1e-6)


def test_only_windows_of_the_same_length_train_a_horizon() -> None:
    fitted = LinearRegression().fit(training_data(simulated(300), simulated(300, 2, cutoff=PAST)), [30, 90])
    assert not fitted.can_forecast(30)
    assert fitted.can_forecast(90)
    assert "Cannot forecast 30 days: 0 customers" in fitted.report.notes
    with pytest.raises(ValueError, match="not fitted for 30 days"):
        fitted.forecast(simulated(300), 30)


def test_without_completed_windows_the_report_says_so() -> None:
    fitted = LinearRegression().fit(training_data(simulated(300)), [90])
    assert (fitted.can_forecast(90), fitted.report.verdict) == (False, "no_training_data")


def test_too_few_customers_are_no_training_data() -> None:
    fitted = LinearRegression().fit(training_data(simulated(300), simulated(32, 2, cutoff=PAST)), [90])
    assert not fitted.can_forecast(90)
    assert "32 customers in completed windows of that length, 33 needed" in fitted.report.notes
