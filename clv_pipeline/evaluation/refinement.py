"""What could be refined: suggestions that follow from what was measured, and from what the source does not state.

Each suggestion is a code with the fields of its sentence; `suggestion_in_words` makes it, in any language. Each
says what to do. The order is that of the codes in _RULES: what makes forecasts useless comes first, what would only add
to them last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl

from clv_pipeline.display import ENGLISH, Display

SUGGESTIONS_SCHEMA = pl.Schema(
    {
        "rank": pl.Int64,
        "suggestion_code": pl.String,
        "suggestion": pl.String,
        "suggestion_facts": pl.String,
    }
)

REGULAR = "regular_nbd"
"""The model of regular purchases."""

Facts = dict[str, Any]

TWO_YEARS = timedelta(days=730)
"""A season is told from chance by its second time."""

REJECTED_SHARE = 0.05
"""Share of rejected rows from which they are worth a look."""

POOR_ORDER, POOR_AUC = 0.1, 0.55
"""Normalized Gini and AUC below which an order of customers is hardly better than chance."""

ELASTICITY = 0.1
"""How fast spend per purchase goes with the number of purchases, from which they are not independent: at 0.1, who buys
twice as often spends 7 % more per purchase."""

SEGMENT_ERROR, SEGMENT_WEIGHT, SEGMENT_CUSTOMERS, SEGMENT_DATES = 0.25, 0.01, 30, 3
"""A segment is forecast badly where its total is off by this share on average, and by this share of the total of all
customers; it is told of at least so many customers and past dates."""


@dataclass(frozen=True)
class Situation:
    """What suggestions are made from."""

    mapped: Set[str]
    """Optional inputs that the source has: money, customers, events, channel, cost, order_id, country."""
    first_day: date
    as_of: date
    months_seen_twice: int
    """How many of the twelve months have been seen in at least two years."""
    horizons_days: Set[int]
    """Horizons that are forecast."""
    tested_days: Set[int]
    """Those of them that were tested on past dates."""
    models: Set[str]
    """The models that are compared."""
    champion: str
    why_code: str
    why_facts: Mapping[str, Any]
    """Why the champion serves, as in model_leaderboard."""
    gini: float | None
    auc: float | None
    """How well customers were ordered by spend, and told buyers from others, as served; None where not known."""
    regularity: int
    """Of gaps between purchases: 1 where they are as by chance, up to 10 (`estimate_k`)."""
    elasticity: float | None
    """Of the value of a purchase in the number of purchases, as fitted; None where the model has none."""
    segments: pl.DataFrame
    """What was served of segments: segment, horizon_days, past_dates, customers (mean), forecast and actual (sums),
    missed (sum of what the totals of past dates were off by) and off_by (the mean of the same as a share of what came);
    errors have no sign, so that too high and too low do not cancel. The segment is null in the row of all customers. No
    rows before anything was tested."""
    outcomes: Mapping[str, int]
    """Rows by outcome of cleaning; `kept`, or why they were rejected."""


def suggestions(situation: Situation) -> pl.DataFrame:
    """The suggestions for a shop, the most urgent first, in SUGGESTIONS_SCHEMA."""
    found = [(code, facts) for code, rule in _RULES.items() if (facts := rule(situation)) is not None]
    rows = [
        (rank, code, suggestion_in_words(code, facts), json.dumps(facts, sort_keys=True))
        for rank, (code, facts) in enumerate(found, start=1)
    ]
    return pl.DataFrame(rows, schema=SUGGESTIONS_SCHEMA, orient="row")


def suggestion_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The sentences of a suggestion from its code and fields."""
    if code == "simple_rule_better":
        return display.say(
            "The simple rule {rule} had {gain} lower losses than {champion} over {dates} past dates: hold totals"
            " against that rule, and give the models more to learn from (attributes, events, older orders). If the next"
            " reviews say the same, configure only rules in models.",
            rule=facts["better_rule"],
            gain=display.percent(facts["gain"]),
            champion=facts["champion"],
            dates=display.count(facts["past_dates"]),
        )
    if code == "rows_rejected":
        return display.say(
            "{share} of the rows were rejected, most of them for one reason: {reason}. See rejected_transactions: mend"
            " the source or its mapping if these are purchases, and else filter them out with where.",
            share=display.percent(facts["share"]),
            reason=display.term(facts["main_reason"]),
        )
    if code == "horizon_not_tested":
        return _not_tested(facts, display)
    if code == "history_short_for_season":
        return display.say(
            "The history has {days} days, and {months} of the twelve months were seen in two years: a season cannot be"
            " told from chance. Load older orders; until then compare with last year's month by hand.",
            days=display.count(facts["history_days"]),
            months=display.count(facts["months_seen_twice"]),
        )
    if code == "regular_purchases":
        return _regular(facts, display)
    if code == "spend_depends_on_frequency":
        return display.say(
            "Who buys twice as often spends {change} per purchase: the models here know it, but do not value customers"
            " by a formula that takes both for independent, such as Gamma-Gamma or the average order value times the"
            " number of orders.",
            change=display.change(facts["per_doubling"]),
        )
    if code == "segment_forecast_badly":
        return _segment_in_words(facts, display)
    return _PLAIN[code](display)


