"""The rows of `campaign_results` and `segment_uplifts`: what is measured of a campaign, and the verdict in words.

How an uplift is measured is in `uplift.py`, how several are put together in `shrinkage.py`.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.campaigns.shrinkage import Measured, by_segment, pooled, whole
from clv_pipeline.campaigns.uplift import ERROR, Comparison, Uplift, detectable
from clv_pipeline.display import ENGLISH, Display

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

UPLIFTS_SCHEMA = pl.Schema(
    {
        "segment": pl.String,
        "horizon_days": pl.Int32,
        "uplift": pl.Float64,
        "uplift_deviation": pl.Float64,
        "measured_weight": pl.Float64,
        "assumed_uplift": pl.Float64,
        "campaigns": pl.Int32,
        "whole_uplift": pl.Float64,
        "whole_deviation": pl.Float64,
        "measured_uplift": pl.Float64,
        "measured_deviation": pl.Float64,
        "basis": pl.String,
        "basis_code": pl.String,
        "basis_facts": pl.String,
    }
)

OUTCOME_COLUMNS = (
    *("is_control", "stratum", "segment", "expected_purchases", "expected_margin", "expected_deviation"),
    *("orders", "margin"),
)
"""What is read of every member of a campaign: one row each, within one window."""


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


@dataclass(frozen=True)
class Finished:
    """A campaign whose stated horizon is over."""

    campaign: str
    started_on: date
    horizon_days: int

    @property
    def ended_on(self) -> date:
        """Its last day."""
        return self.started_on + timedelta(days=self.horizon_days)


def horizon_to_plan(finished: Sequence[Finished], horizons_days: Sequence[int]) -> int:
    """The horizon whose uplifts are learned from: that of the campaign that ended last.

    Uplifts of different horizons are shares of different margins, so they are not put together. Without a campaign it
    is the longest configured horizon, which the assumption is about.
    """
    if not finished:
        return max(horizons_days)
    return max(finished, key=lambda found: (found.ended_on, found.campaign)).horizon_days


def compared(members: pl.DataFrame, *, has_money: bool) -> pl.DataFrame:
    """The members with `outcome` and `expected`: of margin, or of orders in a shop without money."""
    came, expected = ("margin", "expected_margin") if has_money else ("orders", "expected_purchases")
    return members.with_columns(
        outcome=pl.col(came).cast(pl.Float64), expected=pl.col(expected).cast(pl.Float64).fill_null(0.0)
    )


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
        "orders_per_contact": _mean(audience, "orders"),
        "orders_per_control": _mean(control, "orders"),
        "margin_per_contact": _mean(audience, "margin") if has_money else None,
        "margin_per_control": _mean(control, "margin") if has_money else None,
        "expected_per_contact": _mean(audience, "expected"),
        "expected_per_control": _mean(control, "expected"),
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


def _mean(group: pl.DataFrame, column: str) -> float | None:
    mean = group[column].cast(pl.Float64).mean()
    return None if mean is None else float(mean)  # type: ignore[arg-type]


def _planned_deviation(members: pl.DataFrame) -> float | None:
    """The standard error of the uplift at the end of the window, as the forecasts at the start have it."""
    controls = int(members["is_control"].sum())
    contacts, expected = members.height - controls, _mean(members, "expected")
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


def verdict_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The sentence of `verdict` from `verdict_code` and the fields of `verdict_facts`."""
    if code == "one_group":
        return display.say("only one of the two groups is left, so nothing can be compared")
    if code == "not_started":
        return display.say(
            "nothing is measured yet: no day after {day} is known", day=_day(facts["started_on"], display)
        )
    if code == "on_the_way":
        return display.say_many(
            facts["horizon_days"],
            "the first {number} day: how it came about, no verdict",
            "the first {number} days: how it came about, no verdict",
        )
    if code in ("uplift_found", "loss_found"):
        return f"{_found_in_words(code, facts, display)}: {_uplift_in_words(facts, display)}"
    if code == "not_found":
        never = display.say_many(
            facts["horizon_days"],
            "not distinguishable from none within {number} day, and never will be",
            "not distinguishable from none within {number} days, and never will be",
        )
        return "; ".join([f"{never}: {_uplift_in_words(facts, display)}", *_takes_in_words(facts, display)])
    days = {"days": display.count(facts["days_measured"])}
    if code == "too_small":
        yet = display.say_many(
            facts["horizon_days"],
            "not distinguishable from none after {days} of {number} day; with as many customers as these an uplift of"
            " {detectable} is found in 8 of 10 campaigns, and a smaller one mostly stays unseen",
            "not distinguishable from none after {days} of {number} days; with as many customers as these an uplift of"
            " {detectable} is found in 8 of 10 campaigns, and a smaller one mostly stays unseen",
            **days,
            detectable=display.share(facts["detectable_uplift"]),
        )
        return "; ".join([yet, *_takes_in_words(facts, display)])
    return display.say_many(
        facts["horizon_days"],
        "not distinguishable from none after {days} of {number} day: the verdict comes after {day}, because earlier"
        " looks find uplifts by chance",
        "not distinguishable from none after {days} of {number} days: the verdict comes after {day}, because earlier"
        " looks find uplifts by chance",
        **days,
        day=_day(facts["ends_on"], display),
    )


