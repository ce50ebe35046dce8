"""The shared look of all charts: colours, sizes, titles, legends.

Here: everything that makes two charts belong together. Not here: what a chart shows (charts), how numbers stand at an
axis (axes), how it becomes a picture (pictures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    from altair.typing import ChartType

INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
ACCENT, CONTRAST, QUIET = "#0f766e", "#c2700a", "#8492a0"
VIOLET, BLUE, ROSE, GREEN = "#6d28d9", "#1d4ed8", "#be185d", "#15803d"
PAPER = "white"
TINT = "#5eaaa3"
"""The strongest colour of heat maps, which begin transparent; INK is readable on all of them."""
DARK = {
    INK: "#e5e7eb",
    MUTED: "#9ca3af",
    GRID: "#374151",
    ACCENT: "#2dd4bf",
    CONTRAST: "#fbbf24",
    QUIET: "#64748b",
    VIOLET: "#c4b5fd",
    BLUE: "#93c5fd",
    ROSE: "#f9a8d4",
    GREEN: "#86efac",
    PAPER: "#111827",
    TINT: "#0d6b64",
}
"""What every colour is on a dark page."""
GROUPS = {
    ACCENT: "circle",
    CONTRAST: "square",
    VIOLET: "triangle-up",
    BLUE: "diamond",
    ROSE: "cross",
    MUTED: "triangle-down",
    GREEN: "triangle-right",
    INK: "triangle-left",
}
"""The colours of groups that have no order, each with its own shape."""
WIDTH = 610
"""Width in px of a single plot; with its axis labels a chart is about 700 px wide."""
PANEL_WIDTH = 270
"""Width in px of one of two plots side by side."""


def legend(field: str, order: list[str], colours: list[str]) -> alt.Color:
    """Colour by a nominal field, with an untitled legend in the given order."""
    import altair as alt

    scale = alt.Scale(domain=order, range=colours)
    return alt.Color(f"{field}:N", sort=order, scale=scale, legend=alt.Legend(title=None))


def lines(field: str, looks: dict[str, tuple[str, list[int]]]) -> dict[str, Any]:
    """Lines by a nominal field, each name with its colour and its pattern of dashes, in one untitled legend."""
    import altair as alt

    names, colours, patterns = list(looks), [colour for colour, _ in looks.values()], [p for _, p in looks.values()]
    drawn = alt.Legend(title=None, symbolType="stroke", symbolStrokeWidth=2, symbolSize=250)
    return {
        "color": alt.Color(f"{field}:N", sort=names, scale=alt.Scale(domain=names, range=colours), legend=drawn),
        "strokeDash": alt.StrokeDash(f"{field}:N", sort=names, scale=alt.Scale(domain=names, range=patterns)),
    }


def panel_title(text: str) -> alt.TitleParams:
    """Title of one plot among several."""
    import altair as alt

    return alt.TitleParams(text, fontSize=12, anchor="start", frame="group", color=INK, offset=6)


def finish(chart: ChartType, title: str, *sentences: str) -> ChartType:
    """Give a chart its title, a subtitle of sentences (empty ones are left out), and the shared look."""
    import altair as alt

    head = alt.TitleParams(
        title,
        subtitle=" ".join(sentence for sentence in sentences if sentence),
        anchor="start",
        fontSize=17,
        color=INK,
        subtitleFontSize=12,
        subtitleColor=MUTED,
        subtitlePadding=5,
        offset=14,
    )
    axis: dict[str, Any] = {
        "domain": False,
        "ticks": False,
        "gridColor": GRID,
        "labelColor": MUTED,
        "labelFontSize": 11,
        # Labels are shortened by us (labels): the renderer cuts within characters, and then draws nothing at all.
        "labelLimit": 0,
        "labelPadding": 6,
        "titleColor": MUTED,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    }
    top_legend = {
        "orient": "top",
        "labelFontSize": 12,
        "labelColor": INK,
        "titleColor": MUTED,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "offset": 10,
        "labelLimit": 0,
        "titleLimit": 0,
    }
    styled: ChartType = chart.properties(title=head, background=PAPER, padding=14).configure(
        # The renderer brings this font along, so that charts look the same on every machine.
        font="Liberation Sans",
        axis=axis,
        axisX={"grid": False},
        view={"stroke": None},
        legend=top_legend,
        header={"labelFontSize": 12, "labelFontWeight": "bold", "labelColor": INK, "labelAnchor": "start"},
        text={"fontSize": 11},
    )
    return styled


def dark_style(selector: str) -> str:
    """CSS rules that give the SVG elements below `selector` their colours on a dark page."""
    return "\n".join(
        f'{selector} [{attribute}="{light}"] {{ {attribute}: {dark}; }}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
    )
