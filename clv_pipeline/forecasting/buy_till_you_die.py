"""Buy-till-you-die models: how a purchase process and a spend model become a fit, a verdict and a forecast.

A process joins as a subclass of `BuyTillYouDie` that names its lifetimes fitter, its starts and its formulas.
The likelihood needs only the distinct (x, t_x, T) with their counts; x, t_x and T are in weeks, as published.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting import gamma_gamma
from clv_pipeline.forecasting.frames import DAYS_PER_YEAR, Floats, floats, forecast_frame
from clv_pipeline.forecasting.gamma_gamma import SpendModel
from clv_pipeline.forecasting.maximum_likelihood import WITHIN_LIMITS, Estimate, maximize, worst
from clv_pipeline.forecasting.protocol import (
    ALL_TARGETS,
    COUNT_COLUMNS,
    CUSTOMER_COLUMNS,
    FitReport,
    Target,
    TrainingData,
    Verdict,
    require_columns,
)

DAYS_PER_WEEK = 7.0
# Rows that a fit takes at most: of more distinct histories, similar ones are merged.
ROWS_TO_FIT = 50_000
# Rows on which the starts compete; the winner goes on to all of them.
_ROWS_TO_START = 2_000
# First and following sides of merged cells, in square roots of days.
_CELL, _CELL_GROWTH = 0.125, np.sqrt(2.0)
# Parameters that are times: the others do not depend on the unit of time.
_TIMES = ("alpha", "beta")
# Gauss-Legendre nodes in time for discounting: within 1e-4 of the exact integral at a horizon of a year.
_DISCOUNT_NODES = 5

Parameters = Mapping[str, float]


class BuyTillYouDie(ABC):
    """A purchase process with drop-out and Gamma-Gamma spend; the base of BG/NBD and its relatives."""

    name: ClassVar[str]
    targets: ClassVar[frozenset[Target]] = ALL_TARGETS
    is_baseline: ClassVar[bool] = False
    parameter_names: ClassVar[tuple[str, ...]]
    starts: ClassVar[tuple[tuple[float, ...], ...]]

    @abstractmethod
    def new_fitter(self) -> Any:
        """Create the lifetimes fitter of the process, without penalty."""

    @abstractmethod
    def no_dropout(self, rate: float) -> dict[str, float]:
        """Return the parameters that express 'everybody buys on at about this weekly rate', the fallback."""

    @abstractmethod
    def log_likelihood_rows(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Return the log-likelihood of each history."""

    @abstractmethod
    def probability_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Return P(alive at T) of each history."""

    @abstractmethod
    def expected_purchases_if_alive(self, parameters: Parameters, x: Floats, T: Floats, weeks: Floats) -> Floats:
        """Return E[purchases in (T, T + t] | alive at T], shape (histories, len(weeks))."""

    @abstractmethod
    def probability_of_purchase(
        self, parameters: Parameters, alive: Floats, x: Floats, T: Floats, weeks: float
    ) -> Floats:
        """Return P(at least one purchase in (T, T + t]) of each history, given P(alive)."""

    def fit(self, training: TrainingData, horizons_days: Sequence[int]) -> "FittedBuyTillYouDie":
        """Fit process and spend by maximum likelihood; one fit serves every horizon.

        `report.parameters` holds the process parameters (weeks), p, q, v and the spend log-likelihood when
        Gamma-Gamma is used, and `mean_spend` and `pseudo_purchases` (see `SpendModel`).
        """
        process, errors, likelihood, verdict, note = self._fit_process(training.customer_counts)
        spend = gamma_gamma.fit(training.repeat_spend)
        report = FitReport(
            model=self.name,
            as_of=training.cutoff,
            parameters={
                **process,
                **spend.parameters,
                "mean_spend": spend.model.mean_spend,
                "pseudo_purchases": spend.model.pseudo_purchases,
            },
            customers=training.customers,
            verdict=worst([verdict, spend.verdict]),
            notes=" ".join(part for part in (note, spend.notes) if part),
            standard_errors={**errors, **spend.standard_errors},
            log_likelihood=likelihood,
        )
        return FittedBuyTillYouDie(self, report)

    def _fit_process(
        self, counts: pl.DataFrame
    ) -> tuple[dict[str, float], dict[str, float], float | None, Verdict, str]:
        # A customer of the cutoff day itself has been watched for no time: T = 0 adds nothing to the
        # likelihood.
        watched = counts.filter(pl.col("tenure_days") > 0)
        if watched.is_empty():
            return self.no_dropout(0.0), {}, None, "no_training_data", "Nobody bought before the cutoff day."
        histories = merge_similar(watched, ROWS_TO_FIT)
        x, n, T = (floats(histories, column) for column in ("frequency", "customers", "tenure_days"))
        # Half a purchase more than seen keeps the rate above 0 when nobody ever came back.
        rate = (float(np.sum(n * x)) + 0.5) / float(np.sum(n * T)) * DAYS_PER_WEEK
        served = f"The pooled rate of {rate:.4g} purchases a week, shrunk per customer, without drop-out serves."
        if not (x > 0).any():
            note = f"No customer bought twice, so nothing can be estimated. {served}"
            return self.no_dropout(rate), {}, None, "degenerate", note
        merged = f"{watched.height} histories were merged into {histories.height} similar ones to fit on."
        merged = merged if watched.height > ROWS_TO_FIT else ""
        estimate = self._maximum(histories)
        if estimate is None:
            return self.no_dropout(rate), {}, None, "not_converged", f"No start converged. {served}"
        return (
            estimate.parameters,
            estimate.standard_errors,
            estimate.log_likelihood,
            estimate.verdict,
            " ".join(part for part in (merged, estimate.note) if part),
        )

    def _maximum(self, histories: pl.DataFrame) -> Estimate | None:
        few = merge_similar(histories, _ROWS_TO_START)
        best = self._maximum_from(self.starts, few)
        if best is None or few.height == histories.height:
            return best
        longest = float(np.max(floats(histories, "tenure_days"))) / DAYS_PER_WEEK
        start = [best.parameters[name] / (longest if name in _TIMES else 1.0) for name in self.parameter_names]
        return self._maximum_from([start], histories) or self._maximum_from(self.starts, histories)

    def _maximum_from(self, starts: Sequence[Sequence[float]], histories: pl.DataFrame) -> Estimate | None:
        x, n = floats(histories, "frequency"), floats(histories, "customers")
        t_x, T = (floats(histories, column) / DAYS_PER_WEEK for column in ("recency_days", "tenure_days"))

        def log_likelihood(parameters: Parameters) -> float:
            return float(np.sum(n * self.log_likelihood_rows(parameters, x, t_x, T)))

        arguments = {"frequency": x, "recency": t_x, "T": T, "weights": n, **WITHIN_LIMITS}
        return maximize(self.new_fitter, arguments, log_likelihood, starts)


def merge_similar(counts: pl.DataFrame, most: int) -> pl.DataFrame:
    """Merge histories until `most` rows hold them: those of one frequency and similar times, into their mean.

    Similar is what shares a square cell of the square roots of recency and tenure, because short times matter
    more precisely than long ones. Cells grow until the rows are few enough, or one per frequency. Up to `most`
    distinct histories stay as they are. Rows come sorted, so that a fit does not depend on the order of customers.
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


