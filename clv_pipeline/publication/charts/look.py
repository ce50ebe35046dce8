"""The shared look of all charts: colours, titles, legends, short numbers.

Here: everything that makes two charts belong together. Not here: what a chart shows (charts), how it becomes a picture
(pictures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    from altair.typing import ChartType

INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
ACCENT, CONTRAST, QUIET = "#0f766e", "#e08e0b", "#b8c4ce"
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
    PAPER: "#111827",
    TINT: "#0d6b64",
}
"""What every colour is on a dark page."""
WIDTH = 610
"""Width in px of a single plot; with its axis labels a chart is about 700 px wide."""
PANEL_WIDTH = 270
"""Width in px of one of two plots side by side."""
NARROW_WIDTH = 250
"""Width in px of a plot on a phone, where two plots are not side by side."""


def short(amount: float) -> str:
    """Write 12, 340, 3.4k, 1.2M: three significant digits at most."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # From 999.5 on, three digits of the smaller unit would be written as 1e+03.
        if abs(amount) >= size * 0.9995:
            return f"{amount / size:.3g}{suffix}"
    return f"{amount:.3g}"


def percent(share: float) -> str:
    """Write 0.123 as 12%, and a small share as <1%, which 0% would deny."""
    written = f"{share:.0%}"
    return "<1%" if written == "0%" and share > 0 else written


def money_axis(*, ticks: int = 5) -> alt.Axis:
    """Label amounts as 0, 200, 1.5k."""
    import altair as alt

    # The axis' own format would give all ticks one prefix (0.2k); an expression formats each by itself. Amounts below 1
    # have none: 0.2 is no 200m.
    written = "format(datum.value, abs(datum.value) < 1 ? '~g' : '~s')"
    return alt.Axis(labelExpr=written, tickCount=ticks)


def legend(field: str, order: list[str], colours: list[str]) -> alt.Color:
    """Colour by a nominal field, with an untitled legend in the given order."""
    import altair as alt

    scale = alt.Scale(domain=order, range=colours)
    return alt.Color(f"{field}:N", sort=order, scale=scale, legend=alt.Legend(title=None))


def shade(field: str) -> alt.FillOpacity:
    """The depth of TINT by a quantity from 0 on."""
    import altair as alt

    return alt.FillOpacity(f"{field}:Q", scale=alt.Scale(domainMin=0, range=[0.04, 1]), legend=None)


def panel_title(text: str) -> alt.TitleParams:
    """Title of one plot among several."""
    import altair as alt

    return alt.TitleParams(text, fontSize=12, anchor="start", color=INK, offset=6)


def finish(chart: ChartType, title: str, subtitle: str) -> ChartType:
    """Give a chart its title, a subtitle with the numbers that matter, and the shared look."""
    import altair as alt

    head = alt.TitleParams(
        title,
        subtitle=subtitle,
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
        "offset": 10,
        "labelLimit": 0,
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
