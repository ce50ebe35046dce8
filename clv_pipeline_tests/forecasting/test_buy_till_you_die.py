import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.maximum_likelihood import maximize
from clv_pipeline.forecasting.protocol import FitReport, FittedModel
from clv_pipeline_tests.forecasting.examples import (
    CUTOFF,
    any_customers,
    customers_frame,
    simulated,
    training_data,
)

PUBLISHED = {"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}
LITTLE_DROPOUT = {"r": 0.6754, "alpha": 9.3477, "a": 0.1551, "b": 3.3955}
HOMOGENEOUS = {"r": 1.0, "alpha": 5.0, "a": 100.0, "b": 300.0}
EXTREME = {"r": 5.0, "alpha": 10.0, "a": 1e-3, "b": 1e-3}


@pytest.fixture(scope="module")
def fitted() -> FittedModel:
    return BgNbd().fit(training_data(simulated(3000)), [90])


def closed_form(parameters: dict[str, float], x: float, T: float, weeks: float) -> float:
    """Eq. 10 while alive, as printed: usable for small x only."""
    from scipy.special import hyp2f1

    r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
    z = weeks / (alpha + T + weeks)
    lost = (1.0 - z) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1.0, z)
    return float((a + b + x - 1.0) / (a - 1.0) * (1.0 - lost))


@pytest.mark.parametrize("parameters", [PUBLISHED, LITTLE_DROPOUT, HOMOGENEOUS])
@pytest.mark.parametrize(("x", "T"), [(0.0, 5.0), (1.0, 40.0), (10.0, 100.0), (50.0, 100.0)])
def test_quadrature_equals_the_closed_form_where_that_can_be_computed(
    parameters: dict[str, float], x: float, T: float
) -> None:
    for weeks in (1.0, 13.0, 52.0):
        found = BgNbd().expected_purchases_if_alive(parameters, np.array([x]), np.array([T]), np.array([weeks]))
        assert found[0, 0] == pytest.approx(closed_form(parameters, x, T, weeks), rel=1e-7)


@pytest.mark.parametrize("parameters", [PUBLISHED, LITTLE_DROPOUT, HOMOGENEOUS, EXTREME])
@pytest.mark.parametrize("x", [1000.0, 10_000.0])
def test_heavy_buyers_agree_with_an_integral_over_the_quantiles_of_dropout(
    parameters: dict[str, float], x: float
) -> None:
    from scipy.stats import beta

    r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
    T, weeks = 5.0, 52.0
    w = weeks / (alpha + T)
    # Gauss-Legendre on pieces that crowd where quantiles of p bend: near 0 and near 1.
    edges = np.concatenate([np.geomspace(1e-12, 0.5, 60), 1.0 - np.geomspace(1e-12, 0.5, 60)[::-1][1:]])
    nodes, weights = leggauss(20)
    half = 0.5 * np.diff(edges)[:, np.newaxis]
    quantile = 0.5 * (edges[1:] + edges[:-1])[:, np.newaxis] + half * nodes
    p = np.maximum(beta.ppf(quantile, a, b + x), 1e-290)
    integrand = -np.expm1(-(r + x) * np.log1p(p * w)) / p
    reference = float(np.sum(integrand * half * weights))
    found = BgNbd().expected_purchases_if_alive(parameters, np.array([x]), np.array([T]), np.array([weeks]))
    assert found[0, 0] == pytest.approx(reference, rel=1e-6)


@given(any_customers(), st.sampled_from([PUBLISHED, LITTLE_DROPOUT, HOMOGENEOUS, EXTREME]), st.integers(1, 3650))
@settings(max_examples=60, deadline=None)
def test_forecasts_stay_within_bounds_for_any_customers(
    customers: pl.DataFrame, parameters: dict[str, float], horizon_days: int
) -> None:
    state = {**parameters, "mean_spend": 35.0, "pseudo_purchases": 0.44}
    fitted = BgNbd().restore(FitReport("bg_nbd", CUTOFF, state, 1, "ok", ""))
    forecast = fitted.forecast(customers, horizon_days, 0.1)
    # 1e-6: where thousands of purchases were seen within a day, the quadrature keeps about 7 digits.
    assert (forecast["discounted_spend"] <= forecast["expected_spend"] * (1 + 1e-6)).all()
    assert (forecast["p_purchase"] <= forecast["p_alive"]).all()
    assert (forecast["p_purchase"] <= forecast["expected_purchases"] * (1 + 1e-9)).all()
    if_nobody_dropped_out = (
        (parameters["r"] + customers["frequency"])
        / (parameters["alpha"] + customers["tenure_days"] / 7)
        * (horizon_days / 7)
    )
    assert (forecast["expected_purchases"] <= if_nobody_dropped_out * (1 + 1e-9)).all()


def test_expected_purchases_grow_with_the_horizon(fitted: FittedModel) -> None:
    customers = simulated(500, seed=5)
    totals = [fitted.forecast(customers, days)["expected_purchases"].sum() for days in (1, 30, 90, 365, 3650)]
    assert totals == sorted(totals)
    assert totals[0] > 0


def test_discounting_weighs_each_day_of_the_expected_purchases(fitted: FittedModel) -> None:
    customers = simulated(200, seed=5)
    steps = [fitted.forecast(customers, days)["expected_spend"].to_numpy() for days in range(1, 366)]
    daily = np.diff(np.vstack([np.zeros(200), *steps]), axis=0)
    present_value = 1.1 ** (-(np.arange(365) + 0.5) / 365.25)
    discounted = fitted.forecast(customers, 365, 0.1)["discounted_spend"].to_numpy()
    np.testing.assert_allclose(discounted, present_value @ daily, rtol=1e-4)
    undiscounted = fitted.forecast(customers, 365, 0.0)
    np.testing.assert_allclose(undiscounted["discounted_spend"], undiscounted["expected_spend"], rtol=1e-12)


