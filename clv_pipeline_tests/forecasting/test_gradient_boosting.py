import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from clv_pipeline.forecasting.gradient_boosting import BoostedHurdle, Hurdle
from clv_pipeline_tests.forecasting.examples import completed_windows, simulated, training_data

WINDOWS = completed_windows(cutoffs=3, customers=500)
RICH = pl.col("monetary_value") > 5.0


def learned(rows: pl.DataFrame) -> Hurdle:
    model = BoostedHurdle().learn(rows)
    assert isinstance(model, Hurdle)
    return model


def buying(share: float, spend: pl.Expr, seed: int = 3) -> pl.DataFrame:
    """WINDOWS of which a share buys, on two days."""
    comes = pl.Series(np.random.default_rng(seed).random(WINDOWS.height) < share)
    return WINDOWS.with_columns(
        actual_purchases=pl.when(comes).then(2).otherwise(0), actual_spend=pl.when(comes).then(spend).otherwise(0.0)
    )


def test_spend_is_the_probability_times_what_buyers_spend() -> None:
    rows = buying(0.4, pl.when(RICH).then(300.0).otherwise(100.0))
    predicted = learned(rows).predict(rows)
    assert predicted.p_purchase is not None
    assert predicted.spend is not None
    assert predicted.purchases is not None
    rich = rows.select(RICH).to_series().to_numpy()
    amount = predicted.spend / predicted.p_purchase
    assert amount[rich].mean() == pytest.approx(300.0, rel=0.1)
    assert amount[~rich].mean() == pytest.approx(100.0, rel=0.1)
    assert predicted.purchases / predicted.p_purchase == pytest.approx(2.0, rel=0.01)
    assert predicted.p_purchase.mean() == pytest.approx(0.4, abs=0.03)


def test_totals_of_the_training_rows_come_out() -> None:
    rows = WINDOWS
    predicted = learned(rows).predict(rows)
    assert predicted.spend is not None
    assert predicted.purchases is not None
    assert predicted.purchases.sum() == pytest.approx(rows["actual_purchases"].sum(), rel=0.1)
    assert predicted.spend.sum() == pytest.approx(rows["actual_spend"].sum(), rel=0.15)


def test_who_buys_at_all_buys_at_least_once() -> None:
    predicted = learned(WINDOWS).predict(simulated(200, seed=7))
    assert predicted.purchases is not None
    assert predicted.p_purchase is not None
    assert (predicted.purchases >= predicted.p_purchase).all()


def test_the_number_of_threads_changes_no_forecast() -> None:
    customers = simulated(200, seed=7)
    fitted = BoostedHurdle().fit(training_data(customers, WINDOWS), [90])
    forecasts = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            forecasts.append(fitted.forecast(customers, 90))
    assert forecasts[0].equals(forecasts[1])


def test_the_report_names_features_and_buyers() -> None:
    part = BoostedHurdle().fit(training_data(WINDOWS, WINDOWS), [90]).report.parameters["horizons"]["90"]
    assert "days_since_last" in part["features"]
    assert part["buyers"] == WINDOWS.filter(pl.col("actual_purchases") > 0).height
    assert (part["rows"], part["cutoffs"]) == (1500, 3)


def test_a_feature_that_no_buyer_has_is_no_obstacle() -> None:
    # Only customers without a repeat come back, so that the gaps between purchases are missing for all of them.
    came = pl.when(pl.col("frequency") == 0).then(2).otherwise(0)
    rows = WINDOWS.with_columns(actual_purchases=came, actual_spend=came * 10.0)
    assert rows.filter(pl.col("actual_purchases") > 0)["mean_gap_days"].null_count() > 0
    predicted = learned(rows).predict(rows)
    assert predicted.spend is not None
    assert np.isfinite(predicted.spend).all()
