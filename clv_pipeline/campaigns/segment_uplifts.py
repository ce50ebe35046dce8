"""The rows of `segment_uplifts`: what the next plan learns of finished campaigns, per segment, and on what it rests.

How several measurements are put together is in `shrinkage.py`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from clv_pipeline.campaigns.members import compared, mean_of
from clv_pipeline.campaigns.shrinkage import Measured, by_segment, pooled, whole
from clv_pipeline.campaigns.uplift import Comparison
from clv_pipeline.display import ENGLISH, Display

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
    expected = mean_of(audience, "expected") or 0.0
    per_expected = comparison.without_campaign / expected if expected else 0.0
    found = {}
    for part in members.partition_by("segment"):
        baseline = per_expected * (mean_of(part.filter(~pl.col("is_control")), "expected") or 0.0)
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
