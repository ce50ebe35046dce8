from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie, FittedBuyTillYouDie, merge_similar
from clv_pipeline.forecasting.maximum_likelihood import maximize
from clv_pipeline.forecasting.mbg_nbd import MbgNbd
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.protocol import FitReport, FittedModel, TrainingData
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
PARETO = {
    "published": {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669},
    "little dropout": {"r": 0.74, "alpha": 10.28, "s": 0.18, "beta": 55.3},
    "homogeneous": {"r": 1.0, "alpha": 5.0, "s": 100.0, "beta": 3000.0},
    "extreme": {"r": 1e-3, "alpha": 1e-3, "s": 1e3, "beta": 1e-3},
}
PROCESSES = [BgNbd(), MbgNbd(), ParetoNbd()]
every_process = pytest.mark.parametrize("process", PROCESSES, ids=[process.name for process in PROCESSES])


@pytest.fixture(scope="module", params=PROCESSES, ids=[process.name for process in PROCESSES])
def fitted(request: pytest.FixtureRequest) -> FittedModel:
    process: BuyTillYouDie = request.param
    return process.fit(training_data(simulated(600)), [90])


def without_spend(training: TrainingData) -> TrainingData:
    return replace(training, repeat_spend=training.repeat_spend.clear())


def fit_of(process: BuyTillYouDie, customers: pl.DataFrame) -> FittedModel:
    """A fit in which one process stands for all where it comes to spend, whose model is the same."""
    training = training_data(customers)
    return process.fit(training if process.name == "pareto_nbd" else without_spend(training), [90])


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


@every_process
@given(any_customers(), st.integers(0, 3), st.integers(1, 3650))
@settings(max_examples=40)
def test_forecasts_stay_within_bounds_for_any_customers(
    process: BuyTillYouDie, customers: pl.DataFrame, which: int, horizon_days: int
) -> None:
    beta_geometric = (PUBLISHED, LITTLE_DROPOUT, HOMOGENEOUS, EXTREME)[which]
    parameters = list(PARETO.values())[which] if process.name == "pareto_nbd" else beta_geometric
    state = {**parameters, "mean_spend": 35.0, "pseudo_purchases": 0.44}
    fitted = FittedBuyTillYouDie(process, FitReport(process.name, CUTOFF, state, 1, "ok", ""))
    forecast = fitted.forecast(customers, horizon_days, 0.1)
    # 1e-6: where thousands of purchases were seen within a day, the quadrature keeps about 7 digits.
    assert (forecast["discounted_spend"] <= forecast["expected_spend"] * (1 + 1e-6)).all()
    assert (forecast["p_purchase"] <= forecast["p_alive"]).all()
    assert (forecast["p_purchase"] <= forecast["expected_purchases"] * (1 + 1e-7)).all()
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


def test_discounting_weighs_each_part_of_the_expected_purchases(fitted: FittedModel) -> None:
    customers = simulated(40, seed=5)
    steps = [fitted.forecast(customers, days)["expected_spend"].to_numpy() for days in range(5, 366, 5)]
    spent = np.diff(np.vstack([np.zeros(40), *steps]), axis=0)
    present_value = 1.1 ** (-(5 * np.arange(73) + 2.5) / 365.25)
    discounted = fitted.forecast(customers, 365, 0.1)["discounted_spend"].to_numpy()
    np.testing.assert_allclose(discounted, present_value @ spent, rtol=1e-4)
    undiscounted = fitted.forecast(customers, 365, 0.0)
    np.testing.assert_allclose(undiscounted["discounted_spend"], undiscounted["expected_spend"], rtol=1e-12)


def test_one_time_buyers_get_the_population_mean(fitted: FittedModel) -> None:
    customers = simulated(500, seed=5).filter(pl.col("frequency") == 0)
    forecast = fitted.forecast(customers, 90)
    ratio = (forecast["expected_spend"] / forecast["expected_purchases"]).to_numpy()
    np.testing.assert_allclose(ratio, fitted.report.parameters["mean_spend"], rtol=1e-12)


