"""What customers bring who were acquired in a channel or a month, and when they have paid for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import labelled, linear
from clv_pipeline.publication.charts.frames import LEAST, NothingToDrawError, require_rows, rounded
from clv_pipeline.publication.charts.labels import shortened
from clv_pipeline.publication.charts.look import (
    ACCENT,
    CONTRAST,
    INK,
    PANEL_WIDTH,
    QUIET,
    WIDTH,
    finish,
    legend,
    lines,
    panel_title,
)
from clv_pipeline.publication.charts.numbers import in_currency

if TYPE_CHECKING:
    from altair.typing import ChartType


MOST = 4
"""Most groups of which each has a plot."""
REALISED, PROJECTED = (1, 3, 6, 12, 24), (12, 24, 36)
"""Months since the first purchase, as the columns name them."""


def acquisition_value(groups: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The margin of a new customer by months since the first purchase, realised and projected, beside what one costs.

    groups: one row per channel or month of the first purchase: name (text), customers (count), and as currency per
    customer cac (NULL where it is not known), margin_1_months, margin_3_months … margin_24_months (NULL where not all
    are that old), projected_12_months, projected_24_months, projected_36_months, each also with _lower and _upper. The
    largest four groups of at least 30 customers are drawn, or the largest one.
    """
    import altair as alt

    realised = {months: f"margin_{months}_months" for months in REALISED}
    projected = {months: f"projected_{months}_months" for months in PROJECTED}
    bounds = [f"{column}_{end}" for column in projected.values() for end in ("lower", "upper")]
    require_rows(groups, "name", "customers", "cac", *realised.values(), *projected.values(), *bounds)
    by_size = groups.sort("customers", "name", descending=[True, False])
    large = by_size.filter(pl.col("customers") >= LEAST).head(MOST)
    rows = (by_size.head(1) if large.is_empty() else large).to_dicts()
    names = [display.say("Realised"), display.say("Projected"), display.say("Cost of a new customer")]
    looks: dict[str, tuple[str, list[int]]] = dict(
        zip(names, ((ACCENT, [1, 0]), (CONTRAST, [6, 3]), (QUIET, [2, 2])), strict=True)
    )
    amounts = [
        _number(row[column]) for row in rows for column in ("cac", *realised.values(), *projected.values(), *bounds)
    ]
    ticks = [0, 6, 12, 24, 36]
    x = alt.X(
        "months:Q",
        title=None,
        axis=labelled(ticks, [display.count(tick) for tick in ticks]),
        scale=alt.Scale(domain=[0, 36], nice=False),
    )
    y = alt.Y("amount:Q", title=None, **linear(amounts, display.short, ticks=4))

    def panel(row: dict[str, object]) -> ChartType:
        known = [(months, row[column]) for months, column in realised.items() if row[column] is not None]
        ahead = [
            (months, row[column], row[f"{column}_lower"], row[f"{column}_upper"])
            for months, column in projected.items()
            if row[column] is not None and months not in dict(known)
        ]
        # The projection goes on where what is realised ends.
        begins = [(months, amount, amount, amount) for months, amount in known[-1:]] if ahead else []
        cost = [(0, row["cac"]), (36, row["cac"])] if row["cac"] is not None else []
        points = [
            (name, months, _number(amount))
            for name, line in zip(names, (known, [place[:2] for place in begins + ahead], cost), strict=True)
            for months, amount in line
        ]
        margins = pl.DataFrame(
            points, schema={"series": pl.String, "months": pl.Int64, "amount": pl.Float64}, orient="row"
        ).with_columns(rounded("amount"))
        fan = pl.DataFrame(
            [
                (months, _number(lower), _number(upper))
                for months, _, lower, upper in begins + ahead
                if lower is not None
            ],
            schema={"months": pl.Int64, "amount": pl.Float64, "upper": pl.Float64},
            orient="row",
        ).with_columns(rounded("amount"), rounded("upper"))
        drawn = (
            alt.Chart(margins)
            .mark_line(strokeWidth=2)
            .encode(
                x=x,
                y=y,
                **lines("series", looks),
            )
        )
        area = alt.Chart(fan).mark_area(color=CONTRAST, opacity=0.25).encode(x=x, y=y, y2="upper:Q")
        title = f"{shortened(display.term(str(row['name'])))} ({display.count(_number(row['customers']) or 0)})"
        sized: ChartType = alt.layer(*([area] if fan.height else []), drawn).properties(
            width=PANEL_WIDTH if len(rows) > 1 else WIDTH, height=150, title=panel_title(title)
        )
        return sized

    left_out = groups.height - len(rows)
    return finish(
        alt.concat(*map(panel, rows), columns=2, spacing=20),
        display.say("What a new customer brings, and costs"),
        display.say("Margin per customer by months since the first purchase; in brackets: customers."),
        display.say_many(left_out, "{number} smaller group is left out.", "{number} smaller groups are left out.")
        if left_out
        else "",
        in_currency(display),
    )


def payback(groups: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """After how many months new customers have paid for what they cost.

    groups: one row per channel or month of the first purchase: name (text), customers (count), payback (realised,
    projected, none: not within 36 months; NULL where it is not known) and payback_month (NULL where it is not
    realised or projected). Groups of fewer than 30 customers, and those where it is not known, are left out.

    Raises:
        NothingToDrawError: it is known of no group, or there are no rows.
        ValueError: columns are missing (`require_rows`).
    """
    import altair as alt

    require_rows(groups, "name", "customers", "payback", "payback_month")
    known = groups.filter(pl.col("payback").is_not_null())
    if known.is_empty():
        raise NothingToDrawError("there is nothing to draw: the payback of no group is known")
    large = known.filter(pl.col("customers") >= LEAST)
    rows = (known if large.is_empty() else large).sort("payback_month", "name", nulls_last=True)
    said = {
        "realised": (display.say("Already so"), ACCENT),
        "projected": (display.say("Projected"), CONTRAST),
        "none": (display.say("Not within {months} months", months=display.count(PROJECTED[-1])), QUIET),
    }
    months = rows["payback_month"].fill_null(PROJECTED[-1]).to_list()
    labels = [
        display.say("over {months} months", months=display.count(PROJECTED[-1]))
        if kind == "none"
        else display.say_many(month, "{number} month", "{number} months")
        for kind, month in rows.select("payback", "payback_month").iter_rows()
    ]
    names = [display.term(name) for name in rows["name"]]
    data = pl.DataFrame(
        {"name": names, "months": months, "series": [said[kind][0] for kind in rows["payback"]], "label": labels}
    )
    drawn = [name for name, _ in said.values() if name in {*data["series"]}]
    reach = alt.Scale(domain=[0, max(1, *months) * 1.35], nice=False)
    base = alt.Chart(data).encode(
        y=alt.Y("name:N", sort=list(dict.fromkeys(names)), title=None), x=alt.X("months:Q", axis=None, scale=reach)
    )
    layers = alt.layer(
        base.mark_bar(height=16).encode(color=legend("series", drawn, [dict(said.values())[name] for name in drawn])),
        base.mark_text(align="left", dx=5, color=INK).encode(text="label:N"),
    ).properties(width=WIDTH, height=alt.Step(25))
    left_out = groups.height - rows.height
    return finish(
        layers,
        display.say("When new customers have paid for themselves"),
        display.say("Months after the first purchase by whose end their margin covers what it cost to acquire them."),
        display.say_many(
            left_out,
            "{number} group is left out: too few customers, or no known cost.",
            "{number} groups are left out: too few customers, or no known cost.",
        )
        if left_out
        else "",
    )


def _number(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]
