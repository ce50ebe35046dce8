"""The shared look of all charts: colours, titles, legends, short numbers, and the ways to PNG bytes and to SVG.

Here: everything that makes two charts belong together. Not here: what a chart shows (charts).
"""

from __future__ import annotations

import re
import struct
import zlib
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

    # The axis' own format would give all ticks one prefix (0.2k); an expression formats each by itself.
    return alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=ticks)


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


def to_png(chart: ChartType, *, scale: float = 1.5) -> bytes:
    """Render a chart in this process and without network: PNG bytes, `scale` pixels per px of the chart."""
    import vl_convert

    png = vl_convert.vegalite_to_png(chart.to_dict(), vl_version=_vega_lite(), scale=scale, allowed_base_urls=[])
    return _pack(png)


def to_svg(chart: ChartType, *, narrow: bool) -> str:
    """Draw a chart as an SVG element for a page that says its title itself, in light colours (see dark_style).

    `narrow` is for a phone: smaller plots, one below the other.
    """
    import vl_convert

    spec = chart.to_dict()
    del spec["title"]
    spec |= {"background": "transparent", "padding": 2}
    drawn = _narrowed(spec) if narrow else spec
    svg: str = vl_convert.vegalite_to_svg(drawn, vl_version=_vega_lite(), allowed_base_urls=[])
    # The page gives the whole picture one text alternative; the marks need no names.
    return re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", svg)


def dark_style(selector: str) -> str:
    """CSS rules that give the SVG elements below `selector` their colours on a dark page."""
    return "\n".join(
        f'{selector} [{attribute}="{light}"] {{ {attribute}: {dark}; }}'
        for light, dark in DARK.items()
        for attribute in ("fill", "stroke")
    )


def _narrowed(part: Any) -> Any:
    """A specification, or a part of one, as it is drawn on a phone."""
    if isinstance(part, list):
        return [_narrowed(item) for item in part]
    if not isinstance(part, dict):
        return part
    narrowed = {"vconcat" if key == "hconcat" else key: _narrowed(value) for key, value in part.items()}
    if isinstance(narrowed.get("width"), int):
        narrowed["width"] = min(narrowed["width"], NARROW_WIDTH)
    if "columns" in narrowed:
        narrowed["columns"] = 1
    # Where the plot to the left had the labels for both.
    if isinstance(y := narrowed.get("y"), dict) and y.get("axis", y) is None:
        narrowed["y"] = {key: value for key, value in y.items() if key != "axis"}
    return narrowed


def _vega_lite() -> str:
    """The version of the language that charts are written in."""
    import altair as alt

    return str(alt.SCHEMA_VERSION.rsplit(".", 1)[0])


def _pack(png: bytes) -> bytes:
    """The same picture in about a third of the bytes: the renderer compresses for speed.

    A PNG is a signature and chunks (length, type, data, CRC); the IDAT chunks together are one zlib stream.
    """
    signature, at, pixels, chunks = png[:8], 8, b"", []
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            pixels += data
        else:
            chunks.append((kind, data))
        at += length + 12
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    return signature + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
