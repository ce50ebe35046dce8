"""The page: the rows of the queries and the drawn figures, put into the templates.

Everything from outside is escaped by the template engine; only what this package wrote itself is marked as safe. What
would not be safe to display is spelled out in the page as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.errors import PictureError
from clv_pipeline.publication.report.queries import QUERIES, Cell, cells, read
from clv_pipeline.publication.write import DATABASE, REPORT
from clv_pipeline.text import displayed

if TYPE_CHECKING:
    import duckdb
    import jinja2
    import polars as pl
    from markupsafe import Markup

    from clv_pipeline.publication.charts.pictures import Specification

TEMPLATES = Path(__file__).parent / "templates"

SUMMARY = ("publication", "shop", "best_tenth", "last_month", "outlook", "at_risk", "accuracy", "champion")
"""The queries that the summary needs."""

Rows = Mapping[str, list[dict[str, Cell]]]
Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


def write_report(version: Path, *, warn: Warn = _log.warning) -> None:
    """Make the report of a published version from its database, in the same folder.

    A picture that cannot be drawn is missing there, and `warn` is told which and why.
    """
    with open_read_only(version / DATABASE) as published:
        page = render(published, warn=warn)
    (version / REPORT).write_text(page, encoding="utf-8")


def summary_lines(database: Path) -> list[str]:
    """The summary of a published database: five sentences without markup, and one more where the model is in doubt.

    No customer is named.
    """
    with open_read_only(database) as published:
        frames = {name: read(published, name) for name in SUMMARY}
    rows = _rows(frames)
    return [line.unescape() for line in _sentences(_environment(_currency(rows), marks=False), rows)]


def render(published: duckdb.DuckDBPyConnection, *, warn: Warn = _log.warning) -> str:
    """The whole page; `warn` is told of every picture that is missing."""
    from clv_pipeline.publication.charts.look import dark_style

    frames = {name: read(published, name) for name in QUERIES}
    rows = _rows(frames)
    environment = _environment(_currency(rows), marks=True)
    page = environment.get_template("page.html").render(
        rows=rows,
        summary=_sentences(environment, rows),
        figures=_drawn(frames, warn),
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


def _currency(rows: Rows) -> str | None:
    """The currency of all money on the page; None if the publication does not know it."""
    found: str | None = rows["publication"][0]["currency"].value
    return found


def _environment(currency: str | None, *, marks: bool) -> jinja2.Environment:
    """The template engine; with `marks`, every number is an element that says where it stands.

    Money of a sentence has its currency; in a table the heading has it (`bare_money`).
    """
    import jinja2

    from clv_pipeline.publication.report.formats import FORMATS, in_currency, marked, plain

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = {**FORMATS, "bare_money": FORMATS["money"], "money": in_currency(currency)}
    environment.filters |= {name: (marked if marks else plain)(format_) for name, format_ in formats.items()}
    environment.globals["currency"] = currency
    return environment


def _sentences(environment: jinja2.Environment, rows: Rows) -> list[Markup]:
    """The summary, a sentence per line of its template, escaped."""
    from markupsafe import Markup

    told = displayed(environment.get_template("summary.html").render(rows=rows))
    return [Markup(line) for line in told.splitlines() if line]  # noqa: S704  (escaped by the template engine)


def _drawn(frames: Mapping[str, pl.DataFrame], warn: Warn) -> dict[str, dict[str, Any]]:
    """Title and SVG elements of every figure that has something to draw; no elements where one cannot be drawn."""
    from clv_pipeline.publication.charts.pictures import specified, title_of
    from clv_pipeline.publication.report.figures import figures

    charts = {name: figure.of(frames[figure.query]) for name, figure in figures().items()}
    drawn: dict[str, dict[str, Any]] = {}
    for name, chart in charts.items():
        if chart is None:
            continue
        specification = specified(chart)
        title = title_of(specification)
        try:
            drawings = _drawings(specification, title)
        except PictureError as error:
            warn(f"report: {error}")
            drawings = {}
        drawn[name] = {"title": title["text"], "drawings": drawings}
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