def test_one_time_buyers_are_alive_under_bg_nbd_and_perhaps_not_under_its_relatives(fitted: FittedModel) -> None:
    customers = customers_frame([0, 0], [0, 0], [30, 600], [0.0, 0.0])
    young, old = fitted.forecast(customers, 90)["p_alive"]
    if fitted.report.model == "bg_nbd":
        assert young == old == 1.0
    else:
        assert 0.0 < old < young < 1.0


@every_process
def test_weights_stand_for_repeated_customers_and_their_order_does_not_matter(process: BuyTillYouDie) -> None:
    one = without_spend(training_data(simulated(400)))
    counts = one.customer_counts
    shuffled = counts.sample(fraction=1.0, shuffle=True, seed=1)
    repeated = replace(one, customer_counts=pl.concat([counts, shuffled]))
    doubled = replace(one, customer_counts=counts.with_columns(pl.col("customers") * 2))
    assert repeated.customers == 800
    assert process.fit(repeated, [90]).report == process.fit(doubled, [90]).report


@every_process
def test_nobody_to_learn_from_still_serves_a_forecast(process: BuyTillYouDie) -> None:
    fitted = process.fit(training_data(simulated(50).clear()), [90])
    assert fitted.report.verdict == "no_training_data"
    newcomers = customers_frame([0, 0], [0, 0], [0, 3], [0.0, 0.0])
    assert fitted.forecast(newcomers, 90)["expected_purchases"].to_list() == [0.0, 0.0]


@every_process
def test_only_one_time_buyers_are_degenerate_and_served_by_the_pooled_rate(process: BuyTillYouDie) -> None:
    customers = customers_frame([0] * 40, [0] * 40, list(range(1, 41)), [0.0] * 40)
    fitted = process.fit(training_data(customers), [90])
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
        pytest.param(customers_frame([1, 0, 1], [1, 0, 1], [1, 1, 1], [9.0, 0.0, 12.0]), id="one day of history"),
    ],
)
@every_process
def test_poor_data_give_a_forecast_and_a_verdict(process: BuyTillYouDie, customers: pl.DataFrame) -> None:
    fitted = fit_of(process, customers)
    forecast = fitted.forecast(customers, 90, 0.1)
    assert forecast["expected_purchases"].is_finite().all()
    assert forecast["expected_spend"].sum() > 0
    if fitted.report.verdict != "ok":
        assert "serves" in fitted.report.notes or "used" in fitted.report.notes


@every_process
@given(any_customers(), any_customers())
@settings(max_examples=4)
def test_whatever_the_data_a_fit_gives_a_forecast_and_says_what_serves(
    process: BuyTillYouDie, seen: pl.DataFrame, others: pl.DataFrame
) -> None:
    fitted = fit_of(process, seen)
    # Numbers that are not finite, negative or above 1 would be refused by the forecast frame.
    assert fitted.forecast(pl.concat([seen, others]), 90, 0.1).height == seen.height + others.height
    if fitted.report.verdict != "ok":
        assert "serves" in fitted.report.notes or "used" in fitted.report.notes


def test_identical_customers_are_forecast_at_their_own_spend() -> None:
    customers = customers_frame([3] * 50, [200] * 50, [300] * 50, [25.0] * 50)
    fitted = ParetoNbd().fit(training_data(customers), [90])
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