def _not_tested(facts: Mapping[str, Any], display: Display) -> str:
    untested = display.count(facts["longest_untested_days"])
    if facts["longest_tested_days"] is None:
        return display.say(
            "No forecast could be held against what came, because the history is too short: plan with none of them yet,"
            " or load older orders."
        )
    return display.say(
        "No forecast of {untested} days could be held against what came, because the history is too short: plan with"
        " the forecast of {tested} days, or load older orders.",
        untested=untested,
        tested=display.count(facts["longest_tested_days"]),
    )


def _regular(facts: Mapping[str, Any], display: Display) -> str:
    regularity = display.count(facts["regularity"])
    if facts["is_compared"]:
        return display.say(
            "Customers buy more regularly than by chance (regularity {regularity}; 1 is chance), which most models do"
            " not assume. The model regular_nbd does, and is compared in every review: leave it in models, as it may do"
            " better with a longer history.",
            regularity=regularity,
        )
    return display.say(
        "Customers buy more regularly than by chance (regularity {regularity}; 1 is chance), which most models do not"
        " assume. Add regular_nbd, which does, to models, so that the next review compares it.",
        regularity=regularity,
    )


def _segment_in_words(facts: Mapping[str, Any], display: Display) -> str:
    values = {
        "segment": display.term(facts["segment"]),
        "dates": display.count(facts["past_dates"]),
        "days": display.count(facts["horizon_days"]),
        "error": display.percent(facts["error"]),
    }
    if facts["bias"] > 0.0:
        return display.say(
            "Most was missed with {segment}: over {dates} past dates its total of {days} days was off by {error} on"
            " average, and too high in sum. Plan this segment with what came of it so far, and map what could tell its"
            " customers apart.",
            **values,
        )
    return display.say(
        "Most was missed with {segment}: over {dates} past dates its total of {days} days was off by {error} on"
        " average, and too low in sum. Plan this segment with what came of it so far, and map what could tell its"
        " customers apart.",
        **values,
    )


_PLAIN: Mapping[str, Callable[[Display], str]] = {
    "map_money": lambda display: display.say(
        "No money is mapped, so purchases are forecast and no spend: map amount, or quantity and unit_price, if the"
        " source has them."
    ),
    "customers_alike": lambda display: display.say(
        "Customers can hardly be told apart on past dates: use totals and leave lists of the best customers aside,"
        " until attributes of customers, events or a longer history say more about each."
    ),
    "add_customer_attributes": lambda display: display.say(
        "No attributes of customers are loaded (source.customers): region, age or kind of customer tell those apart who"
        " have bought only once, of whom dates and money say little."
    ),
    "add_events": lambda display: display.say(
        "No events are loaded (source.events): visits, logins or opened newsletters show who is still there before the"
        " next purchase does."
    ),
    "add_channel": lambda display: display.say(
        "Where customers came from is not known: map an attribute channel, and source.costs, to see what a customer of"
        " each channel is worth and may cost."
    ),
    "add_cost": lambda display: display.say(
        "The cost of lines is not mapped, so margin is one rate for all customers (forecast.margin): map cost, and each"
        " customer's value follows from what they buy."
    ),
    "add_order_id": lambda display: display.say(
        "No order id is mapped, so everything a customer buys on one day is one order, and a return is matched by"
        " product or to the last purchase: map order_id."
    ),
    "add_country": lambda display: display.say(
        "No country is mapped: map country, if there is more than one, to see revenue and errors by country, and to let"
        " models learn the difference."
    ),
}
"""The suggestions without fields."""


def _missing(name: str, needs: str | None = None) -> Callable[[Situation], Facts | None]:
    """The rule of an optional input that the source does not have."""
    return lambda situation: (
        {"input": name} if name not in situation.mapped and (needs is None or needs in situation.mapped) else None
    )


