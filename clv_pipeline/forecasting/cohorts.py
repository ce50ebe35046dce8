"""How much all known customers buy, week by week: by age of the cohort and by season, with the process as prior.

Age and season are separated as in age-period-cohort models (Clayton & Schifflers 1987, Statistics in Medicine 6;
Holford 1983, Biometrics 39): cohorts of different age live through the same weeks. Repeat purchases of cohort k in week
w are quasi-Poisson around

    Σ over its customers m0(age) · exp(b0 + smooth deviations in log age + cohort effect + season(week)),

where m0 is the purchase process's own expected rate at that age, so that without evidence the process decides. New
customers enter as exposure alone: a change in acquisition does not move forecasts of known customers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.season import MONTHS, SEASON_VARIANCES, Days, ordinal, season_basis

SEASON_HISTORY_DAYS = 365
"""With less than a year of history, season cannot be separated from growth and ageing, and none is assumed."""

_BEGUN, _SILENCE_DAYS = 1e-3, 28
"""When a long silence precedes the first customers who come back, history begins once this share of repeat purchases is
in.

That silence is not a season.
"""

MOST_WEEKS = 260
"""Most weeks that the table goes back: five years."""

MOST_COHORTS, NARROWEST_COHORT_DAYS = 24, 28

_KNOTS = (30.0, 90.0, 180.0, 365.0)
_AGE_SD, _COHORT_SD, _LEVEL_SD = 0.2, 0.3, 0.3
_AMPLITUDES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.8, 1.2)
_FIRST_NOISE, _NOISE_LIMITS, _NOISE_TURNS = 0.2, (0.02, 0.6), 4
_NO_SEASON = 1e-3
_FEWEST_REPEATS, _FEWEST_WEEKS = 60, 8
_RECENT_WEEKS, _RECENT_SD, _RECENT_FLOOR = 8.0, 0.08, 0.05
_WEEKDAY_DAYS, _WEEKDAY_PRIOR = 728, 20.0
_YOUNGEST = 3.5

RateAtAge = Callable[[Floats], Floats]
"""Expected repeat purchases per day of a customer, by days since the first purchase."""


@dataclass(frozen=True, eq=False)
class CohortTable:
    """The fitted table: season, expected purchases of customers known at the cutoff, and the fit to past weeks.

    `season`: coefficients of `season_basis`, on the log scale; `amplitude`: the size of the season in its prior.
    `noise`: standard deviation, across weeks, of all purchases around age and season. `recent`: log ratio of actual
    purchases in the last weeks to those of the table, shrunk; it continues into the future. `week_ends` (days since
    1970), `came` (actual purchases), `expected` (by the table), `by_process` (by the process alone): the weeks of the
    table. `is_fitted`: whether there were enough purchases to fit; `is_seasonal`: whether there is a year of history.
    """

    cutoff: int
    season: Floats
    is_fitted: bool
    is_seasonal: bool
    amplitude: float
    noise: float
    recent: float
    first_days: Floats
    customers: Floats
    cohort_effects: Floats
    ages: Floats
    rate_at_age: RateAtAge
    week_ends: Days
    came: Floats
    expected: Floats
    by_process: Floats

    def purchases(self, days: int) -> float:
        """Purchase days of the customers known at the cutoff, expected in (cutoff, cutoff + days]."""
        if len(self.customers) == 0 or days <= 0:
            return 0.0
        return float(self.by_week(days).sum() * np.exp(self.recent))

    def by_week(self, days: int) -> Floats:
        """Expected purchases of known customers in each week of (cutoff, cutoff + days]; the last may be shorter."""
        starts = np.arange(0.0, days, 7.0)
        lengths = np.minimum(7.0, days - starts)
        middles = self.cutoff + starts + 0.5 * lengths + 0.5
        ages = np.maximum(middles[None, :] - self.first_days[:, None], _YOUNGEST)
        differing = np.exp(age_basis(ages) @ self.ages + self.cohort_effects[:, None])
        each = self.customers[:, None] * self.rate_at_age(ages) * differing
        season = np.exp(season_basis(middles) @ self.season)
        return np.asarray(each.sum(axis=0) * season * lengths, dtype=np.float64)

    def process_by_week(self, days: int) -> Floats:
        """The same as `by_week`, from the process alone."""
        starts = np.arange(0.0, days, 7.0)
        lengths = np.minimum(7.0, days - starts)
        ages = np.maximum(self.cutoff + starts + 0.5 * lengths + 0.5 - self.first_days[:, None], _YOUNGEST)
        return np.asarray((self.customers[:, None] * self.rate_at_age(ages)).sum(axis=0) * lengths, dtype=np.float64)


def age_basis(ages: Floats) -> Floats:
    """Basis functions of age for deviations from the process: shape (*ages.shape, 2 + knots)."""
    logs = np.log(ages)
    bends = [np.maximum(logs - np.log(knot), 0.0) for knot in _KNOTS]
    return np.stack([np.ones_like(logs), logs - np.log(90.0), *bends], axis=-1)


def weekday_weights(daily_totals: pl.DataFrame, cutoff: int) -> Floats:
    """Repeat purchases by weekday (mean 1), from the last two years, shrunk to even weekdays; day 0 first."""
    days = daily_totals["day"].cast(pl.Int32).to_numpy().astype(np.int64)
    repeats = (daily_totals["purchases"] - daily_totals["new_customers"]).cast(pl.Float64).to_numpy()
    lately = days > cutoff - _WEEKDAY_DAYS
    counts = np.bincount(days[lately] % 7, weights=repeats[lately], minlength=7) + _WEEKDAY_PRIOR
    return np.asarray(counts / counts.mean(), dtype=np.float64)


def fit(daily_totals: pl.DataFrame, cohort_days: pl.DataFrame, cutoff_date: Any, rate_at_age: RateAtAge) -> CohortTable:
    """Fit the table as of the cutoff, from frames with DAILY_COLUMNS and COHORT_COLUMNS."""
    cutoff = ordinal(cutoff_date)
    new = daily_totals.filter(pl.col("new_customers") > 0).select(
        week=pl.col("day").dt.truncate("1w").cast(pl.Int32), day=pl.col("day").cast(pl.Int32), n="new_customers"
    )
    if new.is_empty():
        return _process_alone(cutoff, np.empty(0), np.empty(0), rate_at_age)
    first_day = int(new["day"].min())  # type: ignore[arg-type]
    weeks = new.group_by("week").agg(pl.col("n").sum(), mean=(pl.col("day") * pl.col("n")).sum() / pl.col("n").sum())
    weeks = weeks.sort("week")
    cohort_weeks, customers, first_days = (weeks[c].cast(pl.Float64).to_numpy() for c in ("week", "n", "mean"))
    history = cutoff - first_day + 1
    repeats = cohort_days.select(
        week=pl.col("first_week").cast(pl.Int32), day=pl.col("day").cast(pl.Int32), n="repeats"
    )
    since = cutoff - _begun(repeats, first_day)
    number = min(since // 7, MOST_WEEKS)
    if number == 0:
        return _process_alone(cutoff, first_days, customers, rate_at_age)
    start = cutoff - 7 * number
    width = max(NARROWEST_COHORT_DAYS, history // MOST_COHORTS + 1)
    cohort = np.maximum(cohort_weeks - first_day, 0).astype(np.int64) // width
    cohorts = int(cohort.max()) + 1

    # Purchases by cohort and week.
    late = repeats.filter(pl.col("day") > start)
    of = cohort[np.searchsorted(cohort_weeks, late["week"].to_numpy())]
    week = (late["day"].to_numpy().astype(np.int64) - start - 1) // 7
    came = np.zeros((cohorts, number))
    np.add.at(came, (of, week), late["n"].cast(pl.Float64).to_numpy())

    # Customers known before each day, on average over a week: everybody of earlier first weeks, part of the same week.
    middles = start + 7.0 * np.arange(number) + 4.0
    days_of = new["day"].cast(pl.Float64).to_numpy()
    index = np.searchsorted(cohort_weeks, new["week"].to_numpy())
    known = np.zeros((len(cohort_weeks), number))
    week_starts = start + 7.0 * np.arange(number)
    share = np.clip((week_starts[None, :] + 7.0 - days_of[:, None]) / 7.0, 0.0, 1.0)
    np.add.at(known, index, share * new["n"].cast(pl.Float64).to_numpy()[:, None])
    ages = np.maximum(middles[None, :] - first_days[:, None], _YOUNGEST)
    process = known * rate_at_age(ages) * 7.0
    week_ends = np.asarray(week_starts + 7, dtype=np.int64)
    exposure = np.zeros((cohorts, number))
    np.add.at(exposure, cohort, process)
    log_age, people = np.zeros((cohorts, number)), np.zeros((cohorts, number))
    np.add.at(log_age, cohort, known * np.log(ages))
    np.add.at(people, cohort, known)
    by_process = process.sum(axis=0)
    if came.sum() < _FEWEST_REPEATS or number < _FEWEST_WEEKS:
        table = _process_alone(cutoff, first_days, customers, rate_at_age)
        return replace(table, week_ends=week_ends, came=came.sum(axis=0), expected=by_process, by_process=by_process)
    columns, rows = np.nonzero(((people > 0.5) & (exposure > 0.0)).T)
    used = rows, columns
    # The season of a week is that of its days.
    daily = season_basis(start + 1 + np.arange(7 * number)).reshape(number, 7, -1).mean(axis=1)
    design = np.hstack([age_basis(np.exp(log_age[used] / people[used])), np.eye(cohorts)[rows], daily[columns]])
    is_seasonal = since >= SEASON_HISTORY_DAYS
    solution = _Regression(design, came[used], exposure[used], columns, number, cohorts).solve(is_seasonal)
    bends = len(_KNOTS) + 2
    coefficients = solution.coefficients.copy()
    expected = exposure[used] * np.exp(np.clip(design @ coefficients, -20.0, 10.0))
    effects, season = coefficients[bends : bends + cohorts], coefficients[bends + cohorts :]
    weekly_came, weekly_expected = (
        np.bincount(columns, weights=values, minlength=number).astype(np.float64) for values in (came[used], expected)
    )
    if is_seasonal:
        months = daily[:, -MONTHS:]
        more = _more_of_months(months, weekly_came, weekly_expected, solution.noise)
        season[-MONTHS:] += more
        weekly_expected *= np.exp(months @ more)
    # On the log scale, lively weeks add more than quiet ones take away: totals of the table are set to the actual ones.
    lifted = float(weekly_came.sum() / weekly_expected.sum())
    weekly_expected *= lifted
    coefficients[0] += np.log(lifted)
    return CohortTable(
        cutoff=cutoff,
        season=season if is_seasonal else np.zeros(len(SEASON_VARIANCES)),
        is_fitted=True,
        is_seasonal=is_seasonal,
        amplitude=solution.amplitude if is_seasonal else 0.0,
        noise=solution.noise,
        recent=_recent(weekly_came, weekly_expected, solution.noise),
        first_days=first_days,
        customers=customers,
        cohort_effects=effects[cohort],
        ages=coefficients[:bends],
        rate_at_age=rate_at_age,
        week_ends=week_ends,
        came=weekly_came,
        expected=weekly_expected,
        by_process=by_process,
    )


def _begun(repeats: pl.DataFrame, first_day: int) -> int:
    """The day before history begins: with the first purchase, or, after long silence, the first repeat purchases."""
    by_day = repeats.group_by("day").agg(pl.col("n").sum()).sort("day")
    if by_day.is_empty():
        return first_day - 1
    so_far = by_day["n"].cum_sum()
    begun = int(by_day["day"].filter(so_far >= _BEGUN * so_far[-1])[0])
    return (begun if begun - first_day > _SILENCE_DAYS else first_day) - 1


def _process_alone(cutoff: int, first_days: Floats, customers: Floats, rate_at_age: RateAtAge) -> CohortTable:
    """The table of a shop with too little data: the expectation of the process."""
    none = np.empty(0)
    return CohortTable(
        cutoff=cutoff,
        season=np.zeros(len(SEASON_VARIANCES)),
        is_fitted=False,
        is_seasonal=False,
        amplitude=0.0,
        noise=0.0,
        recent=0.0,
        first_days=first_days,
        customers=customers,
        cohort_effects=np.zeros(len(customers)),
        ages=np.zeros(len(_KNOTS) + 2),
        rate_at_age=rate_at_age,
        week_ends=np.empty(0, dtype=np.int64),
        came=none,
        expected=none,
        by_process=none,
    )


def _more_of_months(months: Floats, came: Floats, expected: Floats, noise: float) -> Floats:
    """How far the weeks of each calendar month exceed the table compared with other months, on the log scale.

    `months`, shape (weeks, MONTHS): shares of the days of a week. Weeks with log variance v average exp(v / 2) times
    their log mean, and the log mean is what the table holds. A month whose weeks vary more than others is therefore
    underestimated, by about half of noise². The result is shrunk by its uncertainty, because there are few such weeks.
    """
    lifted = came.sum() / expected.sum()
    ratio = np.log((months.T @ came + 1.0) / (lifted * (months.T @ expected) + 1.0))
    variance = (0.5 * noise**2) ** 2
    return np.asarray(ratio * variance / (variance + noise**2 / np.maximum(months.sum(axis=0), 1e-9)), dtype=np.float64)


def _recent(came: Floats, expected: Floats, noise: float) -> float:
    """Log ratio of the last weeks, with a half-life of _RECENT_WEEKS, shrunk because few weeks are uncertain."""
    weights = 0.5 ** (np.arange(len(came))[::-1] / _RECENT_WEEKS)
    purchases = float(weights @ expected)
    if purchases <= 0.0:
        return 0.0
    ratio = np.log((float(weights @ came) + 1.0) / (purchases + 1.0))
    variance = float((weights**2) @ (expected + (noise * expected) ** 2)) / purchases**2
    return float(ratio * _RECENT_SD**2 / (_RECENT_SD**2 + variance + _RECENT_FLOOR**2))


@dataclass(frozen=True, eq=False)
class _Regression:
    """The ridge regression of the table, on the log scale; `weeks` are the weeks of the rows, ascending.

    Beside age, cohort and season, every week has its own normally distributed effect: a week in which all cohorts buy
    more is not mistaken for ageing, and ages are compared within weeks.
    """

    design: Floats
    came: Floats
    exposure: Floats
    weeks: Days
    number: int
    cohorts: int

    def solve(self, is_seasonal: bool) -> _Solution:
        """The coefficients, with the size of the season averaged over _AMPLITUDES by their evidence.

        Evidence is the marginal likelihood by Laplace's approximation: a season without evidence stays small, and one
        with evidence is not shrunk.
        """
        wide = _AMPLITUDES[-2] if is_seasonal else _NO_SEASON
        noise, found = _FIRST_NOISE, None
        for _ in range(_NOISE_TURNS):
            found = self._fit(wide, noise, found)
            noise = float(np.clip(np.sqrt(np.mean(found.weeks**2 + found.weeks_variance)), *_NOISE_LIMITS))
        if not is_seasonal:
            return self._fit(wide, noise, found)
        tried = [self._fit(amplitude, noise, found) for amplitude in _AMPLITUDES]
        evidence = np.array([one.evidence for one in tried])
        weights = np.exp(evidence - evidence.max())
        weights /= weights.sum()
        mixed = np.asarray(sum(w * one.coefficients for w, one in zip(weights, tried, strict=True)), dtype=np.float64)
        amplitude = float(weights @ np.array(_AMPLITUDES))
        best = tried[int(np.argmax(weights))]
        return _Solution(mixed, best.weeks, best.weeks_variance, amplitude, noise, best.evidence)

    def _precision(self, amplitude: float) -> Floats:
        ages = np.full(len(_KNOTS) + 1, _AGE_SD**-2)
        season = 1.0 / (amplitude**2 * SEASON_VARIANCES)
        return np.concatenate([[_LEVEL_SD**-2], ages, np.full(self.cohorts, _COHORT_SD**-2), season])

    def _by_week(self, values: Floats) -> Floats:
        return np.bincount(self.weeks, weights=values, minlength=self.number).astype(np.float64)

    def _fit(self, amplitude: float, noise: float, start: _Solution | None) -> _Solution:
        """Newton's method, with the week effects eliminated; the evidence lacks a constant of all amplitudes."""
        precision, of_week = self._precision(amplitude), noise**-2
        if start is None:
            b, e = np.zeros(self.design.shape[1]), np.zeros(self.number)
            b[0] = np.log((self.came.sum() + 1.0) / self.exposure.sum())
        else:
            b, e = start.coefficients.copy(), start.weeks.copy()
        present, firsts = np.unique(self.weeks, return_index=True)
        for _ in range(40):
            mean = self.exposure * np.exp(np.clip(self.design @ b + e[self.weeks], -20.0, 10.0))
            off = self.came - mean
            weighted = self.design * mean[:, None]
            crossed = np.zeros((self.number, len(b)))
            crossed[present] = np.add.reduceat(weighted, firsts, axis=0)
            own = self._by_week(mean) + of_week
            gradient, week_gradient = self.design.T @ off - precision * b, self._by_week(off) - of_week * e
            curvature = weighted.T @ self.design + np.diag(precision) - (crossed.T / own) @ crossed
            step = np.linalg.solve(curvature, gradient - crossed.T @ (week_gradient / own))
            week_step = (week_gradient - crossed @ step) / own
            size = min(1.0, 2.0 / max(float(np.abs(step).max()), float(np.abs(week_step).max()), 1e-12))
            b, e = b + size * step, e + size * week_step
            if np.abs(step).max() < 1e-5:
                break
        mean = self.exposure * np.exp(np.clip(self.design @ b + e[self.weeks], -20.0, 10.0))
        fit = float(np.sum(self.came * np.log(np.maximum(mean, 1e-12)) - mean))
        penalty = float(np.sum(precision * b * b) - np.sum(np.log(precision)))
        penalty += float(np.sum(of_week * e * e) - self.number * np.log(of_week))
        volume = float(np.linalg.slogdet(curvature)[1]) + float(np.sum(np.log(own)))
        return _Solution(b, e, 1.0 / own, amplitude, noise, fit - 0.5 * (penalty + volume))


@dataclass(frozen=True, eq=False)
class _Solution:
    coefficients: Floats
    weeks: Floats
    weeks_variance: Floats
    amplitude: float
    noise: float
    evidence: float
