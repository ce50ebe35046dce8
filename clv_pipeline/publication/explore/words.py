"""What the script of the page says in the language of a display, and how it writes numbers, money and days there.

The texts stand in the script as literals, where the catalogues find them, too. A browser has locales of its own, which
write some of them otherwise than the report: so the page brings along how the report writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any

from clv_pipeline.display import Display
from clv_pipeline.display.catalogues import KEYWORDS

SAMPLES = (*range(102), 1_000, 1_000_000)
"""Numbers that between them have every form that a language has."""


def script_words(display: Display, script: Path) -> dict[str, str | dict[str, str]]:
    """What every text of the script is in the language; nothing for English, which is what the script says.

    The forms of a text that goes with a number are found under the first of its two English ones, by the names that the
    browser's Intl.PluralRules has for them.
    """
    if display.language == "en":
        return {}
    forms = _forms(display.language)
    said: dict[str, str | dict[str, str]] = {}
    for text in _said(script):
        if isinstance(text, str):
            said[text] = display.words(text)
        else:
            one, many = text
            said[one] = {form: display.words_of_many(number, one, many) for form, number in forms.items()}
    return said


def _said(script: Path) -> Iterator[str | tuple[str, ...]]:
    from babel.messages.extract import extract

    with script.open("rb") as lines:
        for _, message, _, _ in extract("javascript", lines, keywords=KEYWORDS):
            yield message


def _forms(language: str) -> Mapping[str, int]:
    """The names of the forms that the language has, each with a number that it goes with."""
    from babel import Locale

    form_of = Locale.parse(language).plural_form
    return {form_of(number): number for number in reversed(SAMPLES)}


def script_numbers(display: Display) -> dict[str, Any]:
    """How the display writes numbers, money and days, taken from what it writes.

    decimal: the decimal point. group: what stands between groups of digits. sizes: how many digits the last group has,
    and each before it. number, percent, money: a positive and a negative one, with {} for the digits. days: a day of
    each month from January to December, with {year} and {day}. padded: whether the first days have two digits. months:
    each month, with {year}.
    """
    whole = display.count(1_111_111_111_111)
    runs = [len([*run]) for is_digit, run in groupby(whole, str.isdigit) if is_digit]
    signs = (1, -1)
    one_digit, two_digits = (len(display.short_day(date(2222, 5, day))) for day in (7, 28))
    return {
        "decimal": display.number(1.1, 1).replace("1", ""),
        "group": re.sub(r"\d", "", whole)[:1],
        "sizes": runs[:-3:-1],
        "number": [display.count(sign).replace("1", "{}") for sign in signs],
        "percent": [display.percent(sign / 100).replace("1", "{}") for sign in signs],
        "money": [display.amount(sign, 0, with_currency=True).replace("1", "{}") for sign in signs],
        "days": [
            display.short_day(date(2222, month, 28)).replace("2222", "{year}").replace("28", "{day}")
            for month in range(1, 13)
        ],
        "padded": one_digit == two_digits,
        "months": [display.short_month(date(2222, month, 28)).replace("2222", "{year}") for month in range(1, 13)],
    }
