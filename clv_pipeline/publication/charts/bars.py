"""Bars with their amounts written beside them: any list of names with amounts, and any distribution over classes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.frames import require_rows, rounded
from clv_pipeline.publication.charts.look import ACCENT, INK, WIDTH, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from altair.typing import ChartType


def ranking(
    rows: pl.DataFrame, *, title: str, unit: str, as_percent: bool = False, display: Display = ENGLISH
) -> ChartType:
    """Names with their amounts as bars, in the order of the rows.

    rows: name (text, each once) and amount (not negative in most rows).
    title and unit are said already; unit is what the amounts are, for the subtitle. as_percent: amounts are shares.
    """
    require_rows(rows, "name", "amount")
    data = rows.select(pl.col("name").cast(pl.String), amount=rounded("amount"))
    write = display.percent if as_percent else display.short
    return finish(
        written_bars(
            [display.term(name) for name in data["name"]], data["amount"].to_list(), [*map(write, data["amount"])]
        ),
        title,
        unit,
    )


def written_bars(names: list[str], amounts: list[float], written: list[str]) -> ChartType:
    """A bar per name, with its amount in words."""
    import altair as alt

    data = pl.DataFrame({"name": names, "amount": amounts, "label": written})
    reach = alt.Scale(domain=[min(0.0, *amounts) * 1.45, max(*amounts, 1e-9) * 1.45], nice=False)
    base = alt.Chart(data).encode(
        y=alt.Y("name:N", sort=list(dict.fromkeys(names)), title=None),
        x=alt.X("amount:Q", axis=None, scale=reach),
    )
    chart: ChartType = alt.layer(
        base.mark_bar(color=ACCENT, height=16),
        base.mark_text(align="left", dx=5, color=INK).encode(text="label:N"),
    ).properties(width=WIDTH, height=alt.Step(25))
    return chart


def class_names(bounds: Iterable[tuple[float | None, float | None]], write: Callable[[float], str]) -> list[str]:
    """How classes from a lower to an upper bound are called: < 10, 10–20, 25, ≥ 30; no bound is None."""
    return [
        f"≥ {write(lower or 0)}"
        if upper is None
        else f"< {write(upper)}"
        if lower is None
        else write(lower)
        if lower == upper
        else f"{write(lower)}–{write(upper)}"
        for lower, upper in bounds
    ]


def classes_from(lower_bounds: list[float]) -> list[tuple[float, float | None]]:
    """Classes without gaps from their ascending lower bounds; the last one is open."""
    return [*pairwise(lower_bounds), (lower_bounds[-1], None)] if lower_bounds else []
