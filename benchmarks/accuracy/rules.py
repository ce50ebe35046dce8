"""Five simple rules, which need no model: what the forecasts of a model have to beat.

Each is a function of a history, a cutoff and a horizon, and gives a forecast of the customers known at the cutoff, or
in words why it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.history import Came, Floats, History

Classes = NDArray[np.intp]

YEAR = 365
AGE_CLASSES = (30, 90, 365)
"""Last days of the classes of customers' ages; the last class is open."""
CUTS = 100


@dataclass(frozen=True)
class Forecast:
    """What somebody says of the customers of one window, in the order of `History.customers`."""

    purchases: Floats
    spend: Floats
    p_purchase: Floats | None = None


Forecaster = Callable[[History, date, int], "Forecast | str"]


def own_rate(history: History, cutoff: date, horizon: int) -> Forecast | str:
    """Everybody goes on at their own rate since their first purchase, at their mean spend."""
    customers = history.customers(cutoff)
    tenure = customers["tenure_days"].to_numpy()
    purchases = customers["frequency"].to_numpy() * horizon / np.maximum(tenure, 1)
    return Forecast(purchases, purchases * (customers["revenue"] / (customers["frequency"] + 1)).to_numpy())


def last_window(history: History, cutoff: date, horizon: int) -> Forecast | str:
    """The next window is like the one just ended."""
    start = cutoff - timedelta(days=horizon)
    if start < history.first_day - timedelta(days=1):
        return "history is shorter than the horizon"
    came = history.came(history.customers(cutoff), start, cutoff)
    return Forecast(came.purchases, came.spend)


def same_window_last_year(history: History, cutoff: date, horizon: int) -> Forecast | str:
    """The next window is like the one a year ago."""
    start = cutoff - timedelta(days=YEAR)
    if start < history.first_day - timedelta(days=1) or horizon > YEAR:
        return "that window, a year back, is not within history"
    came = history.came(history.customers(cutoff), start, start + timedelta(days=horizon))
    return Forecast(came.purchases, came.spend)


def hiatus(history: History, cutoff: date, horizon: int) -> Forecast | str:
    """Who has been idle for long is gone: two groups, each like its own in the window just ended.

    The cut is the one whose shares of buyers had the best Brier score in that window.
    """
    learned = cutoff - timedelta(days=horizon)
    if not history.is_known(learned):
        return "no window is over that it could learn from"
    then, now = history.customers(learned), history.customers(cutoff)
    came = history.came(then, learned, cutoff)
    idle, bought = then["idle_days"].to_numpy(), came.purchases > 0
    cuts = np.unique(np.quantile(idle, np.linspace(0.0, 1.0, CUTS + 1), method="lower"))
    active = idle[None, :] <= cuts[:, None]
    # The Brier score of two shares is least where the squares of their buyers, per customer, are greatest.
    sizes = np.stack([active.sum(axis=1), (~active).sum(axis=1)])
    buyers = np.stack([(active & bought).sum(axis=1), (~active & bought).sum(axis=1)])
    best = cuts[np.argmax((buyers**2 / np.maximum(sizes, 1)).sum(axis=0))]
    groups = ((frame["idle_days"].to_numpy() > best).astype(np.intp) for frame in (then, now))
    return _as_their_class(*groups, came=came)


def mean_of_age(history: History, cutoff: date, horizon: int) -> Forecast | str:
    """Everybody is like the mean customer of the same age in the window just ended."""
    learned = cutoff - timedelta(days=horizon)
    if not history.is_known(learned):
        return "no window is over that it could learn from"
    then, now = history.customers(learned), history.customers(cutoff)
    came = history.came(then, learned, cutoff)
    groups = (np.searchsorted(AGE_CLASSES, frame["tenure_days"].to_numpy()) for frame in (then, now))
    return _as_their_class(*groups, came=came)


def _as_their_class(then: Classes, now: Classes, *, came: Came) -> Forecast:
    """The means of what came of the classes that customers were in, for those in them now; of all, for a new class."""
    classes = int(max(then.max(), now.max())) + 1
    sizes = np.bincount(then, minlength=classes)

    def mean(values: Floats) -> Floats:
        means = np.bincount(then, weights=values, minlength=classes) / np.maximum(sizes, 1)
        return np.where(sizes > 0, means, values.mean())[now]

    return Forecast(mean(came.purchases), mean(came.spend), mean((came.purchases > 0).astype(np.float64)))


RULES: Mapping[str, Forecaster] = {
    rule.__name__: rule for rule in (own_rate, last_window, same_window_last_year, hiatus, mean_of_age)
}
"""By name."""
