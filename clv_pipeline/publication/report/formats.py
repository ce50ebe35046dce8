"""How a cell of the report becomes text: by the display of the page, marked with where its number stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup, escape

from clv_pipeline.display import Display
from clv_pipeline.display.locales import NOTHING
from clv_pipeline.display.terms import FEATURES
from clv_pipeline.publication.report.queries import Cell

FORMATS = (
    "count",
    "money",
    "price",
    "share",
    "percent",
    "change",
    "score",
    "day",
    "short_day",
    "month",
    "short_month",
    "moment",
)
"""The methods of Display that are filters of the templates."""


def filters(display: Display, *, marks: bool) -> dict[str, Callable[..., str]]:
    """The filters by name; with `marks`, every number is an element that says where it stands."""
    write = _marked if marks else _plain
    return {
        **{name: write(getattr(display, name)) for name in FORMATS},
        "amount": write(display.amount),
    }


def words(display: Display, *, marks: bool) -> dict[str, Callable[..., Any]]:
    """The functions by which the templates say something; numbers in it come from the filters."""
    counted = (_marked if marks else _plain)(display.count)

    def say(text: str, **values: object) -> Markup:
        return Markup(display.words(text)).format(**values)  # noqa: S704  (a text of ours; values are escaped)

    def say_many(number: Cell, one: str, many: str, **values: object) -> Markup:
        text = Markup(display.words_of_many(number.value, one, many))  # noqa: S704
        return text.format(**{"number": counted(number), **values})

    def term(cell: Cell) -> str:
        return NOTHING if cell.value is None else display.term(str(cell))

    def feature(cell: Cell) -> str:
        return display.term(FEATURES.get(str(cell), str(cell)))

    def listed(parts: Sequence[str]) -> Markup:
        return Markup(display.listed([str(escape(part)) for part in parts]))  # noqa: S704  (each part is escaped)

    def decimals_of(rows: Sequence[dict[str, Cell]], column: str, kind: str) -> int:
        values = [None if (cell := row[column].value) is None else float(cell) for row in rows]
        return display.price_decimals_for(values) if kind == "price" else display.decimals_for(values)

    return {
        "say": say,
        "say_many": say_many,
        "term": term,
        "feature": feature,
        "listed": listed,
        "decimals_of": decimals_of,
    }


def _plain(format_: Callable[..., str]) -> Callable[..., str]:
    """A filter that writes a cell as text."""
    return lambda cell, *given: NOTHING if cell.value is None else format_(cell.value, *given)


def _marked(format_: Callable[..., str]) -> Callable[..., str]:
    """A filter that writes a cell as an element that has the exact value, and says where it stands."""

    def filter_(cell: Cell, *given: Any) -> str:
        if cell.value is None:
            return NOTHING
        return Markup('<data value="{}" data-from="{}" data-row="{}" data-column="{}">{}</data>').format(
            cell.value, cell.query, cell.row, cell.column, format_(cell.value, *given)
        )

    return filter_
