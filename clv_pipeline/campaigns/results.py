"""The rows of `campaign_results`: what is measured of a campaign, what it can find, and the code of its verdict.

How an uplift is measured is in `uplift.py`, the verdict in words in `verdict.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.campaigns.members import compared, mean_of
from clv_pipeline.campaigns.uplift import ERROR, Comparison, Uplift, detectable
from clv_pipeline.campaigns.verdict import verdict_in_words

RESULTS_SCHEMA = pl.Schema(
    {
        "campaign": pl.String,
        "horizon_days": pl.Int32,
        "started_on": pl.Date,
        "ends_on": pl.Date,
        "is_stated": pl.Boolean,
        "days_measured": pl.Int32,
        "is_over": pl.Boolean,
        "measure": pl.String,
        "contacts": pl.Int32,
        "controls": pl.Int32,
        "orders_per_contact": pl.Float64,
        "orders_per_control": pl.Float64,
        "margin_per_contact": pl.Float64,
        "margin_per_control": pl.Float64,
        "expected_per_contact": pl.Float64,
        "expected_per_control": pl.Float64,
        "uplift": pl.Float64,
        "uplift_lower": pl.Float64,
        "uplift_upper": pl.Float64,
        "interval_level": pl.Float64,
        "uplift_deviation": pl.Float64,
        "assumed_uplift": pl.Float64,
        "detectable_uplift": pl.Float64,
        "customers_needed": pl.Int64,
        "added_margin": pl.Float64,
        "added_margin_lower": pl.Float64,
        "added_margin_upper": pl.Float64,
        "cost": pl.Float64,
        "profit": pl.Float64,
        "profit_lower": pl.Float64,
        "profit_upper": pl.Float64,
        "verdict": pl.String,
        "verdict_code": pl.String,
        "verdict_facts": pl.String,
    }
)

MOST_CUSTOMERS = 1e10
"""A size that is needed is not told beyond this: nobody has so many customers."""


@dataclass(frozen=True)
class Campaign:
    """What was stated when a campaign started."""

    campaign: str
    started_on: date
    horizon_days: int
    assumed_uplift: float
    cost_per_contact: float | None

    def ends_on(self, horizon_days: int) -> date:
        """The last day of a window of this campaign."""
        return self.started_on + timedelta(days=horizon_days)


def result(
    campaign: Campaign, horizon_days: int, days_measured: int, members: pl.DataFrame, *, has_money: bool
) -> dict[str, Any]:
    """The row of one campaign and horizon (RESULTS_SCHEMA).

    Args:
        campaign: what was stated.
        horizon_days: the window, at most that of the campaign.
        days_measured: how many of its days are known.
        members: OUTCOME_COLUMNS; at least one row.
        has_money: whether margin is measured; else it is orders.
    """
    of_measure = compared(members, has_money=has_money)
    day = min(days_measured, horizon_days)
    is_over, is_stated = days_measured >= horizon_days, horizon_days == campaign.horizon_days
    comparison = Comparison.of(of_measure)
    found = look(campaign, horizon_days, days_measured, comparison)
    deviation = comparison.deviation if day else None
    size = _size(
        comparison.deviation_without_uplift if is_over else _planned_deviation(of_measure),
        campaign.assumed_uplift,
        members.height,
    )
    audience, control = (of_measure.filter(pl.col("is_control") == group) for group in (False, True))
    row: dict[str, Any] = {
        "campaign": campaign.campaign,
        "horizon_days": horizon_days,
        "started_on": campaign.started_on,
        "ends_on": campaign.ends_on(horizon_days),
        "is_stated": is_stated,
        "days_measured": day,
        "is_over": is_over,
        "measure": "margin" if has_money else "orders",
        "contacts": audience.height,
        "controls": control.height,
        "orders_per_contact": mean_of(audience, "orders"),
        "orders_per_control": mean_of(control, "orders"),
        "margin_per_contact": mean_of(audience, "margin") if has_money else None,
        "margin_per_control": mean_of(control, "margin") if has_money else None,
        "expected_per_contact": mean_of(audience, "expected"),
        "expected_per_control": mean_of(control, "expected"),
        "uplift": found.estimate,
        "uplift_lower": found.lower,
        "uplift_upper": found.upper,
        "interval_level": 1.0 - ERROR if is_over and is_stated else None,
        "uplift_deviation": deviation,
        "assumed_uplift": campaign.assumed_uplift,
        "detectable_uplift": size.detectable_uplift,
        "customers_needed": size.customers_needed,
    }
    row |= _money(row, campaign, comparison if has_money else None)
    code, facts = _verdict(row, found)
    return row | {
        "verdict": verdict_in_words(code, facts),
        "verdict_code": code,
        "verdict_facts": json.dumps(facts, sort_keys=True),
    }


def look(campaign: Campaign, horizon_days: int, days_measured: int, comparison: Comparison) -> Uplift:
    """The uplift as far as it may be told after so many days of a window.

    There is one look with an interval, at the stated horizon; any other would have an error of its own.
    """
    if days_measured >= horizon_days == campaign.horizon_days:
        return comparison.uplift()
    return Uplift(comparison.estimate if days_measured else None, None, None)


@dataclass(frozen=True)
class Size:
    """What a campaign of a size can find: columns of `campaign_results`."""

    detectable_uplift: float | None
    customers_needed: int | None


def planned(members: pl.DataFrame, assumed_uplift: float, *, has_money: bool) -> Size:
    """What a campaign can find at its end, as the forecasts at its start have it.

    Args:
        members: `is_control`, `expected_purchases`, `expected_margin`, `expected_deviation`.
        assumed_uplift: what is hoped for.
        has_money: whether margin is measured; else it is orders.
    """
    came = pl.lit(None, pl.Float64)
    of_measure = compared(members.with_columns(margin=came, orders=came), has_money=has_money)
    return _size(_planned_deviation(of_measure), assumed_uplift, members.height)


def _size(deviation: float | None, assumed_uplift: float, customers: int) -> Size:
    if not deviation:
        return Size(None, None)
    least = detectable(deviation)
    # The deviation falls with the root of the number of customers.
    needed = customers * (least / assumed_uplift) ** 2
    return Size(least, None if needed > MOST_CUSTOMERS else math.ceil(needed))


def results_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The rows as a frame (RESULTS_SCHEMA)."""
    return pl.DataFrame(list(rows), schema=RESULTS_SCHEMA)


