"""Ranges of spend, for each customer and for the total, learned from past forecasts of the model and their outcomes.

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

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import require_columns

LARGEST_TOTAL = 1e23
"""The most money that an upper end says; it fits into DECIMAL(28,4)."""

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
_TINY = np.finfo(np.float64).tiny
_LARGEST_LOG = 709.0
_LARGEST_SQUARED_LOG = 2.25

TOTALS_SCHEMA = pl.Schema(
    {
        "horizon_days": pl.Int64,
        "as_of": pl.Date,
        "model": pl.String,
        "expected_purchases": pl.Float64,
        "expected_spend": pl.Float64,
        "spend_lower": pl.Float64,
        "spend_upper": pl.Float64,
        "interval_level": pl.Float64,
        "cutoffs": pl.Int64,
        "notes": pl.String,
        "notes_code": pl.String,
        "notes_facts": pl.String,
    }
)
PAST_TOTALS_COLUMNS = ("cutoff", "horizon_days", "expected_spend", "actual_spend")
"""Columns of past totals; `variance` may be beside them: the sum of the customers' variances over the squared total."""

TOTAL_ERROR = 0.25
"""Standard deviation of a total's log error before any past total, with the weight of one past total."""

LEAST_TOTAL_ERROR = 0.05
"""Least standard deviation of a total's log error."""

_LARGEST_ERROR = 3.0
NO_MONEY = "no_money"
"""The code of `notes` where the shop has no money."""

_LISTED_ERRORS = 4


def _require_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"the interval level must lie between 0 and 1, not {level}")


def _window_share(horizon_days: Floats) -> Floats:
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
        purchases = np.where(np.isnan(purchases), -np.log1p(-p), np.maximum(purchases, _TINY))
        days = 1.0 + np.maximum(np.nan_to_num(floats(forecasts, "frequency"), nan=0.0), 0.0)
        features = np.column_stack(
            [
                np.ones(len(p)),
                np.minimum(p / purchases, 1.0),
                1.0 / (1.0 + days),
                np.clip(np.log(purchases), *_LOG_PURCHASES),
            ]
        )
        return cls(features, np.log(np.maximum(spend, _TINY)) - np.log(p), p, spend)


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
        _require_level(level)
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
        share = _window_share(horizons.astype(np.float64))
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
    body = np.exp(np.minimum(location + scale * ndtri(np.clip(within_body, *_BODY_SHARES)), _LARGEST_LOG))
    return np.where(within_body > 0.0, body, 0.0)


@dataclass(frozen=True)
class TotalRange:
    """The range of the total spend of all customers: factors on the expected total, and the evidence for them.

    `code` is one of past_totals, one_past_total, other_horizon and no_past_total; `facts` are the fields of the
    sentence `notes`.
    """

    lower_factor: float
    upper_factor: float
    cutoffs: int
    code: str
    facts: Mapping[str, Any]
    notes: str

    @classmethod
    def learn(
        cls, past_totals: pl.DataFrame, horizon_days: int, level: float, variance: float | None = None
    ) -> TotalRange:
        """Learn from past totals of one model (PAST_TOTALS_COLUMNS) that were complete by the day of the forecast.

        Log errors are taken around 0: a past bias is an error like any other, because seasons change its sign. Their
        variance is the mean square, together with TOTAL_ERROR as one more observation (a scaled inverse χ² prior), so
        that one lucky total promises nothing. It is never below LEAST_TOTAL_ERROR, nor below the customers' own
        scatter: `variance`, or its past values. The range is exp(± t × deviation), with Student's t; the degrees of
        freedom are the number of separate windows plus one.

        Without a past total over this horizon, those over the nearest shorter one (else longer) replace it, with errors
        that grow with the square root of time. Without any past total the prior is used alone: at 80 % a factor of 2.2
        either way.

        Raises:
            ValueError: `level` is not between 0 and 1.
        """
        from scipy.special import stdtrit

        _require_level(level)
        require_columns(past_totals, PAST_TOTALS_COLUMNS, "past totals")
        learned_from, past = _of_nearest_horizon(past_totals, horizon_days)
        ratio = max(horizon_days, learned_from) / max(min(horizon_days, learned_from), 1)
        expected, came = floats(past, "expected_spend"), floats(past, "actual_spend")
        errors = np.clip(np.log(np.maximum(came, _TINY)) - np.log(expected), -_LARGEST_ERROR, _LARGEST_ERROR)
        independent = max(1.0, len(errors) * float(_window_share(np.array([float(learned_from)]))[0]))
        seen = independent if len(errors) else 0.0
        square = ratio * float(np.mean(np.square(errors))) if len(errors) else 0.0
        scatter = _scatter(past, variance)
        of_errors = (TOTAL_ERROR**2 + scatter + seen * square) / (1.0 + seen)
        deviation = math.sqrt(max(of_errors, scatter, LEAST_TOTAL_ERROR**2))
        factor = math.exp(min(float(stdtrit(1.0 + seen, 0.5 * (1.0 + level))) * deviation, _LARGEST_LOG))
        facts = {
            "horizon_days": horizon_days,
            "learned_from_days": learned_from if len(errors) else None,
            "cutoffs": len(errors),
            "independent": round(seen, 2),
            "errors": [round(math.expm1(-error), 4) for error in errors],
            "own_scatter": round(math.sqrt(scatter), 4),
            "factor": round(factor, 4),
        }
        code = _code(facts)
        return cls(1.0 / factor, factor, len(errors), code, facts, total_in_words(code, facts))


