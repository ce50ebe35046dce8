"""How many customers will be new in each of the months ahead, from how many were new in the months before.

Exponential smoothing (ETS; Hyndman, Koehler, Ord & Snyder 2008, "Forecasting with Exponential Smoothing") on the log
scale, by statsmodels, with and without a season; beside it two ways to repeat last year. Which of them forecasts is
decided by their errors on past months. Where history is too short for a season or for a choice, the code says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from clv_pipeline.forecasting.frames import Floats

YEAR = 12

SETTLING_MONTHS = 3
"""First months of history that are left out: customers of long standing look new when records begin."""

LATEST_MONTHS = 60
"""Months that the series goes back, and up to eleven more: five years, as the cohort table."""

FEWEST_FOR_LEVEL, FEWEST_FOR_SEASON = 10, 24
"""Fewest months from which exponential smoothing without and with a season is fitted."""

FEWEST_ORIGINS, MOST_ORIGINS = 3, 6
"""Past months from which a method is tried before it may be chosen; more than the latter would take too long."""

RECENT_MONTHS = 3

METHODS: Mapping[str, str] = {
    "seasonal_naive": "the same months of last year",
    "scaled_last_year": "the same months of last year at the level of the last three months",
    "ets_level": "exponential smoothing without a season",
    "ets_season": "exponential smoothing with a season of twelve months",
    "recent_mean": "the mean of the last three months",
    "none_new": "nobody new",
}
"""The methods in words."""

_CHOSEN_FROM = ("seasonal_naive", "scaled_last_year", "ets_level", "ets_season")
_STABILISED = 3.0 / 8.0
_HARDLY_ANY_LOSS = 0.05
_LARGEST_LOG = 30.0


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Expected new customers in each of the months after the last one of the series.

    `method`: a key of METHODS. `code`: chosen_by_backtest; yardstick_stands (no other method beat the seasonal naive
    one); too_short_for_choice (no season can be seen or tried yet); too_short (for more than a mean); none_new (nobody
    was new lately). `facts`: months of the series; origins; ratios, each method's loss on past months as a ratio to
    that of the seasonal naive one.
    """

    expected: Floats
    method: str
    code: str
    facts: Mapping[str, Any]


def settled(counts: Floats) -> Floats:
    """The months without the first SETTLING_MONTHS, unless fewer than as many were left."""
    return counts[SETTLING_MONTHS:] if len(counts) >= 2 * SETTLING_MONTHS else counts


