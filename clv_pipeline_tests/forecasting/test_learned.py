"""What every model that learns from completed windows promises, whichever data it is given."""

from datetime import date

import polars as pl
import pytest

from clv_pipeline.forecasting.frames import uniform_discount
from clv_pipeline.forecasting.learned import LearnedModel, Means
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline_tests.forecasting.examples import completed_windows, customers_frame, simulated, training_data

WINDOWS = completed_windows(cutoffs=3, customers=150)
TODAY = simulated(60, seed=9)
# The neural network has tests of its own; its fits take longer.
LEARNED = [name for name, model in MODELS.items() if isinstance(model(), LearnedModel) and name != "neural"]
nobody = pl.col("actual_purchases") * 0
POOR = {
    "nobody bought": WINDOWS.with_columns(actual_purchases=nobody, actual_spend=nobody.cast(pl.Float64)),
    "everybody bought the same": WINDOWS.with_columns(actual_purchases=nobody + 1, actual_spend=pl.lit(10.0)),
    "one buyer": WINDOWS.with_columns(
        actual_purchases=(pl.int_range(pl.len()) == 7).cast(pl.Int64),
        actual_spend=pl.when(pl.int_range(pl.len()) == 7).then(99.0).otherwise(0.0),
    ),
    "only returns": WINDOWS.with_columns(actual_spend=-pl.col("actual_spend")),
    "some returns": WINDOWS.with_columns(
        actual_spend=pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.col("actual_spend")).otherwise(-3.0)
    ),
    "a fortune": WINDOWS.with_columns(actual_spend=pl.col("actual_spend") * 1e9),
    "identical customers": pl.concat(
        [customers_frame([1], [5], [40], [9.0], cutoff=date(2024, 1, 1))] * 200
    ).with_columns(actual_purchases=pl.int_range(pl.len()) % 2, actual_spend=(pl.int_range(pl.len()) % 2) * 5.0),
}


@pytest.mark.parametrize("name", LEARNED)
def test_the_order_of_training_rows_changes_no_forecast(name: str) -> None:
    shuffled = WINDOWS.sample(fraction=1.0, shuffle=True, seed=5)
    fits = [MODELS[name]().fit(training_data(TODAY, rows), [90]) for rows in (WINDOWS, shuffled)]
    assert fits[0].report == fits[1].report
    assert fits[0].forecast(TODAY, 90).equals(fits[1].forecast(TODAY, 90))


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("poor", POOR)
def test_poor_data_give_a_forecast_and_a_verdict(name: str, poor: str) -> None:
    # forecast_frame raises for a number that is not finite, is negative or no probability.
    fitted = MODELS[name]().fit(training_data(TODAY, POOR[poor]), [90])
    forecast = fitted.forecast(TODAY, 90, 0.1)
    assert forecast.height == TODAY.height
    assert fitted.report.verdict in ("ok", "degenerate")
    if fitted.report.verdict == "degenerate":
        assert "90 days: " in fitted.report.notes


@pytest.mark.parametrize("name", LEARNED)
def test_twenty_customers_are_too_few_and_the_report_says_so(name: str) -> None:
    fitted = MODELS[name]().fit(training_data(TODAY, WINDOWS.head(20)), [90])
    assert (fitted.can_forecast(90), fitted.report.verdict) == (False, "no_training_data")
    assert "Cannot forecast 90 days: 20 customers in completed windows" in fitted.report.notes
    with pytest.raises(ValueError, match="not fitted for 90 days"):
        fitted.forecast(TODAY, 90)


@pytest.mark.parametrize("name", LEARNED)
def test_customers_unlike_any_seen_get_a_forecast(name: str) -> None:
    fitted = MODELS[name]().fit(training_data(TODAY, WINDOWS), [90])
    strange = customers_frame([0, 10_000], [0, 14_999], [0, 15_000], [0.0, 1e6])
    assert fitted.forecast(strange, 90, 0.1).height == 2


@pytest.mark.parametrize("name", LEARNED)
def test_who_bought_more_lately_is_expected_to_buy_more(name: str) -> None:
    fitted = MODELS[name]().fit(training_data(TODAY, WINDOWS), [90])
    gone_and_loyal = customers_frame([0, 20], [0, 395], [400, 400], [0.0, 30.0])
    forecast = fitted.forecast(gone_and_loyal, 90)
    for column in ("expected_purchases", "expected_spend", "p_purchase"):
        gone, loyal = forecast[column]
        assert (gone is None and loyal is None) or gone < loyal


def test_where_nothing_can_be_learned_the_means_serve() -> None:
    means = Means.of(WINDOWS, frozenset({"purchases", "spend"}), "Nothing to learn.")
    predicted = means.predict(TODAY)
    assert predicted.purchases is not None
    assert predicted.purchases.tolist() == [pytest.approx(WINDOWS["actual_purchases"].mean())] * 60
    assert predicted.p_purchase is None
    assert set(means.parameters["means"]) == {"purchases", "spend"}


def test_money_is_discounted_as_if_it_flowed_evenly() -> None:
    fitted = MODELS["glm"]().fit(training_data(TODAY, WINDOWS), [90])
    forecast = fitted.forecast(TODAY, 90, 0.1)
    expected = forecast["expected_spend"] * uniform_discount(90, 0.1)
    assert forecast["discounted_spend"].to_list() == expected.to_list()
