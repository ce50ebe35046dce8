import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.generalized_linear import GeneralizedLinear, LogLinear
from clv_pipeline_tests.forecasting.examples import completed_windows, customers_frame, simulated, training_data

WINDOWS = completed_windows(cutoffs=2, customers=1000)


def log_linear_truth(seed: int = 4) -> pl.DataFrame:
    """WINDOWS with 0.3 (1 + recent)^0.8 purchases and 20 (1 + repeats)^0.5 spent in each, on average."""
    rng = np.random.default_rng(seed)
    recent, repeats = (WINDOWS[column].to_numpy() for column in ("purchases_last_window", "frequency"))
    purchases = rng.poisson(0.3 * (1.0 + recent) ** 0.8)
    per_day = 20.0 * (1.0 + repeats) ** 0.5 * rng.gamma(4.0, 0.25, WINDOWS.height)
    return WINDOWS.with_columns(
        actual_purchases=pl.Series(purchases.astype(np.int64)), actual_spend=pl.Series(purchases * per_day)
    )


def learned(rows: pl.DataFrame) -> LogLinear:
    model = GeneralizedLinear().learn(rows)
    assert isinstance(model, LogLinear)
    return model


def test_a_log_linear_truth_is_found() -> None:
    predicted = learned(log_linear_truth()).predict(WINDOWS)
    assert predicted.purchases is not None
    assert predicted.spend is not None
    recent, repeats = (WINDOWS[column].to_numpy() for column in ("purchases_last_window", "frequency"))
    expected = 0.3 * (1.0 + recent) ** 0.8
    assert np.abs(predicted.purchases - expected).mean() < 0.15 * expected.mean()
    spend = expected * 20.0 * (1.0 + repeats) ** 0.5
    assert np.abs(predicted.spend - spend).mean() < 0.25 * spend.mean()


def test_purchases_of_the_training_rows_sum_to_what_came() -> None:
    rows = log_linear_truth()
    predicted = learned(rows).predict(rows)
    assert predicted.purchases is not None
    # The score equation of the unpenalised intercept.
    assert predicted.purchases.sum() == pytest.approx(rows["actual_purchases"].sum(), rel=1e-3)


def test_coefficients_are_named_and_reproduce_the_forecast() -> None:
    rows = log_linear_truth()
    model = learned(rows)
    purchases, per_purchase = (model.parameters[key] for key in ("purchases", "spend_per_purchase"))
    assert set(purchases) == set(per_purchase) == {"intercept", *model.design.standardised_names}
    assert purchases["purchases_last_window"] > 0.05
    slopes = np.array([purchases[name] for name in model.design.standardised_names])
    by_hand = np.exp(model.design.standardised(rows) @ slopes + purchases["intercept"])
    predicted = model.predict(rows).purchases
    assert predicted is not None
    np.testing.assert_allclose(predicted, by_hand, rtol=1e-9)


def test_nobody_is_expected_to_do_more_than_the_most_extreme_training_row() -> None:
    rows = log_linear_truth()
    model = learned(rows)
    most = model.predict(rows).purchases
    extreme = model.predict(customers_frame([10_000], [14_000], [14_001], [1e6])).purchases
    assert most is not None
    assert extreme is not None
    assert extreme[0] <= most.max() * (1 + 1e-12)


def test_a_scale_of_money_changes_nothing_but_the_money() -> None:
    rows = log_linear_truth()
    cents = rows.with_columns(pl.col("actual_spend") * 100.0)
    today = simulated(50, seed=8)
    fits = [GeneralizedLinear().fit(training_data(today, window), [90]) for window in (rows, cents)]
    spend, in_cents = (fit.forecast(today, 90)["expected_spend"].to_numpy() for fit in fits)
    np.testing.assert_allclose(in_cents, 100.0 * spend, rtol=1e-3)
