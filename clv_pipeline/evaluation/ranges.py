"""Ranges of spend, of each customer and of all together, learned from how past forecasts of the model came out.

A customer's spend is 0 with probability 1 - P, else lognormal (the shape of Wang, Liu & Miao 2019, arXiv 1912.07753).
Location and variance of the body are learned on the buyers of all horizons at once, from a stated prior, so that a
horizon of which no window is over has a body too. What the shape gets wrong is set right within classes of P and per
horizon (Mondrian conformal prediction: Vovk, Gammerman & Shafer 2005, ch. 4.5): in the scale of probabilities, where
customers are alike. A range begins at 0 while nothing may come, has two ends where a purchase is all but sure, and
always holds the mean that is served; so of the quiet, from whom most likely nothing comes, it holds more than stated.

Past windows know less than their rows say: they overlap, and all customers of a window share its season. So a window
of many customers counts little more than one of some dozens, windows longer than a month by what a month adds, and
the share that is left out is smaller the fewer windows were seen.

The constants were chosen on monthly walks through CDNOW, Online Retail II and simulated shops, where they matter little
within a factor of two; `served_accuracy` says of the shop at hand how often its ranges held, class by class.
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

from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import require_columns

FORECAST_COLUMNS = ("horizon_days", "frequency", "expected_purchases", "expected_spend", "p_purchase")
"""What the range of a customer is made from."""

PAST_COLUMNS = (*FORECAST_COLUMNS, "cutoff", "actual_spend")
"""What ranges are learned from: forecasts of one model with what came of them."""

CLASS_EDGES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Between the classes of P(buy) within which ranges hold what they state."""

WINDOW_CUSTOMERS = 50.0
"""A window counts like this many customers at most, like half of them where it has so many: all share its season."""

WINDOW_SAMPLE = 5_000
"""Customers of a window that are looked at, about; more say hardly more, since all share its season."""

PRIOR_CUSTOMERS = 30.0
"""Customers who move a class half of the way from what is known without them to what they say."""

SPARED = 0.2
"""By this share of itself the part that is left out is smaller without a window that is over, by half of it with one:
80 % ranges are made for 84 % then."""

MONTH_DAYS = 30.0
"""Days from one window of a backtest to the next: what a longer one adds to the one before."""

Integers = NDArray[np.int64]

_PRIOR_LOG_VARIANCE = np.array([0.3, -1.2, 0.5, 0.0])
"""Of 1, P / M, 1 / (1 + purchase days) and log M: a little wider than in most shops."""
_PRIOR_LOCATION_DEVIATION = np.array([0.3, 0.5, 0.5, 0.1])
_PRIOR_LOG_VARIANCE_DEVIATION = np.array([0.5, 0.5, 0.5, 0.1])
_SCALES = (0.05, 3.0)
_LOCATIONS = 4.0
_LOG_PURCHASES = (-6.0, 4.0)
_FAR = 3.0
"""Deviations from which on a buyer is as far off as it gets: one absurd order moves nobody else's range."""
_STEPS, _SETTLED = 30, 1e-4
_SURE = 1e-4
"""No forecast of a probability is surer than this."""
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
"""Of past totals; `variance` may be beside them, the sum of the customers' variances over the squared total."""

TOTAL_ERROR = 0.25
"""Standard deviation of a total's log error before any was seen, worth as much as one past total."""

LEAST_TOTAL_ERROR = 0.05
"""No total is known better than this (one standard deviation)."""

_LARGEST_ERROR = 3.0
_LISTED_ERRORS = 4


def _require_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"the interval level must lie between 0 and 1, not {level}")


def _window_share(horizon_days: Floats) -> Floats:
    """What one of many overlapping windows adds, as share of a window by itself."""
    return np.minimum(1.0, MONTH_DAYS / np.maximum(horizon_days, 1.0))


