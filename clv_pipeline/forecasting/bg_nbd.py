"""BG/NBD: its formulas, in log space and by quadrature, so that no purchase history overflows them.

Fader, Hardie & Lee 2005 ("Counting your customers the easy way", Marketing Science 24): while alive a
customer buys at rate λ ~ Gamma(r, α), and drops out after any purchase with probability p ~ Beta(a, b). Times
in weeks, x repeats. a = 0 is the limiting case without drop-out (the NBD model).
"""

import numpy as np

from clv_pipeline.forecasting.buy_till_you_die import Parameters, PoissonWhileAlive
from clv_pipeline.forecasting.frames import Floats

# Nodes of the trapezoid rule: relative error below 1e-8, and 1e-6 in the most extreme corners (tested).
_NODES = 120
_ROWS_AT_ONCE = 4096
# exp(-38) is 3e-17: the tail of an integral beyond it is below rounding.
_TAIL = 38.0


class BgNbd(PoissonWhileAlive):
    """BG/NBD (Fader, Hardie & Lee 2005)."""

    name = "bg_nbd"
    parameter_names = ("r", "alpha", "a", "b")
    # On time scaled so that the longest T is 1: a neutral start, one like the published fits, one with little
    # dropout.
    starts = ((1.1, 1.1, 1.1, 1.1), (0.25, 0.1, 0.8, 2.5), (0.7, 0.1, 0.15, 3.5))
    prior = ((-0.5, 1.5), (2.0, 2.0), (-0.3, 2.0), (1.0, 2.0))

    def log_likelihood_and_gradient(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats
    ) -> tuple[Floats, Floats]:
        """Log-likelihood of each history (eq. 3, in the log form of note 004), and its derivatives by r, α, a, b."""
        return log_likelihood_and_gradient(parameters, x, x, t_x, T)

    def probability_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T) (Fader & Hardie, note 021); 1 for one-time buyers."""
        from scipy.special import expit

        r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
        if a == 0.0:
            return np.ones_like(x)
        repeats = np.maximum(x, 1.0)
        log_odds = np.log(a / (b + repeats - 1.0)) + (r + repeats) * np.log((alpha + T) / (alpha + t_x))
        return np.where(x > 0, expit(-log_odds), 1.0)

    def expected_purchases_if_alive(self, parameters: Parameters, x: Floats, T: Floats, weeks: Floats) -> Floats:
        """E[purchases in (T, T + t] | alive at T, x] for every t of `weeks`: shape (len(x), len(weeks)).

        Times `probability_alive` it is eq. 10; at x = T = 0 it is the unconditional E[X(t)], eq. 9. The
        closed form holds a 2F1 that overflows for heavy buyers. Before that integral is taken, with w = t /
        (α + T) and A = r + x, it is E[(1 - (1 + p w)^-A) / p] over p ~ Beta(a, b + x), which is integrated
        here in u = logit p.
        """
        r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
        w = weeks[np.newaxis, :] / (alpha + T)[:, np.newaxis]
        if_no_dropout = (r + x)[:, np.newaxis] * w
        if a == 0.0:
            return if_no_dropout
        lost = np.empty_like(w)
        for first in range(0, len(x), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            for column in range(len(weeks)):
                lost[rows, column] = _share_lost(r + x[rows], w[rows, column], a, b + x[rows])
        # Rounding may carry the share lost past its limits by an ulp.
        return if_no_dropout * np.clip(1.0 - lost, 0.0, 1.0)

    def probability_of_purchase(
        self, parameters: Parameters, alive: Floats, x: Floats, T: Floats, weeks: float
    ) -> Floats:
        """P(at least one purchase in (T, T + t]) = P(alive) · (1 - ((α + T) / (α + T + t))^(r + x))."""
        r, alpha = parameters["r"], parameters["alpha"]
        return np.asarray(alive * -np.expm1(-(r + x) * np.log1p(weeks / (alpha + T))), dtype=np.float64)


def log_likelihood_and_gradient(
    parameters: Parameters, survived: Floats, x: Floats, t_x: Floats, T: Floats
) -> tuple[Floats, Floats]:
    """Log-likelihood of each history and its derivatives by r, α, a, b: shapes (len(x),) and (4, len(x)).

    `survived`: the purchases after which somebody could have dropped out and had not, if alive at T. Where there is
    none, nobody has dropped out.
    """
    from scipy.special import betaln, digamma, expit, gammaln

    r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
    staying = b + np.maximum(survived, 1.0) - 1.0
    log_odds = np.log(a) - np.log(staying) + (r + x) * (np.log(alpha + T) - np.log(alpha + t_x))
    log_odds = np.where(survived > 0.0, log_odds, -np.inf)
    rows = (
        gammaln(r + x)
        - gammaln(r)
        + r * np.log(alpha)
        - (r + x) * np.log(alpha + T)
        + betaln(a, b + survived)
        - betaln(a, b)
        + np.logaddexp(0.0, log_odds)
    )
    gone = expit(log_odds)
    here = 1.0 - gone
    both = digamma(a + b) - digamma(a + b + survived)
    gradient = np.array(
        [
            digamma(r + x) - digamma(r) + np.log(alpha) - here * np.log(alpha + T) - gone * np.log(alpha + t_x),
            r / alpha - (r + x) * (here / (alpha + T) + gone / (alpha + t_x)),
            both + gone / a,
            both + digamma(b + survived) - digamma(b) - gone / staying,
        ]
    )
    return np.asarray(rows, dtype=np.float64), gradient


def _share_lost(A: Floats, w: Floats, a: float, B: Floats) -> Floats:
    """E[g(p)] for p ~ Beta(a, B), where g(p) = 1 - (1 - (1 + p w)^-A) / (A w p): the share lost to drop-out.

    g rises from 0 to g(1). The line g(1) p is integrated exactly; what remains vanishes at both ends, so in
    logit p the integrand decays exponentially and the trapezoid rule converges exponentially, also for tiny a
    and B.
    """
    from scipy.special import betaln, log_expit

    A, w, B = A[:, np.newaxis], w[:, np.newaxis], B[:, np.newaxis]
    height = 1.0 + np.expm1(-A * np.log1p(w)) / (A * w)
    peak = np.log((a + 1.0) / (B + 1.0))
    core = np.sqrt(2.0 * _TAIL / (a + 1.0)) + np.sqrt(2.0 * _TAIL / (B + 1.0))
    # On the left the Beta density decays as p^a, and below p = 1 / (A w) so does g, as p: whichever ends
    # first.
    left = np.maximum(peak - core - _TAIL / a, np.minimum(peak, -np.log1p(A * w)) - core - _TAIL / (a + 1.0))
    right = peak + core + _TAIL / (B + 1.0)
    step = (right - left) / (_NODES - 1)
    u = left + step * np.arange(_NODES)
    log_p = log_expit(u)
    density = np.exp(a * log_p + B * log_expit(-u) - betaln(a, B))
    p = np.exp(log_p)
    pA = A * w * p
    with np.errstate(divide="ignore", invalid="ignore"):
        g = 1.0 + np.expm1(-A * np.log1p(w * p)) / pA
    # Near 0 the subtraction cancels; there g(p) = (A + 1) p w / 2 to first order.
    g = np.where((A + 1.0) * p * w < 1e-6, 0.5 * (A + 1.0) * p * w, g)
    rest = np.sum((g - height * p) * density, axis=1) * step[:, 0]
    return np.asarray(rest + (height * a / (a + B))[:, 0], dtype=np.float64)
