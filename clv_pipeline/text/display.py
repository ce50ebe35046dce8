r"""The one place that makes text safe to display, whatever a file, a file name or an error message holds.

Tables keep text as it came, so that ids join. Whatever leaves them for the eye goes through here: specifications of
charts, the report, lists as CSV, lines on the terminal, messages in Dagster and in alerts. What could abort a renderer,
steer a terminal or turn a line around is written as JSON writes it: a vertical tab is \u000b. So nothing is lost, two
names stay two names, and a JSON document is still the same document.
"""

from __future__ import annotations

import re
from typing import Any

UNSAFE = (
    # Control characters, without the tab and the line feed.
    r"\x{0000}-\x{0008}\x{000b}-\x{001f}\x{007f}-\x{009f}"
    # Ends of lines that only some programs know, and what turns the direction of writing.
    r"\x{2028}-\x{202e}\x{2066}-\x{2069}"
    # No characters at all: XML has none of them.
    r"\x{fffe}\x{ffff}"
)
"""What is not displayed as it is, for the inside of a character class of DuckDB (RE2)."""

# Halves of characters, which file names may hold where they are no UTF-8, and no database does.
_UNSAFE = re.compile(rf"[{re.sub(r'[{}]', '', UNSAFE).replace(chr(92) + 'x', chr(92) + 'u')}\ud800-\udfff]")


def displayed(text: str) -> str:
    r"""The text with everything that is not safe to display spelled out, such as \u000b for a vertical tab."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def displayed_in(document: Any) -> Any:
    """The same document of dicts and lists, every text in it as it is displayed; keys are ours and stay."""
    if isinstance(document, str):
        return displayed(document)
    if isinstance(document, dict):
        return {key: displayed_in(value) for key, value in document.items()}
    if isinstance(document, list):
        return [displayed_in(value) for value in document]
    return document
