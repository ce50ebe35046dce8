from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie, ProcessFit
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.mbg_nbd import MbgNbd
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.regular_nbd import RegularNbd, estimate_k, log_likelihood_and_gradient

USUAL = {"r": 0.8, "alpha": 5.0, "a": 0.6, "b": 2.5}
LIKE_CLOCKWORK = {"r": 40.0, "alpha": 180.0, "a": 1.0, "b": 20.0}
X, T_X, T = (
    np.array([0.0, 0.0, 1.0, 10.0, 50.0, 300.0]),
    np.array([0.0, 0.0, 3.0, 60.0, 99.0, 100.0]),
    np.array([1, 90, 40, 100, 100.0, 100.0]),
)
WEEKS = np.array([0.2, 1.0, 4.0, 13.0, 26.0, 52.0, 156.0, 520.0])

parameters_of_any_kind = st.fixed_dictionaries(
    {name: st.floats(-6.9, 6.9).map(lambda log: float(np.exp(log))) for name in USUAL}
)


class Lives(NamedTuple):
    """Customers up to T, times in weeks: their purchases, and `gaps`, between these and after; NaN after a life."""

    x: Floats
    t_x: Floats
    T: Floats
    gaps: Floats

    @classmethod
    def of(cls, gaps: Floats, stays: Any, T: Floats) -> "Lives":
        """Customers who would have these gaps, and leave where they do not stay after a purchase, also the first."""
        gaps = np.where(np.cumprod(stays, axis=1) > 0, gaps, np.nan)
        times = np.cumsum(gaps, axis=1)
        x = np.sum(times <= T[:, None], axis=1)
        t_x = np.where(x > 0, times[np.arange(len(T)), x - 1], 0.0)
        return cls(x.astype(float), t_x, T, gaps)

    def purchases_within(self, weeks: float) -> Floats:
        times = np.cumsum(self.gaps, axis=1)
        within = (times > self.T[:, None]) & (times <= self.T[:, None] + weeks)
        return np.asarray(np.sum(within, axis=1), dtype=np.float64)

    def gaps_seen(self) -> tuple[Floats, Floats, Floats]:
        """Mean and deviation in days, and number, of gaps up to T; NaN where there are too few."""
        seen = np.where(np.arange(self.gaps.shape[1]) < self.x[:, None], 7.0 * self.gaps, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nansum(seen, axis=1) / self.x
            deviation = np.sqrt(np.nansum((seen - mean[:, None]) ** 2, axis=1) / (self.x - 1.0))
        return mean, np.where(self.x > 1, deviation, np.nan), self.x


def lived(parameters: Mapping[str, float], k: int, customers: int, seed: int, purchases: int = 150) -> Lives:
    """Customers who pass k phases between purchases, watched for up to two years."""
    rng = np.random.default_rng(seed)
    rate = k * rng.gamma(parameters["r"], 1.0 / parameters["alpha"], customers)
    phases = rng.exponential(1.0 / rate[:, None, None], (customers, purchases, k))
    dropout = rng.beta(parameters["a"], parameters["b"], customers)
    stays = rng.random((customers, purchases)) >= dropout[:, None]
    return Lives.of(phases.sum(axis=2), stays, rng.uniform(4.0, 104.0, customers))


@pytest.fixture(scope="module")
def clockwork() -> Lives:
    """Who buys every 30 days, give or take 3, until they leave, after any purchase with a chance of 6 %."""
    rng = np.random.default_rng(17)
    shape = (1500, 80)
    gaps = np.round(rng.normal(30.0, 3.0, shape)) / 7.0
    return Lives.of(gaps, rng.random(shape) >= 0.06, rng.integers(60, 731, shape[0]) / 7.0)


def fitted(process: BuyTillYouDie, lives: Lives) -> ProcessFit:
    days = {"recency_days": 7.0 * lives.t_x, "tenure_days": 7.0 * lives.T}
    return process.estimate(pl.DataFrame({"frequency": lives.x, **days, "customers": np.ones(len(lives.x), int)}))


def summed(parameters: Mapping[str, float], k: int, x: float, t_x: float, T: float, weeks: float) -> float:
    """E[purchases | alive] by summing over all numbers of phases before and after T: for small x and short times."""
    from scipy.stats import nbinom

    r, alpha, a, b = (parameters["r"], parameters["alpha"] / k, parameters["a"], parameters["b"])
    before = nbinom.pmf(np.arange(k), r + k * x, (alpha + t_x) / (alpha + T))
    n = np.arange(12_000)
    m = np.arange(len(n) // k + 1)
    survived = np.exp(np.concatenate([[0.0], np.cumsum(np.log((b + x + 1.0 + m) / (a + b + x + 1.0 + m)))]))
    purchases = np.concatenate([[0.0], np.cumsum(survived)])
    after = [nbinom.pmf(n, r + k * x + j, (alpha + T) / (alpha + T + weeks)) for j in range(k)]
    means = [float(np.sum(after[j] * purchases[(n + j) // k])) for j in range(k)]
    return float(before @ means / before.sum())


@pytest.mark.parametrize("parameters", [USUAL, LIKE_CLOCKWORK, {"r": 3.0, "alpha": 0.5, "a": 0.01, "b": 0.2}])
def test_one_phase_is_mbg_nbd(parameters: dict[str, float]) -> None:
    ours, theirs = RegularNbd(), MbgNbd()
    for name in ("log_likelihood_rows", "probability_alive"):
        of_ours, of_theirs = (getattr(process, name)(parameters, X, T_X, T) for process in (ours, theirs))
        np.testing.assert_allclose(of_ours, of_theirs, rtol=1e-11)
    expected, some = ours.path_if_alive(parameters, X, T_X, T, WEEKS)
    np.testing.assert_allclose(expected, theirs.expected_purchases_if_alive(parameters, X, T, WEEKS), rtol=1e-6)
    for column, weeks in enumerate(WEEKS):
        reference = theirs.probability_of_purchase(parameters, np.ones_like(X), X, T, weeks)
        np.testing.assert_allclose(some[:, column], reference, rtol=1e-9)


@pytest.mark.parametrize("parameters", [USUAL, LIKE_CLOCKWORK])
@pytest.mark.parametrize("k", [2, 3, 7, 10])
def test_expected_purchases_are_the_sum_over_all_numbers_of_phases(parameters: dict[str, float], k: int) -> None:
    for x, t_x, now in ((0.0, 0.0, 5.0), (1.0, 3.0, 30.0), (6.0, 30.0, 33.0), (60.0, 100.0, 101.0)):
        history = np.array([[x], [t_x], [now]])
        expected, _ = RegularNbd(k).path_if_alive(parameters, history[0], history[1], history[2], WEEKS[:6])
        reference = [summed(parameters, k, x, t_x, now, weeks) for weeks in WEEKS[:6]]
        np.testing.assert_allclose(expected[0], reference, rtol=2e-6, atol=1e-7)


def test_the_path_is_that_of_customers_who_lived_by_the_process() -> None:
    k, weeks = 4, np.array([2.0, 8.0, 26.0])
    lives = lived(USUAL, k, customers=30_000, seed=5)
    alive = RegularNbd(k).probability_alive(USUAL, lives.x, lives.t_x, lives.T)
    expected, some = RegularNbd(k).path_if_alive(USUAL, lives.x, lives.t_x, lives.T, weeks)
    idle = (lives.T - lives.t_x) * (1.0 + lives.x) / (1.0 + lives.t_x)
    groups = {
        "no repeat, new": (lives.x == 0) & (lives.T < 20.0),
        "no repeat, old": (lives.x == 0) & (lives.T >= 20.0),
        "just bought": (lives.x > 1) & (idle < 0.5),
        "due": (lives.x > 1) & (idle >= 0.5) & (idle < 1.5),
        "overdue": (lives.x > 1) & (idle >= 1.5),
    }
    for column, ahead in enumerate(weeks):
        came = lives.purchases_within(float(ahead))
        for name, group in groups.items():
            for said, seen in ((alive * expected[:, column], came), (alive * some[:, column], came > 0)):
                error = np.std(seen[group] - said[group]) / np.sqrt(group.sum())
                assert np.mean(said[group]) == pytest.approx(np.mean(seen[group]), abs=3.5 * error), (name, ahead)


def test_the_path_of_one_history_is_that_of_a_monte_carlo() -> None:
    k, x, t_x, now, draws = 5, 4.0, 20.0, 26.0, 200_000
    rng = np.random.default_rng(3)
    parameters = {"r": 1.5, "alpha": 4.0, "a": 0.8, "b": 3.0}
    rate = rng.gamma(parameters["r"] + k * x, 1.0 / (parameters["alpha"] / k + t_x), draws)
    passed = rng.poisson(rate * (now - t_x))
    rate, passed = rate[passed < k], passed[passed < k]
    dropout = rng.beta(parameters["a"], parameters["b"] + x + 1.0, len(rate))
    first = rng.gamma(k - passed, 1.0 / rate)
    later = rng.gamma(k, 1.0 / rate[:, None], (len(rate), 40))
    stays = np.hstack([np.ones((len(rate), 1)), rng.random((len(rate), 39)) >= dropout[:, None]])
    lives = Lives.of(np.column_stack([first, later[:, 1:]]), stays, np.zeros(len(rate)))
    weeks = np.array([1.0, 4.0, 13.0, 52.0])
    history = np.array([[x], [t_x], [now]])
    expected, some = RegularNbd(k).path_if_alive(parameters, history[0], history[1], history[2], weeks)
    for column, ahead in enumerate(weeks):
        came = lives.purchases_within(float(ahead))
        for said, seen in ((expected[0, column], came), (some[0, column], came > 0)):
            assert said == pytest.approx(np.mean(seen), abs=4.0 * np.std(seen) / np.sqrt(len(seen)) + 1e-6)


@given(
    parameters_of_any_kind,
    st.integers(1, 10),
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0, 2000.0), st.floats(0.001, 1.0)), min_size=1, max_size=4),
    st.lists(st.floats(1e-3, 5200.0), min_size=1, max_size=4),
)
@settings(max_examples=50)
def test_no_path_contradicts_itself(
    parameters: dict[str, float], k: int, histories: list[tuple[int, float, float]], weeks: list[float]
) -> None:
    x, T, share = (np.array(column, dtype=float) for column in zip(*histories, strict=True))
    t_x = np.where(x > 0, share * T, 0.0)
    process, ahead = RegularNbd(k), np.sort(weeks)
    alive = process.probability_alive(parameters, x, t_x, T)
    assert ((alive >= 0.0) & (alive <= 1.0)).all()
    assert np.isfinite(process.log_likelihood_rows(parameters, x, t_x, T)).all()
    expected, some = process.path_if_alive(parameters, x, t_x, T, ahead)
    assert np.isfinite(expected).all()
    assert ((some >= 0.0) & (some <= 1.0) & (some <= expected)).all()
    assert (np.diff(expected, axis=1) >= 0.0).all()
    assert (np.diff(some, axis=1) >= 0.0).all()
    # Who never drops out passes a phase at rate k λ from one of the first k on.
    most = (parameters["r"] + k * x + k) / (parameters["alpha"] / k + T)
    assert (expected <= (most[:, None] * ahead + k - 1.0) / k * (1 + 1e-6)).all()


@given(parameters_of_any_kind, st.integers(1, 10))
@settings(max_examples=50)
def test_the_gradient_is_that_of_the_log_likelihood(parameters: dict[str, float], k: int) -> None:
    process, step = RegularNbd(k), 1e-4
    gradient = log_likelihood_and_gradient({**parameters, "k": k}, X, T_X, T)[1]
    for i, name in enumerate(RegularNbd.parameter_names):
        up, down = (
            process.log_likelihood_rows({**parameters, name: parameters[name] * np.exp(sign * step)}, X, T_X, T)
            for sign in (1, -1)
        )
        # Terms of up to 100,000 lose their last digits, about 1e-10, in the difference.
        np.testing.assert_allclose(parameters[name] * gradient[i], (up - down) / (2 * step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("k", [1, 3])
def test_parameters_of_simulated_customers_are_recovered(k: int) -> None:
    found = fitted(RegularNbd(k), lived(USUAL, k, customers=6000, seed=8))
    assert found.verdict == "ok"
    assert found.parameters["k"] == k
    for name, value in USUAL.items():
        assert found.parameters[name] == pytest.approx(value, abs=2.5 * found.standard_errors[name]), name


def test_a_mapping_that_carries_k_is_read_by_it() -> None:
    for name in ("log_likelihood_rows", "probability_alive"):
        carried = getattr(RegularNbd(1), name)({**USUAL, "k": 4.0}, X, T_X, T)
        np.testing.assert_array_equal(carried, getattr(RegularNbd(4), name)(USUAL, X, T_X, T))


@pytest.mark.parametrize("k", [0, 11])
def test_k_has_limits(k: int) -> None:
    with pytest.raises(ValueError, match="k must be 1 to 10"):
        RegularNbd(k)


def test_a_path_depends_neither_on_other_customers_nor_on_other_days() -> None:
    together = RegularNbd(6).path_if_alive(LIKE_CLOCKWORK, X, T_X, T, WEEKS)
    for row in range(len(X)):
        alone = slice(row, row + 1)
        one = RegularNbd(6).path_if_alive(LIKE_CLOCKWORK, X[alone], T_X[alone], T[alone], WEEKS[3:4])
        for of_all, of_one in zip(together, one, strict=True):
            np.testing.assert_allclose(of_one[0, 0], of_all[row, 3], rtol=1e-12)


def test_heavy_buyers_are_read_between_others_and_agree_with_them() -> None:
    x = np.array([39.0, 40.0, 41.0, 55.0, 1_000.0, 10_000.0])
    T = np.full(6, 100.0)
    expected, some = RegularNbd(3).path_if_alive(USUAL, x, T, T, WEEKS)
    reference = [summed(USUAL, 3, repeats, 100.0, 100.0, 13.0) for repeats in x]
    np.testing.assert_allclose(expected[:, 3], reference, rtol=1e-6)
    assert some[-1, 0] == pytest.approx(1.0)


def test_without_dropout_purchases_go_on_for_ever() -> None:
    nobody_leaves = {**USUAL, "a": 0.0}
    assert RegularNbd(3).probability_alive(nobody_leaves, X, T_X, T).tolist() == [1.0] * len(X)
    expected, _ = RegularNbd(3).path_if_alive(nobody_leaves, X, T, T, WEEKS)
    hardly, _ = RegularNbd(3).path_if_alive({**USUAL, "a": 1e-9}, X, T, T, WEEKS)
    np.testing.assert_allclose(expected, hardly, rtol=1e-6)
    # A renewal process from a purchase on: time over the mean gap, less (1 - 1 / k) / 2.
    in_the_long_run = (USUAL["r"] + 3.0 * X) / (USUAL["alpha"] + 3.0 * T) * WEEKS[-1] - 1.0 / 3.0
    np.testing.assert_allclose(expected[3:, -1], in_the_long_run[3:], rtol=1e-6)


def test_regular_customers_come_when_they_are_due_and_are_gone_when_they_do_not() -> None:
    x, t_x = np.full(3, 12.0), np.full(3, 52.0)
    T = t_x + np.array([0.0, 4.0, 12.0])
    just_bought, due, overdue = RegularNbd(10).path_if_alive(LIKE_CLOCKWORK, x, t_x, T, np.array([1.0]))[1][:, 0]
    assert just_bought < 0.01
    assert due > 0.3
    assert overdue > due
    alive = RegularNbd(10).probability_alive(LIKE_CLOCKWORK, x, t_x, T)
    assert alive[0] == alive.max()
    assert alive[2] < 0.02
    assert MbgNbd().probability_alive(LIKE_CLOCKWORK, x, t_x, T)[2] > 0.5


def test_idle_customers_of_a_clockwork_shop_are_known_to_be_gone(clockwork: Lives) -> None:
    k = estimate_k(*clockwork.gaps_seen())
    assert k == 10
    came = clockwork.purchases_within(90 / 7)
    idle = (clockwork.T - clockwork.t_x >= 60 / 7) & (clockwork.T - clockwork.t_x <= 90 / 7)
    assert idle.sum() > 30
    assert came[idle].sum() == 0
    histories = (clockwork.x, clockwork.t_x, clockwork.T)
    said = {}
    for process in (RegularNbd(k), MbgNbd()):
        parameters = fitted(process, clockwork).parameters
        alive = process.probability_alive(parameters, *histories)
        expected, some = process.path_if_alive(parameters, *histories, np.array([90 / 7]))
        said[process.name] = float(np.mean(alive[idle] * some[idle, 0]))
        if process.name == "regular_nbd":
            assert np.sum(alive * expected[:, 0]) == pytest.approx(came.sum(), rel=0.08)
    assert said["regular_nbd"] < 0.05
    assert said["mbg_nbd"] > 0.5


@pytest.mark.parametrize("process", [BgNbd(), MbgNbd(), ParetoNbd(), RegularNbd(10)], ids=lambda process: process.name)
def test_every_process_converges_on_clockwork_customers_as_if_they_were_all_alike(
    process: BuyTillYouDie, clockwork: Lives
) -> None:
    found = fitted(process, clockwork)
    assert np.isfinite(found.log_likelihood)
    assert found.verdict in ("ok", "at_bound")


@pytest.mark.parametrize(("k", "found"), [(1, {1}), (2, {2}), (4, {3, 4}), (8, {6, 7, 8})])
def test_regularity_is_found_from_the_gaps_of_each_customer(k: int, found: set[int]) -> None:
    assert estimate_k(*lived(USUAL, k, customers=3000, seed=2).gaps_seen()) in found


def test_whole_days_and_some_long_holidays_do_not_hide_or_make_a_rhythm() -> None:
    rng = np.random.default_rng(4)

    def of_whole_days(k: int, mean_days: float) -> int:
        gaps = rng.gamma(k, mean_days / k, (800, 12))
        gaps *= np.where(rng.random(gaps.shape) < 0.03, 5.0, 1.0)
        days = np.diff(np.floor(np.cumsum(gaps, axis=1)), axis=1)
        days = np.where(days > 0, days, np.nan)
        n = np.isfinite(days).sum(axis=1)
        return estimate_k(np.nanmean(days, axis=1), np.nanstd(days, axis=1, ddof=1), n.astype(float))

    assert of_whole_days(1, 3.0) == 1
    assert of_whole_days(1, 40.0) == 1
    assert of_whole_days(6, 30.0) >= 3


def test_without_evidence_of_a_rhythm_there_is_none() -> None:
    nothing = np.array([])
    assert estimate_k(nothing, nothing, nothing) == 1
    one_time = (np.array([np.nan, 30.0]), np.array([np.nan, np.nan]), np.array([0.0, 1.0]))
    assert estimate_k(*one_time) == 1
    every_day = (np.full(50, 1.0), np.zeros(50), np.full(50, 200.0))
    assert estimate_k(*every_day) == 1
    a_single_clock = (np.array([30.0]), np.array([0.0]), np.array([9.0]))
    assert estimate_k(*a_single_clock) == 1
    many_clocks = (np.full(50, 30.0), np.zeros(50), np.full(50, 9.0))
    assert estimate_k(*many_clocks) == 10