def _found_in_words(code: str, facts: Mapping[str, Any], display: Display) -> str:
    days, of_what = facts["horizon_days"], {"measure": display.term(facts["measure"])}
    if facts["uplift"] is None and code == "uplift_found":
        return display.say_many(
            days,
            "an uplift of {measure} was found within {number} day",
            "an uplift of {measure} was found within {number} days",
            **of_what,
        )
    if facts["uplift"] is None:
        return display.say_many(
            days,
            "a loss of {measure} was found within {number} day",
            "a loss of {measure} was found within {number} days",
            **of_what,
        )
    of_what["size"] = display.share(abs(facts["uplift"]))
    if code == "uplift_found":
        return display.say_many(
            days,
            "an uplift of {measure} of {size} was found within {number} day",
            "an uplift of {measure} of {size} was found within {number} days",
            **of_what,
        )
    return display.say_many(
        days,
        "a loss of {measure} of {size} was found within {number} day",
        "a loss of {measure} of {size} was found within {number} days",
        **of_what,
    )


def _uplift_in_words(facts: Mapping[str, Any], display: Display) -> str:
    """Between which ends the uplift is."""
    lower, upper = facts["uplift_lower"], facts["uplift_upper"]
    if lower is None and upper is None:
        return display.say("the uplift is not known at all")
    if upper is None:
        return display.say("the uplift is at least {lower}", lower=display.share(lower))
    if lower is None:
        return display.say("the uplift is at most {upper}", upper=display.share(upper))
    return display.say(
        "the uplift is between {lower} and {upper}", lower=display.share(lower), upper=display.share(upper)
    )


def _takes_in_words(facts: Mapping[str, Any], display: Display) -> list[str]:
    """How many customers it takes to find the assumed uplift, where it is known."""
    if facts["customers_needed"] is None:
        return []
    assumed = display.share(facts["assumed_uplift"])
    return [
        display.say_many(
            facts["customers_needed"],
            "finding {assumed} takes {number} customer",
            "finding {assumed} takes {number} customers",
            assumed=assumed,
        )
    ]


def _day(iso: str, display: Display) -> str:
    return display.day(date.fromisoformat(iso))


