"""MBG/CNBD-k: MBG/NBD for customers with a rhythm, whose gaps between purchases have a memory.

Reutterer, Platzer & Schröder 2021 ("Leveraging purchase regularity for predicting customer behavior the easy way",
Int. J. of Research in Marketing 38), after Platzer & Reutterer 2016. While alive a customer passes phases at rate k λ,
λ ~ Gamma(r, α), and buys at the end of every k-th: gaps are Erlang-k. After any purchase, the first included, they drop
out with probability p ~ Beta(a, b). Times in weeks, x repeats. k = 1 is MBG/NBD; a = 0 is the limit without drop-out.

λ is the rate of purchases, so that r, α, a and b mean the same for every k. The authors write λ for the rate of phases:
their α is this one divided by k. In phases, with α' = α / k and A = r + k x, the rate of someone who just bought is
Gamma(A, α' + t_x), and the number of phases passed since then is negative binomial. All else follows from it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clv_pipeline.forecasting.buy_till_you_die import BuyTillYouDie, Parameters
from clv_pipeline.forecasting.frames import Floats

MOST_PHASES = 10
"""The largest k. Gaps that vary by less than a third of their length make no difference to a forecast."""

# Fewest gaps that show a customer's regularity, and the most gaps of one customer that count.
_FEWEST_GAPS, _MOST_GAPS = 3, 20
# Shorter mean gaps (days) reflect the calendar more than the customer.
_SHORTEST_MEAN_GAP = 2.0
# Nodes of the trapezoid rule over the drop-out probability, and the tail, exp(-tail), beyond which it is cut off.
# With the knots below, expected purchases are within 1e-6 of the exact sum (tested), in extreme corners within 1e-5.
_NODES, _TAIL = 80, 24.0
# A drop-out probability close to 0, for the limit.
_ALMOST_0 = 1e-200
# Purchases beyond the first are interpolated between knots, by polynomials through this many of them. Knots are evenly
# spaced in log(1 + near · time).
_KNOTS, _STEP, _NEAR = 8, 0.05, 4.0
# For buyers with more purchases than this, knots are spaced in log x.
_FEW_REPEATS, _REPEATS_STEP = 40.0, 0.15
# The nodes of more knots, or the knots of more places, at once would not fit into a processor's cache.
_KNOTS_AT_ONCE, _PLACES_AT_ONCE = 256, 8192
# Rows times days of paths computed at once: a bound on memory.
_PATHS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class RegularNbd(BuyTillYouDie):
    """MBG/CNBD-k (Reutterer, Platzer & Schröder 2021) of a given k; `estimate_k` finds it.

    A mapping of parameters may carry its own `k`, which takes precedence over the process's.
    """

    k: int = 1

    name = "regular_nbd"
    parameter_names = ("r", "alpha", "a", "b")
    # On time scaled so that the longest T is 1: the starts of BG/NBD, and one for customers who are alike.
    starts = ((1.1, 1.1, 1.1, 1.1), (0.25, 0.1, 0.8, 2.5), (0.7, 0.1, 0.15, 3.5), (5.0, 0.2, 0.5, 10.0))
    prior = ((-0.5, 1.5), (2.0, 2.0), (-0.3, 2.0), (1.0, 2.0))
    remembers_last = True

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MOST_PHASES:
            raise ValueError(f"k must be 1 to {MOST_PHASES}, not {self.k}")

    @property
    def given(self) -> Mapping[str, float]:
        """The regularity."""
        return {"k": float(self.k)}

    def log_likelihood_and_gradient(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats
    ) -> tuple[Floats, Floats]:
        """Log-likelihood of each history, without the terms of k and the gaps alone; at k = 1 it is complete.

        With its derivatives by r, α, a, b.
        """
        return log_likelihood_and_gradient({"k": self.k, **parameters}, x, t_x, T)

    def probability_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T): the odds after the last purchase times the chance of the silence since."""
        from scipy.special import expit

        if parameters["a"] == 0.0:
            return np.ones_like(x)
        silence = _silence({"k": self.k, **parameters}, x, t_x, T)
        return np.asarray(expit(np.log((parameters["b"] + x) / parameters["a"]) + silence.log_chance))

    def path_if_alive(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats, weeks: Floats
    ) -> tuple[Floats, Floats]:
        """E[purchases in (T, T + t] | alive] and P(at least one | alive) at every t: shape (histories, len(weeks)).

        P(none) is P(silence of T + t - t_x) / P(silence of T - t_x). Purchases beyond the first are a mixture over
        the phase at T, in which (1 - p)^purchases is a sum over the k-th roots of unity.
        """
        known = {"k": self.k, **parameters}
        expected, some = np.empty((2, len(x), len(weeks)))
        for rows in _blocks(len(x), max(_PATHS_AT_ONCE // max(len(weeks), 1), 1)):
            silence = _silence(known, x[rows], t_x[rows], T[rows])
            since = (known["alpha"] / known["k"] + T[rows])[:, np.newaxis]
            ahead = weeks / since
            quiet = ((T[rows] - t_x[rows])[:, np.newaxis] + weeks) / (since + weeks)
            shape = silence.shape[:, np.newaxis]
            longer = sum(_terms(shape, quiet, len(silence.phase))) / silence.total[:, np.newaxis]
            some[rows] = np.clip(-np.expm1(np.log(longer) - shape * np.log1p(ahead)), 0.0, 1.0)
            expected[rows] = some[rows] + _beyond_first(known, x[rows], silence.phase, ahead)
        # Where they hardly rise any more, rounding may lower the seventh digit.
        in_time = np.argsort(weeks)
        for path in (expected, some):
            path[:, in_time] = np.maximum.accumulate(path[:, in_time], axis=1)
        return expected, some


def estimate_k(mean_gap_days: Floats, gap_deviation_days: Floats, frequency: Floats) -> int:
    """The regularity of a shop, 1 to 10, from each customer's mean gap, the sample deviation of gaps and their number.

    Given the number of a customer's gaps and their sum, Erlang-k gaps are Dirichlet(k, …, k) shares of it, whatever the
    customer's rate, their drop-out and the end of observation. That fixes the mean and the variance of their squared
    coefficient of variation, and nearly its median. k is the largest for which significantly more than half of the
    customers vary less than customers who are just less regular. Medians are used, because a few long holidays must not
    hide a rhythm. In whole days, gaps of a memoryless customer are geometric: s² / m² is taken relative to their 1 - 1
    / m. Customers without such a number have NaN.
    """
    n = np.nan_to_num(np.asarray(frequency, dtype=np.float64))
    mean, deviation = (np.asarray(column, dtype=np.float64) for column in (mean_gap_days, gap_deviation_days))
    seen = (n >= _FEWEST_GAPS) & (mean >= _SHORTEST_MEAN_GAP) & np.isfinite(deviation)
    n, mean, deviation = n[seen], mean[seen], deviation[seen]
    if not seen.any():
        return 1
    variation = deviation**2 / (mean * (mean - 1.0))
    weights = np.minimum(n, _MOST_GAPS) - 1.0
    weights /= np.sum(weights)
    # Two standard errors of a share of one half.
    evident = 0.5 + np.sqrt(np.sum(weights**2))
    between = np.sqrt(np.arange(1.0, MOST_PHASES) * np.arange(2.0, MOST_PHASES + 1.0))[:, np.newaxis]
    return 1 + int(np.sum((variation < _median_variation(n, between)) @ weights > evident))


def _median_variation(n: Floats, k: Floats) -> Floats:
    # Median of s² / m² of n Erlang-k gaps: the median of the gamma distribution with the same mean and variance, by
    # Wilson and Hilferty. s² / m² is (n² D - n) / (n - 1), where D is the sum of squares of Dirichlet(k, …, k) shares.
    total = n * k
    mean_squares = (k + 1.0) / (total + 1.0)
    fourth = total * (total + 1.0) * (total + 2.0) * (total + 3.0)
    squared = n * k * (k + 1.0) * ((k + 2.0) * (k + 3.0) + (n - 1.0) * k * (k + 1.0)) / fourth
    mean = n / (total + 1.0)
    variance = (n**2 / (n - 1.0)) ** 2 * (squared - mean_squares**2)
    return np.asarray(mean * np.maximum(1.0 - variance / (9.0 * mean**2), 0.0) ** 3)


class _Silence(NamedTuple):
    """The silence since the last purchase as evidence.

    `log_chance` = log P(no purchase in (t_x, T] | alive after t_x).

    `shape`: A. `quiet`: q = (T - t_x) / (α' + T). `phase`: P(phase j at T | alive at T), shape (k, n), which is
    (A)_j / j! q^j over the `total` of these.
    """

    shape: Floats
    quiet: Floats
    phase: Floats
    total: Floats
    log_chance: Floats


def _silence(parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> _Silence:
    # Phases since t_x are negative binomial: P(j) = (A)_j / j! q^j (1 - q)^A.
    k, alpha = round(parameters["k"]), parameters["alpha"] / parameters["k"]
    shape = parameters["r"] + k * x
    quiet = (T - t_x) / (alpha + T)
    terms = np.array(list(_terms(shape, quiet, k)))
    total = np.sum(terms, axis=0)
    log_chance = np.log(total) - shape * np.log1p((T - t_x) / (alpha + t_x))
    return _Silence(shape, quiet, terms / total, total, log_chance)


def _terms(shape: Floats, q: Floats, k: int) -> Iterator[Floats]:
    """(A)_j / j! q^j for j = 0 … k - 1."""
    term = np.ones_like(q)
    yield term
    for j in range(1, k):
        term = term * q * ((shape + (j - 1.0)) / j)
        yield term


def log_likelihood_and_gradient(parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood of each history and its derivatives by r, α, a, b: shapes (len(x),) and (4, len(x))."""
    from scipy.special import betaln, digamma, expit, gammaln

    r, a, b, k = (parameters[name] for name in ("r", "a", "b", "k"))
    alpha = parameters["alpha"] / k
    silence = _silence(parameters, x, t_x, T)
    A = silence.shape
    # Odds of being alive at T, against having dropped out at the last purchase.
    log_odds = np.log(b + x) - np.log(a) + silence.log_chance
    rows = (
        gammaln(A)
        - gammaln(r)
        + r * np.log(alpha)
        - A * np.log(alpha + t_x)
        + betaln(a, b + x)
        - betaln(a, b)
        + np.log(a / (a + b + x))
        + np.logaddexp(0.0, log_odds)
    )
    alive = expit(log_odds)
    j = np.arange(len(silence.phase), dtype=np.float64)[:, np.newaxis]
    harmonic = np.cumsum(np.vstack([np.zeros_like(A), 1.0 / (A + j[:-1])]), axis=0)
    chance_by_shape = np.sum(silence.phase * harmonic, axis=0) - np.log1p((T - t_x) / (alpha + t_x))
    chance_by_alpha = A * silence.quiet / (alpha + t_x) - np.sum(silence.phase * j, axis=0) / (alpha + T)
    both = digamma(a + b) - digamma(a + b + x + 1.0)
    gradient = np.array(
        [
            digamma(A) - digamma(r) + np.log(alpha) - np.log(alpha + t_x) + alive * chance_by_shape,
            (r / alpha - A / (alpha + t_x) + alive * chance_by_alpha) / k,
            both + (1.0 - alive) / a,
            both + digamma(b + x) - digamma(b) + alive / (b + x),
        ]
    )
    return np.asarray(rows, dtype=np.float64), gradient


def _beyond_first(parameters: Parameters, x: Floats, phase: Floats, ahead: Floats) -> Floats:
    """E[purchases beyond the first in (T, T + t] | alive at T], shape of `ahead`, which is z = t / (α' + T).

    Given x and the phase at T they are a smooth function of z. It is computed at knots, whose places do not depend on
    the other questions, and interpolated. The knots are close enough to follow the oscillation of regular purchases,
    and geometrically spaced later.
    """
    k = len(phase)
    repeats, which = np.unique(x, return_inverse=True)
    place = (np.log1p(_pace(parameters, k, repeats)[which][:, np.newaxis] * ahead) / _STEP).ravel()
    which = np.repeat(which, ahead.shape[1])
    knots = _Knots.around(which, place)
    values = _at_knots(parameters, k, repeats[knots.line], knots.number)
    history = np.repeat(np.arange(len(x)), ahead.shape[1])
    mixture = np.ascontiguousarray(phase.T)
    beyond = np.empty(len(place))
    for some in _blocks(len(place), _PLACES_AT_ONCE):
        beyond[some] = np.einsum("ij,ij->i", knots.read(values, some), mixture[history[some]])
    return np.maximum(beyond, 0.0).reshape(ahead.shape)


def _pace(parameters: Parameters, k: int, x: Floats) -> Floats:
    """The factor of z in log(1 + …), where knots are evenly spaced: about the gaps per z at the mean rate."""
    return _NEAR * (1.0 + (parameters["r"] + k * x) / k)


def _at_knots(parameters: Parameters, k: int, x: Floats, number: Any) -> Floats:
    """E[purchases beyond the first | alive, phase j at T] for x, at the knots with these numbers: shape (len(x), k).

    For heavy buyers it is interpolated between a few values of x.
    """
    values = np.empty((len(x), k))
    heavy = x > _FEW_REPEATS
    values[~heavy] = _computed(parameters, k, x[~heavy], number[~heavy])
    if heavy.any():
        knots = _Knots.around(number[heavy], np.log(x[heavy] / _FEW_REPEATS) / _REPEATS_STEP)
        known = _computed(parameters, k, _FEW_REPEATS * np.exp(_REPEATS_STEP * knots.number), knots.line)
        values[heavy] = np.vstack([knots.read(known, some) for some in _blocks(int(heavy.sum()), _PLACES_AT_ONCE)])
    return values


def _computed(parameters: Parameters, k: int, x: Floats, number: Any) -> Floats:
    """The same as `_at_knots`, without interpolation."""
    r, a, b = (parameters[name] for name in ("r", "a", "b"))
    z = np.expm1(_STEP * number) / _pace(parameters, k, x)
    values = np.empty((len(x), k))
    for some in _blocks(len(x), _KNOTS_AT_ONCE):
        A, at = r + k * x[some], z[some]
        values[some] = _purchases(A, at, a, b + x[some] + 1.0, k)
        for j in range(k):
            none = sum(_terms(A + j, at / (1.0 + at), k - j)) * np.exp(-(A + j) * np.log1p(at))
            values[some, j] -= 1.0 - none
    return np.maximum(values, 0.0)


class _Knots(NamedTuple):
    """Lines of knots, reduced to those that are needed to evaluate each line at some places.

    `line`, `number`: the needed knots, in order; `first`: for each place, the position among them of the first of its
    _KNOTS; `fraction`: the distance of the place from that knot.
    """

    line: Any
    number: Any
    first: Any
    fraction: Floats

    @classmethod
    def around(cls, line: Any, place: Floats) -> "_Knots":
        """Knots 0, 1, … of each line around places on it: half before and half after, never below 0."""
        first = np.maximum(place.astype(np.int64) - (_KNOTS // 2 - 1), 0)
        needed = np.zeros((int(line.max(initial=0)) + 1, int(first.max(initial=0)) + _KNOTS), dtype=bool)
        needed[line, first] = True
        needed = np.logical_or.reduce([np.roll(needed, shift, axis=1) for shift in range(_KNOTS)])
        rank = np.cumsum(needed).reshape(needed.shape) - 1
        found = np.nonzero(needed)
        return cls(found[0], found[1], rank[line, first], place - first)

    def read(self, values: Floats, some: slice) -> Floats:
        """Evaluate the polynomials through the rows of `values` at the knots, at some of the places."""
        knots = np.arange(_KNOTS)
        distance = self.fraction[some] - knots[:, np.newaxis]
        ones = np.ones_like(distance[:1])
        before = np.cumprod(np.vstack([ones, distance[:-1]]), axis=0)
        after = np.cumprod(np.vstack([ones, distance[:0:-1]]), axis=0)[::-1]
        weights = [before[i] * after[i] / np.prod(i - np.delete(knots, i)) for i in knots]
        first = self.first[some]
        return np.asarray(sum(weights[i][:, np.newaxis] * values[first + i] for i in knots))


def _blocks(rows: int, at_once: int) -> list[slice]:
    return [slice(first, first + at_once) for first in range(0, max(rows, 1), at_once)]


def _purchases(A: Floats, z: Floats, a: float, B: Floats, k: int) -> Floats:
    """E[purchases | alive, phase j at T] at times z, shape (len(A), k), the mean over p ~ Beta(a, B).

    Given p, a customer who began in phase j has survived floor((n + j) / k) purchases after n more phases, with
    probability s^floor(…), s = 1 - p, and E[purchases] = (1 - E[s^floor(…)]) / p. With σ = s^(1/k), s^floor(m / k) is
    the sum over all k-th roots of unity ω of c (σω)^m, where c = σω p / (s k (1 - σω)), and the mean of (σω)^n over
    negative binomial n is (1 + z (1 - σω))^-(A + j).
    """
    p, log_s, weight = _dropout_nodes(a, B, (A + 1.0) * z / k)
    A, z = A[:, np.newaxis], z[:, np.newaxis]
    s, sigma, gone = np.exp(log_s), np.exp(log_s / k), -np.expm1(log_s / k)
    expected = np.empty((len(A), k))
    # The real root, without its cancellation at small p: 1 - c Y = (1 - Y) c - (c - 1), c = Σ σ^-i / k over i < k.
    falling = np.zeros_like(sigma)
    for i in range(1, k):
        falling = falling / sigma + i
    excess = falling * gone / (sigma * k)
    by_p = weight / p
    shortfall = np.sum(by_p * excess, axis=1)
    by_p *= 1.0 + excess
    passed = 1.0 / (1.0 + z * gone)
    lost = -np.expm1(-A * np.log1p(z * gone))
    for j in range(k):
        expected[:, j] = np.sum(by_p * lost, axis=1) - shortfall
        lost += (1.0 - lost) * gone * (1.0 + z) * passed
    # The others, in conjugate pairs; -1 has no other.
    share = weight / (s * k)
    for i in range(1, k // 2 + 1):
        root = sigma * np.exp(2j * np.pi * i / k)
        passed_i = 1.0 / (1.0 + z * (1.0 - root))
        term = (1.0 if 2 * i == k else 2.0) * share * root / (1.0 - root) * np.exp(A * np.log(passed_i))
        for j in range(k):
            expected[:, j] -= np.sum(term.real, axis=1)
            term *= root * passed_i
    return expected


def _dropout_nodes(a: float, B: Floats, reach: Floats) -> tuple[Floats, Floats, Floats]:
    """Nodes p, log(1 - p) and weights of E over p ~ Beta(a, B), for functions that fall on scale 1 / `reach`.

    The trapezoid rule in logit p, where the density decays exponentially at both ends. For tiny a it hardly does on the
    left; but there the function is at its limit, and the first node, almost 0, takes all the weight that is left.
    """
    from scipy.special import betaln, log_expit

    at_0 = np.full((len(B), 1), _ALMOST_0)
    if a == 0.0:
        return at_0, -at_0, np.ones_like(at_0)
    B, reach = B[:, np.newaxis], reach[:, np.newaxis]
    # The part cut off counts as if the function were at its limit, where it may differ by a factor of `reach`.
    tail = _TAIL + np.log1p(reach)
    peak = np.log((a + 1.0) / (B + 1.0))
    core = np.sqrt(2.0 * tail / (a + 1.0)) + np.sqrt(2.0 * tail / (B + 1.0))
    at_limit = np.minimum(peak, -np.log1p(reach)) - _TAIL / (a + 1.0)
    left = np.maximum(peak - tail / a, at_limit) - core
    right = peak + core + tail / (B + 1.0)
    step = (right - left) / (_NODES - 1)
    u = left + step * np.arange(_NODES)
    log_p, log_s = log_expit(u), log_expit(-u)
    weight = step * np.exp(a * log_p + B * log_s - betaln(a, B))
    rest = 1.0 - np.sum(weight, axis=1, keepdims=True)
    return np.hstack([at_0, np.exp(log_p)]), np.hstack([-at_0, log_s]), np.hstack([rest, weight])
