"""The range of the total spend of all customers, learned from past totals of the model and what came of them.

A total is off by more than its customers' own scatter, because all of them share a season. Its past errors are few:
every range says in words and fields how many it rests on. `forecast_totals` is the table of that name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.evaluation.ranges import LARGEST_LOG, TINY, require_level, running_bounds, window_share
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.protocol import require_columns

LARGEST_TOTAL = 1e23
"""The most money that an upper end says; it fits into DECIMAL(28,4)."""

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

NO_MONEY = "no_money"
"""The code of `notes` where the shop has no money."""

_LARGEST_ERROR = 3.0
_LISTED_ERRORS = 4


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

        require_level(level)
        require_columns(past_totals, PAST_TOTALS_COLUMNS, "past totals")
        learned_from, past = _of_nearest_horizon(past_totals, horizon_days)
        ratio = max(horizon_days, learned_from) / max(min(horizon_days, learned_from), 1)
        expected, came = floats(past, "expected_spend"), floats(past, "actual_spend")
        errors = np.clip(np.log(np.maximum(came, TINY)) - np.log(expected), -_LARGEST_ERROR, _LARGEST_ERROR)
        independent = max(1.0, len(errors) * float(window_share(np.array([float(learned_from)]))[0]))
        seen = independent if len(errors) else 0.0
        square = ratio * float(np.mean(np.square(errors))) if len(errors) else 0.0
        scatter = _scatter(past, variance)
        of_errors = (TOTAL_ERROR**2 + scatter + seen * square) / (1.0 + seen)
        deviation = math.sqrt(max(of_errors, scatter, LEAST_TOTAL_ERROR**2))
        factor = math.exp(min(float(stdtrit(1.0 + seen, 0.5 * (1.0 + level))) * deviation, LARGEST_LOG))
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
