"""Maximum likelihood by exact gradients, made safe: several starts, no penalty, and a verdict that grades the optimum.

A search runs over the logarithms of the parameters. On its way it may probe absurd ones, for which the likelihood
overflows; that is silent, and never an optimum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.protocol import Verdict

# A parameter outside this range means that the likelihood still rises towards a limiting case of the model.
PLAUSIBLE = (1e-3, 1e3)
# A parameter whose standard error is this many times its estimate is not identified by the data.
IDENTIFIED = 1e3
# Gradient norm per customer at which a search stops; the second value is tried when no start satisfies the first.
TOLERANCES = (1e-7, 1e-5)
# A rough search only finds out which start leads to the best optimum.
ROUGH = (1e-4,)
# Limits of log parameters. A likelihood that rises for ever then ends at a limit, where every formula can still be
# computed, and not in an overflow. Above the upper limit customers hardly differ any more; only the rounding of huge
# log gammas does, and would stop the search.
LOG_LIMITS = (-16.0, 10.0)
_SEARCH = {"ftol": 1e-15, "maxcor": 20, "maxiter": 500}
# Most steps of a search that starts close to the optimum and knows the curvature there.
_FEW_STEPS = 30
# Step in log parameters for the Hessian, by forward differences of the exact gradient.
_HESSIAN_STEP = 1e-5
# Most that the last step changes a log parameter.
_LAST_STEP = 0.01
VERDICTS_BY_SEVERITY: tuple[Verdict, ...] = (
    "ok",
    "at_bound",
    "degenerate",
    "not_converged",
    "no_training_data",
)

Objective = Callable[[Floats], tuple[float, Floats]]
"""What is minimised over log parameters: the negative log-likelihood per customer, with its exact gradient."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """Log parameters at which a search ended, with the objective and its gradient there."""

    logs: Floats
    value: float
    gradient: Floats

    def curvature(self, objective: Objective) -> Floats:
        """The Hessian of the objective here."""
        steps = _HESSIAN_STEP * np.eye(len(self.logs))
        with np.errstate(all="ignore"):
            rises = np.array([objective(self.logs + step)[1] - self.gradient for step in steps]) / _HESSIAN_STEP
        return np.asarray(0.5 * (rises + rises.T), dtype=np.float64)


@dataclass(frozen=True)
class Estimate:
    """An optimum as parameters; `standard_errors` exist only with the verdict ok."""

    parameters: dict[str, float]
    standard_errors: dict[str, float]
    verdict: Verdict
    note: str


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The most severe of some verdicts."""
    return max(verdicts, key=VERDICTS_BY_SEVERITY.index)


def best_optimum(
    objective: Objective, starts: Sequence[Floats], tolerances: Sequence[float] = TOLERANCES
) -> Optimum | None:
    """Search from each start (log parameters) and keep the best optimum.

    The result is None when no start converges at any of the tolerances.
    """
    for tolerance in tolerances:
        optima = [found for start in starts if (found := _searched(objective, start, tolerance)) is not None]
        if optima:
            return min(optima, key=lambda optimum: optimum.value)
    return None


def nearby_optimum(objective: Objective, start: Floats, curvature: Floats) -> Optimum | None:
    """The optimum close to `start`, where the curvature is about the given one; None where there is none.

    Quasi-Newton steps that know the curvature need a third of the evaluations of a search that has to find it out.
    """
    from scipy.optimize import minimize

    if not _is_convex(curvature):
        return None
    options = {"gtol": TOLERANCES[0], "maxiter": _FEW_STEPS, "hess_inv0": _inverse(curvature)}
    with np.errstate(all="ignore"):
        found = minimize(objective, start, jac=True, method="BFGS", options=options)
    low, high = LOG_LIMITS
    # The last digits of a likelihood may end the search a little earlier.
    settled = np.isfinite(found.fun) and np.abs(found.jac).max() <= TOLERANCES[0]
    within = ((found.x > low) & (found.x < high)).all()
    return Optimum(found.x, float(found.fun), found.jac) if settled and within else None


def judged(names: Sequence[str], units: Floats, optimum: Optimum, objective: Objective, customers: float) -> Estimate:
    """The optimum as parameters, times their `units`, with a verdict.

    The curvature that standard errors need anyway also says how far the search was from the optimum: that last step is
    taken, so that the estimates depend on the data and not on the search.
    """
    curvature = optimum.curvature(objective)
    parameters = np.exp(optimum.logs - _last_step(curvature, optimum.gradient)) * units
    named = dict(zip(names, parameters.tolist(), strict=True))
    low, high = PLAUSIBLE
    extreme = [name for name, value in named.items() if not low <= value <= high]
    if extreme:
        note = f"Ran towards a limiting case of the model (in {', '.join(extreme)}); the estimates are used."
        return Estimate(named, {}, "at_bound", note)
    errors = standard_errors(curvature, customers)
    # This comparison also fails for NaN, from a Hessian that is not positive definite.
    if errors is None or not (errors <= IDENTIFIED).all():
        note = "The data do not identify all parameters (flat likelihood); the estimates are used."
        return Estimate(named, {}, "degenerate", note)
    return Estimate(named, dict(zip(names, (parameters * errors).tolist(), strict=True)), "ok", "")


def _last_step(curvature: Floats, gradient: Floats) -> Floats:
    """Newton's step to the optimum; none where it would not be a small one."""
    if not _is_convex(curvature):
        return np.zeros_like(gradient)
    step = np.linalg.solve(curvature, gradient)
    return np.asarray(step if np.abs(step).max() <= _LAST_STEP else np.zeros_like(step), dtype=np.float64)


def _is_convex(curvature: Floats) -> bool:
    return bool(np.isfinite(curvature).all() and np.linalg.eigvalsh(curvature)[0] > 0.0)


def standard_errors(curvature: Floats, customers: float) -> Floats | None:
    """Standard errors of log parameters: those of parameters, relative to the estimates; None if it is singular."""
    try:
        variances = np.diag(np.linalg.inv(curvature)) / customers
    except np.linalg.LinAlgError:
        return None
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(variances), dtype=np.float64)


def _inverse(curvature: Floats) -> Floats:
    inverse = np.linalg.inv(curvature)
    return np.asarray(0.5 * (inverse + inverse.T), dtype=np.float64)


def _searched(objective: Objective, start: Floats, tolerance: float) -> Optimum | None:
    from scipy.optimize import minimize

    with np.errstate(all="ignore"):
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[LOG_LIMITS] * len(start),
            options={"gtol": tolerance, **_SEARCH},
        )
    if not (found.success and np.isfinite(found.fun)):
        return None
    return Optimum(found.x, float(found.fun), np.asarray(found.jac, dtype=np.float64))
