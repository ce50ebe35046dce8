"""Turning a chart into a picture, an SVG: with its title for the Dagster UI, without for a page that has the title.

Text in a specification is made safe here, before native code sees it. A process of its own draws the picture
(renderer).
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from clv_pipeline.errors import PictureError
from clv_pipeline.publication.charts.labels import LABEL_WIDTH, NARROW_LABEL_WIDTH, legend_columns, with_labels
from clv_pipeline.publication.charts.renderer import RENDERER
from clv_pipeline.text import displayed_in

if TYPE_CHECKING:
    from altair.typing import ChartType


Specification = dict[str, Any]
"""What Vega-Lite draws."""

WIDE, NARROW = 690, 343
"""Width in px of a whole picture, on a page and on a phone. Names beside a single plot take their space from it."""
MARGIN = 50
"""Width in px that a legend leaves to the labels of an axis beside it."""
SMALL = 9
"""Largest font in px of numbers in the cells of a heat map on a phone."""
NARROW_PLOT, NARROW_PLOT_WITH_NAMES = 280, 190
"""Width in px of one of several plots on a phone, where they are not side by side."""
LINE, NARROW_LINE = 110, 46
"""Characters that fit in a line of a subtitle on a page, and in the title of an axis on a phone."""


def specified(chart: ChartType) -> Specification:
    """The specification of a chart, unchecked: to check it takes longer than to draw it, and tests do."""
    specification: Specification = chart.to_dict(validate=False)
    return specification


def to_picture(chart: Specification) -> str:
    """Draw a chart with title and subtitle on white, as a picture that stands alone: an SVG document.

    Raises:
        PictureError: it could not be drawn.
    """
    told = {**chart["title"], "subtitle": textwrap.wrap(chart["title"]["subtitle"], LINE)}
    return _drawn(_sized({**chart, "title": told}, WIDE), title_of(chart), LABEL_WIDTH)


def to_svg(chart: Specification, *, narrow: bool) -> str:
    """Draw a chart as an SVG element in light colours (see dark_style), without title: the page has the title.

    `narrow` is for a phone: smaller plots, one below the other.

    Raises:
        PictureError: it could not be drawn.
    """
    untitled = {key: value for key, value in chart.items() if key != "title"}
    untitled |= {"background": "transparent", "padding": 2}
    sized = _sized(_narrowed(untitled), NARROW) if narrow else _sized(untitled, WIDE)
    svg = _drawn(sized, title_of(chart), NARROW_LABEL_WIDTH if narrow else LABEL_WIDTH)
    # The page gives the whole picture one text alternative; the marks need no names.
    return re.sub(r' (?:role|aria-[a-z]+)="[^"]*"', "", svg)


def title_of(chart: Specification) -> dict[str, Any]:
    """Title (`text`) and subtitle of a chart, made safe to display."""
    title: dict[str, Any] = displayed_in(chart["title"])
    return title


def _drawn(chart: Specification, title: dict[str, Any], widest: float) -> str:
    try:
        return RENDERER.draw(with_labels(displayed_in(chart), widest), vl_version=_vega_lite()).decode()
    except PictureError as error:
        raise PictureError(f"the chart {title['text']!r} is not drawn: {error.what}", quoted=error.quoted) from error


def _sized(chart: Specification, width: int) -> Specification:
    """The chart with this width in all, if it is a single plot: its plot gets what labels and names leave."""
    legends: Specification = _with_legends_in(chart, width - MARGIN)
    if "width" not in chart:
        return legends
    return {**legends, "width": width, "autosize": {"type": "fit-x", "contains": "padding"}}


def _with_legends_in(part: Any, width: int) -> Any:
    """A specification, or a part of one, whose legends break into rows of this width."""
    if isinstance(part, list):
        return [_with_legends_in(item, width) for item in part]
    if not isinstance(part, dict):
        return part
    changed = {key: _with_legends_in(value, width) for key, value in part.items()}
    if changed.get("legend") and isinstance(names := changed.get("sort"), list):
        columns = legend_columns(names, width)
        changed["legend"] = {**changed["legend"], **({"columns": columns} if columns else {})}
    return changed


def _narrowed(part: Any) -> Any:
    """A specification, or a part of one, in the form for a phone."""
    if isinstance(part, list):
        return [_narrowed(item) for item in part]
    if not isinstance(part, dict):
        return part
    narrowed = {"vconcat" if key == "hconcat" else key: _narrowed(value) for key, value in part.items()}
    if isinstance(narrowed.get("width"), int):
        narrowed["width"] = min(narrowed["width"], NARROW_PLOT_WITH_NAMES if _has_names(part) else NARROW_PLOT)
    if "columns" in narrowed:
        narrowed["columns"] = 1
    # The plot to the left had the labels for both.
    if isinstance(y := narrowed.get("y"), dict) and y.get("axis", y) is None:
        narrowed["y"] = {key: value for key, value in y.items() if key != "axis"}
    if isinstance(title := narrowed.get("title"), str) and len(title) > NARROW_LINE:
        narrowed["title"] = textwrap.wrap(title, NARROW_LINE)
    if narrowed.get("type") == "text" and narrowed.get("fontSize", 0) > SMALL:
        narrowed["fontSize"] = SMALL
    return narrowed


def _has_names(part: Any) -> bool:
    """Whether names stand to the left of the plot."""
    if isinstance(part, list):
        return any(map(_has_names, part))
    if not isinstance(part, dict):
        return False
    y = part.get("y")
    return (isinstance(y, dict) and y.get("type") == "nominal") or any(map(_has_names, part.values()))


def _vega_lite() -> str:
    """The version of Vega-Lite, the language of chart specifications."""
    import altair as alt

    return str(alt.SCHEMA_VERSION.rsplit(".", 1)[0])
