"""Why a model serves, or why not, in words: sentences made of a code and the fields beside it.

`champion` decides the code; here it is said, in any language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from clv_pipeline.display import ENGLISH, Display


def why_in_words(code: str, facts: Mapping[str, Any], display: Display = ENGLISH) -> str:
    """The sentence of `why` from `why_code` and the fields of `why_facts`.

    Fields: champion, preferred, other (a model it is compared with), difference (how much higher its losses are than
    the other's, -0.1: 10 % lower) with its standard_error, past_dates, skill with skill_error, better_rule (a simple
    rule that did better, with rule_difference, rule_error and rule_dates), is_rule, reasons.
    """
    if code == "not_evaluated":
        return display.say("It was not compared: {reasons}", reasons=notes_in_words(facts["reasons"], display))
    if code == "no_window":
        return display.say("It was not compared: no past window is over.")
    if code == "not_together":
        return display.say(
            "It was not compared: there is no past window with purchases on which {champion} was scored too.",
            champion=facts["champion"],
        )
    if code in ("behind", "within_chance", "few_dates", "ahead"):
        return (_rule_compared if facts["is_rule"] else _model_compared)(code, facts, display)
    return _serves(code, facts, display)


def notes_in_words(notes: str, display: Display = ENGLISH) -> str:
    """The notes of a fit, sentence by sentence; one with numbers of its own stays in English."""
    return " ".join(display.term(sentence) for sentence in re.split(r"(?<=\.) ", notes))


def _model_compared(code: str, facts: Mapping[str, Any], display: Display) -> str:
    """A family that does not serve, beside the champion."""
    dates, other = facts["past_dates"], facts["other"]
    compared = _compared(facts["difference"], facts["standard_error"], display)
    if code == "within_chance":
        return display.say_many(
            dates,
            "It was {compared} than {other} over {number} past date, which is not beyond chance.",
            "It was {compared} than {other} over {number} past dates, which is not beyond chance.",
            compared=compared,
            other=other,
        )
    if code == "few_dates":
        return display.say_many(
            dates,
            "It was {compared} than {other} over {number} past date, too few to count.",
            "It was {compared} than {other} over {number} past dates, too few to count.",
            compared=compared,
            other=other,
        )
    if code == "ahead":
        return display.say_many(
            dates,
            "It was {compared} than {other} over {number} past date, but {other} gained more on {preferred}.",
            "It was {compared} than {other} over {number} past dates, but {other} gained more on {preferred}.",
            compared=compared,
            other=other,
            preferred=facts["preferred"],
        )
    return display.say_many(
        dates,
        "It was {compared} than {other} over {number} past date.",
        "It was {compared} than {other} over {number} past dates.",
        compared=compared,
        other=other,
    )


def _rule_compared(code: str, facts: Mapping[str, Any], display: Display) -> str:
    """A simple rule beside the champion; it serves only where no family is configured."""
    dates, other = facts["past_dates"], facts["other"]
    compared = _compared(facts["difference"], facts["standard_error"], display)
    if code == "within_chance":
        return display.say_many(
            dates,
            "A simple rule, for comparison: it was {compared} than {other} over {number} past date, which is not"
            " beyond chance.",
            "A simple rule, for comparison: it was {compared} than {other} over {number} past dates, which is not"
            " beyond chance.",
            compared=compared,
            other=other,
        )
    if code == "few_dates":
        return display.say_many(
            dates,
            "A simple rule, for comparison: it was {compared} than {other} over {number} past date, too few to count.",
            "A simple rule, for comparison: it was {compared} than {other} over {number} past dates, too few to count.",
            compared=compared,
            other=other,
        )
    return display.say_many(
        dates,
        "A simple rule, for comparison: it was {compared} than {other} over {number} past date.",
        "A simple rule, for comparison: it was {compared} than {other} over {number} past dates.",
        compared=compared,
        other=other,
    )


def _serves(code: str, facts: Mapping[str, Any], display: Display) -> str:
    """The champion: what speaks against it comes before why it was chosen."""
    if code == "simple_rule_better":
        return display.say_many(
            facts["rule_dates"],
            "Serves as the best of the models, though the simple rule {rule} was {compared} over {number} past date.",
            "Serves as the best of the models, though the simple rule {rule} was {compared} over {number} past dates.",
            rule=facts["better_rule"],
            compared=_compared(facts["rule_difference"], facts["rule_error"], display),
        )
    if code == "no_skill":
        return display.say_many(
            facts["skill_dates"],
            "Serves as the best there is, though customers of this shop cannot be told apart: over {number} past date"
            " the same forecast for everybody was as good (skill {skill}).",
            "Serves as the best there is, though customers of this shop cannot be told apart: over {number} past dates"
            " the same forecast for everybody was as good (skill {skill}).",
            skill=_skill(facts["skill"], facts["skill_error"], display),
        )
    if code == "only_family":
        return display.say("Serves: it is the only family of models that is configured.")
    if code == "preferred_no_evidence" and not facts["past_dates"]:
        return display.say("Serves: it did best on many shops, and no past date speaks yet.")
    if code == "preferred_no_evidence":
        return display.say_many(
            facts["past_dates"],
            "Serves: it did best on many shops, and {number} past date of this one is too little to prefer another.",
            "Serves: it did best on many shops, and {number} past dates of this one are too few to prefer another.",
        )
    if code == "only_rules":
        return display.say_many(
            facts["past_dates"],
            "Serves: it did best of the simple rules over {number} past date, and no model is configured.",
            "Serves: it did best of the simple rules over {number} past dates, and no model is configured.",
        )
    if code == "only_rules_no_evidence":
        return display.say(
            "Serves: it is the first simple rule that is configured, no model is, and no past date speaks yet."
        )
    compared = _compared(facts["difference"], facts["standard_error"], display)
    if code == "replaced_preferred":
        return display.say_many(
            facts["past_dates"],
            "Serves: over {number} past date of this shop it was {compared} than {other}, which did best on many"
            " shops.",
            "Serves: over {number} past dates of this shop it was {compared} than {other}, which did best on many"
            " shops.",
            compared=compared,
            other=facts["other"],
        )
    return display.say_many(
        facts["past_dates"],
        "Serves: it did best on many shops, and over {number} past date of this one no other was better by more than"
        " chance; {other} came nearest and was {compared}.",
        "Serves: it did best on many shops, and over {number} past dates of this one no other was better by more than"
        " chance; {other} came nearest and was {compared}.",
        compared=compared,
        other=facts["other"],
    )


def _compared(difference: float, error: float | None, display: Display) -> str:
    """By how much the losses are lower or higher than those of another, a phrase."""
    size = display.share(abs(difference))
    if error is None and difference < 0.0:
        return display.say("{difference} better", difference=size)
    if error is None:
        return display.say("{difference} worse", difference=size)
    if difference < 0.0:
        return display.say("{difference} better (± {error})", difference=size, error=display.share(error))
    return display.say("{difference} worse (± {error})", difference=size, error=display.share(error))


def _skill(skill: float, error: float | None, display: Display) -> str:
    sign = "+" if skill > 0.0 else ""
    written = f"{sign}{display.number(skill, 2)}"
    return written if error is None else f"{written} ± {display.number(error, 2)}"
