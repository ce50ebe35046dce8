"""How the report writes numbers and days. Money has the code of its currency where the publication knows it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from markupsafe import Markup

from clv_pipeline.publication.report.queries import Cell

NOTHING = "–"
"""The text for NULL."""


def _minus(written: str) -> str:
    """Replace the hyphen by the minus sign, which is as wide as a digit."""
    return written.replace("-", "−")


def count(value: float) -> str:
    """Write 1,234."""
    return _minus(f"{value:,.0f}")


def money(value: float) -> str:
    """Write 1,234 and 56.78: cents matter in small amounts only."""
    return _minus(f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.2f}")


def share(value: float) -> str:
    """Write 0.123 as 12.3%, and a small share as <0.1%, which 0.0% would deny."""
    return "<0.1%" if 0 < value < 0.0005 else f"{value:.1%}"


def change(value: float) -> str:
    """Write 0.123 as +12.3%."""
    return _minus(f"{value:+.1%}")


def score(value: float) -> str:
    """Write 0.123."""
    return _minus(f"{value:.3f}")


def day(value: date) -> str:
    """Write 9 December 2011."""
    return f"{value.day} {value:%B %Y}"


def month(value: date) -> str:
    """Write December 2011."""
    return f"{value:%B %Y}"


def in_currency(currency: str | None) -> Callable[[float], str]:
    """The format of money in a sentence: EUR 1,234; without a currency the number alone."""
    return money if currency is None else lambda value: f"{currency} {money(value)}"


FORMATS: dict[str, Callable[[Any], str]] = {
    format_.__name__: format_ for format_ in (count, money, share, change, score, day, month)
}


def plain(format_: Callable[[Any], str]) -> Callable[[Cell], str]:
    """A template filter that writes a cell as text."""
    return lambda cell: NOTHING if cell.value is None else format_(cell.value)


def marked(format_: Callable[[Any], str]) -> Callable[[Cell], str]:
    """A template filter that writes a cell as an element that has the exact value, and says where it stands."""

    def filter_(cell: Cell) -> str:
        if cell.value is None:
            return NOTHING
        return Markup('<data value="{}" data-from="{}" data-row="{}" data-column="{}">{}</data>').format(
            cell.value, cell.query, cell.row, cell.column, format_(cell.value)
        )

    return filter_
