"""Ranges of spend of each customer, learned from past forecasts of the model and their outcomes.

The range of their total is in `total_ranges`.

A customer's spend is 0 with probability 1 - P, else lognormal (the shape of Wang, Liu & Miao 2019, arXiv 1912.07753).
Location and variance of the body are learned on the buyers of all horizons at once, with a stated prior, so that a
horizon without a complete window has a body, too. Errors of the shape are corrected within classes of P and per horizon
(Mondrian conformal prediction: Vovk, Gammerman & Shafer 2005, ch. 4.5), on the scale of probabilities, where customers
are comparable. A range begins at 0 while the customer may not buy, has two ends where a purchase is almost certain, and
always holds the served mean; for quiet customers, who most likely do not buy, coverage is therefore above the stated
level.

Past windows carry less information than their rows suggest: they overlap, and all customers of a window share its
season. A window of many customers therefore counts little more than one of some dozens, a window longer than a month
counts by what a month adds, and the excluded share is smaller the fewer windows there are.

The constants were chosen on monthly walks through CDNOW, Online Retail II and simulated shops; a factor of two matters
little there. `served_accuracy` reports the coverage of a shop's own ranges, class by class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import require_columns

FORECAST_COLUMNS = ("horizon_days", "frequency", "expected_purchases", "expected_spend", "p_purchase")
"""Columns from which a customer's range is made."""

PAST_COLUMNS = (*FORECAST_COLUMNS, "cutoff", "actual_spend")
"""Columns from which ranges are learned: forecasts of one model with their outcomes."""

CLASS_EDGES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Edges of the classes of P(buy) within which ranges are calibrated."""

WINDOW_CUSTOMERS = 50.0
"""The most that a window counts, in customers; a window with this many counts half of it. All share its season."""

WINDOW_SAMPLE = 5_000
"""Approximate sample of customers per window; more help little, because all share its season."""

PRIOR_CUSTOMERS = 30.0
"""Customers who move a class half of the way from the prior to its own data."""

SPARED = 0.2
"""Reduction of the excluded share: by this fraction without a complete window, by half of it with one.

80 % ranges are then made for 84 %.
"""

MONTH_DAYS = 30.0
"""Days between the windows of a backtest: what a longer window adds to the one before."""

TINY = float(np.finfo(np.float64).tiny)
"""The least amount of which there is a logarithm."""

LARGEST_LOG = 709.0
"""The largest logarithm of which there is an amount."""

Integers = NDArray[np.int64]

_PRIOR_LOG_VARIANCE = np.array([0.3, -1.2, 0.5, 0.0])
"""Coefficients of 1, P / M, 1 / (1 + purchase days) and log M: a little wider than in most shops."""
_PRIOR_LOCATION_DEVIATION = np.array([0.3, 0.5, 0.5, 0.1])
_PRIOR_LOG_VARIANCE_DEVIATION = np.array([0.5, 0.5, 0.5, 0.1])
_SCALES = (0.05, 3.0)
_LOCATIONS = 4.0
_LOG_PURCHASES = (-6.0, 4.0)
_FAR = 3.0
"""Most deviations that a buyer counts as being off: one absurd order moves nobody else's range."""
_STEPS, _SETTLED = 30, 1e-4
_SURE = 1e-4
"""Least distance of a forecast probability from 0 and 1."""
_BODY_SHARES = (1e-6, 0.9995)
_LARGEST_SQUARED_LOG = 2.25


