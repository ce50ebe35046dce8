"""Buy-till-you-die processes: how histories of purchases become parameters, a verdict, and a path ahead.

A process joins as a subclass of `BuyTillYouDie` that has starts, the likelihood with its gradient, and its formulas.
Money, season and individual corrections are handled elsewhere. The likelihood needs only the distinct (x, t_x, T) with
their counts; x, t_x and T are in weeks, as published.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.maximum_likelihood import ROUGH, Objective, Optimum, best_optimum, judged, nearby_optimum
from clv_pipeline.forecasting.protocol import COUNT_COLUMNS, Verdict

DAYS_PER_WEEK = 7.0
# Most rows of a fit; above it, similar histories are merged.
ROWS_TO_FIT = 50_000
# Most rows of a fit with the prior.
ROWS_BY_PRIOR = 5_000
# Rows on which the starts compete; the winner goes on with all rows.
_ROWS_TO_START = 500
# The nodes of a quadrature for more rows at once would not fit into a processor's cache.
_ROWS_AT_ONCE = 2048
# Side of merged cells, first and following, in square roots of days.
_CELL, _CELL_GROWTH = 0.125, np.sqrt(2.0)
# Parameters that are times: the others do not depend on the unit of time.
_TIMES = ("alpha", "beta")
# Limits of a search with the prior, in logs.
_LOG_LIMITS = (-8.0, 10.0)

Parameters = Mapping[str, float]


@dataclass(frozen=True)
class BuyTillYouDie(ABC):
    """A purchase process with drop-out: the base of BG/NBD and its relatives. Fields are set before the fit."""

    name: ClassVar[str]
    parameter_names: ClassVar[tuple[str, ...]]
    starts: ClassVar[tuple[tuple[float, ...], ...]]
    prior: ClassVar[tuple[tuple[float, float], ...]]
    """Mean and deviation of the logarithm of each parameter (times in weeks); it decides where the data do not.

    It is as wide as the spread of published fits of all kinds of shops.
    """
    remembers_last: ClassVar[bool] = False
    """Whether the path ahead depends on the time of the last purchase; a Poisson process does not."""

    @property
    def given(self) -> Mapping[str, float]:
        """Parameters that are fixed before the others are estimated."""
        return {}

    @abstractmethod
    def log_likelihood_and_gradient(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats
    ) -> tuple[Floats, Floats]:
        """Log-likelihood of each history, and its derivatives by the parameters: shapes (len(x),) and (4, len(x))."""

    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Return the log-likelihood of each history."""
        return by_rows(lambda *rows: self.log_likelihood_and_gradient(parameters, *rows)[0], x, t_x, T)

    @abstractmethod
    def probability_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Return P(alive at T) of each history."""

    @abstractmethod
    def path_if_alive(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats, weeks: Floats
    ) -> tuple[Floats, Floats]:
        """E[purchases in (T, T + t] | alive] and P(at least one | alive) at every t: shape (histories, len(weeks)).

        A process that does not `remembers_last` does not read t_x.
        """

    def expected_if_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats, weeks: Floats) -> Floats:
        """The first result of `path_if_alive`, for processes that can compute it more cheaply."""
        return self.path_if_alive(parameters, x, t_x, T, weeks)[0]

    def expected_rate(self, parameters: Parameters, ages: Floats) -> Floats:
        """Expected repeat purchases per week of a new customer, averaged over the week around each age (in weeks)."""
        grid = np.arange(0.0, float(ages.max(initial=1.0)) + 3.0)
        none = np.zeros(1)
        grown = self.expected_if_alive(parameters, none, none, np.full(1, 1e-9), np.maximum(grid, 1e-9))
        rates = np.maximum(np.diff(grown[0]), 1e-12)
        return np.asarray(np.interp(ages, grid[:-1] + 0.5, rates), dtype=np.float64)

    def estimate(self, counts: pl.DataFrame, similar: ProcessFit | None = None, rows: int = ROWS_TO_FIT) -> ProcessFit:
        """Estimate from distinct histories (COUNT_COLUMNS, times in days), by maximum likelihood.

        Where the likelihood has no optimum, or one at the edge of what is plausible, the weak `prior` decides what the
        data leave open; the verdict stays, and a note tells it. `similar`: a fit of this process on nearly the same
        data; one search from there is enough. `rows`: similar histories are merged until at most this many rows are
        left.
        """
        # A customer who first bought on the cutoff day has T = 0 and adds nothing to the likelihood.
        watched = counts.filter(pl.col("tenure_days") > 0)
        if watched.is_empty():
            return self._by_prior(watched, "no_training_data", "Nobody bought before the cutoff day.")
        histories = merge_similar(watched, rows)
        if not (watched["frequency"] > 0).any():
            return self._by_prior(histories, "degenerate", "No customer bought twice.")
        if similar is not None and similar.verdict != "ok":
            return self._by_prior(histories, similar.verdict, "As on the calendar, the data do not decide.")
        times = self._times(float(np.max(floats(histories, "tenure_days"))) / DAYS_PER_WEEK)
        optimum = self._maximum(histories, times, similar)
        if optimum is None:
            return self._by_prior(histories, "not_converged", "No start converged.")
        objective, customers = self._objective(histories, times), float(histories["customers"].sum())
        found = judged(self.parameter_names, times, optimum, objective, customers)
        if found.verdict != "ok":
            return self._by_prior(histories, found.verdict, found.note)
        likelihood, _ = self.log_likelihood_and_slope(np.log([*found.parameters.values()]), *_columns(histories))
        merged = f"{watched.height} histories were merged into {histories.height} similar ones to fit on."
        note = merged if histories.height < watched.height else ""
        errors = {**found.standard_errors, **dict.fromkeys(self.given, 0.0)}
        return ProcessFit(self, {**found.parameters, **self.given}, errors, likelihood, "ok", note)

    def _times(self, longest: float) -> Floats:
        """The factor of each parameter from time scaled so that the longest T is 1 to weeks."""
        return np.array([longest if name in _TIMES else 1.0 for name in self.parameter_names])

    def _maximum(self, histories: pl.DataFrame, times: Floats, similar: ProcessFit | None) -> Optimum | None:
        """The optimum on scaled time. Starts compete on a few merged rows; all rows begin where the winner ended."""
        starts = [np.log(start) for start in self.starts]
        objective = self._objective(histories, times)
        few = merge_similar(histories, _ROWS_TO_START)
        if few.height == histories.height and similar is None:
            return best_optimum(objective, starts)
        tried = starts
        if similar is not None:
            tried = [np.log([similar.parameters[name] for name in self.parameter_names] / times)]
        of_few = self._objective(few, times)
        rough = best_optimum(of_few, tried, ROUGH)
        if rough is None:
            return best_optimum(objective, starts)
        found = nearby_optimum(objective, rough.logs, rough.curvature(of_few))
        return found or best_optimum(objective, [rough.logs]) or best_optimum(objective, starts)

    def _objective(self, histories: pl.DataFrame, times: Floats) -> Objective:
        """The negative log-likelihood per customer by log parameters on scaled time, with its gradient."""
        rows, shift = _columns(histories), np.log(times)
        customers = float(np.sum(rows[-1]))

        def objective(logs: Floats) -> tuple[float, Floats]:
            likelihood, slope = self.log_likelihood_and_slope(logs + shift, *rows)
            return -likelihood / customers, -slope / customers

        return objective

    def _by_prior(self, histories: pl.DataFrame, verdict: Verdict, why: str) -> ProcessFit:
        """The parameters with the greatest posterior density; without histories, the centre of the prior."""
        from scipy.optimize import minimize

        mean, deviation = (np.array(column) for column in zip(*self.prior, strict=True))
        rows = _columns(merge_similar(histories, ROWS_BY_PRIOR))

        def objective(logs: Floats) -> tuple[float, Floats]:
            likelihood, slope = self.log_likelihood_and_slope(logs, *rows)
            off = (logs - mean) / deviation
            return 0.5 * float(off @ off) - likelihood, off / deviation - slope

        found = minimize(objective, mean, jac=True, method="L-BFGS-B", bounds=[_LOG_LIMITS] * len(mean))
        likelihood, _ = self.log_likelihood_and_slope(found.x, *rows)
        note = f"{why} A weak prior, as other shops are, decides what the data leave open."
        return ProcessFit(self, self._named(found.x), {}, likelihood, verdict, note)

    def log_likelihood_and_slope(
        self, logs: Floats, x: Floats, t_x: Floats, T: Floats, n: Floats
    ) -> tuple[float, Floats]:
        """Log-likelihood of each history times its n customers, and the derivatives by the logs of the parameters."""
        parameters, total, slope = self._named(logs), 0.0, np.zeros(len(logs))
        for block in _blocks(len(x)):
            rows, gradient = self.log_likelihood_and_gradient(parameters, x[block], t_x[block], T[block])
            total += float(n[block] @ rows)
            slope += gradient @ n[block]
        return total, np.exp(logs) * slope

    def _named(self, logs: Floats) -> dict[str, float]:
        return {**dict(zip(self.parameter_names, np.exp(logs).tolist(), strict=True)), **self.given}


class PoissonWhileAlive(BuyTillYouDie):
    """A process with Poisson purchases while alive: the path ahead does not depend on the last purchase."""

    @abstractmethod
    def expected_purchases_if_alive(self, parameters: Parameters, x: Floats, T: Floats, weeks: Floats) -> Floats:
        """Return E[purchases in (T, T + t] | alive at T], shape (histories, len(weeks))."""

    @abstractmethod
    def probability_of_purchase(
        self, parameters: Parameters, alive: Floats, x: Floats, T: Floats, weeks: float
    ) -> Floats:
        """Return P(at least one purchase in (T, T + t]) of each history, given P(alive)."""

    def path_if_alive(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats, weeks: Floats
    ) -> tuple[Floats, Floats]:
        """Combine the two functions that subclasses define; t_x is not read."""
        ones = np.ones_like(x)
        probable = [self.probability_of_purchase(parameters, ones, x, T, float(t)) for t in weeks]
        expected = self.expected_purchases_if_alive(parameters, x, T, weeks)
        at_least_one = np.column_stack(probable) if probable else np.empty((len(x), 0))
        return expected, np.minimum(at_least_one, np.minimum(expected, 1.0))

    def expected_if_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats, weeks: Floats) -> Floats:
        """The expectation that subclasses define."""
        return self.expected_purchases_if_alive(parameters, x, T, weeks)


@dataclass(frozen=True)
class ProcessFit:
    """A fitted process: parameters (times in weeks) and their verdict; `log_likelihood` is that of the data alone."""

    process: BuyTillYouDie
    parameters: dict[str, float]
    standard_errors: dict[str, float]
    log_likelihood: float
    verdict: Verdict
    note: str

    def alive(self, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T), times in days."""
        weeks = (times / DAYS_PER_WEEK for times in (np.minimum(t_x, T), T))
        return self.process.probability_alive(self.parameters, x, *weeks)

    def path_if_alive(self, x: Floats, t_x: Floats, T: Floats, days: Floats) -> tuple[Floats, Floats]:
        """`path_if_alive` of the process, with times in days."""
        weeks = (times / DAYS_PER_WEEK for times in (np.minimum(t_x, T), T, days))
        return self.process.path_if_alive(self.parameters, x, *weeks)

    def expected_if_alive(self, x: Floats, t_x: Floats, T: Floats, days: Floats) -> Floats:
        """`expected_if_alive` of the process, with times in days."""
        weeks = (times / DAYS_PER_WEEK for times in (np.minimum(t_x, T), T, days))
        return self.process.expected_if_alive(self.parameters, x, *weeks)

    def rate_at_age(self, ages: Floats) -> Floats:
        """Expected repeat purchases per day of a new customer at these ages in days."""
        return self.process.expected_rate(self.parameters, ages / DAYS_PER_WEEK) / DAYS_PER_WEEK


