"""Pareto/NBD: its formulas by quadrature, so that no purchase history overflows them.

Schmittlein, Morrison & Colombo 1987 ("Counting your customers", Management Science 33); derivations in Fader &
Hardie's note 009. While alive a customer buys at rate λ ~ Gamma(r, α), and drops out at rate μ ~ Gamma(s, β),
at any moment. Times in weeks, x repeats. s = 0 is the limiting case without drop-out (the NBD model).
"""

from typing import NamedTuple

import numpy as np

from clv_pipeline.forecasting.buy_till_you_die import Parameters, PoissonWhileAlive, by_rows
from clv_pipeline.forecasting.frames import Floats

# 32 Gauss-Legendre nodes: relative error below 1e-8 in the most extreme corners (tested).
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
# exp(-38) is 3e-17: the tail of an integral beyond it is below rounding.
_TAIL = 38.0


class ParetoNbd(PoissonWhileAlive):
    """Pareto/NBD (Schmittlein, Morrison & Colombo 1987)."""

    name = "pareto_nbd"
    parameter_names = ("r", "alpha", "s", "beta")
    # On time scaled so that the longest T is 1: a neutral start, one like the published fits, one with little
    # dropout.
    starts = ((1.0, 1.0, 1.0, 1.0), (0.5, 0.2, 0.5, 0.3), (0.7, 0.1, 0.2, 2.0))
    prior = ((-0.5, 1.5), (2.0, 2.0), (-0.7, 1.5), (2.5, 2.0))

    def log_likelihood_and_gradient(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats
    ) -> tuple[Floats, Floats]:
        """Log-likelihood of each history (note 009, eq. 18), and its derivatives by r, α, s, β."""
        return log_likelihood_and_gradient(parameters, x, t_x, T)

    def probability_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T) (note 009, eq. 36)."""
        from scipy.special import expit

        if parameters["s"] == 0.0:
            return np.ones_like(x)
        return by_rows(lambda *rows: expit(-_dropped_out(parameters, *rows)[0]), x, t_x, T)

    def expected_purchases_if_alive(self, parameters: Parameters, x: Floats, T: Floats, weeks: Floats) -> Floats:
        """E[purchases in (T, T + t] | alive at T, x] for every t of `weeks`: shape (len(x), len(weeks)).

        Times `probability_alive` it is eq. 41 of note 009; at x = T = 0 it is E[X(t)], eq. 27. With
        L = log(1 + t / (β + T)) the expected time alive is (β + T) (1 - e^(-(s - 1) L)) / (s - 1), written so
        that s = 1 is no exception.
        """
        from scipy.special import exprel

        r, alpha, s, beta = (parameters[name] for name in ("r", "alpha", "s", "beta"))
        rate = ((r + x) / (alpha + T))[:, np.newaxis]
        longevity = (beta + T)[:, np.newaxis]
        growth = np.log1p(weeks[np.newaxis, :] / longevity)
        return np.asarray(rate * longevity * growth * exprel((1.0 - s) * growth), dtype=np.float64)

    def probability_of_purchase(
        self, parameters: Parameters, alive: Floats, x: Floats, T: Floats, weeks: float
    ) -> Floats:
        """P(at least one purchase in (T, T + t]): 1 - P(0) of note 028, eq. 16, without its cancellation.

        Alive at T, the first purchase comes at T + u, before any dropout, with the density E[λ e^(-(λ + μ) u)]
        over the posteriors λ ~ Gamma(r + x, α + T) and μ ~ Gamma(s, β + T): (r + x) / (α + T) times
        ((α + T) / (α + T + u))^(r + x + 1) ((β + T) / (β + T + u))^s, integrated here over u.
        """
        r, alpha, s, beta = (parameters[name] for name in ("r", "alpha", "s", "beta"))

        def if_alive(x: Floats, T: Floats) -> Floats:
            first = _integrate(alpha, beta, r + x + 1.0, np.full_like(x, s), T, T + weeks)
            return (r + x) / (alpha + T) * np.exp(first.log_value)

        # Rounding may carry a certain purchase past 1 by an ulp.
        return alive * np.minimum(by_rows(if_alive, x, T), 1.0)


def log_likelihood_and_gradient(parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood of each history and its derivatives by r, α, s, β: shapes (len(x),) and (4, len(x))."""
    from scipy.special import digamma, expit, gammaln

    r, alpha, s, beta = (parameters[name] for name in ("r", "alpha", "s", "beta"))
    log_odds, when = _dropped_out(parameters, x, t_x, T)
    rows = (
        gammaln(r + x)
        - gammaln(r)
        + r * np.log(alpha)
        + s * np.log(beta)
        - (r + x) * np.log(alpha + T)
        - s * np.log(beta + T)
        + np.logaddexp(0.0, log_odds)
    )
    dead = expit(log_odds)
    alive = 1.0 - dead
    # Means over the moment τ of dropout, if it happened.
    log_alpha = np.log(alpha + t_x) + when.mean(when.log_alpha)
    log_beta = np.log(beta + t_x) + when.mean(when.log_beta)
    by_alpha = when.mean(1.0 / when.alpha) / (alpha + t_x)
    by_beta = when.mean(1.0 / when.beta) / (beta + t_x)
    gradient = np.array(
        [
            digamma(r + x) - digamma(r) + np.log(alpha) - alive * np.log(alpha + T) - dead * log_alpha,
            r / alpha - (r + x) * (alive / (alpha + T) + dead * by_alpha),
            np.log(beta) - alive * np.log(beta + T) - dead * (log_beta - 1.0 / s),
            s / beta - alive * s / (beta + T) - dead * (s + 1.0) * by_beta,
        ]
    )
    return np.asarray(rows, dtype=np.float64), gradient


