"""Names in a chart as labels: short enough to fit beside it, and none that the renderer cannot draw.

The renderer would shorten them too, but it cuts a character like 🎁 in two and then cannot draw it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from clv_pipeline.text import displayed

LABEL_WIDTH, NARROW_LABEL_WIDTH = 170, 125
"""The widest label in px, on a page and on a phone."""
LEGEND_WIDTH = 230
"""The widest name in a legend in px."""
LEGEND_SYMBOL = 34
"""Width in px of a symbol in a legend with the space around it."""

OF_VEGA = {
    "if",
    *("constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString"),
    *("valueOf", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__"),
}
"""Words that Vega takes for names of its own where marks are sorted by their texts, also between quotes: a word of its
language, and what every object of JavaScript has."""


def with_labels(spec: dict[str, Any], widest: float) -> dict[str, Any]:
    """The specification of a chart with all texts of its data as labels. Different texts stay different.

    widest: of a label in px; names in legends stand by themselves and may be longer.
    """
    rows = (row for dataset in spec.get("datasets", {}).values() for row in dataset)
    texts = dict.fromkeys(text for row in rows for text in row.values() if isinstance(text, str))
    in_legends = {*_in_legends(spec)}
    labels = short_names({text: max(widest, LEGEND_WIDTH) if text in in_legends else widest for text in texts})
    relabelled: dict[str, Any] = _relabelled(spec, {text: label for text, label in labels.items() if label != text})
    return relabelled


def short_names(widths: dict[str, float]) -> dict[str, str]:
    """Names, each with its widest label in px, and their labels. Different names have different labels."""
    shortened_ = {name: _label(name, width) for name, width in widths.items()}
    taken = {name for name, label in shortened_.items() if label == name}
    labels = {}
    for name, label in shortened_.items():
        unique, copies = label, 1
        while name not in taken and unique in taken:
            copies += 1
            unique = f"{label} ({copies})"
        taken.add(unique)
        labels[name] = unique
    return labels


def _in_legends(part: Any) -> Iterator[str]:
    """The names of all legends of a specification."""
    if isinstance(part, list):
        for item in part:
            yield from _in_legends(item)
    elif isinstance(part, dict):
        if part.get("legend") and isinstance(part.get("sort"), list):
            yield from part["sort"]
        for value in part.values():
            yield from _in_legends(value)


def in_two_lines(name: str, width: float = 66) -> tuple[str, str]:
    """A name broken between words for a cell of `width` px: two lines, the second one may be empty."""
    first, *words = name.split() or [""]
    while words and _width_of(f"{first} {words[0]}") <= width:
        first = f"{first} {words.pop(0)}"
    return shortened(first, width), shortened(" ".join(words), width)


def legend_columns(names: list[str], width: float) -> int | None:
    """In how many columns a legend of these names has to stand, so that it is not wider; None: in one row."""
    widths = [min(_width_of(name), LEGEND_WIDTH) + LEGEND_SYMBOL for name in names]
    return None if sum(widths) <= width else max(1, int(width // max(widths)))


def _label(text: str, widest: float) -> str:
    return f"{text} " if text in OF_VEGA else shortened(text, widest)


def shortened(text: str, widest: float = LABEL_WIDTH) -> str:
    """The text made safe to display, or as much of it as has room in so many px."""
    safe, width = displayed(text), 0.0
    for place, character in enumerate(safe):
        width += _width(character)
        if width > widest:
            return safe[:place] + "…"
    return safe


def _width_of(text: str) -> float:
    return sum(map(_width, text))


def _width(character: str) -> float:
    """The approximate width of a character in px at the size of labels."""
    if unicodedata.combining(character):
        return 0
    if ord(character) > 0xFFFF or unicodedata.east_asian_width(character) in "WF":
        return 12
    return 5.5 if character.islower() or not character.isalnum() else 7.5


def _relabelled(part: Any, labels: dict[str, str]) -> Any:
    if isinstance(part, str):
        return labels.get(part, part)
    if isinstance(part, list):
        return [_relabelled(item, labels) for item in part]
    if isinstance(part, dict):
        return {key: _relabelled(value, labels) for key, value in part.items()}
    return part