def merge_similar(counts: pl.DataFrame, most: int) -> pl.DataFrame:
    """Merge histories until at most `most` rows are left: equal frequency and similar times, replaced by their mean.

    Histories are similar when they share a square cell of the square roots of recency and tenure: short times need more
    precision than long ones. Cells grow until there are few enough rows, or one per frequency. Up to `most` distinct
    histories stay as they are. Rows are sorted, so that a fit does not depend on the order of customers.
    """
    n, times = pl.col("customers"), ("recency_days", "tenure_days")
    ordered = counts.sort(COUNT_COLUMNS)

    def merged(cells: Sequence[pl.Expr]) -> pl.DataFrame:
        means = [((pl.col(time) * n).sum() / n.sum()).alias(time) for time in times]
        named = [cell.alias(f"cell_of_{time}") for cell, time in zip(cells, times, strict=True)]
        return ordered.group_by("frequency", *named, maintain_order=True).agg(*means, n.sum())

    rows = merged([pl.col(time) for time in times])
    side = _CELL
    while rows.height > max(most, counts["frequency"].n_unique()):
        rows = merged([(pl.col(time).sqrt() / side).floor() for time in times])
        side *= _CELL_GROWTH
    return rows.select(COUNT_COLUMNS).sort(COUNT_COLUMNS)


def _columns(histories: pl.DataFrame) -> tuple[Floats, Floats, Floats, Floats]:
    """x, t_x and T in weeks, and the number of customers."""
    x, n = floats(histories, "frequency"), floats(histories, "customers")
    return x, floats(histories, "recency_days") / DAYS_PER_WEEK, floats(histories, "tenure_days") / DAYS_PER_WEEK, n


def by_rows(rows_of: Callable[..., Floats], *columns: Floats) -> Floats:
    """A function of rows, evaluated on a block of them at a time."""
    blocks = _blocks(max(len(columns[0]), 1))
    return np.concatenate([rows_of(*(column[block] for column in columns)) for block in blocks])


def _blocks(rows: int) -> list[slice]:
    return [slice(first, first + _ROWS_AT_ONCE) for first in range(0, rows, _ROWS_AT_ONCE)]