def _of_nearest_horizon(past_totals: pl.DataFrame, horizon_days: int) -> tuple[int, pl.DataFrame]:
    """The past totals over this horizon, or the longest shorter one, or the shortest longer one with totals."""
    usable = past_totals.filter(pl.col("expected_spend") > 0.0, pl.col("actual_spend").is_not_null())
    known: list[int] = usable["horizon_days"].unique().sort().to_list()
    shorter, longer = ([h for h in known if h <= horizon_days], [h for h in known if h > horizon_days])
    nearest = shorter[-1] if shorter else longer[0] if longer else horizon_days
    return nearest, usable.filter(pl.col("horizon_days") == nearest).sort("cutoff")


def _scatter(past: pl.DataFrame, variance: float | None) -> float:
    """Variance of the log total due to the customers' own, independent deviations."""
    if variance is None and "variance" in past.columns:
        known = floats(past, "variance")
        variance = float(np.mean(known[np.isfinite(known)])) if np.isfinite(known).any() else None
    return math.log1p(variance) if variance is not None and math.isfinite(variance) and variance > 0.0 else 0.0


def _code(facts: Mapping[str, Any]) -> str:
    """What the range of a total rests on."""
    if not facts["errors"]:
        return "no_past_total"
    if facts["learned_from_days"] != facts["horizon_days"]:
        return "other_horizon"
    return "one_past_total" if len(facts["errors"]) == 1 else "past_totals"


