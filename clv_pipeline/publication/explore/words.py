"""What the script of the page says, in the language of a display, with the forms that go with numbers.

The texts stand in the script as literals, where the catalogues find them, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

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
