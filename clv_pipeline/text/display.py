r"""The one place that makes text safe to display, whatever a file, a file name or an error message holds.

Tables keep text as it came, so that ids join. All text for display goes through here: chart specifications, the report,
CSV lists, terminal output, messages in Dagster and in alerts. Characters that could abort a renderer, control a
terminal or reverse a line are escaped as in JSON: a vertical tab becomes \u000b. So nothing is lost, two names stay two
names, and a JSON document stays the same document.
"""

from __future__ import annotations

import re
from typing import Any

UNSAFE = (
    # Control characters, without the tab and the line feed.
    r"\x{0000}-\x{0008}\x{000b}-\x{001f}\x{007f}-\x{009f}"
    # Line ends that only some programs know, and characters that change the direction of writing.
    r"\x{2028}-\x{202e}\x{2066}-\x{2069}"
    # Not characters at all: XML does not allow them.
    r"\x{fffe}\x{ffff}"
)
"""Unsafe characters, for the inside of a character class in DuckDB (RE2)."""

# Adds surrogates (halves of characters), which occur in file names that are not UTF-8, but in no database.
_UNSAFE = re.compile(rf"[{re.sub(r'[{}]', '', UNSAFE).replace(chr(92) + 'x', chr(92) + 'u')}\ud800-\udfff]")


def displayed(text: str) -> str:
    r"""The text with all unsafe characters escaped, such as \u000b for a vertical tab."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def displayed_in(document: Any) -> Any:
    """A document of dicts and lists with every text in it made safe to display. Keys are ours and stay unchanged."""
    if isinstance(document, str):
        return displayed(document)
    if isinstance(document, dict):
        return {key: displayed_in(value) for key, value in document.items()}
    if isinstance(document, list):
        return [displayed_in(value) for value in document]
    return document