class _Integral(NamedTuple):
    """An integral over τ in [start, end], with its quadrature nodes (rows × nodes).

    `share`: the integrand's share at each node; `alpha`, `beta`: (α + τ) / (α + start) and (β + τ) / (β + start), with
    their logs.
    """

    log_value: Floats
    share: Floats
    alpha: Floats
    beta: Floats
    log_alpha: Floats
    log_beta: Floats

    def mean(self, values: Floats) -> Floats:
        """Mean of values at the nodes, weighted by the integrand."""
        return np.asarray(np.einsum("ij,ij->i", self.share, values), dtype=np.float64)


def _integrate(alpha: float, beta: float, P: Floats, Q: Floats, start: Floats, end: Floats) -> _Integral:
    """∫ ((α + τ) / (α + start))^-P ((β + τ) / (β + start))^-Q dτ over [start, end], one per row.

    Note 009 writes such integrals as differences of 2F1, which overflow for heavy buyers. With m the smaller
    and M the larger of α and β, and y = log((m + τ) / (m + start)), the integrand is exp(-E(y)), where
    E(y) = (inner - 1) y + outer log(1 + k (e^y - 1)) and k = (m + start) / (M + start) <= 1 is convex: it bends
    at the scale 1, and Gauss-Legendre nodes over y up to where E exceeds the tail serve all histories.
    """
    m, M, inner, outer = (alpha, beta, P, Q) if alpha < beta else (beta, alpha, Q, P)
    k = (m + start) / (M + start)
    length = np.log1p((end - start) / (m + start))
    slope = inner - 1.0 + outer * k
    # E is at least slope · y, and at least its last term minus the most that an inner < 1 can give back.
    last_term = _TAIL + np.maximum(1.0 - inner, 0.0) * length
    with np.errstate(divide="ignore", over="ignore"):
        by_slope = np.where(slope > 0.0, _TAIL / slope, np.inf)
        by_last_term = np.log1p(np.expm1(np.minimum(last_term / outer, 700.0)) / k)
    length = np.minimum(length, np.minimum(by_slope, by_last_term))
    y = 0.5 * length[:, np.newaxis] * (_NODES + 1.0)
    growth = np.expm1(y)
    outer_growth = k[:, np.newaxis] * growth
    log_outer = np.log1p(outer_growth)
    integrand = _WEIGHTS * np.exp((1.0 - inner)[:, np.newaxis] * y - outer[:, np.newaxis] * log_outer)
    total = np.sum(integrand, axis=1)
    with np.errstate(divide="ignore"):
        log_value = np.log(0.5 * length * (m + start)) + np.log(total)
    quotients = (1.0 + growth, 1.0 + outer_growth)
    logs = (y, log_outer)
    order = slice(None) if alpha < beta else slice(None, None, -1)
    return _Integral(log_value, integrand / total[:, np.newaxis], *quotients[order], *logs[order])


def _dropped_out(parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> tuple[Floats, _Integral]:
    # Log odds of having dropped out between t_x and T, against being alive at T.
    r, alpha, s, beta = (parameters[name] for name in ("r", "alpha", "s", "beta"))
    when = _integrate(alpha, beta, r + x, np.full_like(x, s + 1.0), t_x, T)
    growth = (r + x) * np.log((alpha + T) / (alpha + t_x)) + s * np.log((beta + T) / (beta + t_x))
    return np.log(s / (beta + t_x)) + growth + when.log_value, when
