"""Axes whose labels are written by Display, as everywhere else: the renderer's own number formats know few locales.

Every function returns the arguments `axis` and `scale` of an Altair channel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

    import altair as alt

    from clv_pipeline.display import Display

Write = Callable[[float], str]


def labelled(values: Sequence[float], written: Sequence[str], **more: Any) -> alt.Axis:
    """An axis with these labels at these values."""
    import altair as alt

    texts, places = (json.dumps(list(items), ensure_ascii=False) for items in (written, values))
    chosen = f"{texts}[indexof({places}, datum.value)]"
    return alt.Axis(values=list(values), labelExpr=chosen, labelOverlap="greedy", labelSeparation=6, **more)


def linear(amounts: Iterable[float | None], write: Write, *, ticks: int = 5, room: float = 1) -> dict[str, Any]:
    """From zero (or the lowest amount below it) to the highest amount, with round values; `room` is for labels."""
    import altair as alt

    known = [amount for amount in amounts if amount is not None and math.isfinite(amount)]
    lowest, highest = min([0.0, *known]), max([0.0, *known]) * room
    # Amounts that are next to nothing have no step between them.
    if (highest - lowest) / ticks == 0.0:
        highest = 1.0
    step = round_step((highest - lowest) / ticks)
    values = [_clean(n * step) for n in range(math.floor(lowest / step), math.ceil(highest / step) + 1)]
    return {
        "axis": labelled(values, [write(value) for value in values]),
        "scale": alt.Scale(domain=[values[0], values[-1]], nice=False),
    }


def logarithmic(amounts: Iterable[float | None], write: Write) -> dict[str, Any]:
    """The powers of ten around positive amounts; also 2 and 5 times them where they span at most two powers."""
    import altair as alt

    known = [amount for amount in amounts if amount is not None and amount > 0] or [1.0]
    low, high = math.log10(min(known)), math.log10(max(known))
    marks = [
        _clean(mantissa * 10.0**power)
        for power in range(math.floor(low) - 1, math.ceil(high) + 2)
        for mantissa in (1, 2, 5)
    ]
    first = max(n for n, mark in enumerate(marks) if mark <= min(known) * 1.000001)
    last = min(n for n, mark in enumerate(marks) if mark >= max(known) * 0.999999)
    around = marks[first : max(last, first + 1) + 1]
    values = [mark for mark in around if high - low <= 2 or math.log10(mark).is_integer()]
    return {
        "axis": labelled(values, [write(value) for value in values], grid=True),
        "scale": alt.Scale(type="log", domain=[around[0], around[-1]], nice=False),
    }


def months(starts: Sequence[date], display: Display, **more: Any) -> dict[str, Any]:
    """Months by their number in the list, from 0 on, of which about eight have labels."""
    step = max(1, math.ceil(len(starts) / 8))
    shown = range(0, len(starts), step)
    written = [display.short_month(starts[place]) for place in shown]
    return {"axis": labelled(list(shown), written, labelAngle=0, title=None, **more)}


def round_step(width: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 and so on (and of 0.1, 0.2 …) that is not below the width."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(mantissa * power for mantissa in (1, 2, 5, 10) if mantissa * power >= width * 0.999)


def _clean(value: float) -> float:
    """The value without the noise of binary fractions."""
    return float(f"{value:.12g}")
