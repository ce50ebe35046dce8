"""The shared look of all charts: colours, titles, legends, short numbers, and the way to PNG bytes.

Here: everything that makes two charts belong together. Not here: what a chart shows (charts).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    from altair.typing import ChartType

INK, MUTED, GRID = "#1f2937", "#6b7280", "#e5e7eb"
ACCENT, CONTRAST, QUIET = "#0f766e", "#e08e0b", "#b8c4ce"
TINTS = ["#f1f5f9", "#5eaaa3", ACCENT]
"""From nothing to much."""
WIDTH = 610
"""Width in px of a single plot; with its axis labels a chart is about 700 px wide."""
PANEL_WIDTH = 270
"""Width in px of one of two plots side by side."""


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
    top_legend = {"orient": "top", "labelFontSize": 12, "labelColor": INK, "offset": 10}
    styled: ChartType = chart.properties(title=head, background="white", padding=14).configure(
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
    import altair as alt
    import vl_convert

    version = alt.SCHEMA_VERSION.rsplit(".", 1)[0]
    return _pack(vl_convert.vegalite_to_png(chart.to_dict(), vl_version=version, scale=scale, allowed_base_urls=[]))


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
