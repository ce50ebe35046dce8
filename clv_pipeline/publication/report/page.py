"""The page: the rows of the queries and the drawn figures, put into the templates.

Everything from outside is escaped by the template engine; only what this package wrote itself is marked as safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.publication.report.queries import QUERIES, Cell, cells, read
from clv_pipeline.publication.write import DATABASE, REPORT

if TYPE_CHECKING:
    import duckdb
    import jinja2
    import polars as pl
    from altair.typing import ChartType
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"

SUMMARY = ("shop", "best_tenth", "last_month", "outlook", "at_risk", "accuracy", "champion")
"""The queries that the summary needs."""

Rows = Mapping[str, list[dict[str, Cell]]]


def write_report(version: Path) -> None:
    """Make the report of a published version from its database, in the same folder."""
    with open_read_only(version / DATABASE) as published:
        page = render(published)
    (version / REPORT).write_text(page, encoding="utf-8")


def summary_lines(database: Path) -> list[str]:
    """The summary of a published database: five sentences without markup, and one more where the model is in doubt.

    No customer is named.
    """
    with open_read_only(database) as published:
        frames = {name: read(published, name) for name in SUMMARY}
    return [line.unescape() for line in _sentences(_environment(marks=False), _rows(frames))]


def render(published: duckdb.DuckDBPyConnection) -> str:
    """The whole page."""
    from clv_pipeline.publication.charts.look import dark_style

    frames = {name: read(published, name) for name in QUERIES}
    rows = _rows(frames)
    environment = _environment(marks=True)
    return environment.get_template("page.html").render(
        rows=rows,
        summary=_sentences(environment, rows),
        figures=_drawn(frames),
        dictionary=[
            (name, list(columns)) for name, columns in groupby(rows["dictionary"], key=lambda row: str(row["name"]))
        ],
        queries=QUERIES,
        style=(TEMPLATES / "style.css").read_text(encoding="utf-8"),
        dark_drawings=dark_style(".drawing"),
    )


def _rows(frames: Mapping[str, pl.DataFrame]) -> Rows:
    return {name: cells(name, frame) for name, frame in frames.items()}


def _environment(*, marks: bool) -> jinja2.Environment:
    """The template engine; with `marks`, every number is an element that says where it stands."""
    import jinja2

    from clv_pipeline.publication.report.formats import FORMATS, marked, plain

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: (marked if marks else plain)(format_) for name, format_ in FORMATS.items()}
    return environment


def _sentences(environment: jinja2.Environment, rows: Rows) -> list[Markup]:
    """The summary, a sentence per line of its template, escaped."""
    from markupsafe import Markup

    told = environment.get_template("summary.html").render(rows=rows)
    return [Markup(line) for line in told.splitlines() if line]  # noqa: S704  (escaped by the template engine)


def _drawn(frames: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, Any]]:
    """Title and SVG elements of every figure that has something to draw."""
    from clv_pipeline.publication.report.figures import figures

    charts = {name: figure.of(frames[figure.query]) for name, figure in figures().items()}
    return {name: _drawing(chart) for name, chart in charts.items() if chart is not None}


def _drawing(chart: ChartType) -> dict[str, Any]:
    """A chart as a wide and a narrow screen show it; style.css chooses."""
    from markupsafe import Markup

    from clv_pipeline.publication.charts.look import to_svg

    head = chart.to_dict()["title"]
    image = Markup('<svg role="img" aria-label="{}. {}" ').format(head["text"], head["subtitle"])
    drawings = {
        width: to_svg(chart, narrow=width == "narrow").replace("<svg ", image, 1) for width in ("wide", "narrow")
    }
    return {"title": head["text"], "drawings": {width: Markup(svg) for width, svg in drawings.items()}}  # noqa: S704