def _customers_alike(situation: Situation) -> Facts | None:
    poor_order = situation.gini is not None and situation.gini < POOR_ORDER
    poor_buyers = situation.gini is None and situation.auc is not None and situation.auc < POOR_AUC
    if situation.why_code != "no_skill" and not poor_order and not poor_buyers:
        return None
    return {"normalized_gini": _rounded(situation.gini), "auc": _rounded(situation.auc)} | {
        key: situation.why_facts.get(key) for key in ("skill", "skill_error", "skill_dates")
    }


def _simple_rule_better(situation: Situation) -> Facts | None:
    facts = situation.why_facts
    if "better_rule" not in facts:
        return None
    return {
        "champion": situation.champion,
        "better_rule": facts["better_rule"],
        "gain": -facts["rule_difference"],
        "standard_error": facts["rule_error"],
        "past_dates": facts["rule_dates"],
    }


def _rows_rejected(situation: Situation) -> Facts | None:
    rejected = {reason: rows for reason, rows in situation.outcomes.items() if reason != "kept"}
    rows, lost = sum(situation.outcomes.values()), sum(rejected.values())
    if lost == 0 or lost < REJECTED_SHARE * rows:
        return None
    main = max(sorted(rejected), key=lambda reason: rejected[reason])
    return {
        "rows": rows,
        "rejected_rows": lost,
        "share": _rounded(lost / rows),
        "main_reason": main,
        "main_reason_rows": rejected[main],
    }


def _horizon_not_tested(situation: Situation) -> Facts | None:
    untested = situation.horizons_days - situation.tested_days
    if not untested:
        return None
    longest = max(situation.tested_days, default=None)
    return {
        "untested_days": sorted(untested),
        "longest_untested_days": max(untested),
        "longest_tested_days": longest,
    }


def _history_short(situation: Situation) -> Facts | None:
    if situation.months_seen_twice == 12:
        return None
    return {
        "history_days": (situation.as_of - situation.first_day).days + 1,
        "months_seen_twice": situation.months_seen_twice,
        "two_years_on": (situation.first_day + TWO_YEARS).isoformat(),
    }


def _regular_purchases(situation: Situation) -> Facts | None:
    if situation.regularity < 2 or situation.champion == REGULAR:
        return None
    return {"regularity": situation.regularity, "is_compared": REGULAR in situation.models}


def _spend_depends(situation: Situation) -> Facts | None:
    if situation.elasticity is None or abs(situation.elasticity) < ELASTICITY:
        return None
    return {
        "elasticity": _rounded(situation.elasticity),
        "per_doubling": _rounded(2.0**situation.elasticity - 1.0),
    }


def _segment_badly(situation: Situation) -> Facts | None:
    whole = pl.col("actual").filter(pl.col("segment").is_null()).sum()
    bad = situation.segments.filter(
        pl.col("segment").is_not_null(),
        pl.col("actual") > 0.0,
        pl.col("off_by") >= SEGMENT_ERROR,
        pl.col("missed") >= SEGMENT_WEIGHT * whole,
        pl.col("customers") >= SEGMENT_CUSTOMERS,
        pl.col("past_dates") >= SEGMENT_DATES,
    ).sort("missed", "segment", descending=[True, False])
    if bad.is_empty():
        return None
    worst = bad.row(0, named=True)
    bias = worst["forecast"] / worst["actual"] - 1.0
    return {
        "segment": worst["segment"],
        "horizon_days": worst["horizon_days"],
        "past_dates": worst["past_dates"],
        "customers": round(worst["customers"]),
        "bias": _rounded(bias),
        "error": _rounded(worst["off_by"]),
        "also": bad["segment"].to_list()[1:],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


_RULES: Mapping[str, Callable[[Situation], Facts | None]] = {
    "customers_alike": _customers_alike,
    "simple_rule_better": _simple_rule_better,
    "rows_rejected": _rows_rejected,
    "horizon_not_tested": _horizon_not_tested,
    "history_short_for_season": _history_short,
    "segment_forecast_badly": _segment_badly,
    "regular_purchases": _regular_purchases,
    "spend_depends_on_frequency": _spend_depends,
    "map_money": _missing("money"),
    "add_customer_attributes": _missing("customers"),
    "add_events": _missing("events"),
    "add_channel": _missing("channel"),
    "add_cost": _missing("cost", needs="money"),
    "add_order_id": _missing("order_id"),
    "add_country": _missing("country"),
}
"""By code, the facts of a suggestion, None where there is nothing to suggest; the most urgent first."""

CODES = tuple(_RULES)
"""All codes."""