def test_one_time_buyers_get_the_population_mean_and_are_alive(fitted: FittedModel) -> None:
    customers = simulated(500, seed=5).filter(pl.col("frequency") == 0)
    forecast = fitted.forecast(customers, 90)
    ratio = (forecast["expected_spend"] / forecast["expected_purchases"]).to_numpy()
    np.testing.assert_allclose(ratio, fitted.report.parameters["mean_spend"], rtol=1e-12)
    assert (forecast["p_alive"] == 1.0).all()


def test_weights_stand_for_repeated_customers() -> None:
    one = training_data(simulated(400))
    repeated = type(one)(
        one.cutoff,
        pl.concat([one.customer_counts, one.customer_counts]),
        one.repeat_spend,
        pl.DataFrame(),
    )
    doubled = type(one)(
        one.cutoff,
        one.customer_counts.with_columns(pl.col("customers") * 2),
        one.repeat_spend,
        pl.DataFrame(),
    )
    a, b = BgNbd().fit(repeated, [90]), BgNbd().fit(doubled, [90])
    assert a.report.customers == b.report.customers == 800
    assert a.report.log_likelihood == pytest.approx(b.report.log_likelihood, abs=1e-3)
    first, second = (fit.forecast(simulated(100, 3), 90)["expected_purchases"] for fit in (a, b))
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_nobody_to_learn_from_still_serves_a_forecast() -> None:
    fitted = BgNbd().fit(training_data(simulated(50).clear()), [90])
    assert fitted.report.verdict == "no_training_data"
    newcomers = customers_frame([0, 0], [0, 0], [0, 3], [0.0, 0.0])
    assert fitted.forecast(newcomers, 90)["expected_purchases"].to_list() == [0.0, 0.0]


def test_only_one_time_buyers_are_degenerate_and_served_by_the_pooled_rate() -> None:
    customers = customers_frame([0] * 40, [0] * 40, list(range(1, 41)), [0.0] * 40)
    fitted = BgNbd().fit(training_data(customers), [90])
    report = fitted.report
    assert report.verdict == "no_training_data"  # of spend, the worse of the two
    assert "No customer bought twice" in report.notes
    assert "own spend per purchase day serves" in report.notes
    assert report.log_likelihood is None
    forecast = fitted.forecast(customers, 90)
    pooled = 0.5 / (sum(range(1, 41)) / 7)
    assert forecast["expected_purchases"][0] == pytest.approx((90 / 7) / (1 / pooled + 1 / 7))
    spend_per_purchase = (forecast["expected_spend"] / forecast["expected_purchases"]).to_list()
    assert spend_per_purchase == pytest.approx([20.0] * 40)


@pytest.mark.parametrize(
    "customers",
    [
        pytest.param(simulated(20), id="twenty customers"),
        pytest.param(customers_frame([3] * 50, [200] * 50, [300] * 50, [25.0] * 50), id="identical customers"),
        pytest.param(customers_frame([3], [200], [300], [25.0]), id="a single customer"),
        pytest.param(
            customers_frame([10_000, *[0] * 30], [700, *[0] * 30], [700] * 31, [5.0, *[0.0] * 30]),
            id="one wholesaler",
        ),
        pytest.param(
            customers_frame([1, 2] * 30, [1, 700] * 30, [700] * 60, [1.0, 1e6] * 30),
            id="money without a mean",
        ),
    ],
)
def test_poor_data_give_a_forecast_and_a_verdict(customers: pl.DataFrame) -> None:
    fitted = BgNbd().fit(training_data(customers), [90])
    forecast = fitted.forecast(customers, 90, 0.1)
    assert forecast["expected_purchases"].is_finite().all()
    assert forecast["expected_spend"].sum() > 0
    if fitted.report.verdict != "ok":
        assert "serves" in fitted.report.notes or "used" in fitted.report.notes


def test_identical_customers_are_forecast_at_their_own_spend() -> None:
    customers = customers_frame([3] * 50, [200] * 50, [300] * 50, [25.0] * 50)
    fitted = BgNbd().fit(training_data(customers), [90])
    assert fitted.report.verdict != "ok"
    forecast = fitted.forecast(customers, 90)
    assert forecast["expected_spend"][0] / forecast["expected_purchases"][0] == pytest.approx(25.0, rel=1e-3)


def test_no_converging_start_is_not_an_exception_but_none() -> None:
    from lifetimes.utils import ConvergenceError

    class NeverConverges:
        def fit(self, **_: object) -> None:
            print("the whole state of the optimiser")
            raise ConvergenceError("no")

    assert maximize(NeverConverges, {}, lambda _: 0.0, [(1.0,), (2.0,)]) is None


def test_a_process_that_does_not_converge_is_served_by_the_pooled_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("clv_pipeline.forecasting.buy_till_you_die.maximize", lambda *_: None)
    customers = simulated(100)
    fitted = BgNbd().fit(training_data(customers), [90])
    assert fitted.report.verdict == "not_converged"
    assert "No start converged. The pooled rate of" in fitted.report.notes
    forecast = fitted.forecast(customers, 90)
    weekly = (int(customers["frequency"].sum()) + 0.5) / (int(customers["tenure_days"].sum()) / 7)
    own = (1 + customers["frequency"]) / (1 / weekly + customers["tenure_days"] / 7) * (90 / 7)
    np.testing.assert_allclose(forecast["expected_purchases"], own, rtol=1e-9)