def total_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The sentences of `notes` from `notes_code` and the fields of `notes_facts`."""
    if code == NO_MONEY:
        return display.say("The shop has no money: there is no total of spend.")
    factor = {"factor": display.number(facts["factor"], 2)}
    if code == "no_past_total":
        return display.say(
            "There is no past total to compare a forecast with: the range is from 1/{factor} to {factor} times what is"
            " expected, a stated default.",
            **factor,
        )
    known = [_evidence(facts, display)]
    if facts["own_scatter"]:
        known.append(
            display.say(
                "Customers' own scatter alone makes ±{scatter} (one deviation).",
                scatter=display.share(facts["own_scatter"]),
            )
        )
    if code == "other_horizon":
        known.append(
            display.say_many(
                facts["horizon_days"],
                "None over {number} day is known yet: the range is from 1/{factor} to {factor} times what is expected.",
                "None over {number} days is known yet: the range is from 1/{factor} to {factor} times what is"
                " expected.",
                **factor,
            )
        )
    elif code == "one_past_total":
        known.append(
            display.say(
                "One past error says little: the range is from 1/{factor} to {factor} times what is expected.",
                **factor,
            )
        )
    return " ".join(known)


def _evidence(facts: Mapping[str, Any], display: Display) -> str:
    """From how many past totals, and how far off they were."""
    errors, days = facts["errors"], facts["learned_from_days"]
    listed = {"errors": ", ".join(_signed(error, display) for error in errors)}
    ends = {"lowest": _signed(min(errors), display), "highest": _signed(max(errors), display)}
    if days == facts["horizon_days"]:
        if len(errors) <= _LISTED_ERRORS:
            return display.say_many(
                len(errors),
                "From {number} past total, forecast with errors of {errors}.",
                "From {number} past totals, forecast with errors of {errors}.",
                **listed,
            )
        return display.say_many(
            len(errors),
            "From {number} past total, forecast with errors from {lowest} to {highest}.",
            "From {number} past totals, forecast with errors from {lowest} to {highest}.",
            **ends,
        )
    over = {"days": display.count(days)}
    if len(errors) <= _LISTED_ERRORS:
        return display.say_many(
            len(errors),
            "From {number} past total over {days} days, forecast with errors of {errors}.",
            "From {number} past totals over {days} days, forecast with errors of {errors}.",
            **over,
            **listed,
        )
    return display.say_many(
        len(errors),
        "From {number} past total over {days} days, forecast with errors from {lowest} to {highest}.",
        "From {number} past totals over {days} days, forecast with errors from {lowest} to {highest}.",
        **over,
        **ends,
    )


def _signed(error: float, display: Display) -> str:
    """Write 0.12 as +12%."""
    whole = round(error, 2)
    return f"+{display.percent(whole)}" if whole > 0.0 else display.percent(whole)


def forecast_totals(served: pl.DataFrame, past_totals: pl.DataFrame, level: float) -> pl.DataFrame:
    """The expected total spend of all customers per horizon, with a range; in TOTALS_SCHEMA.

    `served`: one row per horizon: horizon_days, as_of, model, expected_purchases, expected_spend (sums over all
    customers) and, where it is known, variance; `past_totals`: the model's past totals, see `TotalRange.learn`. Neither
    end of a range falls from one horizon to the next, and every range holds the expected total. Without money there is
    no range.
    """
    require_columns(served, ["horizon_days", "as_of", "model", "expected_purchases", "expected_spend"], "served totals")
    served = served.sort("horizon_days")
    if served["expected_spend"].null_count() == served.height:
        return _without_ranges(served, {"notes": total_in_words(NO_MONEY, {}), "notes_code": NO_MONEY})
    if "variance" not in served.columns:
        served = served.with_columns(pl.lit(None, pl.Float64).alias("variance"))
    known = served.select("horizon_days", "variance").rows()
    ranges = [TotalRange.learn(past_totals, horizon, level, variance) for horizon, variance in known]
    expected = floats(served, "expected_spend")
    lower, upper = running_bounds(
        expected[None] * [found.lower_factor for found in ranges],
        expected[None] * [found.upper_factor for found in ranges],
    )
    return served.select(
        "horizon_days",
        "as_of",
        "model",
        "expected_purchases",
        "expected_spend",
        pl.Series("spend_lower", np.minimum(lower[0], expected), dtype=pl.Float64),
        pl.Series("spend_upper", np.maximum(np.minimum(upper[0], LARGEST_TOTAL), expected), dtype=pl.Float64),
        pl.lit(level).alias("interval_level"),
        pl.Series("cutoffs", [found.cutoffs for found in ranges], dtype=pl.Int64),
        pl.Series("notes", [found.notes for found in ranges], dtype=pl.String),
        pl.Series("notes_code", [found.code for found in ranges], dtype=pl.String),
        pl.Series("notes_facts", [json.dumps(found.facts) for found in ranges], dtype=pl.String),
    ).cast(TOTALS_SCHEMA)


def _without_ranges(served: pl.DataFrame, notes: Mapping[str, str]) -> pl.DataFrame:
    """Totals of purchases alone, in TOTALS_SCHEMA."""
    facts = [json.dumps({"horizon_days": horizon}) for horizon in served["horizon_days"]]
    return (
        served.with_columns(
            *(pl.lit(None, pl.Float64).alias(name) for name in ("spend_lower", "spend_upper", "interval_level")),
            *(pl.lit(text).alias(name) for name, text in notes.items()),
            cutoffs=pl.lit(0),
            notes_facts=pl.Series(facts, dtype=pl.String),
        )
        .select(TOTALS_SCHEMA.names())
        .cast(TOTALS_SCHEMA)
    )
