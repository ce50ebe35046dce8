"""The catalogues of words: what the code says to people, gathered, and what each language still lacks.

A text is said by `say("…")` or `say_many(number, "…", "…")`, in Python, in templates and in scripts alike, and stands
there as a literal. Names that tables hold stand in `terms.py`.

Run: python -m clv_pipeline.display.catalogues (`make words`)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from clv_pipeline.display.locales import WORDS, languages

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

PACKAGE = Path(__file__).parents[1]

KEYWORDS = {"say": None, "say_many": (2, 3), "words": None, "term": None}
"""The functions that say something, and which of their arguments are texts (gettext's keywords)."""

METHODS = (
    ("display/terms.py", "python"),
    ("campaigns/**.py", "python"),
    ("evaluation/**.py", "python"),
    ("segmentation/**.py", "python"),
    ("publication/**.py", "python"),
    ("publication/**.html", "jinja2"),
    ("publication/**.js", "javascript"),
)
"""Where something is said, and in which language it is written."""


HEADER = """msgid ""
msgstr ""
"Language: {language}\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: {plural_forms}\\n"

"""


def said() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Every text that is said to people, singular and plural together, and the file that says it."""
    from babel.messages.extract import extract_from_dir

    for file, _, message, _, _ in extract_from_dir(PACKAGE, list(METHODS), keywords=KEYWORDS):
        yield message, file


def update(language: str) -> int:
    """Bring a catalogue up to date: new texts are added without words, unused ones go. Returns how many lack words."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    template = Catalog()
    for message, origin in sorted(said(), key=lambda pair: (pair[1], str(pair[0]))):
        template.add(message, locations=[(origin, 0)])
    catalogue = read(language)
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    with (WORDS / f"{language}.po").open("wb") as file:
        # Of Babel's header only what is read: its dates would make every update a change.
        file.write(HEADER.format(language=language, plural_forms=catalogue.plural_forms).encode())
        write_po(file, catalogue, width=110, omit_header=True, include_lineno=False, sort_by_file=True)
    return len(lacking(catalogue))


def read(language: str) -> Catalog:
    """The catalogue of a language."""
    from babel.messages.pofile import read_po

    with (WORDS / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def lacking(catalogue: Catalog) -> list[str]:
    """The texts that a catalogue has no words for."""
    return [str(message.id) for message in catalogue if message.id and not all(_forms(message))]


def _forms(message: Message) -> list[str]:
    """What a text is in the language: one form, or one per plural."""
    forms = message.string
    return [forms] if isinstance(forms, str) else list(forms or ("",))


if __name__ == "__main__":
    for name in languages():
        if name != "en":
            print(f"{name}: {update(name)} texts have no words yet")
