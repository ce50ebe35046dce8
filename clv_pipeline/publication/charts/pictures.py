"""Turning a chart into a picture: PNG bytes for the Dagster UI, SVG for the report.

Text in a specification is made safe here, before native code sees it. A process of its own draws the picture
(renderer).
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

from clv_pipeline.errors import PictureError
from clv_pipeline.publication.charts.labels import with_labels
from clv_pipeline.publication.charts.look import NARROW_WIDTH
from clv_pipeline.publication.charts.renderer import RENDERER
from clv_pipeline.text import displayed_in

if TYPE_CHECKING:
    from altair.typing import ChartType


Specification = dict[str, Any]
"""What Vega-Lite draws."""


def specified(chart: ChartType) -> Specification:
    """The specification of a chart. Altair checks it against its schema, which takes longer than to draw it."""
    specification: Specification = chart.to_dict()
    return specification


def to_png(chart: Specification, *, scale: float = 1.5) -> bytes:
    """Draw a chart as PNG bytes, `scale` pixels per px of the chart.

    Raises:
        PictureError: it could not be drawn.
    """
    return _pack(_drawn(chart, title_of(chart), scale))


def to_svg(chart: Specification, *, narrow: bool) -> str:
    """Draw a chart as an SVG element in light colours (see dark_style), without title: the page has the title.

    `narrow` is for a phone: smaller plots, one below the other.

    Raises:
        PictureError: it could not be drawn.
    """
    untitled = {key: value for key, value in chart.items() if key != "title"}
    untitled |= {"background": "transparent", "padding": 2}
    svg = _drawn(_narrowed(untitled) if narrow else untitled, title_of(chart), None).decode()
    # The page gives the whole picture one text alternative; the marks need no names.
    return re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", svg)


def title_of(chart: Specification) -> dict[str, Any]:
    """Title (`text`) and subtitle of a chart, made safe to display."""
    title: dict[str, Any] = displayed_in(chart["title"])
    return title


def _drawn(chart: Specification, title: dict[str, Any], scale: float | None) -> bytes:
    try:
        return RENDERER.draw(with_labels(displayed_in(chart)), vl_version=_vega_lite(), scale=scale)
    except PictureError as error:
        raise PictureError(f"the chart {title['text']!r} is not drawn: {error.what}", quoted=error.quoted) from error


def _narrowed(part: Any) -> Any:
    """A specification, or a part of one, in the form for a phone."""
    if isinstance(part, list):
        return [_narrowed(item) for item in part]
    if not isinstance(part, dict):
        return part
    narrowed = {"vconcat" if key == "hconcat" else key: _narrowed(value) for key, value in part.items()}
    if isinstance(narrowed.get("width"), int):
        narrowed["width"] = min(narrowed["width"], NARROW_WIDTH)
    if "columns" in narrowed:
        narrowed["columns"] = 1
    # The plot to the left had the labels for both.
    if isinstance(y := narrowed.get("y"), dict) and y.get("axis", y) is None:
        narrowed["y"] = {key: value for key, value in y.items() if key != "axis"}
    return narrowed


def _vega_lite() -> str:
    """The version of Vega-Lite, the language of chart specifications."""
    import altair as alt

    return str(alt.SCHEMA_VERSION.rsplit(".", 1)[0])


def _pack(png: bytes) -> bytes:
    """The same picture in about a third of the bytes. The renderer compresses for speed, not for size.

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