@every_process
def test_a_process_that_does_not_converge_is_served_by_the_pooled_rate(
    process: BuyTillYouDie, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clv_pipeline.forecasting.buy_till_you_die.maximize", lambda *_: None)
    customers = simulated(100)
    fitted = process.fit(training_data(customers), [90])
    assert fitted.report.verdict == "not_converged"
    assert "No start converged. The pooled rate of" in fitted.report.notes
    forecast = fitted.forecast(customers, 90)
    weekly = (int(customers["frequency"].sum()) + 0.5) / (int(customers["tenure_days"].sum()) / 7)
    own = (1 + customers["frequency"]) / (1 / weekly + customers["tenure_days"] / 7) * (90 / 7)
    np.testing.assert_allclose(forecast["expected_purchases"], own, rtol=1e-9)


def drawn(process: BuyTillYouDie, parameters: Mapping[str, float], customers: int, seed: int) -> pl.DataFrame:
    """Distinct histories of customers who live by the process, watched for up to two years."""
    rng = np.random.default_rng(seed)
    T = rng.uniform(4.0, 104.0, customers)
    first, second = list(parameters.values())[2:]
    rate = rng.gamma(parameters["r"], 1.0 / parameters["alpha"], customers)
    x, t_x = np.zeros(customers, dtype=int), np.zeros(customers)
    if process.name == "pareto_nbd":
        alive = np.minimum(T, rng.exponential(1.0 / rng.gamma(first, 1.0 / second, customers)))
        x = rng.poisson(rate * alive)
        t_x = np.where(x > 0, alive * rng.random(customers) ** (1.0 / np.maximum(x, 1)), 0.0)
    else:
        dropout = rng.beta(first, second, customers)
        stays_after_first = rng.random(customers) >= dropout
        buying = np.flatnonzero(stays_after_first | (process.name == "bg_nbd"))
        now = np.zeros(customers)
        while buying.size:
            now[buying] += rng.exponential(1.0 / rate[buying])
            buying = buying[now[buying] <= T[buying]]
            x[buying] += 1
            t_x[buying] = now[buying]
            buying = buying[rng.random(buying.size) >= dropout[buying]]
    counts = {"frequency": x, "recency_days": 7.0 * t_x, "tenure_days": 7.0 * T, "customers": np.ones_like(x)}
    return pl.DataFrame(counts)


@pytest.mark.parametrize(
    ("process", "parameters"),
    [
        (BgNbd(), {"r": 0.7, "alpha": 6.0, "a": 0.5, "b": 3.0}),
        (MbgNbd(), {"r": 0.7, "alpha": 6.0, "a": 0.5, "b": 3.0}),
        (ParetoNbd(), {"r": 0.7, "alpha": 6.0, "s": 0.6, "beta": 12.0}),
    ],
    ids=lambda value: value.name if isinstance(value, BuyTillYouDie) else "",
)
def test_parameters_of_simulated_customers_are_recovered(
    process: BuyTillYouDie, parameters: Mapping[str, float]
) -> None:
    counts = drawn(process, parameters, customers=6000, seed=8)
    report = process.fit(without_spend(replace(training_data(simulated(9)), customer_counts=counts)), [90]).report
    for name, value in parameters.items():
        assert report.parameters[name] == pytest.approx(value, abs=2.5 * report.standard_errors[name]), name


def test_few_enough_histories_stay_as_they_are() -> None:
    counts = training_data(simulated(300)).customer_counts
    merged = merge_similar(counts, most=counts.height)
    assert merged.equals(counts.select(merged.columns).cast(merged.schema).sort(merged.columns))


def test_merging_keeps_customers_frequencies_and_time_and_never_more_rows_than_asked() -> None:
    counts = training_data(simulated(3000)).customer_counts
    merged = merge_similar(counts, most=500)
    assert counts["frequency"].n_unique() <= merged.height <= 500
    for column in ("frequency", "recency_days", "tenure_days"):
        totals = [float((frame[column] * frame["customers"]).sum()) for frame in (counts, merged)]
        assert totals[0] == pytest.approx(totals[1], rel=1e-12)
    assert merged["customers"].sum() == 3000
    assert (merged["recency_days"] <= merged["tenure_days"]).all()
    assert ((merged["recency_days"] > 0) == (merged["frequency"] > 0)).all()


def test_merged_histories_give_nearly_the_same_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    process = ParetoNbd()
    parameters = {"r": 0.7, "alpha": 6.0, "s": 0.6, "beta": 12.0}
    counts = drawn(process, parameters, customers=6000, seed=8)
    training = without_spend(replace(training_data(simulated(9)), customer_counts=counts))
    all_rows = process.fit(training, [90]).report
    monkeypatch.setattr("clv_pipeline.forecasting.buy_till_you_die.ROWS_TO_FIT", 2500)
    merged = process.fit(training, [90]).report
    assert "6000 histories were merged into" in merged.notes
    for name in process.parameter_names:
        error = all_rows.standard_errors[name]
        assert merged.parameters[name] == pytest.approx(all_rows.parameters[name], abs=0.2 * error), name