def _planned_deviation(members: pl.DataFrame) -> float | None:
    """The standard error of the uplift at the end of the window, as the forecasts at the start have it."""
    controls = int(members["is_control"].sum())
    contacts, expected = members.height - controls, mean_of(members, "expected")
    if not (controls and contacts and expected):
        return None
    variance = float(np.mean(members["expected_deviation"].cast(pl.Float64).fill_null(0.0).to_numpy() ** 2))
    return math.sqrt(variance * (1.0 / contacts + 1.0 / controls)) / expected


def _money(row: Mapping[str, Any], campaign: Campaign, margins: Comparison | None) -> dict[str, float | None]:
    """What the campaign added, cost and earned; of all contacts together."""
    cost = None if campaign.cost_per_contact is None else campaign.cost_per_contact * row["contacts"]

    def added(uplift: float | None) -> float | None:
        each = None if margins is None or uplift is None else margins.added_by(uplift)
        return None if each is None else each * row["contacts"]

    def profit(amount: float | None) -> float | None:
        return None if amount is None or cost is None else amount - cost

    amounts = {end: added(row[f"uplift{end}"]) for end in ("", "_lower", "_upper")}
    return {
        **{f"added_margin{end}": amount for end, amount in amounts.items()},
        "cost": cost,
        **{f"profit{end}": profit(amount) for end, amount in amounts.items()},
    }


def _verdict(row: Mapping[str, Any], found: Uplift) -> tuple[str, dict[str, Any]]:
    """The code of the verdict, and the fields of its sentence."""
    facts = {
        name: row[name]
        for name in (
            *("measure", "days_measured", "horizon_days", "uplift", "uplift_lower", "uplift_upper"),
            *("assumed_uplift", "detectable_uplift", "customers_needed"),
        )
    } | {"started_on": row["started_on"].isoformat(), "ends_on": row["ends_on"].isoformat()}
    least = row["detectable_uplift"]
    if not (row["contacts"] and row["controls"]):
        code = "one_group"
    elif not row["days_measured"]:
        code = "not_started"
    elif not row["is_stated"]:
        code = "on_the_way"
    elif found.is_found:
        code = "uplift_found" if (found.lower or 0.0) > 0.0 else "loss_found"
    elif row["is_over"]:
        code = "not_found"
    else:
        code = "too_small" if least is not None and least > row["assumed_uplift"] else "not_yet"
    return code, facts
