"""The process alone, without corrections: forecasts at days after the cutoff, on the shop's clock, at present value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting.buy_till_you_die import ProcessFit
from clv_pipeline.forecasting.frames import DAYS_PER_YEAR, Floats
from clv_pipeline.forecasting.ground import clocked
from clv_pipeline.forecasting.season import Clock

_YEARS = (1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 25, 30, 40, 50, 70, 100)
NODES_DAYS = (
    *(10, 20, 30, 45, 60, 75, 90, 120, 150, 180, 225, 270, 315, 365),
    *(round(years * DAYS_PER_YEAR) for years in _YEARS),
)
"""Ends of the stretches of time whose money has one present value each, for any question; the last ends a life."""

_ALMOST_ONE = 1.0 - 1e-12


@dataclass(frozen=True, eq=False)
class Ahead:
    """Forecasts by the process alone for n customers at k ascending days after the cutoff.

    `alive`, shape (n,): P(alive). Shape (n, k), all given that the customer is alive: `purchases_if_alive`, expected
    purchases; `discounted_if_alive`, the same with each day's purchases at their present value; `hazard`, -log P(no
    purchase). Shape (k,): `clock`, days of the clock by then; `discounted_days`, calendar days at their present value.
    """

    alive: Floats
    purchases_if_alive: Floats
    discounted_if_alive: Floats
    hazard: Floats
    clock: Floats
    discounted_days: Floats

    @cached_property
    def purchases(self) -> Floats:
        """Expected purchases, shape (n, k)."""
        return np.asarray(self.alive[:, None] * self.purchases_if_alive, dtype=np.float64)

    @cached_property
    def discounted(self) -> Floats:
        """Expected purchases at their present value, shape (n, k)."""
        return np.asarray(self.alive[:, None] * self.discounted_if_alive, dtype=np.float64)

    def reactivated(self, share: float) -> Ahead:
        """The same forecasts where this share of customers who were given up is still there."""
        return replace(self, alive=self.alive + share * (1.0 - self.alive))


def look_ahead(
    fit: ProcessFit,
    clock: Clock,
    customers: pl.DataFrame,
    cutoff: int,
    days: Sequence[int],
    annual_discount_rate: float = 0.0,
) -> Ahead:
    """Evaluate the process at these ascending days.

    Equal histories are computed once. Discounting splits time at NODES_DAYS; money flows evenly between them.
    """
    x, t_x, T = clocked(clock, customers, cutoff)
    first, row = distinct(*(customers[name] for name in ("frequency", "recency_days", "tenure_days")))
    alive = fit.alive(x[first], t_x[first], T[first])[row]
    if not fit.process.remembers_last:
        first, row = distinct(customers["frequency"], customers["tenure_days"])
    nodes = np.unique([*days, *(node for node in NODES_DAYS if annual_discount_rate > 0.0 and node < max(days))])
    passed = clock.at(cutoff + nodes) - clock.at(cutoff)
    wanted = np.searchsorted(nodes, days)
    between = np.setdiff1d(np.arange(len(nodes)), wanted)
    histories, ahead = (x[first], t_x[first], T[first]), np.maximum(passed, 1e-6)
    expected = np.empty((len(first), len(nodes)))
    expected[:, wanted], at_least_one = fit.path_if_alive(*histories, ahead[wanted])
    expected[:, between] = fit.expected_if_alive(*histories, ahead[between])
    hazard = -np.log1p(-np.minimum(at_least_one, _ALMOST_ONE))
    stretch = np.minimum(np.searchsorted(NODES_DAYS, nodes), len(NODES_DAYS) - 1)
    present = present_values(np.array(NODES_DAYS, dtype=np.float64), annual_discount_rate)[stretch]
    discounted = np.cumsum(np.diff(expected, axis=1, prepend=0.0) * present, axis=1)[:, wanted]
    discounted_days = np.cumsum(np.diff(nodes, prepend=0.0) * present)[wanted]
    return Ahead(alive, expected[:, wanted][row], discounted[row], hazard[row], passed[wanted], discounted_days)


def distinct(*columns: pl.Series) -> tuple[Any, Any]:
    """The first place of each distinct row of whole-number columns; for every row the number of its distinct row."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values = column.cast(pl.Int64).to_numpy()
        key = key * (int(values.max(initial=0)) + 1) + values
    _, first, row = np.unique(key, return_index=True, return_inverse=True)
    return first, row


def present_values(days: Floats, annual_discount_rate: float) -> Floats:
    """The mean of (1 + d)^(-t / 365.25) over each interval that ends at these ascending days; the first starts at 0."""
    force = math.log1p(annual_discount_rate) / DAYS_PER_YEAR
    lengths = np.diff(days, prepend=0.0)
    begun = np.exp(-force * (days - lengths))
    if force == 0.0:
        return np.ones_like(lengths)
    return np.asarray(begun * -np.expm1(-force * lengths) / (force * lengths), dtype=np.float64)