@dataclass(frozen=True)
class FittedBuyTillYouDie:
    """A process and a spend model with their parameters, all of them in the report."""

    process: BuyTillYouDie
    report: FitReport

    def can_forecast(self, horizon_days: int) -> bool:
        """Any horizon: the process has a closed form in time."""
        return True

    def forecast(self, customers: pl.DataFrame, horizon_days: int, annual_discount_rate: float = 0.0) -> pl.DataFrame:
        """Forecast all targets; spend is discounted along the path of expected purchases.

        Discounted: ∫ (1 + d)^(-t) dE(t) = (1 + d)^(-h) E(h) + ln(1 + d) ∫ E(t) (1 + d)^(-t) dt, t in years.
        """
        require_columns(customers, CUSTOMER_COLUMNS, "customers")
        parameters = {name: self.report.parameters[name] for name in self.process.parameter_names}
        x = floats(customers, "frequency")
        t_x = floats(customers, "recency_days") / DAYS_PER_WEEK
        T = floats(customers, "tenure_days") / DAYS_PER_WEEK
        nodes, node_weights = np.polynomial.legendre.leggauss(_DISCOUNT_NODES)
        days = np.append(0.5 * horizon_days * (nodes + 1.0), horizon_days)
        force = np.log1p(annual_discount_rate) / DAYS_PER_YEAR
        present_value = np.exp(-force * days)
        # Weights on E at the nodes and at the horizon; without discounting only the horizon counts.
        weights = present_value * np.append(force * 0.5 * horizon_days * node_weights, 1.0)
        # The expectation depends on (x, T) only, of which there are far fewer than customers.
        first, row = _distinct_pairs(x, floats(customers, "tenure_days"))
        weeks = days / DAYS_PER_WEEK
        expected = self.process.expected_purchases_if_alive(parameters, x[first], T[first], weeks)
        alive = self.process.probability_alive(parameters, x, t_x, T)
        purchases = alive * expected[row, -1]
        mean_spend = SpendModel(
            self.report.parameters["mean_spend"], self.report.parameters["pseudo_purchases"]
        ).conditional_mean(customers)
        return forecast_frame(
            self.report.model,
            customers,
            expected_purchases=purchases,
            expected_spend=purchases * mean_spend,
            discounted_spend=alive * np.einsum("ij,j->i", expected, weights)[row] * mean_spend,
            p_purchase=self.process.probability_of_purchase(parameters, alive, x, T, weeks[-1]),
            p_alive=alive,
        )


def _distinct_pairs(x: Floats, tenure_days: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of the distinct pairs of two whole numbers: where each is first found, and which of them every row has."""
    # One number per pair is sorted twenty times faster than rows of two.
    key = x * (tenure_days.max(initial=0.0) + 1.0) + tenure_days
    _, first, row = np.unique(key, return_index=True, return_inverse=True)
    return first, row