@dataclass(frozen=True, eq=False)
class _Customers:
    """Customers as their distributions see them: what the body depends on, log(S / P), P, S."""

    features: Floats
    log_mean: Floats
    p: Floats
    spend: Floats

    @classmethod
    def of(cls, forecasts: pl.DataFrame) -> _Customers:
        """Read FORECAST_COLUMNS. What a rule does not say follows from what it says, as if purchases were Poisson."""
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
    """The lognormal body: log spend of a buyer, given what the customer's forecast is like."""

    location: Floats
    log_variance: Floats

    @classmethod
    def learn(cls, buyers: _Customers, spent: Floats, weights: Floats) -> _Body:
        """Learn from customers who bought: penalised weighted least squares of the logs and of their squares, in turns.

        Without any it is the prior, whose mean is the forecast.
        """
        x, log_ratio = buyers.features, np.log(spent) - buyers.log_mean + 0.5 * _prior_variance(buyers.features)
        location, log_variance = np.zeros(x.shape[1]), _PRIOR_LOG_VARIANCE.copy()
        to_location = np.diag(_PRIOR_LOCATION_DEVIATION**-2.0)
        to_log_variance = np.diag(_PRIOR_LOG_VARIANCE_DEVIATION**-2.0)
        # Half the weighted squares of the features: the information on a log variance.
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
        """Location and scale of the log spend of each, should they buy."""
        x = customers.features
        shift = np.clip(x @ self.location, -_LOCATIONS, _LOCATIONS)
        scale = np.clip(np.exp(0.5 * (x @ self.log_variance)), *_SCALES)
        return customers.log_mean - 0.5 * _prior_variance(x) + shift, scale


