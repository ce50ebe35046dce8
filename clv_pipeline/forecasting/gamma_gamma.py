"""Mean spend per purchase day: the Gamma-Gamma model, and the fallback where it cannot be fitted.

Fader, Hardie & Lee 2005 ("RFM and CLV", J. of Marketing Research 42); Fader & Hardie 2013, note 025.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.maximum_likelihood import Estimate, best_optimum, judged
from clv_pipeline.forecasting.protocol import SPEND_COLUMNS, Verdict

PARAMETERS = ("p", "q", "v")
# The same with mean spend scaled to 1.
_STARTS = ((1.1, 1.1, 1.1), (6.0, 4.0, 0.5), (2.0, 2.5, 1.0))
# v p / (q - 1) explodes as q falls to 1. An estimate further than this factor from the observed mean is rejected.
_BELIEVABLE_FACTOR = 3.0
# Upper share of mean spends on which the tail of the fit is compared with the observed one.
_TAIL = 0.01
# Fit and observation disagree when chance explains the difference with less than this probability.
_SIGNIFICANT = 0.01


@dataclass(frozen=True)
class SpendModel:
    """The posterior mean of a customer's mean spend: (k · mean + x · m) / (k + x), x repeats of mean spend m.

    Under Gamma-Gamma (note 025, eq. 5) mean = v p / (q - 1) and k = (q - 1) / p. `mean_spend` is None when
    nobody's repeat spend is known: then the customer's own spend per purchase day serves.
    """

    mean_spend: float | None
    pseudo_purchases: float

    def conditional_mean(self, customers: pl.DataFrame) -> Floats:
        """Return the expected spend per future purchase day, in money, one per row of a customers frame."""
        repeats = floats(customers, "frequency")
        if self.mean_spend is None:
            return np.clip(floats(customers, "revenue") / (repeats + 1.0), 0.0, None)
        observed = np.clip(floats(customers, "monetary_value"), 0.0, None)
        k = self.pseudo_purchases
        return np.asarray((k * self.mean_spend + repeats * observed) / (k + repeats), dtype=np.float64)


@dataclass(frozen=True)
class SpendFit:
    """A fitted `SpendModel` with its report: parameters, errors of p, q, v, verdict, notes.

    `parameters`: `independence_correlation` where it is defined, and when Gamma-Gamma is used p, q, v,
    `gamma_gamma_log_likelihood`, `tail_share` and `tail_p_value` (see `tail_test`).
    """

    model: SpendModel
    parameters: dict[str, float]
    standard_errors: dict[str, float]
    verdict: Verdict
    notes: str


def log_likelihood(
    parameters: Mapping[str, float],
    frequency: ArrayLike,
    monetary_value: ArrayLike,
    customers: ArrayLike = 1.0,
) -> float:
    """Gamma-Gamma log-likelihood of mean spends over `frequency` repeat purchases (note 025, eq. 1a)."""
    x, m = np.asarray(frequency, dtype=np.float64), np.asarray(monetary_value, dtype=np.float64)
    rows, _ = log_likelihood_and_gradient(np.array([parameters[name] for name in PARAMETERS]), x, m)
    return float(np.sum(rows * np.asarray(customers, dtype=np.float64)))


def log_likelihood_and_gradient(parameters: Floats, x: Floats, m: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood of each mean spend m over x purchases, and its derivatives by p, q, v."""
    from scipy.special import digamma, gammaln

    p, q, v = parameters
    log_total = np.log(x * m + v)
    rows = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(v)
        + (p * x - 1.0) * np.log(m)
        + p * x * np.log(x)
        - (p * x + q) * log_total
    )
    both = digamma(p * x + q)
    gradient = np.array(
        [
            x * (both - digamma(p * x) + np.log(m) + np.log(x) - log_total),
            both - digamma(q) + np.log(v) - log_total,
            q / v - (p * x + q) / (x * m + v),
        ]
    )
    return np.asarray(rows, dtype=np.float64), gradient


def independence_correlation(repeat_spend: pl.DataFrame) -> float | None:
    """Pearson correlation of frequency and mean spend over repeat buyers, which the model assumes to be 0.

    None when one of them does not vary.
    """
    x, m, n = (floats(repeat_spend, column) for column in SPEND_COLUMNS)
    if len(x) < 2:
        return None
    x, m = x - np.average(x, weights=n), m - np.average(m, weights=n)
    spread = float(np.sqrt(np.sum(n * x * x) * np.sum(n * m * m)))
    return float(np.sum(n * x * m)) / spread if spread > 0.0 else None


def tail_test(parameters: Mapping[str, float], repeat_spend: pl.DataFrame) -> tuple[float, float]:
    """Share of mean spends above their fitted 99 % quantile (0.01 if the fit is right), and its p-value.

    Under the model a customer's x · m / v is the ratio of a Gamma(p x) to a Gamma(q) variable (note 025), so that P(M >
    m | x) = I(v / (v + x m); q, p x), the regularized incomplete beta function. The p-value is that of the two-sided
    binomial test.
    """
    from scipy.special import betainc
    from scipy.stats import binom

    p, q, v = parameters["p"], parameters["q"], parameters["v"]
    x, m, n = (floats(repeat_spend, column) for column in SPEND_COLUMNS)
    customers, above = float(np.sum(n)), float(np.sum(n[betainc(q, p * x, v / (v + x * m)) < _TAIL]))
    chance = min(binom.cdf(above, customers, _TAIL), binom.sf(above - 1.0, customers, _TAIL))
    return above / customers, min(1.0, 2.0 * float(chance))


