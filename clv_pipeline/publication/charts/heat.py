"""One form for all heat maps: cells shaded by an amount, with numbers in them, so that no shade has to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clv_pipeline.publication.charts.look import INK, PAPER, TINT, WIDTH

if TYPE_CHECKING:
    import altair as alt
    import polars as pl
    from altair.typing import ChartType


def heat_map(
    cells: pl.DataFrame,
    *,
    x: alt.X,
    y: alt.Y,
    lines: dict[str, int],
    row_height: int,
    legend: alt.Legend | None = None,
    font: int = 11,
) -> ChartType:
    """Cells at x and y, shaded by `depth` (0 and more).

    lines: the columns of text in a cell, each with its distance from the middle in px.
    """
    import altair as alt

    base = alt.Chart(cells).encode(x=x, y=y)
    shades = base.mark_rect(fill=TINT, stroke=PAPER, strokeWidth=1.5).encode(opacity=shade("depth", legend))
    texts = [
        base.mark_text(fontSize=font, color=INK, dy=down).encode(text=f"{column}:N") for column, down in lines.items()
    ]
    chart: ChartType = alt.layer(shades, *texts).properties(width=WIDTH, height=alt.Step(row_height))
    return chart


def shade(field: str, legend: alt.Legend | None = None) -> alt.Opacity:
    """The depth of TINT by a quantity from 0 on."""
    import altair as alt

    return alt.Opacity(f"{field}:Q", scale=alt.Scale(domainMin=0, range=[0.04, 1]), legend=legend)


def shade_legend(values: list[float], written: list[str], title: str) -> alt.Legend:
    """Boxes of the shades with what they stand for; they change with the page's colours."""
    import altair as alt

    from clv_pipeline.publication.charts.axes import labelled

    texts: dict[str, Any] = labelled(values, written).to_dict()
    return alt.Legend(
        title=title,
        type="symbol",
        values=values,
        labelExpr=texts["labelExpr"],
        symbolType="square",
        symbolFillColor=TINT,
        symbolStrokeWidth=0,
        symbolSize=220,
        direction="horizontal",
        titleOrient="left",
    )