def require_level(level: float) -> None:
    """Refuse a level of ranges that is no share.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"the interval level must lie between 0 and 1, not {level}")


def window_share(horizon_days: Floats) -> Floats:
    """Information that one of many overlapping windows adds, as a share of a separate window."""
    return np.minimum(1.0, MONTH_DAYS / np.maximum(horizon_days, 1.0))


@dataclass(frozen=True, eq=False)
class _Customers:
    """Customers as their distributions need them: the features of the body, log(S / P), P, S."""

    features: Floats
    log_mean: Floats
    p: Floats
    spend: Floats

    @classmethod
    def of(cls, forecasts: pl.DataFrame) -> _Customers:
        """Read FORECAST_COLUMNS. Numbers that a rule lacks follow from the others, as if purchases were Poisson."""
        spend, p, purchases = (
            floats(forecasts, name) for name in ("expected_spend", "p_purchase", "expected_purchases")
        )
        spend = np.maximum(np.nan_to_num(spend, nan=0.0), 0.0)
        p = np.where(np.isnan(p), -np.expm1(-np.maximum(purchases, 0.0)), p)
        p = np.clip(np.nan_to_num(p, nan=0.5), _SURE, 1.0 - _SURE)
        purchases = np.where(np.isnan(purchases), -np.log1p(-p), np.maximum(purchases, TINY))
        days = 1.0 + np.maximum(np.nan_to_num(floats(forecasts, "frequency"), nan=0.0), 0.0)
        features = np.column_stack(
            [
                np.ones(len(p)),
                np.minimum(p / purchases, 1.0),
                1.0 / (1.0 + days),
                np.clip(np.log(purchases), *_LOG_PURCHASES),
            ]
        )
        return cls(features, np.log(np.maximum(spend, TINY)) - np.log(p), p, spend)


@dataclass(frozen=True, eq=False)
class _Body:
    """The lognormal body: log spend of a buyer, given features of the customer's forecast."""

    location: Floats
    log_variance: Floats

    @classmethod
    def learn(cls, buyers: _Customers, spent: Floats, weights: Floats) -> _Body:
        """Learn from customers who bought: penalised weighted least squares of the logs and of their squares, in turns.

        Without such customers it is the prior, whose mean is the forecast.
        """
        x, log_ratio = buyers.features, np.log(spent) - buyers.log_mean + 0.5 * _prior_variance(buyers.features)
        location, log_variance = np.zeros(x.shape[1]), _PRIOR_LOG_VARIANCE.copy()
        to_location = np.diag(_PRIOR_LOCATION_DEVIATION**-2.0)
        to_log_variance = np.diag(_PRIOR_LOG_VARIANCE_DEVIATION**-2.0)
        # Half the weighted squares of the features: the information about a log variance.
        information = 0.5 * (x.T * weights) @ x + to_log_variance
        for _ in range(_STEPS):
            scale = np.exp(0.5 * np.clip(x @ log_variance, *(2.0 * np.log(_SCALES))))
            of_location = weights / np.square(scale)
            deviations = np.clip((log_ratio - x @ location) / scale, -_FAR, _FAR)
            step = np.linalg.solve(
                (x.T * of_location) @ x + to_location, x.T @ (of_location * scale * deviations) - to_location @ location
            )
            location = location + step
            deviations = np.clip((log_ratio - x @ location) / scale, -_FAR, _FAR)
            gradient = 0.5 * x.T @ (weights * (np.square(deviations) - 1.0))
            gradient -= to_log_variance @ (log_variance - _PRIOR_LOG_VARIANCE)
            turn = np.linalg.solve(information, gradient)
            log_variance = log_variance + turn / max(1.0, float(np.abs(turn).max()))
            if max(np.abs(step).max(), np.abs(turn).max()) < _SETTLED:
                break
        return cls(location, log_variance)

    def of(self, customers: _Customers) -> tuple[Floats, Floats]:
        """Location and scale of each customer's log spend, given a purchase."""
        x = customers.features
        shift = np.clip(x @ self.location, -_LOCATIONS, _LOCATIONS)
        scale = np.clip(np.exp(0.5 * (x @ self.log_variance)), *_SCALES)
        return customers.log_mean - 0.5 * _prior_variance(x) + shift, scale


