"""What a purchase is worth: a robust mean, shrunk to customers alike, that no single order moves for others."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.forecasting import value
from clv_pipeline.forecasting.families import Hybrid
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.value import ValueModel, shrunk_level
from clv_pipeline.simulation.processes import ParetoNbdProcess
from clv_pipeline.simulation.spend import LognormalSpend
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, customers_frame, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

FREQUENT = ParetoNbdProcess(r=1.0, alpha=10.0, s=0.4, beta=60.0)
SPEND_MORE = LognormalSpend(median=20.0, between=0.1, within=0.3, with_rate=0.8)
ABSURD = 1e6


def fit(customers: pl.DataFrame) -> ValueModel:
    """What today's customers alone teach."""
    return value.fit(customers, pl.DataFrame(), CUTOFF)


def forecast(days: PurchaseDays, horizon: int = 90) -> Paths:
    training = days.training(CUTOFF)
    return Hybrid().fit(Ground(training)).forecast(training.current_customers, [horizon])


def values(paths: Paths) -> Floats:
    assert paths.value is not None
    return paths.value


def with_order(days: PurchaseDays, customer: str, amount: float, *, until_days_ago: int = 0) -> PurchaseDays:
    """The same shop in which the customer's latest order, before so many days ago, was of this amount."""
    mine, day = pl.col("customer_id") == customer, pl.col("day")
    latest = days.days.filter(mine, day <= CUTOFF - timedelta(days=until_days_ago))["day"].max()
    return PurchaseDays(
        days.days.with_columns(spend=pl.when(mine, day == latest).then(amount).otherwise(pl.col("spend")))
    )


@pytest.mark.parametrize("days_ago", [0, 200])
def test_one_absurd_order_moves_nobody_elses_value(days_ago: int) -> None:
    days = shop(1_500, spend=LognormalSpend(median=30.0))
    known = days.until(CUTOFF - timedelta(days=days_ago)).days
    customer = known.filter(pl.len().over("customer_id") > 3)["customer_id"][0]
    plain, absurd = forecast(days), forecast(with_order(days, customer, ABSURD, until_days_ago=days_ago))
    others = (plain.customer_id != customer).to_numpy()
    np.testing.assert_allclose(values(absurd)[others], values(plain)[others], rtol=0.05)
    assert plain.spend is not None
    assert absurd.spend is not None
    np.testing.assert_allclose(absurd.spend[others].sum(), plain.spend[others].sum(), rtol=0.05)


def test_an_absurd_order_is_capped_where_it_stands() -> None:
    days = shop(1_500, spend=LognormalSpend(median=30.0))
    customers = days.customers(CUTOFF)
    often = customers.filter(pl.col("frequency") > 5)["customer_id"][0]
    absurd = with_order(days, often, ABSURD).customers(CUTOFF)
    one = (absurd["customer_id"] == often).to_numpy()
    assert fit(absurd).per_purchase(absurd)[one] < 0.01 * absurd["revenue"].to_numpy()[one] / 6.0


def test_one_large_gift_is_no_promise_of_another() -> None:
    days = shop(1_500, spend=LognormalSpend(median=30.0))
    once = days.customers(CUTOFF).filter(pl.col("frequency") == 0)["customer_id"][0]
    paths = forecast(with_order(days, once, 4_500.0))
    given = (paths.customer_id == once).to_numpy()
    assert paths.spend is not None
    assert paths.spend[given, 0] < 450.0
    # Still more than of others who gave once.
    assert 100.0 < values(paths)[given] < 2_250.0


def test_values_of_one_time_buyers_are_right_where_those_who_buy_often_spend_more() -> None:
    days = shop(3_000, process=FREQUENT, spend=SPEND_MORE)
    customers = days.customers(CUTOFF)
    repeat = customers.filter(pl.col("frequency") > 0)
    assert np.corrcoef(repeat["frequency"], repeat["monetary_value"])[0, 1] > 0.6
    once = (customers["frequency"] == 0).to_numpy()
    spent = customers.filter(pl.col("frequency") == 0)["revenue"].mean()
    # Gamma-Gamma says 47 where 11 is right: the mean of all purchases, which frequent buyers decide.
    assert repeat["monetary_value"].mean() > 2.0 * spent  # type: ignore[operator]
    model = fit(customers)
    assert model.per_purchase(customers)[once].mean() == pytest.approx(spent, rel=0.15)
    assert values(forecast(days))[once].mean() == pytest.approx(spent, rel=0.15)
    assert model.parameters["log_spend_by_log_purchases"] > 0.3