def fit(repeat_spend: pl.DataFrame) -> SpendFit:
    """Fit Gamma-Gamma on repeat buyers (frequency, monetary_value, customers), or use the fallback.

    The fallback keeps the form of the posterior mean with one pseudo-purchase: the observed mean of the
    population (per purchase day) counts as much as one purchase of the customer.

    Raises:
        ValueError: repeat buyers without positive mean spend.
    """
    # Sums of sorted rows do not depend on the order in which customers come.
    repeat_spend = repeat_spend.sort(SPEND_COLUMNS)
    x, m, n = (floats(repeat_spend, column) for column in SPEND_COLUMNS)
    if (x <= 0.0).any() or (m <= 0.0).any():
        raise ValueError("repeat_spend must hold repeat buyers (frequency > 0) with positive mean spend only")
    if len(x) == 0:
        notes = "Spend: no repeat buyer with positive spend; each customer's own spend per purchase day serves."
        return SpendFit(SpendModel(None, 1.0), {}, {}, "no_training_data", notes)
    observed = float(np.average(m, weights=n * x))
    correlation = independence_correlation(repeat_spend)
    tested = {} if correlation is None else {"independence_correlation": correlation}
    stated = "undefined" if correlation is None else f"{correlation:+.3f}"
    independence = f"Gamma-Gamma assumes spend independent of frequency; their correlation is {stated}."
    estimate = _maximum(x, m, n, observed)
    obstacle = _obstacle(estimate, float(np.average(m, weights=n)))
    if estimate is None or obstacle:
        fallback = (
            f"{independence} Spend: {obstacle} The observed mean of {observed:.2f} per purchase day serves, "
            "weighted as one purchase against the customer's own."
        )
        verdict: Verdict = "not_converged" if estimate is None else "degenerate"
        return SpendFit(SpendModel(observed, 1.0), tested, {}, verdict, fallback)
    p, q, v = (estimate.parameters[name] for name in ("p", "q", "v"))
    tail_share, tail_p_value = tail_test(estimate.parameters, repeat_spend)
    notes = f"{independence} {_tail_note(estimate, tail_share, tail_p_value)}"
    return SpendFit(
        model=SpendModel(v * p / (q - 1.0), (q - 1.0) / p),
        parameters={
            **estimate.parameters,
            "gamma_gamma_log_likelihood": log_likelihood(estimate.parameters, x, m, n),
            **tested,
            "tail_share": tail_share,
            "tail_p_value": tail_p_value,
        },
        standard_errors=estimate.standard_errors,
        verdict=estimate.verdict,
        notes=f"{notes} Spend: {estimate.note}" if estimate.note else notes,
    )


def _tail_note(estimate: Estimate, share: float, p_value: float) -> str:
    # Moments of spend below the q-th are finite. Within two standard errors of a limit, q may be beyond it.
    q = estimate.parameters["q"]
    low = q - 2.0 * estimate.standard_errors.get("q", 0.0)
    moments = "mean and variance are finite"
    for moment, limit in (("mean", 1.0), ("variance", 2.0)):
        if low <= limit:
            moments = f"heavy, the {moment} {'is' if q <= limit else 'may be'} infinite"
            break
    fits = "as the model expects" if p_value >= _SIGNIFICANT else "unlike the model"
    return (
        f"Tail of spend: {moments} (q = {q:.3f}); {share:.2%} of mean spends lie above the fitted 99 % quantile, "
        f"{fits} (p = {p_value:.2g})."
    )


def _maximum(x: Floats, m: Floats, n: Floats, unit: float) -> Estimate | None:
    # The likelihood scales with v: fitting in units of the mean spend makes the starts fit every currency.
    customers = float(np.sum(n))

    def objective(logs: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logs)
        rows, gradient = log_likelihood_and_gradient(parameters, x, m / unit)
        return -float(n @ rows) / customers, -parameters * (gradient @ n) / customers

    optimum = best_optimum(objective, [np.log(start) for start in _STARTS])
    if optimum is None:
        return None
    found = judged(PARAMETERS, np.ones(len(PARAMETERS)), optimum, objective, customers)

    def in_money(values: Mapping[str, float]) -> dict[str, float]:
        return {name: value * (unit if name == "v" else 1.0) for name, value in values.items()}

    return replace(found, parameters=in_money(found.parameters), standard_errors=in_money(found.standard_errors))


def _obstacle(estimate: Estimate | None, observed_mean: float) -> str:
    if estimate is None:
        return "Gamma-Gamma did not converge."
    p, q, v = (estimate.parameters[name] for name in ("p", "q", "v"))
    if q <= 1.0:
        return f"Gamma-Gamma has no finite population mean (q = {q:.3f} <= 1)."
    ratio = v * p / (q - 1.0) / observed_mean
    if not 1.0 / _BELIEVABLE_FACTOR < ratio < _BELIEVABLE_FACTOR:
        return f"Gamma-Gamma puts the population mean at {ratio:.3g} times the observed one (q = {q:.3f})."
    return ""