def _prior_variance(features: Floats) -> Floats:
    return np.asarray(np.exp(features @ _PRIOR_LOG_VARIANCE), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SpendRanges:
    """The learned ranges of customers; the object can be sent to where customers are scored.

    `lower_shares` and `upper_shares` are the probabilities at which ranges end, by horizon and class of P(buy): one row
    for each of `horizons` and one for all others. A lower share of 0 is an end at 0.
    """

    level: float
    horizons: tuple[int, ...]
    edges: Floats
    lower_shares: Floats
    upper_shares: Floats
    body: _Body

    @classmethod
    def learn(cls, past: pl.DataFrame, level: float) -> SpendRanges:
        """Learn from one model's past forecasts and their outcomes (PAST_COLUMNS), known by the day of the forecast.

        Rows without an outcome are left out; there may be no rows at all. Large windows are sampled down to about
        WINDOW_SAMPLE rows. The order of rows affects only rounding.

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        require_level(level)
        require_columns(past, PAST_COLUMNS, "past forecasts")
        past = thinned(past)
        customers, spent = _Customers.of(past), floats(past, "actual_spend")
        windows = _Windows.of(past)
        # A customer with an expectation of 0 has no relative error.
        buyers = np.flatnonzero((spent > 0.0) & (customers.spend > 0.0))
        body = _Body.learn(_rows(customers, buyers), spent[buyers], windows.weights(buyers))
        tail = 0.5 * (1.0 - level)
        # A class is certain enough for two ends, or it is not.
        edges = np.unique(np.round([*CLASS_EDGES, 1.0 - tail], 9))
        lower, upper = _shares(body, customers, spent, windows, edges, level)
        return cls(level, windows.horizons, edges, lower, upper, body)

    def bounds(self, forecasts: pl.DataFrame) -> tuple[Floats, Floats]:
        """Lower and upper ends of spend for FORECAST_COLUMNS, row by row: finite, and around the expected spend."""
        customers = _Customers.of(forecasts)
        row, place = self._row(forecasts), np.searchsorted(self.edges, customers.p)
        location, scale = self.body.of(customers)
        lower, upper = (
            _quantile(customers.p, location, scale, shares[row, place])
            for shares in (self.lower_shares, self.upper_shares)
        )
        spend, something = customers.spend, customers.spend > 0.0
        return np.where(something, np.minimum(lower, spend), 0.0), np.where(something, np.maximum(upper, spend), 0.0)

    def of_paths(self, forecasts: pl.DataFrame, horizons: int) -> tuple[Floats, Floats]:
        """Lower and upper ends that do not fall with the horizon (`running_bounds`).

        `forecasts`: as for `bounds`, with this many ascending horizons per customer, consecutive.
        """
        lower, upper = (ends.reshape(-1, horizons) for ends in self.bounds(forecasts))
        lower, upper = running_bounds(lower, upper)
        return lower.ravel(), upper.ravel()

    def variances(self, forecasts: pl.DataFrame) -> Floats:
        """Variance of each customer's spend around the expected spend.

        `TotalRange` calls their sum over the squared total `variance`, because customers are independent.
        """
        customers = _Customers.of(forecasts)
        _, scale = self.body.of(customers)
        ratio = np.exp(np.minimum(np.square(scale), _LARGEST_SQUARED_LOG)) / customers.p
        return np.square(np.minimum(customers.spend, 1e150)) * np.maximum(ratio - 1.0, 0.0)

    def _row(self, forecasts: pl.DataFrame) -> Integers:
        """The row of shares for each forecast's horizon; the last row is for unknown horizons."""
        horizon_days = forecasts["horizon_days"].cast(pl.Int64).to_numpy()
        known = np.array(self.horizons, dtype=np.int64)
        place = np.searchsorted(known, horizon_days)
        found = np.append(known, -1)[place] == horizon_days
        return np.where(found, place, len(known))


def thinned(past: pl.DataFrame) -> pl.DataFrame:
    """Every n-th customer of each window in the order of P(buy), so that all classes keep their shares.

    Ranges are learned from these rows (PAST_COLUMNS). To thin what is thinned changes nothing, so windows that are
    learned from again and again can be thinned once.
    """
    window = ("cutoff", "horizon_days")
    known = past.select(PAST_COLUMNS).drop_nulls("actual_spend")
    ordered = known.sort(*window, "p_purchase", "expected_spend", "actual_spend")
    every = (pl.len().over(window) / WINDOW_SAMPLE).ceil().cast(pl.Int64)
    return ordered.filter(pl.int_range(pl.len()).over(window) % every == every // 2)


def running_bounds(lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Bounds of customers (rows) over their horizons (columns, ascending) that do not fall from one to the next.

    Spend up to a day only grows, and so do its quantiles. The bounds still hold the mean, because it grows, too.
    """
    return np.maximum.accumulate(lower, axis=1), np.maximum.accumulate(upper, axis=1)


@dataclass(frozen=True, eq=False)
class _Windows:
    """The window (cutoff and horizon) of each past row, and the weight of each window."""

    horizons: tuple[int, ...]
    counted: Floats
    """Number of windows per horizon, less their overlap."""
    horizon_of_row: Integers
    window_of_row: Integers
    share_of_row: Floats

    @classmethod
    def of(cls, past: pl.DataFrame) -> _Windows:
        """Windows from rows in any order."""
        days = past["horizon_days"].cast(pl.Int64)
        horizons = days.unique().sort().to_numpy()
        horizon_of_row = np.searchsorted(horizons, days.to_numpy())
        day = past["cutoff"].cast(pl.Date).to_physical().cast(pl.Int64).to_numpy()
        window_of_row = (day - day.min(initial=np.iinfo(np.int64).max)) * len(horizons) + horizon_of_row
        share = window_share(horizons.astype(np.float64))
        found = np.flatnonzero(np.bincount(window_of_row))
        counted = np.bincount(found % max(len(horizons), 1), minlength=len(horizons)) * share
        return cls(tuple(horizons.tolist()), counted, horizon_of_row, window_of_row, share[horizon_of_row])

    def weights(self, rows: Integers) -> Floats:
        """The weight of each of these rows, in customers of independent windows."""
        windows = self.window_of_row[rows]
        of_window = np.bincount(windows)[windows]
        return self.share_of_row[rows] * WINDOW_CUSTOMERS / (of_window + WINDOW_CUSTOMERS)


def _rows(customers: _Customers, rows: Integers) -> _Customers:
    return _Customers(customers.features[rows], customers.log_mean[rows], customers.p[rows], customers.spend[rows])


def _shares(
    body: _Body, customers: _Customers, spent: Floats, windows: _Windows, edges: Floats, level: float
) -> tuple[Floats, Floats]:
    """The probabilities at which ranges end, (horizons + 1) × classes: lower and upper ones.

    The stated probabilities move to those that covered the stated share of a class: first over all horizons, then for
    each horizon from there.
    """
    from scipy.special import ndtr

    location, scale = body.of(customers)
    bought = spent > 0.0
    standardised = (np.log(np.where(bought, spent, 1.0)) - location) / scale
    below = 1.0 - customers.p + customers.p * ndtr(standardised)
    horizons, classes = len(windows.horizons), len(edges) + 1
    lower, upper = np.zeros((horizons + 1, classes)), np.zeros((horizons + 1, classes))
    spared = SPARED / (1.0 + np.append(windows.counted, 0.0))
    tail = 0.5 * (1.0 - level)
    first_two_sided = int(np.searchsorted(edges, round(1.0 - tail, 9))) + 1
    of_class = np.searchsorted(edges, customers.p)
    order = np.argsort(of_class, kind="stable")
    for place, rows in enumerate(np.split(order, np.searchsorted(of_class[order], np.arange(1, classes)))):
        parts = [rows[windows.horizon_of_row[rows] == horizon] for horizon in range(horizons)]
        two_sided = place >= first_two_sided
        stated = {"lower": tail, "upper": 1.0 - tail} if two_sided else {"upper": level}
        for side, share in stated.items():
            ends = lower if side == "lower" else upper

            def moved(start: float, part: Integers, share: float = share) -> float:
                weights = windows.weights(part)
                held = _held(below[part], bought[part], customers.p[part], weights, share)
                evidence = float(weights.sum())
                return (evidence * held + PRIOR_CUSTOMERS * start) / (evidence + PRIOR_CUSTOMERS)

            pooled = moved(share, rows)
            ends[:, place] = [*(moved(pooled, part) for part in parts), pooled]
    return lower * (1.0 - spared)[:, None], 1.0 - (1.0 - upper) * (1.0 - spared)[:, None]


def _held(below: Floats, bought: NDArray[np.bool_], p: Floats, weights: Floats, share: float) -> float:
    """The probability below which the outcomes of the stated share of customers lay.

    `below`: for buyers, the probability of spending no more than they did. Customers who did not buy lie anywhere below
    1 - p, evenly; a class that matches its distribution therefore gets the stated share, for any P.
    """
    target, silent = share * weights.sum(), weights[~bought].sum()
    if target <= 0.0:
        return share
    if target <= silent:
        return float((1.0 - np.average(p[~bought], weights=weights[~bought])) * target / silent)
    order = np.argsort(below[bought], kind="stable")
    reached = silent + np.cumsum(weights[bought][order])
    return float(below[bought][order][min(int(np.searchsorted(reached, target)), len(order) - 1)])


def _quantile(p: Floats, location: Floats, scale: Floats, share: Floats) -> Floats:
    """The quantile of spend at this share; 0 where the share is within the probability of no purchase."""
    from scipy.special import ndtri

    within_body = (share - (1.0 - p)) / p
    body = np.exp(np.minimum(location + scale * ndtri(np.clip(within_body, *_BODY_SHARES)), LARGEST_LOG))
    return np.where(within_body > 0.0, body, 0.0)