def test_frequency_says_nothing_of_money_where_it_has_nothing_to_do_with_it() -> None:
    model = fit(shop(3_000).customers(CUTOFF))
    assert abs(model.parameters["log_spend_by_log_purchases"]) < 0.05


def test_variances_of_log_spend_come_back() -> None:
    days = shop(3_000, process=ParetoNbdProcess(r=2.0), spend=LognormalSpend(between=0.6, within=0.5))
    model = fit(days.customers(CUTOFF))
    assert model.within == pytest.approx(0.25, rel=0.1)
    assert model.between == pytest.approx(0.36, rel=0.2)


@pytest.mark.parametrize("within", [0.3, 0.9])
def test_values_add_up_to_what_purchases_brought(within: float) -> None:
    customers = shop(3_000, spend=LognormalSpend(within=within)).customers(CUTOFF)
    purchases = customers["frequency"].to_numpy() + 1.0
    said = float(fit(customers).per_purchase(customers) @ purchases)
    assert said == pytest.approx(customers["revenue"].sum(), rel=0.08)


def test_who_spent_more_and_more_often_is_worth_more() -> None:
    model = fit(shop(1_500).customers(CUTOFF))
    asked = customers_frame([0, 4, 4, 20], [0, 90, 90, 400], [500] * 4, [0.0, 20.0, 80.0, 80.0])
    once, usual, more, often = model.per_purchase(asked)
    assert usual < more < often
    assert more < 80.0
    assert once == pytest.approx(usual, rel=0.5)


@pytest.mark.parametrize("frequency", [0, 3])
def test_equal_spends_are_worth_that_much(frequency: int) -> None:
    flat = pl.DataFrame({"customer_id": [f"c{n:03}" for n in range(250)], "spend": 9.99})
    days = [CUTOFF - timedelta(days=40 * n) for n in range(frequency + 1)]
    customers = PurchaseDays.of(flat.join(pl.DataFrame({"day": days}), how="cross")).customers(CUTOFF)
    assert fit(customers).per_purchase(customers) == pytest.approx(9.99, rel=0.02)


def test_without_customers_there_is_a_value_all_the_same() -> None:
    nobody = shop().customers(CUTOFF).clear()
    model = fit(nobody)
    assert model.per_purchase(nobody).shape == (0,)
    assert np.isfinite(model.per_purchase(customers_frame([0, 2], [0, 5], [9, 9], [0.0, 30.0]))).all()


def test_completed_windows_teach_how_money_has_moved() -> None:
    days = shop(1_500)
    lately = pl.col("day") > CUTOFF - timedelta(days=365)
    dearer = PurchaseDays(days.days.with_columns(spend=pl.when(lately).then(pl.col("spend") * 1.5).otherwise("spend")))

    def per_purchase(paths: Paths) -> float:
        assert paths.spend is not None
        assert paths.purchases is not None
        return float(paths.spend.sum() / paths.purchases.sum())

    today = [fit(each.customers(CUTOFF)).per_purchase(each.customers(CUTOFF)).mean() for each in (days, dearer)]
    learned = per_purchase(forecast(dearer)) / per_purchase(forecast(days))
    assert today[1] / today[0] < learned
    assert 1.4 < learned < 1.7


def test_a_level_is_shrunk_by_how_well_it_is_known_and_the_latest_window_counts_most() -> None:
    month: Floats = np.arange(30.0, 400.0, 30.0)
    one, all_agree = shrunk_level(np.full(1, 0.2), month[:1]), shrunk_level(np.full(13, 0.2), month)
    scattered = shrunk_level(np.resize([0.7, -0.3], 13), month)
    assert 0.0 < scattered < one < all_agree < 0.2
    late, early = (shrunk_level(np.where(month == when, 0.2, 0.0), month) for when in (30.0, 390.0))
    assert late > early > 0.0
    assert shrunk_level(np.zeros(5), month[:5]) == 0.0


MODEL = fit(shop().customers(CUTOFF))


@given(any_customers(), st.integers(0, 11))
def test_any_customer_has_a_positive_value_that_depends_on_nobody_else(customers: pl.DataFrame, row: int) -> None:
    said = MODEL.per_purchase(customers)
    assert np.isfinite(said).all()
    assert (said > 0.0).all()
    place = row % customers.height
    assert MODEL.per_purchase(customers.slice(place, 1))[0] == said[place]
