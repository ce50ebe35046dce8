import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.forecasting.pareto_nbd import ParetoNbd, log_likelihood_and_gradient
from clv_pipeline_tests.helpers.lifetimes_package import lifetimes

PUBLISHED = {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669}
LITTLE_DROPOUT = {"r": 0.7387, "alpha": 10.28, "s": 0.1823, "beta": 55.27}
ALPHA_ABOVE_BETA = {"r": 2.0, "alpha": 30.0, "s": 1.5, "beta": 4.0}
# What lifetimes can compute: x, t_x, T in weeks.
X, T_X, T = (
    np.array([0.0, 0.0, 1.0, 10.0, 50.0]),
    np.array([0.0, 0.0, 3.0, 60.0, 99.0]),
    np.array([1, 90, 40, 100, 100.0]),
)

parameters_of_any_kind = st.fixed_dictionaries(
    {name: st.floats(-6.9, 6.9).map(lambda log: float(np.exp(log))) for name in PUBLISHED}
)


@pytest.mark.parametrize("parameters", [PUBLISHED, LITTLE_DROPOUT, ALPHA_ABOVE_BETA])
def test_formulas_equal_those_of_lifetimes_where_these_can_be_computed(parameters: dict[str, float]) -> None:
    process, theirs = ParetoNbd(), lifetimes().ParetoNBDFitter()
    theirs.params_ = parameters
    alive = process.probability_alive(parameters, X, T_X, T)
    np.testing.assert_allclose(alive, theirs.conditional_probability_alive(X, T_X, T), rtol=1e-9)
    rows = process.log_likelihood_rows(parameters, X, T_X, T)
    likelihood = theirs._conditional_log_likelihood(list(parameters.values()), X, T_X, T)
    np.testing.assert_allclose(rows, likelihood, rtol=1e-9)
    for weeks in (1.0, 13.0, 52.0):
        expected = process.expected_purchases_if_alive(parameters, X, T, np.array([weeks]))[:, 0]
        reference = theirs.conditional_expected_number_of_purchases_up_to_time(weeks, X, T_X, T)
        np.testing.assert_allclose(alive * expected, reference, rtol=1e-9)
        some = process.probability_of_purchase(parameters, alive, X, T, weeks)
        none = theirs.conditional_probability_of_n_purchases_up_to_time(0, weeks, X, T_X, T)
        np.testing.assert_allclose(some, 1.0 - none, rtol=1e-6)


def dropout_odds(parameters: dict[str, float], x: float, t_x: float, T: float) -> float:
    """Odds of having dropped out, by thousands of nodes that crowd at the last purchase."""
    r, alpha, s, beta = (parameters[name] for name in ("r", "alpha", "s", "beta"))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    smaller = min(alpha, beta) + t_x
    edges = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 300)]) * np.log1p((T - t_x) / smaller)
    half = 0.5 * np.diff(edges)[:, np.newaxis]
    y = half + edges[:-1, np.newaxis] + half * nodes
    after = smaller * np.expm1(y)
    density = np.exp(
        y
        - (r + x) * (np.log1p(after / (alpha + t_x)) - np.log1p((T - t_x) / (alpha + t_x)))
        - s * (np.log1p(after / (beta + t_x)) - np.log1p((T - t_x) / (beta + t_x)))
    )
    return float(np.sum(smaller * density * s / (beta + t_x + after) * half * weights))


@given(parameters_of_any_kind, st.sampled_from([0, 1, 5, 300]), st.floats(0.1, 2000.0), st.floats(0.01, 1.0))
@settings(max_examples=100)
def test_the_quadrature_is_exact_for_parameters_of_any_kind(
    parameters: dict[str, float], x: int, T: float, share: float
) -> None:
    t_x = share * T if x > 0 else 0.0
    alive = ParetoNbd().probability_alive(parameters, np.array([float(x)]), np.array([t_x]), np.array([T]))[0]
    with np.errstate(over="ignore"):
        assert alive == pytest.approx(1.0 / (1.0 + dropout_odds(parameters, x, t_x, T)), rel=1e-7, abs=1e-300)


@given(parameters_of_any_kind)
@settings(max_examples=50)
def test_the_gradient_is_that_of_the_log_likelihood(parameters: dict[str, float]) -> None:
    gradient = log_likelihood_and_gradient(parameters, X, T_X, T)[1]
    step = 1e-4
    for i, name in enumerate(ParetoNbd.parameter_names):
        up, down = (
            ParetoNbd().log_likelihood_rows({**parameters, name: parameters[name] * np.exp(sign * step)}, X, T_X, T)
            for sign in (1, -1)
        )
        # Terms of up to 10,000 lose their last digits, about 1e-11, in the difference.
        np.testing.assert_allclose(parameters[name] * gradient[i], (up - down) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("x", [1000.0, 10_000.0])
def test_heavy_buyers_are_alive_while_they_buy_and_gone_when_they_stop(x: float) -> None:
    frequency, last, now = np.array([x, x]), np.array([100.0, 50.0]), np.array([100.0, 100.0])
    alive = ParetoNbd().probability_alive(PUBLISHED, frequency, last, now)
    assert alive.tolist() == [1.0, pytest.approx(0.0, abs=1e-9)]
    assert np.isfinite(ParetoNbd().log_likelihood_rows(PUBLISHED, frequency, last, now)).all()
    some = ParetoNbd().probability_of_purchase(PUBLISHED, alive, frequency, now, 13.0)
    assert some[0] == pytest.approx(1.0, abs=1e-3)


def test_expected_purchases_pass_through_s_equal_to_one_smoothly() -> None:
    below, at, above = (
        ParetoNbd().expected_purchases_if_alive({**PUBLISHED, "s": s}, X, T, np.array([13.0, 52.0]))
        for s in (1.0 - 1e-6, 1.0, 1.0 + 1e-6)
    )
    np.testing.assert_allclose(0.5 * (below + above), at, rtol=1e-9)
