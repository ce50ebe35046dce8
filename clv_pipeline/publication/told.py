"""What published tables say in sentences, said in the language of a page: each from its code and its facts.

Tables hold the sentence in English beside both. Names that tables hold are said by `Display.term`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from clv_pipeline.campaigns.segment_uplifts import basis_in_words
from clv_pipeline.campaigns.verdict import verdict_in_words
from clv_pipeline.display import Display
from clv_pipeline.evaluation.outlook import outlook_in_words
from clv_pipeline.evaluation.refinement import suggestion_in_words
from clv_pipeline.evaluation.total_ranges import total_in_words
from clv_pipeline.evaluation.why import notes_in_words, why_in_words
from clv_pipeline.segmentation.clusters import cluster_in_words

__all__ = ["SENTENCES", "drivers_told", "forecasts_told", "notes_in_words", "told"]

SENTENCES: Mapping[tuple[str, str], Callable[[str, Mapping[str, Any], Display], str]] = {
    ("model_leaderboard", "why"): why_in_words,
    ("champion_history", "why"): why_in_words,
    ("forecast_totals", "notes"): total_in_words,
    ("revenue_outlook", "notes"): outlook_in_words,
    ("campaign_results", "verdict"): verdict_in_words,
    ("campaign_plan", "basis"): basis_in_words,
    ("segment_uplifts", "basis"): basis_in_words,
    ("customer_overview", "cluster_name"): cluster_in_words,
    ("refinement_suggestions", "suggestion"): suggestion_in_words,
}
"""What says the sentence of a table and column, from the columns of the same name with `_code` and `_facts`."""

_FACTS = {
    "days_since_last": "days since the last purchase",
    "frequency": "repeat purchases",
    "spend_per_purchase": "spend per purchase",
    "recent_activity": "spend in the last 365 days",
    "basket_size": "lines per order",
    "product_breadth": "different products",
}
"""Facts of drivers_facts in words, as in customer_overview.sql; without money, recent_activity counts purchases."""

_OF_MONEY = ("spend_per_purchase", "recent_activity")


def told(display: Display, table: str, column: str, row: Mapping[str, Any]) -> str:
    """A sentence of a published table.

    Args:
        display: the language, and how numbers are written.
        table: name of a table of SENTENCES.
        column: its column with the sentence.
        row: holds that column, and those with `_code` and `_facts`. Where an earlier version wrote neither, the
            sentence stays as it stands.
    """
    code, facts = row[f"{column}_code"], row[f"{column}_facts"]
    if code is None or facts is None:
        return str(row[column])
    return SENTENCES[table, column](code, json.loads(facts), display)


def forecasts_told(display: Display, facts: str) -> str:
    """What `customer_overview.forecasts_in_words` says, from `forecasts_facts`: every horizon, the shortest first."""
    return "; ".join(_forecast(display, *forecast) for forecast in json.loads(facts))


def _forecast(
    display: Display,
    horizon_days: int,
    outcome: str,
    p_purchase: float,
    lower: float | None,
    upper: float | None,
    spend: float | None,
) -> str:
    values = {"percent": _percent(display, p_purchase)}
    if lower is not None and upper is not None:
        values |= {"lower": display.money(lower), "upper": display.money(upper)}
    if outcome == "most_likely_nothing" and "lower" in values:
        return display.say_many(
            horizon_days,
            "{number} day: most likely nothing, buys with {percent}, {lower} to {upper}",
            "{number} days: most likely nothing, buys with {percent}, {lower} to {upper}",
            **values,
        )
    if outcome == "most_likely_nothing":
        return display.say_many(
            horizon_days,
            "{number} day: most likely nothing, buys with {percent}",
            "{number} days: most likely nothing, buys with {percent}",
            **values,
        )
    if spend is None:
        return display.say_many(
            horizon_days, "{number} day: buys with {percent}", "{number} days: buys with {percent}", **values
        )
    values["spend"] = display.money(spend)
    if "lower" in values:
        return display.say_many(
            horizon_days,
            "{number} day: spends {spend}, buys with {percent}, {lower} to {upper}",
            "{number} days: spends {spend}, buys with {percent}, {lower} to {upper}",
            **values,
        )
    return display.say_many(
        horizon_days,
        "{number} day: spends {spend}, buys with {percent}",
        "{number} days: spends {spend}, buys with {percent}",
        **values,
    )


def _percent(display: Display, p_purchase: float) -> str:
    """A probability in whole percents; nothing is certain that is not."""
    if p_purchase < 0.01:
        return f"<{display.percent(0.01)}"
    return f">{display.percent(0.99)}" if p_purchase > 0.99 else display.percent(p_purchase)


def drivers_told(display: Display, facts: str | None, *, has_money: bool) -> str | None:
    """What `customer_overview.drivers_in_words` says, from `drivers_facts`; None where these are."""
    if facts is None:
        return None
    return "; ".join(_driver(display, *driver, has_money=has_money) for driver in json.loads(facts))


def _driver(display: Display, feature: str, effect: str, value: float, median: float, *, has_money: bool) -> str:
    is_money = feature in _OF_MONEY and has_money
    label = _FACTS[feature] if feature != "recent_activity" or has_money else "purchases in the last 365 days"
    values = {
        "fact": display.term(label),
        "value": display.money(value) if is_money else _counted(display, value),
        "median": display.money(median) if is_money else _counted(display, median),
    }
    if effect == "more":
        return display.say("more expected: {fact} {value} (median {median})", **values)
    return display.say("less expected: {fact} {value} (median {median})", **values)


def _counted(display: Display, value: float) -> str:
    return display.number(value, 0 if value == int(value) else 2)