def _prior_variance(features: Floats) -> Floats:
    return np.asarray(np.exp(features @ _PRIOR_LOG_VARIANCE), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class SpendRanges:
    """What the ranges of customers are made from; it travels to where customers are scored.

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
        """Learn from past forecasts of one model with what came (PAST_COLUMNS), over by the day of the forecast.

        Rows without an outcome are left out; there may be none at all. Of large windows some WINDOW_SAMPLE rows are
        used. The order of rows matters to rounding only.
        ValueError unless 0 < level < 1.
        """
        _require_level(level)
        require_columns(past, PAST_COLUMNS, "past forecasts")
        past = _thinned(past.select(PAST_COLUMNS).drop_nulls("actual_spend"))
        customers, spent = _Customers.of(past), floats(past, "actual_spend")
        windows = _Windows.of(past)
        # Who was expected to bring nothing has no relative error.
        buyers = np.flatnonzero((spent > 0.0) & (customers.spend > 0.0))
        body = _Body.learn(_rows(customers, buyers), spent[buyers], windows.weights(buyers))
        tail = 0.5 * (1.0 - level)
        # A class is sure enough for two ends, or it is not.
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

        `forecasts`: as of `bounds`, so many ascending horizons of each customer one behind the other.
        """
        lower, upper = (ends.reshape(-1, horizons) for ends in self.bounds(forecasts))
        lower, upper = running_bounds(lower, upper)
        return lower.ravel(), upper.ravel()

    def variances(self, forecasts: pl.DataFrame) -> Floats:
        """Variance of what each customer spends, around the expected spend; of a total, customers being independent,
        the sum of them over the squared total is what `TotalRange` calls variance."""
        customers = _Customers.of(forecasts)
        _, scale = self.body.of(customers)
        ratio = np.exp(np.minimum(np.square(scale), _LARGEST_SQUARED_LOG)) / customers.p
        return np.square(np.minimum(customers.spend, 1e150)) * np.maximum(ratio - 1.0, 0.0)

    def _row(self, forecasts: pl.DataFrame) -> Integers:
        """Where the shares of each forecast's horizon stand; the last row is that of unknown ones."""
        horizon_days = forecasts["horizon_days"].cast(pl.Int64).to_numpy()
        known = np.array(self.horizons, dtype=np.int64)
        place = np.searchsorted(known, horizon_days)
        found = np.append(known, -1)[place] == horizon_days
        return np.where(found, place, len(known))


def _thinned(past: pl.DataFrame) -> pl.DataFrame:
    """Of each window every so manieth customer in the order of P(buy), so that all classes keep their shares."""
    window = ("cutoff", "horizon_days")
    ordered = past.sort(*window, "p_purchase", "expected_spend", "actual_spend")
    every = (pl.len().over(window) / WINDOW_SAMPLE).ceil().cast(pl.Int64)
    return ordered.filter(pl.int_range(pl.len()).over(window) % every == every // 2)


def running_bounds(lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Bounds of customers (rows) over their horizons (columns, ascending) that do not fall from one to the next.

    What was spent up to a day only grows, and so do its quantiles. They hold the mean as before, because it grows too.
    """
    return np.maximum.accumulate(lower, axis=1), np.maximum.accumulate(upper, axis=1)


@dataclass(frozen=True, eq=False)
class _Windows:
    """Which rows of the past are of one window (cutoff and horizon), and how much a window counts."""

    horizons: tuple[int, ...]
    counted: Floats
    """Per horizon its windows, less what they share with one another."""
    horizon_of_row: Integers
    window_of_row: Integers
    share_of_row: Floats

    @classmethod
    def of(cls, past: pl.DataFrame) -> _Windows:
        """From rows in any order."""
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
        """How much each of these rows counts, in customers that are windows of their own."""
        windows = self.window_of_row[rows]
        of_window = np.bincount(windows)[windows]
        return self.share_of_row[rows] * WINDOW_CUSTOMERS / (of_window + WINDOW_CUSTOMERS)


def _rows(customers: _Customers, rows: Integers) -> _Customers:
    return _Customers(customers.features[rows], customers.log_mean[rows], customers.p[rows], customers.spend[rows])


def _shares(
    body: _Body, customers: _Customers, spent: Floats, windows: _Windows, edges: Floats, level: float
) -> tuple[Floats, Floats]:
    """The probabilities at which ranges end, (horizons + 1) × classes: lower and upper ones.

    What is stated, moved to what held the stated share of a class: over all horizons first, of each horizon from there.
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
    """The probability up to which the stated share of customers came to lie.

    `below`: of those who bought, the probability of spending no more than they did. Those who did not lie anywhere
    below 1 - p, evenly; so a class that is just as was said has the stated share, whatever P.
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
    """Spend below which the distribution has the share; 0 where it is that of spending nothing."""
    from scipy.special import ndtri

    within_body = (share - (1.0 - p)) / p
    body = np.exp(np.minimum(location + scale * ndtri(np.clip(within_body, *_BODY_SHARES)), _LARGEST_LOG))
    return np.where(within_body > 0.0, body, 0.0)


@dataclass(frozen=True)
class TotalRange:
    """The range of what all customers spend together: factors on the expected total, and what they rest on.

    `code` is one of past_totals, one_past_total, other_horizon and no_past_total; `facts` are the fields that the
    sentence `notes` is made of.
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
        """Learn from past totals of one model (PAST_TOTALS_COLUMNS) that were over by the day of the forecast.

        Log errors lie around 0: a bias of the past is an error like any other, because seasons change its sign. Their
        variance is the mean square, together with TOTAL_ERROR as one more observation (a scaled inverse χ² prior), so
        that one lucky total promises nothing. It is never below LEAST_TOTAL_ERROR and what the customers' own scatter
        makes: `variance`, or what it was in the past. The range is exp(± t × deviation), Student's t with as many
        degrees of freedom as there are windows side by side, and one.

        Without a past total over this horizon those over the nearest shorter one (else longer) stand in for it,
        errors growing with the square root of time; without any, the prior alone: at 80 % a factor of 2.2 either way.
        ValueError unless 0 < level < 1.
        """
        from scipy.stats import t

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
        factor = math.exp(min(float(t.ppf(0.5 * (1.0 + level), df=1.0 + seen)) * deviation, _LARGEST_LOG))
        facts = {
            "horizon_days": horizon_days,
            "learned_from_days": learned_from if len(errors) else None,
            "cutoffs": len(errors),
            "independent": round(seen, 2),
            "errors": [round(math.expm1(-error), 4) for error in errors],
            "own_scatter": round(math.sqrt(scatter), 4),
            "factor": round(factor, 4),
        }
        code, notes = _told(facts)
        return cls(1.0 / factor, factor, len(errors), code, facts, notes)


def _of_nearest_horizon(past_totals: pl.DataFrame, horizon_days: int) -> tuple[int, pl.DataFrame]:
    """The past totals over this horizon, or the longest shorter one, or the shortest longer one that has any."""
    usable = past_totals.filter(pl.col("expected_spend") > 0.0, pl.col("actual_spend").is_not_null())
    known: list[int] = usable["horizon_days"].unique().sort().to_list()
    shorter, longer = ([h for h in known if h <= horizon_days], [h for h in known if h > horizon_days])
    nearest = shorter[-1] if shorter else longer[0] if longer else horizon_days
    return nearest, usable.filter(pl.col("horizon_days") == nearest).sort("cutoff")


def _scatter(past: pl.DataFrame, variance: float | None) -> float:
    """Variance of the log of a total that the customers' own, independent deviations make."""
    if variance is None and "variance" in past.columns:
        known = floats(past, "variance")
        variance = float(np.mean(known[np.isfinite(known)])) if np.isfinite(known).any() else None
    return math.log1p(variance) if variance is not None and math.isfinite(variance) and variance > 0.0 else 0.0


def _told(facts: Mapping[str, Any]) -> tuple[str, str]:
    """The code and the sentences that say what the range of a total rests on."""
    errors, days = facts["errors"], facts["learned_from_days"]
    factor = f"the range is from 1/{facts['factor']:.2f} to {facts['factor']:.2f} times what is expected"
    if not errors:
        return "no_past_total", f"There is no past total to compare a forecast with: {factor}, a stated default."
    if len(errors) <= _LISTED_ERRORS:
        came = "errors of " + ", ".join(f"{error:+.0%}" for error in errors)
    else:
        came = f"errors from {min(errors):+.0%} to {max(errors):+.0%}"
    over = "" if days == facts["horizon_days"] else f" over {days} days"
    totals = f"{len(errors)} past total{'s' if len(errors) > 1 else ''}"
    notes = f"From {totals}{over}, forecast with {came}"
    if facts["own_scatter"]:
        notes += f"; customers' own scatter alone makes ±{facts['own_scatter']:.1%} (one deviation)"
    if over:
        return "other_horizon", f"{notes}. None over {facts['horizon_days']} days is known yet: {factor}."
    if len(errors) == 1:
        return "one_past_total", f"{notes}. One past error says little: {factor}."
    return "past_totals", f"{notes}."


def forecast_totals(served: pl.DataFrame, past_totals: pl.DataFrame, level: float) -> pl.DataFrame:
    """What all customers together are expected to spend per horizon, with a range; in TOTALS_SCHEMA.

    `served`: one row per horizon: horizon_days, as_of, model, expected_purchases, expected_spend (sums over all
    customers) and, where it is known, variance; `past_totals`: those of the model, see `TotalRange.learn`. Neither end
    of a range falls from one horizon to the next, and a range holds the expected total.
    """
    require_columns(served, ["horizon_days", "as_of", "model", "expected_purchases", "expected_spend"], "served totals")
    served = served.sort("horizon_days")
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
        pl.Series("spend_upper", np.minimum(upper[0], np.finfo(np.float64).max), dtype=pl.Float64),
        pl.lit(level).alias("interval_level"),
        pl.Series("cutoffs", [found.cutoffs for found in ranges], dtype=pl.Int64),
        pl.Series("notes", [found.notes for found in ranges], dtype=pl.String),
        pl.Series("notes_code", [found.code for found in ranges], dtype=pl.String),
        pl.Series("notes_facts", [json.dumps(found.facts) for found in ranges], dtype=pl.String),
    ).cast(TOTALS_SCHEMA)