def segment_uplifts(
    campaigns: Sequence[pl.DataFrame], horizon_days: int, assumed: float | None, segments: Sequence[str]
) -> pl.DataFrame:
    """The uplift to plan with, per segment (UPLIFTS_SCHEMA).

    Args:
        campaigns: the members (OUTCOME_COLUMNS) of every campaign that is over, within the same horizon; may be none.
        horizon_days: that horizon; without a campaign that of the assumption.
        assumed: the uplift that is assumed, above 0; None where no campaign is configured, and then there is no row.
        segments: names of the segments.
    """
    if assumed is None:
        return pl.DataFrame(schema=UPLIFTS_SCHEMA)
    wholes: list[Measured] = []
    parts: dict[str, list[Measured]] = defaultdict(list)
    for members in campaigns:
        of_whole, of_segments = _measured(compared(members, has_money=True))
        wholes += [of_whole] if of_whole else []
        for segment, found in of_segments.items():
            parts[segment].append(found)
    of_all = pooled(wholes)
    everywhere = whole(of_all, assumed)
    own = {segment: both for segment, found in parts.items() if (both := pooled(found))} if of_all else {}
    learned = by_segment(own, everywhere)
    rows = []
    for segment in sorted(segments):
        known, measured = learned.get(segment, everywhere), own.get(segment)
        code = "measured_uplift" if wholes else "assumed_uplift"
        facts = {
            "uplift": known.uplift,
            "uplift_deviation": known.deviation,
            "measured_weight": known.weight,
            "assumed_uplift": assumed,
            "campaigns": len(wholes),
            "horizon_days": horizon_days,
        }
        rows.append(
            {
                "segment": segment,
                "horizon_days": horizon_days,
                "uplift": known.uplift,
                "uplift_deviation": known.deviation,
                "measured_weight": known.weight,
                "assumed_uplift": assumed,
                "campaigns": len(wholes),
                "whole_uplift": of_all.uplift if of_all else None,
                "whole_deviation": of_all.deviation if of_all else None,
                "measured_uplift": measured.uplift if measured else None,
                "measured_deviation": measured.deviation if measured else None,
                "basis": basis_in_words(code, facts),
                "basis_code": code,
                "basis_facts": json.dumps(facts, sort_keys=True),
            }
        )
    return pl.DataFrame(rows, schema=UPLIFTS_SCHEMA)


def _measured(members: pl.DataFrame) -> tuple[Measured | None, dict[str, Measured]]:
    """What one campaign measured as a whole and per segment; nothing where the control cannot tell."""
    comparison = Comparison.of(members)
    if not comparison.is_possible or (uplift := comparison.estimate) is None:
        return None, {}
    audience = members.filter(~pl.col("is_control"))
    expected = _mean(audience, "expected") or 0.0
    per_expected = comparison.without_campaign / expected if expected else 0.0
    found = {}
    for part in members.partition_by("segment"):
        baseline = per_expected * (_mean(part.filter(~pl.col("is_control")), "expected") or 0.0)
        if (added := Comparison.of(part).added(baseline, uplift)) is not None and added[1] > 0.0:
            found[str(part["segment"][0])] = Measured(*added)
    return (Measured(uplift, deviation) if (deviation := comparison.deviation) else None), found


def basis_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The sentence of `basis` from `basis_code` and the fields of `basis_facts`."""
    assumed = display.share(facts["assumed_uplift"])
    if code == "assumed_uplift":
        return display.say(
            "ASSUMPTION, not a measurement: a contact raises the expected margin by {assumed}", assumed=assumed
        )
    return display.say_many(
        facts["campaigns"],
        "measured in {number} campaign: a contact raises the margin of {days} days by {uplift}, give or take"
        " {deviation}; the measurement has {weight} of the weight, and the assumed {assumed} the rest",
        "measured in {number} campaigns: a contact raises the margin of {days} days by {uplift}, give or take"
        " {deviation}; the measurement has {weight} of the weight, and the assumed {assumed} the rest",
        days=display.count(facts["horizon_days"]),
        uplift=display.share(facts["uplift"]),
        deviation=display.share(facts["uplift_deviation"]),
        weight=display.percent(facts["measured_weight"]),
        assumed=assumed,
    )
