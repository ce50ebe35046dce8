"""Maximum likelihood through the lifetimes fitters, made safe: several starts, no penalty, and a verdict.

lifetimes raises when one start does not converge, prints to stdout, and accepts runaway estimates in silence.
Here every start is tried, the best log-likelihood (recomputed on unscaled data) wins, and the verdict grades the
optimum.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.protocol import Verdict

# A parameter outside this range means that the likelihood still rises towards a limiting case of the model.
PLAUSIBLE = (1e-3, 1e3)
# A parameter whose standard error is this many times its estimate is not identified by the data.
IDENTIFIED = 1e3
# Gradient norm per customer at which a search stops; the second value is tried when no start satisfies the first.
TOLERANCES = (1e-7, 1e-5)
# Options that make lifetimes' purchase processes search by L-BFGS-B with their four log parameters within limits. A
# likelihood that rises for ever then ends at a limit, where every formula can still be computed, and not in an
# overflow. Above the upper limit customers hardly differ any more; only the rounding of huge log gammas does, and would
# stop the search.
WITHIN_LIMITS: Mapping[str, Any] = {"bounds": ((-16.0, 10.0),) * 4, "ftol": 1e-15, "maxcor": 20, "maxiter": 500}
# Step in log parameters for the Hessian, by central differences of the exact gradient.
_HESSIAN_STEP = 1e-4
VERDICTS_BY_SEVERITY: tuple[Verdict, ...] = (
    "ok",
    "at_bound",
    "degenerate",
    "not_converged",
    "no_training_data",
)


@dataclass(frozen=True)
class Estimate:
    """The best optimum over all starts; `standard_errors` exist only with the verdict ok."""

    parameters: dict[str, float]
    standard_errors: dict[str, float]
    log_likelihood: float
    verdict: Verdict
    note: str


def lifetimes() -> Any:
    """Import lifetimes. The import warns about a pandas option that lifetimes sets and does not need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes as module
        import lifetimes.utils
    return module


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The most severe of some verdicts."""
    return max(verdicts, key=VERDICTS_BY_SEVERITY.index)


def standard_errors(
    objective: Callable[..., tuple[float, Floats]], logs: Floats, histories: tuple[Floats, Floats, Floats, Floats]
) -> Floats:
    """Standard errors of log parameters at an optimum: those of parameters, relative to the estimates.

    Args:
        objective: what is minimised over log parameters: the negative log-likelihood per customer, and its gradient.
        logs: the optimum.
        histories: what `objective` takes behind them; the last are weights of customers.

    Raises:
        LinAlgError: the Hessian is singular.
    """
    steps = _HESSIAN_STEP * np.eye(len(logs))
    rises = [objective(logs + h, *histories)[1] - objective(logs - h, *histories)[1] for h in steps]
    hessian = np.array(rises) / (2.0 * _HESSIAN_STEP)
    covariance = np.linalg.inv(0.5 * (hessian + hessian.T)) / np.sum(histories[-1])
    errors: Floats = np.sqrt(np.diag(covariance))
    return errors


def maximize(
    new_fitter: Callable[[], Any],
    arguments: Mapping[str, Any],
    log_likelihood: Callable[[Mapping[str, float]], float],
    starts: Sequence[Sequence[float]],
) -> Estimate | None:
    """Fit a lifetimes fitter from each start (on its scaled time) and keep the most likely optimum.

    `arguments` are the keyword arguments of `fitter.fit`: the data, and options of the search. `log_likelihood` takes
    the parameters in the units of the data. The result is None when no start converges at any of the tolerances.
    """
    for tolerance in TOLERANCES:
        optima: list[tuple[float, dict[str, float], Any]] = []
        for start in starts:
            fitter = _converged(new_fitter(), arguments, np.log(start), tolerance)
            if fitter is not None:
                parameters = {name: float(value) for name, value in fitter.params_.items()}
                with np.errstate(all="ignore"):
                    optima.append((log_likelihood(parameters), parameters, fitter))
        optima = [optimum for optimum in optima if np.isfinite(optimum[0])]
        if optima:
            return _judged(*max(optima, key=lambda optimum: optimum[0]))
    return None


def _converged(fitter: Any, arguments: Mapping[str, Any], start: Any, tolerance: float) -> Any:
    # On its way the optimiser probes absurd parameters, and it prints its state when it fails: neither is of interest.
    with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            fitter.fit(**arguments, initial_params=start, tol=tolerance)
        except lifetimes().utils.ConvergenceError:
            return None
        except np.linalg.LinAlgError:
            # The optimum was found, its Hessian is singular: estimates without standard errors.
            return fitter
    return fitter


def _judged(log_likelihood: float, parameters: dict[str, float], fitter: Any) -> Estimate:
    errors: Any = getattr(fitter, "standard_errors_", None)
    low, high = PLAUSIBLE
    extreme = [name for name, value in parameters.items() if not low <= value <= high]
    if extreme:
        note = f"Ran towards a limiting case of the model (in {', '.join(extreme)}); the estimates are used."
        return Estimate(parameters, {}, log_likelihood, "at_bound", note)
    # This comparison also fails for NaN, from a Hessian that is not positive definite.
    if errors is None or not all(errors[name] <= IDENTIFIED * parameters[name] for name in parameters):
        note = "The data do not identify all parameters (flat likelihood); the estimates are used."
        return Estimate(parameters, {}, log_likelihood, "degenerate", note)
    standard_errors = {name: float(errors[name]) for name in parameters}
    return Estimate(parameters, standard_errors, log_likelihood, "ok", "")
