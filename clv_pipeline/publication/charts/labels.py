"""Names in a chart as labels: short enough to fit beside it, and none that the renderer cannot draw.

The renderer would shorten them too, but it cuts a character like 🎁 in two and then cannot draw it.
"""

from __future__ import annotations

import unicodedata
from typing import Any

LABEL_WIDTH = 170
"""The widest label in px."""


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


def _label(text: str) -> str:
    if text == "if":
        # Vega takes this one word for a name of its own where bars are sorted by their texts, also between quotes.
        return "if "
    width = 0.0
    for place, character in enumerate(text):
        width += _width(character)
        if width > LABEL_WIDTH:
            return text[:place] + "…"
    return text


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