def expect_new_customers(counts: Floats, months: int) -> Acquisition:
    """Forecast the new customers of this many months from `counts`, those of whole past months, oldest first."""
    # By whole years, so that consecutive months begin alike.
    counts = counts[max(len(counts) - LATEST_MONTHS, 0) // YEAR * YEAR :]
    n = len(counts)
    facts: dict[str, Any] = {"months": n, "origins": 0, "ratios": {}}
    lately = counts[-YEAR:]
    if n >= SETTLING_MONTHS and not lately.any():
        return Acquisition(np.zeros(months), "none_new", "none_new", facts)
    if n < FEWEST_FOR_LEVEL:
        return Acquisition(_recent_mean(counts, months), "recent_mean", "too_short", facts)
    origins, ratios = _tried(counts)
    facts |= {"origins": origins, "ratios": {name: round(ratio, 4) for name, ratio in ratios.items()}}
    if not ratios:
        alone = _forecast("ets_level", counts, months)
        if alone is None:
            return Acquisition(_recent_mean(counts, months), "recent_mean", "too_short", facts)
        return Acquisition(alone, "ets_level", "too_short_for_choice", facts)
    able = {name: _forecast(name, counts, months) for name in ratios}
    found = {name: forecast for name, forecast in able.items() if forecast is not None}
    # What only equals the seasonal naive method does not replace it.
    method = min(found, key=lambda name: (ratios[name], _CHOSEN_FROM.index(name)))
    code = "yardstick_stands" if method == "seasonal_naive" else "chosen_by_backtest"
    return Acquisition(found[method], method, code, facts)


def _tried(counts: Floats) -> tuple[int, dict[str, float]]:
    """The number of past months that methods were tried from, and each method's loss as a ratio to the yardstick's.

    The loss is the mean squared error of square roots: so a month counts by how far off it was beyond chance, whether
    many customers came or few. Methods that could be tried less than FEWEST_ORIGINS times are left out.
    """
    n = len(counts)
    possible = np.arange(max(YEAR, n - YEAR), n - 1)
    if len(possible) < FEWEST_ORIGINS:
        return 0, {}
    places = np.linspace(0, len(possible) - 1, min(len(possible), MOST_ORIGINS)).round().astype(np.int64)
    origins = possible[places].tolist()
    losses = np.full((len(origins), len(_CHOSEN_FROM)), np.nan)
    for row, origin in enumerate(origins):
        came = counts[origin : origin + YEAR]
        for column, name in enumerate(_CHOSEN_FROM):
            forecast = _forecast(name, counts[:origin], len(came))
            if forecast is not None:
                losses[row, column] = np.mean((np.sqrt(came + _STABILISED) - np.sqrt(forecast + _STABILISED)) ** 2)
    logs = np.log(losses + _HARDLY_ANY_LOSS) - np.log(losses[:, :1] + _HARDLY_ANY_LOSS)
    return len(origins), {
        name: float(np.exp(np.nanmean(logs[:, column])))
        for column, name in enumerate(_CHOSEN_FROM)
        if np.isfinite(logs[:, column]).sum() >= FEWEST_ORIGINS
    }


def _forecast(name: str, counts: Floats, months: int) -> Floats | None:
    """The forecast of one method; None where the series is too short for it, or its fit came to no number."""
    n = len(counts)
    if name == "seasonal_naive":
        return _last_year(counts, months) if n >= YEAR else None
    if name == "scaled_last_year":
        if n < YEAR + RECENT_MONTHS:
            return None
        now, before = counts[-RECENT_MONTHS:].sum(), counts[-YEAR - RECENT_MONTHS : -YEAR].sum()
        level = float((now + 1.0) / (before + 1.0))
        return np.asarray(_last_year(counts, months) * level, dtype=np.float64)
    if name == "ets_level":
        return _smoothed(counts, months, is_seasonal=False) if n >= FEWEST_FOR_LEVEL else None
    return _smoothed(counts, months, is_seasonal=True) if n >= FEWEST_FOR_SEASON else None


def _recent_mean(counts: Floats, months: int) -> Floats:
    return np.full(months, float(counts[-RECENT_MONTHS:].mean()) if len(counts) else 0.0)


def _last_year(counts: Floats, months: int) -> Floats:
    return np.asarray(counts[len(counts) - YEAR + np.arange(months) % YEAR], dtype=np.float64)


def _smoothed(counts: Floats, months: int, *, is_seasonal: bool) -> Floats | None:
    """Exponential smoothing of log(1 + count); None where the fit came to no number."""
    ahead = _smoothed_ahead(tuple(counts.tolist()), max(months, YEAR + 1), is_seasonal)
    return None if ahead is None else np.array(ahead[:months])


@lru_cache(maxsize=512)
def _smoothed_ahead(counts: tuple[float, ...], months: int, is_seasonal: bool) -> tuple[float, ...] | None:
    """`_smoothed`, fitted once for a series: past dates try methods from the same months."""
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    if min(counts) == max(counts):
        return (counts[-1],) * months
    season: dict[str, Any] = {"seasonal": "add", "seasonal_periods": YEAR} if is_seasonal else {}
    with warnings.catch_warnings():
        # A fit that stopped early is judged like any other: by its errors on past months.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = ETSModel(np.log1p(counts), initialization_method="heuristic", **season).fit(disp=False)
        ahead = np.asarray(fitted.forecast(months), dtype=np.float64)
    if not np.isfinite(ahead).all():
        return None
    return tuple(np.expm1(np.clip(ahead, 0.0, _LARGEST_LOG)).tolist())
