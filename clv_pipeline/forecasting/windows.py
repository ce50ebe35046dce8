"""What completed windows teach a process: customers who were given up and came back, value of purchases, and P(buy).

A window holds what was known as of an earlier cutoff, and the outcome since then. Windows overlap. Their seasons are
part of the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting import value
from clv_pipeline.forecasting.buy_till_you_die import ProcessFit
from clv_pipeline.forecasting.correction import Correction, PieceRows
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.look_ahead import Ahead, look_ahead
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline.forecasting.season import ordinal
from clv_pipeline.forecasting.value import ValueModel

VALUE_DAYS = 180
"""The value of a purchase is learned from the longest completed piece of at most this many days."""

_HAZARD_SD = (0.3, 0.2)


@dataclass(frozen=True, eq=False)
class Seen:
    """Completed windows as the fitted process sees them."""

    rows: PieceRows | None
    hazard: Floats
    reactivation: float

    @classmethod
    def of(cls, ground: Ground, process: ProcessFit) -> Seen:
        """Evaluate the windows one by one, each from what was known then."""
        windows = ground.training.completed_windows
        if windows.is_empty():
            return cls(None, np.empty((0, len(PIECES_DAYS))), 0.0)
        parts = windows.sort("cutoff", "customer_id").partition_by("cutoff", maintain_order=True)
        if_given_up = [
            look_ahead(process, ground.clock, part, ordinal(part["cutoff"][0]), PIECES_DAYS) for part in parts
        ]
        reactivation = _reactivation([_given_up(*seen) for seen in zip(parts, if_given_up, strict=True)])
        ahead = [one.reactivated(reactivation) for one in if_given_up]
        customers = pl.concat(parts)
        by_day = np.column_stack([floats(customers, f"actual_purchases_{days}") for days in PIECES_DAYS])
        rows = PieceRows(
            customers=customers,
            window=np.repeat(np.arange(len(parts)), [part.height for part in parts]),
            alive=np.concatenate([one.alive for one in ahead]),
            expected=np.concatenate([np.diff(one.purchases, axis=1, prepend=0.0) for one in ahead]),
            days=np.concatenate(
                [np.broadcast_to(np.diff(one.clock, prepend=0.0), one.purchases.shape) for one in ahead]
            ),
            came=np.diff(by_day, axis=1, prepend=0.0),
        )
        return cls(rows, np.concatenate([one.hazard for one in ahead]), reactivation)

    def log_factors(self, correction: Correction) -> Floats:
        """Log factors of a correction for the rows; zeros without rows."""
        if self.rows is None:
            return np.zeros_like(self.hazard)
        rows = self.rows
        return correction.log_factors(rows.customers, rows.alive, rows.expected, rows.days)

    def money_set_right(self, worth: ValueModel, logs: Floats, cutoff: date) -> ValueModel:
        """The value model scaled to the money per purchase in completed windows, over the pieces up to VALUE_DAYS.

        Customers who buy more than the process expects are worth more, or less, per purchase than others; and prices
        drift. Windows overlap, and recent ones count most; the mean log ratio is shrunk by its uncertainty. In each
        window, the spend beyond the cap of the most excessive customer is left out: one order is not a price level.
        """
        if self.rows is None:
            return worth
        rows, pieces = self.rows, [place for place, days in enumerate(PIECES_DAYS) if days <= VALUE_DAYS]
        said = (rows.expected * np.exp(logs))[:, pieces]
        over = np.isfinite(rows.came[:, pieces])
        spent = np.column_stack([floats(rows.customers, f"actual_spend_{PIECES_DAYS[place]}") for place in pieces])
        spent = np.diff(spent, axis=1, prepend=0.0)
        value_of = worth.per_purchase(rows.customers)[:, None]
        windows = int(rows.window.max()) + 1

        def by_window(values: Floats) -> Floats:
            of_rows = np.where(over, values, 0.0).sum(axis=1)
            return np.bincount(rows.window, weights=of_rows, minlength=windows).astype(np.float64)

        beyond = spent - rows.came[:, pieces] * worth.cap(rows.customers)[:, None]
        largest = np.zeros(windows)
        np.maximum.at(largest, rows.window, np.where(over, np.maximum(beyond, 0.0), 0.0).sum(axis=1))
        came, money = by_window(rows.came[:, pieces]), by_window(spent) - largest
        told, told_money = by_window(said), by_window(said * value_of)
        enough = (came >= value.FEWEST_PURCHASES) & (money > 0.0) & (told_money > 0.0)
        if not enough.any():
            return worth
        ratios = np.log(money[enough] / came[enough]) - np.log(told_money[enough] / told[enough])
        cutoffs = rows.customers["cutoff"].unique().sort()
        ages = np.array([(cutoff - day).days for day in cutoffs])[enough]
        return replace(worth, excess=worth.excess * float(np.exp(value.shrunk_level(ratios, ages))))

    def recalibrated(self, logs: Floats) -> tuple[float, float]:
        """The parameters a and b of the hazard, by log loss over all windows and pieces; near 0 and 1 with few data."""
        if self.rows is None:
            return 0.0, 1.0
        rows = self.rows
        factors = np.exp(logs + window_levels(rows, logs))
        steps = np.diff(self.hazard, axis=1, prepend=0.0)
        hazard = np.cumsum(steps * factors, axis=1)
        bought = np.cumsum(rows.came, axis=1)
        alive = np.broadcast_to(rows.alive[:, None], hazard.shape)
        over = np.isfinite(bought)
        return _fit_hazard(hazard[over], alive[over], bought[over] > 0.0)


def window_levels(rows: PieceRows, logs: Floats) -> Floats:
    """Log ratio of actual to expected purchases of each row's window and piece; 0 where the piece is not over."""
    windows = int(rows.window.max()) + 1
    levels = np.zeros_like(logs)
    for piece in rows.pieces:
        over = rows.is_over(piece)
        window = rows.window[over]
        expected = rows.expected[over, piece] * np.exp(logs[over, piece])
        came, said = (
            np.bincount(window, weights=values, minlength=windows) + 0.5
            for values in (rows.came[over, piece], expected)
        )
        levels[over, piece] = np.log(came / said)[window]
    return levels


