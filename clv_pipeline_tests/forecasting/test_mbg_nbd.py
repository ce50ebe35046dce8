import numpy as np
import pytest

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.mbg_nbd import MbgNbd
from clv_pipeline_tests.helpers.lifetimes_package import lifetimes

PUBLISHED = {"r": 0.5248, "alpha": 6.1831, "a": 0.8914, "b": 1.6140}
LITTLE_DROPOUT = {"r": 0.7292, "alpha": 9.6011, "a": 0.1417, "b": 3.2324}
# What lifetimes can compute: x, t_x, T in weeks.
X, T_X, T = (
    np.array([0.0, 0.0, 1.0, 10.0, 50.0]),
    np.array([0.0, 0.0, 3.0, 60.0, 100.0]),
    np.array([1, 90, 40, 100, 100.0]),
)


@pytest.mark.parametrize("parameters", [PUBLISHED, LITTLE_DROPOUT])
def test_formulas_equal_those_of_lifetimes_where_these_can_be_computed(parameters: dict[str, float]) -> None:
    theirs = lifetimes().ModifiedBetaGeoFitter()
    theirs.params_ = parameters
    alive = MbgNbd().probability_alive(parameters, X, T_X, T)
    np.testing.assert_allclose(alive, theirs.conditional_probability_alive(X, T_X, T), rtol=1e-12)
    for weeks in (1.0, 13.0, 52.0):
        expected = MbgNbd().expected_purchases_if_alive(parameters, X, T, np.array([weeks]))[:, 0]
        reference = theirs.conditional_expected_number_of_purchases_up_to_time(weeks, X, T_X, T)
        np.testing.assert_allclose(alive * expected, reference, rtol=1e-6)
    ours = -np.mean(MbgNbd().log_likelihood_rows(parameters, X, T_X, T))
    logs = np.log(list(parameters.values()))
    assert ours == pytest.approx(theirs._negative_log_likelihood(logs, X, T_X, T, np.ones(5), 0.0), rel=1e-12)


def test_without_dropout_it_is_bg_nbd_without_dropout() -> None:
    nobody_leaves = {"r": 1.0, "alpha": 10.0, "a": 0.0, "b": 1.0}
    for name in ("probability_alive", "expected_purchases_if_alive"):
        arguments = (X, T_X, T) if name == "probability_alive" else (X, T, np.array([13.0]))
        ours, theirs = (getattr(process, name)(nobody_leaves, *arguments) for process in (MbgNbd(), BgNbd()))
        np.testing.assert_array_equal(ours, theirs)


def test_the_chance_to_be_alive_starts_at_the_chance_to_survive_the_first_purchase() -> None:
    at_once = MbgNbd().probability_alive(PUBLISHED, np.zeros(1), np.zeros(1), np.zeros(1))
    assert at_once[0] == pytest.approx(PUBLISHED["b"] / (PUBLISHED["a"] + PUBLISHED["b"]))
