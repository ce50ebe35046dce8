"""Names in a chart as labels: short enough to fit beside it, and none that the renderer cannot draw.

The renderer would shorten them too, but it cuts a character like 🎁 in two and then cannot draw it.
"""

from __future__ import annotations

import unicodedata
from typing import Any

LABEL_WIDTH = 170
"""The widest label in px."""
LEGEND_SYMBOL = 34
"""Width in px of a symbol in a legend with the space around it."""


def with_labels(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification of a chart with all texts of its data as labels. Different texts stay different."""
    rows = (row for dataset in spec.get("datasets", {}).values() for row in dataset)
    texts = dict.fromkeys(text for row in rows for text in row.values() if isinstance(text, str))
    labels: dict[str, str] = {}
    taken = {text for text in texts if _label(text) == text}
    for text in texts:
        if text not in taken:
            label, copies = _label(text), 1
            while label in taken:
                copies += 1
                label = f"{_label(text)} ({copies})"
            taken.add(label)
            labels[text] = label
    relabelled: dict[str, Any] = _relabelled(spec, labels) if labels else spec
    return relabelled


def in_two_lines(name: str, width: float = 66) -> tuple[str, str]:
    """A name broken between words for a cell of `width` px: two lines, the second one may be empty."""
    first, *words = name.split() or [""]
    while words and _width_of(f"{first} {words[0]}") <= width:
        first = f"{first} {words.pop(0)}"
    return shortened(first, width), shortened(" ".join(words), width)


def legend_columns(names: list[str], width: float) -> int | None:
    """In how many columns a legend of these names has to stand, so that it is not wider; None: in one row."""
    widths = [min(_width_of(name), LABEL_WIDTH) + LEGEND_SYMBOL for name in names]
    return None if sum(widths) <= width else max(1, int(width // max(widths)))


def _label(text: str) -> str:
    if text == "if":
        # Vega takes this one word for a name of its own where bars are sorted by their texts, also between quotes.
        return "if "
    return shortened(text, LABEL_WIDTH)


def shortened(text: str, widest: float = LABEL_WIDTH) -> str:
    """The text, or as much of it as has room in so many px."""
    width = 0.0
    for place, character in enumerate(text):
        width += _width(character)
        if width > widest:
            return text[:place] + "…"
    return text


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
