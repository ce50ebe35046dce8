"""The verdict on a campaign in words, from its code and fields: in any language, and without the campaign's members."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from clv_pipeline.display import ENGLISH, Display


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
