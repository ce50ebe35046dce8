"""Purchase processes: their formulas against other ways to compute them, and fits that never fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie, ProcessFit, merge_similar
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.maximum_likelihood import best_optimum
from clv_pipeline.forecasting.mbg_nbd import MbgNbd
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, customers_frame, shop, training_data

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


def counts_of(customers: pl.DataFrame) -> pl.DataFrame:
    return training_data(customers).customer_counts


def ahead(fit: ProcessFit, customers: pl.DataFrame, *days: float) -> tuple[Floats, Floats, Floats]:
    """P(alive), expected purchases and P(at least one) of customers by these days."""
    x, t_x, T = (floats(customers, name) for name in ("frequency", "recency_days", "tenure_days"))
    alive = fit.alive(x, t_x, T)
    expected, at_least_one = fit.path_if_alive(x, t_x, T, np.array(days))
    return alive, alive[:, None] * expected, alive[:, None] * at_least_one


SHOP_COUNTS = shop(300).training(CUTOFF, most_windows=0).customer_counts


@pytest.fixture(scope="module", params=PROCESSES, ids=[process.name for process in PROCESSES])
def fitted(request: pytest.FixtureRequest) -> ProcessFit:
    process: BuyTillYouDie = request.param
    return process.estimate(SHOP_COUNTS)


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
@settings(max_examples=25)
def test_what_is_expected_stays_within_bounds_for_any_customers(
    process: BuyTillYouDie, customers: pl.DataFrame, which: int, days: int
) -> None:
    beta_geometric = (PUBLISHED, LITTLE_DROPOUT, HOMOGENEOUS, EXTREME)[which]
    parameters = list(PARETO.values())[which] if process.name == "pareto_nbd" else beta_geometric
    fit = ProcessFit(process, parameters, {}, 0.0, "ok", "")
    alive, (expected,), (p_purchase,) = (np.atleast_2d(said.T) for said in ahead(fit, customers, float(days)))
    assert np.isfinite(expected).all()
    assert (p_purchase <= alive[0]).all()
    # 1e-7: where thousands of purchases were seen within a day, the quadrature keeps about 7 digits.
    assert (p_purchase <= expected * (1 + 1e-7)).all()
    if_nobody_dropped_out = (
        (parameters["r"] + customers["frequency"]) / (parameters["alpha"] + customers["tenure_days"] / 7) * (days / 7)
    ).to_numpy()
    assert (expected <= if_nobody_dropped_out * (1 + 1e-9)).all()


def test_expected_purchases_grow_with_time(fitted: ProcessFit) -> None:
    _, expected, p_purchase = ahead(fitted, shop(500, 5).customers(CUTOFF), 1, 30, 90, 365, 3650)
    assert (np.diff(expected, axis=1, prepend=0.0) >= 0.0).all()
    assert (np.diff(p_purchase, axis=1, prepend=0.0) >= 0.0).all()
    assert expected[:, 0].sum() > 0.0


def test_one_time_buyers_are_alive_under_bg_nbd_and_perhaps_not_under_its_relatives(fitted: ProcessFit) -> None:
    young, old = ahead(fitted, customers_frame([0, 0], [0, 0], [30, 600], [0.0, 0.0]), 90)[0]
    if fitted.process.name == "bg_nbd":
        assert young == old == 1.0
    else:
        assert 0.0 < old < young < 1.0


def test_a_new_customer_buys_at_the_rate_by_which_what_is_expected_of_them_grows(fitted: ProcessFit) -> None:
    ages = np.array([3.5, 30.0, 200.0, 700.0])
    newcomer = customers_frame([0], [0], [0], [0.0])
    _, earlier, _ = ahead(fitted, newcomer, *np.maximum(ages - 3.5, 1e-6))
    _, later, _ = ahead(fitted, newcomer, *(ages + 3.5))
    at_once = ahead(fitted, newcomer, 1e-6)[0][0]
    np.testing.assert_allclose(fitted.rate_at_age(ages), (later - earlier)[0] / at_once / 7.0, rtol=0.02)


@every_process
def test_weights_stand_for_repeated_customers_and_their_order_does_not_matter(process: BuyTillYouDie) -> None:
    shuffled = SHOP_COUNTS.sample(fraction=1.0, shuffle=True, seed=1)
    repeated = pl.concat([SHOP_COUNTS, shuffled])
    doubled = SHOP_COUNTS.with_columns(pl.col("customers") * 2)
    one, other = process.estimate(repeated), process.estimate(doubled)
    assert (one.parameters, one.log_likelihood) == (other.parameters, other.log_likelihood)


@every_process
def test_without_anybody_to_learn_from_the_prior_serves(process: BuyTillYouDie) -> None:
    fit = process.estimate(SHOP_COUNTS.clear())
    assert fit.verdict == "no_training_data"
    assert "Nobody bought before the cutoff day" in fit.note
    assert "A weak prior, as other shops are, decides" in fit.note
    assert np.log(list(fit.parameters.values())) == pytest.approx([mean for mean, _ in process.prior])


@every_process
def test_customers_of_the_cutoff_day_alone_say_nothing_of_the_process(process: BuyTillYouDie) -> None:
    first_day = counts_of(customers_frame([0] * 3, [0] * 3, [0] * 3, [0.0] * 3))
    assert process.estimate(first_day) == process.estimate(SHOP_COUNTS.clear())
    assert process.estimate(pl.concat([SHOP_COUNTS, first_day])) == process.estimate(SHOP_COUNTS)


@every_process
def test_one_time_buyers_alone_are_expected_to_buy_less_the_longer_they_were_watched(process: BuyTillYouDie) -> None:
    totals = []
    for tenure in (40, 400):
        customers = customers_frame([0] * 40, [0] * 40, [tenure] * 40, [0.0] * 40)
        fit = process.estimate(counts_of(customers))
        assert fit.verdict == "degenerate"
        assert fit.note.startswith("No customer bought twice.")
        totals.append(ahead(fit, customers, 90)[1].sum())
    assert 0.0 < totals[1] < 0.5 * totals[0] < 10.0


@pytest.mark.parametrize(
    "customers",
    [
        pytest.param(shop(20).customers(CUTOFF), id="twenty customers"),
        pytest.param(customers_frame([3] * 50, [200] * 50, [300] * 50, [25.0] * 50), id="identical customers"),
        pytest.param(customers_frame([3], [200], [300], [25.0]), id="a single customer"),
        pytest.param(
            customers_frame([10_000, *[0] * 30], [700, *[0] * 30], [700] * 31, [5.0, *[0.0] * 30]),
            id="one wholesaler",
        ),
        pytest.param(customers_frame([1, 0, 1], [1, 0, 1], [1, 1, 1], [9.0, 0.0, 12.0]), id="one day of history"),
    ],
)
@every_process
def test_poor_data_give_a_fit_and_a_verdict(process: BuyTillYouDie, customers: pl.DataFrame) -> None:
    fit = process.estimate(counts_of(customers))
    assert np.isfinite(ahead(fit, customers, 90)[1]).all()
    if fit.verdict != "ok":
        assert "A weak prior" in fit.note
        assert fit.standard_errors == {}


@every_process
@given(any_customers(), any_customers())
@settings(max_examples=3)
def test_whatever_the_data_there_is_a_fit_that_says_what_decided(
    process: BuyTillYouDie, seen: pl.DataFrame, others: pl.DataFrame
) -> None:
    fit = process.estimate(counts_of(seen))
    for said in ahead(fit, pl.concat([seen, others]), 1, 90, 3650):
        assert np.isfinite(said).all()
        assert (said >= 0.0).all()
    if fit.verdict != "ok":
        assert "A weak prior" in fit.note


def test_standard_errors_are_told_only_of_what_the_data_identify(fitted: ProcessFit) -> None:
    if fitted.verdict == "ok":
        assert set(fitted.standard_errors) == set(fitted.parameters)
    else:
        assert fitted.standard_errors == {}


def test_no_converging_start_is_not_an_exception_but_none() -> None:
    def overflows(logs: Floats) -> tuple[float, Floats]:
        return np.nan, np.full_like(logs, np.nan)

    assert best_optimum(overflows, [np.zeros(1), np.ones(1)]) is None


@given(
    st.tuples(*[st.floats(-3.0, 3.0)] * 4),
    st.lists(st.tuples(st.integers(0, 300), st.floats(0.01, 1.0), st.floats(0.5, 300.0)), min_size=1, max_size=5),
)
@every_process
@settings(max_examples=40)
def test_the_slope_is_that_of_the_likelihood(
    process: BuyTillYouDie, logs: tuple[float, ...], seen: list[tuple[int, float, float]]
) -> None:
    x, share, T = np.array(seen, dtype=np.float64).T
    rows = (x, np.where(x > 0.0, share * T, 0.0), T, np.arange(1.0, len(x) + 1.0))
    slope = process.log_likelihood_and_slope(np.array(logs), *rows)[1]
    for place, step in enumerate(1e-4 * np.eye(4)):
        up, down = (process.log_likelihood_and_slope(logs + sign * step, *rows)[0] for sign in (1, -1))
        assert slope[place] == pytest.approx((up - down) / 2e-4, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd"])
def test_the_likelihood_is_that_of_having_stayed_or_left_as_published(name: str) -> None:
    from scipy.special import betaln, gammaln

    process = {process.name: process for process in PROCESSES}[name]
    first = 1.0 if name == "mbg_nbd" else 0.0
    x, t_x, T = np.array([0.0, 1.0, 7.0, 400.0]), np.array([0.0, 30.0, 30.0, 30.0]), np.full(4, 39.0)
    for parameters in (PUBLISHED, LITTLE_DROPOUT, EXTREME):
        r, alpha, a, b = parameters.values()
        survived = x + first
        stayed = betaln(a, b + survived) - (r + x) * np.log(alpha + T)
        left = np.full_like(x, -np.inf)
        could = survived > 0.0
        left[could] = (betaln(a + 1.0, b + survived - 1.0) - (r + x) * np.log(alpha + t_x))[could]
        together = np.logaddexp(stayed, left) - betaln(a, b) + gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        np.testing.assert_allclose(process.log_likelihood_rows(parameters, x, t_x, T), together, rtol=1e-9)


def test_a_fit_ends_at_the_optimum_wherever_its_search_began(fitted: ProcessFit) -> None:
    far = replace(fitted, parameters={name: 2.0 * value for name, value in fitted.parameters.items()}, verdict="ok")
    again = fitted.process.estimate(SHOP_COUNTS, similar=far)
    assert again.verdict == fitted.verdict
    if fitted.verdict == "ok":
        assert again.parameters == pytest.approx(fitted.parameters, rel=1e-8)
        assert again.standard_errors == pytest.approx(fitted.standard_errors, rel=1e-4)


@every_process
def test_where_no_start_converges_the_prior_decides_what_the_data_leave_open(
    process: BuyTillYouDie, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = shop(1_000).training(CUTOFF, most_windows=0).customer_counts
    found = process.estimate(counts)
    monkeypatch.setattr("clv_pipeline.forecasting.buy_till_you_die.best_optimum", lambda *_: None)
    fit = process.estimate(counts)
    assert fit.verdict == "not_converged"
    assert fit.note.startswith("No start converged. A weak prior")
    # So many customers leave little open.
    customers = shop(1_000).customers(CUTOFF)
    assert ahead(fit, customers, 90)[1].sum() == pytest.approx(ahead(found, customers, 90)[1].sum(), rel=0.05)


def test_a_fit_that_starts_from_a_similar_one_is_the_same() -> None:
    process = ParetoNbd()
    whole = process.estimate(SHOP_COUNTS)
    stretched = SHOP_COUNTS.with_columns(pl.col("recency_days", "tenure_days") * 1.01)
    again = process.estimate(SHOP_COUNTS, similar=process.estimate(stretched))
    for name, value in whole.parameters.items():
        assert again.parameters[name] == pytest.approx(value, rel=2e-3), name


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
    fit = process.estimate(drawn(process, parameters, customers=4_000, seed=8))
    for name, value in parameters.items():
        assert fit.parameters[name] == pytest.approx(value, abs=2.5 * fit.standard_errors[name]), name


def test_few_enough_histories_stay_as_they_are() -> None:
    merged = merge_similar(SHOP_COUNTS, most=SHOP_COUNTS.height)
    assert merged.equals(SHOP_COUNTS.select(merged.columns).cast(merged.schema).sort(merged.columns))


def test_merging_keeps_customers_frequencies_and_time_and_never_more_rows_than_asked() -> None:
    counts = shop(3_000).training(CUTOFF, most_windows=0).customer_counts
    merged = merge_similar(counts, most=500)
    assert counts["frequency"].n_unique() <= merged.height <= 500
    for column in ("frequency", "recency_days", "tenure_days"):
        totals = [float((frame[column] * frame["customers"]).sum()) for frame in (counts, merged)]
        assert totals[0] == pytest.approx(totals[1], rel=1e-12)
    assert merged["customers"].sum() == 3000
    assert (merged["recency_days"] <= merged["tenure_days"]).all()
    assert ((merged["recency_days"] > 0) == (merged["frequency"] > 0)).all()


def test_merged_histories_give_nearly_the_same_parameters() -> None:
    process = ParetoNbd()
    counts = drawn(process, {"r": 0.7, "alpha": 6.0, "s": 0.6, "beta": 12.0}, customers=4_000, seed=8)
    all_rows, merged = process.estimate(counts), process.estimate(counts, rows=1_700)
    assert "4000 histories were merged into" in merged.note
    for name in process.parameter_names:
        error = all_rows.standard_errors[name]
        assert merged.parameters[name] == pytest.approx(all_rows.parameters[name], abs=0.2 * error), name
