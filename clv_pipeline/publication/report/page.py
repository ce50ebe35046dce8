"""The page: the rows of the queries and the drawn figures, put into the templates.

Everything from outside is escaped by the template engine; only what this package wrote itself is marked as safe. What
would not be safe to display is spelled out in the page as a whole.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.display import Display
from clv_pipeline.errors import PictureError
from clv_pipeline.publication.report.queries import QUERIES, Cell, cells, read
from clv_pipeline.publication.templates import environment_of
from clv_pipeline.publication.write import DATABASE, REPORT
from clv_pipeline.text import displayed

if TYPE_CHECKING:
    import duckdb
    import jinja2
    import polars as pl
    from markupsafe import Markup

    from clv_pipeline.publication.charts.pictures import Specification

TEMPLATES = Path(__file__).parent / "templates"

SUMMARY = (
    *("publication", "shop", "best_tenth", "last_month", "outlook", "yardsticks", "at_risk", "most_urgent"),
    *("accuracy", "errors", "champion", "doubts"),
)
"""The queries that the first screen needs."""

Rows = Mapping[str, list[dict[str, Cell]]]
Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


def write_report(version: Path, display: Display, *, warn: Warn = _log.warning) -> None:
    """Make the report of a published version from its database, in the same folder.

    A picture that cannot be drawn is missing there, and `warn` is told which and why.
    """
    with open_read_only(version / DATABASE) as published:
        page = render(published, display, warn=warn)
    (version / REPORT).write_text(page, encoding="utf-8")


def summary_lines(database: Path, display: Display) -> list[str]:
    """The first screen of a published database: what to doubt, then the summary, without markup.

    No customer is named.
    """
    with open_read_only(database) as published:
        frames = {name: read(published, name) for name in SUMMARY}
    rows = _rows(frames)
    environment = _environment(_in_currency(display, rows), marks=False)
    return [line.unescape() for name in ("doubts", "summary") for line in _sentences(environment, name, rows)]


def render(published: duckdb.DuckDBPyConnection, display: Display, *, warn: Warn = _log.warning) -> str:
    """The whole page; `warn` is told of every picture that is missing."""
    from clv_pipeline.publication.charts.look import dark_style

    frames = {name: read(published, name) for name in QUERIES}
    rows = _rows(frames)
    display = _in_currency(display, rows)
    environment = _environment(display, marks=True)
    page = environment.get_template("page.html").render(
        rows=rows,
        doubts=_sentences(environment, "doubts", rows),
        summary=_sentences(environment, "summary", rows),
        figures=_drawn(frames, display, warn),
        dictionary=[
            (name, list(columns)) for name, columns in groupby(rows["dictionary"], key=lambda row: str(row["name"]))
        ],
        queries=QUERIES,
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        dark_drawings=dark_style(".drawing"),
    )
    # Of the whole page, so that nothing on it is forgotten.
    return displayed(page)


def _rows(frames: Mapping[str, pl.DataFrame]) -> Rows:
    return {name: cells(name, frame) for name, frame in frames.items()}


def _in_currency(display: Display, rows: Rows) -> Display:
    """The display for all money on the page; the publication may not know its currency."""
    return display.in_currency(rows["publication"][0]["currency"].value)


def _environment(display: Display, *, marks: bool) -> jinja2.Environment:
    """The template engine; with `marks`, every number is an element that says where it stands."""
    from clv_pipeline.publication.report.formats import filters, words

    environment = environment_of(TEMPLATES)
    environment.filters |= filters(display, marks=marks)
    environment.globals |= {
        **words(display, marks=marks),
        "display": display,
        "currency_symbol": display.symbol,
        "facts_of": lambda cell: json.loads(cell.value or "{}"),
        "told": partial(_told, display, marks=marks),
    }
    return environment


def _told(display: Display, table: str, column: str, row: Mapping[str, Cell], *, marks: bool) -> str:
    """A sentence of a table in the language; with `marks`, an element that says which."""
    from markupsafe import Markup

    from clv_pipeline.publication.told import told

    sentence = told(display, table, column, {name: cell.value for name, cell in row.items()})
    return Markup('<span data-sentence="{}.{}">{}</span>').format(table, column, sentence) if marks else sentence


def _sentences(environment: jinja2.Environment, template: str, rows: Rows) -> list[Markup]:
    """The sentences of a template, one per line, escaped."""
    from markupsafe import Markup

    text = displayed(environment.get_template(f"{template}.html").render(rows=rows))
    return [Markup(line) for line in text.splitlines() if line]  # noqa: S704  (escaped by the template engine)


def _drawn(frames: Mapping[str, pl.DataFrame], display: Display, warn: Warn) -> dict[str, dict[str, Any]]:
    """Title, subtitle and SVG elements of every figure that has something to draw; no elements where one cannot be.

    A figure that does not even become a chart is left out.
    """
    from clv_pipeline.publication.charts.pictures import specified, title_of
    from clv_pipeline.publication.report.figures import figures

    drawn: dict[str, dict[str, Any]] = {}
    for name, figure in figures().items():
        try:
            chart = figure.of(frames[figure.query], display)
        except PictureError as error:
            warn(f"report: {error}")
            continue
        if chart is None:
            continue
        specification = specified(chart)
        title = title_of(specification)
        try:
            drawings = _drawings(specification, title)
        except PictureError as error:
            warn(f"report: {error}")
            drawings = {}
        drawn[name] = {"title": title["text"], "subtitle": title["subtitle"], "drawings": drawings}
    return drawn


def _drawings(chart: Specification, title: Mapping[str, Any]) -> dict[str, Markup]:
    """A chart as a wide and a narrow screen show it; style.css chooses."""
    from markupsafe import Markup

    from clv_pipeline.publication.charts.pictures import to_svg

    image = Markup('<svg role="img" aria-label="{}. {}" ').format(title["text"], title["subtitle"])
    drawings = {
        width: to_svg(chart, narrow=width == "narrow").replace("<svg ", image, 1) for width in ("wide", "narrow")
    }
    return {width: Markup(svg) for width, svg in drawings.items()}  # noqa: S704  (drawn by us)