def _fit_hazard(hazard: Floats, alive: Floats, bought: Any) -> tuple[float, float]:
    from scipy.optimize import minimize

    logs = np.log(np.maximum(hazard, 1e-9))
    spread = 3.0 / len(logs)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        a, b = parameters
        h = np.exp(np.clip(a + b * logs, -30.0, 5.0))
        none = np.exp(-h)
        p = np.clip(alive * (1.0 - none), 1e-9, 1.0 - 1e-9)
        value = -np.mean(np.where(bought, np.log(p), np.log1p(-p)))
        slope = np.where(bought, -1.0 / p, 1.0 / (1.0 - p)) * alive * none * h
        deviation = np.array([a / _HAZARD_SD[0], (b - 1.0) / _HAZARD_SD[1]])
        value += 0.5 * spread * float(deviation @ deviation)
        gradient = np.array([np.mean(slope), np.mean(slope * logs)]) + spread * deviation / np.array(_HAZARD_SD)
        return float(value), gradient

    found = minimize(loss, np.array([0.0, 1.0]), jac=True, method="L-BFGS-B", bounds=[(-2.0, 2.0), (0.3, 2.0)])
    return float(found.x[0]), float(found.x[1])


def _given_up(window: pl.DataFrame, ahead: Ahead) -> tuple[float, float]:
    """Purchases beyond the expectation, and purchases if alive, of the fifth with the lowest expectation.

    Both are those of the first piece. The second weighs each customer's expected purchases, were they alive, by the
    probability that the process has given them up.
    """
    expected = ahead.purchases[:, 0]
    quiet = expected <= np.quantile(expected, 0.2)
    if_alive = ahead.purchases_if_alive[quiet, 0]
    came = floats(window, f"actual_purchases_{PIECES_DAYS[0]}")[quiet]
    return float(came.sum() - expected[quiet].sum()), float(np.sum((1.0 - ahead.alive[quiet]) * if_alive))


def _reactivation(windows: Sequence[tuple[float, float]]) -> float:
    """Share of given-up customers who are still there: half of what was observed, as not all are the quietest."""
    beyond, if_alive = (float(sum(column)) for column in zip(*windows, strict=True))
    return float(np.clip(0.5 * beyond / if_alive, 0.0, 0.2)) if if_alive > 0.0 else 0.0


def fit_value(ground: Ground) -> ValueModel:
    """The value model, learned from current customers and from later spend in completed windows."""
    windows = ground.training.completed_windows
    if windows.is_empty():
        return value.fit(ground.training.current_customers, windows, ground.training.cutoff)
    days = [day for day in PIECES_DAYS if day <= VALUE_DAYS]
    longest = pl.coalesce(
        pl.when(pl.col(f"actual_purchases_{day}").is_not_null()).then(pl.lit(day)) for day in reversed(days)
    )
    told = windows.with_columns(piece_days=longest).filter(pl.col("piece_days").is_not_null())
    for what in ("purchases", "spend"):
        told = told.with_columns(
            pl.coalesce(
                pl.when(pl.col("piece_days") == day).then(pl.col(f"actual_{what}_{day}")) for day in days
            ).alias(f"actual_{what}")
        )
    return value.fit(ground.training.current_customers, told, ground.training.cutoff)
