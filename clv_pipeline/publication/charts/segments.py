"""How segments change from month to month: their sizes, and where their customers go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import linear
from clv_pipeline.publication.charts.axes import months as month_axis
from clv_pipeline.publication.charts.frames import most, require_rows, rounded, sum_of
from clv_pipeline.publication.charts.heat import heat_map
from clv_pipeline.publication.charts.labels import short_names, shortened
from clv_pipeline.publication.charts.look import ACCENT, INK, PAPER, QUIET, WIDTH, finish

if TYPE_CHECKING:
    from altair.typing import ChartType


MOST = 12
"""Most segments that are shown; further ones are put together."""
WITH_NUMBER = 85
"""The widest name in px that has a number behind it."""
LOWEST = 0.035
"""Smallest share of the height beside which a name fits."""


def segment_flows(flows: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Where the customers of every segment are a month later: from the last month but one to the last.

    flows: calendar_month (date, at whose end customers are in to_segment), from_segment, to_segment and customers
    (count); only the latest month is drawn. Segments of fewer than 30 customers are put together.
    """
    import altair as alt

    require_rows(flows, "calendar_month", "from_segment", "to_segment", "customers")
    latest = flows["calendar_month"].max()
    rows = flows.filter(pl.col("calendar_month") == latest).with_columns(pl.col("customers").cast(pl.Int64))
    other = display.say("Other")
    ends = pl.concat(rows.select("customers", name=column) for column in ("from_segment", "to_segment"))
    called = dict(zip(ends["name"], most(ends, "name", count="customers", other=other, at_most=MOST), strict=True))
    named = {name: display.term(shown) if shown != other else other for name, shown in called.items()}
    moves = (
        rows.with_columns(pl.col("from_segment", "to_segment").replace_strict(named, return_dtype=pl.String))
        .group_by("from_segment", "to_segment")
        .agg(pl.col("customers").sum())
        .with_columns(size=pl.col("customers").sum().over("from_segment"))
        .with_columns(share=pl.col("customers") / pl.col("size"))
        .sort("size", "from_segment", "share", descending=[True, False, True])
    )
    order = list(dict.fromkeys([*moves["from_segment"], *moves["to_segment"]]))
    names = short_names(dict.fromkeys(order, WITH_NUMBER))
    begun = [
        f"{names[name]} ({display.count(size)})" for name, size in moves.select("from_segment", "size").iter_rows()
    ]
    data = moves.select(
        "to_segment",
        depth=rounded("share"),
        begun=pl.Series(begun),
        label=pl.Series([display.count(share * 100) if share >= 0.005 else "" for share in moves["share"]]),
    )
    chart = heat_map(
        data,
        x=alt.X("to_segment:N", sort=order, title=None, axis=alt.Axis(orient="top", labelAngle=-90)),
        y=alt.Y("begun:N", sort=list(dict.fromkeys(begun)), title=None),
        lines={"label": 0},
        row_height=25,
    )
    stayed = sum_of(moves.filter(pl.col("from_segment") == pl.col("to_segment"))["customers"])
    return finish(
        chart,
        display.say("Where the customers of a segment are a month later"),
        display.say(
            "Percent of each row's customers who were in the column's segment at the end of {month}.",
            month=display.month(latest),  # type: ignore[arg-type]
        ),
        display.say(
            "{share} stayed where they were.", share=display.percent(stayed / max(1, sum_of(moves["customers"])))
        ),
    )


def segment_sizes(history: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The share of the customers in every segment, month by month.

    history: one row per calendar_month (date) and segment with customers (count).
    """
    import altair as alt

    require_rows(history, "calendar_month", "segment", "customers")
    months = history["calendar_month"].unique().sort().to_list()
    place = {month: number for number, month in enumerate(months)}
    other = display.say("Other")
    rows = history.with_columns(segment=most(history, "segment", count="customers", other=other, at_most=MOST))
    last = rows.filter(pl.col("calendar_month") == months[-1])
    sizes = last.group_by("segment").agg(size=pl.col("customers").sum())
    order = (
        rows.select("segment")
        .unique()
        .join(sizes, on="segment", how="left")
        .with_columns(pl.col("size").fill_null(0))
        .sort("size", "segment", descending=[True, False])["segment"]
        .to_list()
    )
    grid = pl.DataFrame({"calendar_month": months}).join(pl.DataFrame({"segment": order}), how="cross")
    counted = rows.group_by("calendar_month", "segment").agg(pl.col("customers").sum().cast(pl.Float64))
    # The largest segment lies at the bottom; the bounds of all are added up here.
    data = (
        grid.join(counted, on=["calendar_month", "segment"], how="left", maintain_order="left")
        .with_columns(pl.col("customers").fill_null(0))
        .with_columns(share=pl.col("customers") / pl.col("customers").sum().over("calendar_month"))
        .with_columns(upper=pl.col("share").cum_sum().over("calendar_month"))
        .select(
            month=pl.col("calendar_month").replace_strict(place, return_dtype=pl.Int64),
            segment=pl.col("segment").replace_strict({name: display.term(name) for name in order}),
            colour=pl.col("segment").replace_strict(
                {name: (ACCENT, QUIET)[number % 2] for number, name in enumerate(order)}
            ),
            lower=rounded(pl.col("upper") - pl.col("share")),
            upper=rounded("upper"),
        )
    )
    x = alt.X(
        "month:Q",
        **month_axis(months, display),
        scale=alt.Scale(domain=[0, max(len(months) - 1, 1)], nice=False),
    )
    y = alt.Y("lower:Q", title=None, **linear([1.0], display.percent))
    areas = (
        alt.Chart(data)
        .mark_area(stroke=PAPER, strokeWidth=1.5)
        .encode(x=x, y=y, y2="upper:Q", color=alt.Color("colour:N", scale=None), detail="segment:N")
    )
    ends = data.filter(pl.col("month") == len(months) - 1, pl.col("upper") - pl.col("lower") >= LOWEST)
    names = ends.select(
        "month",
        lower=rounded((pl.col("lower") + pl.col("upper")) / 2),
        label=pl.Series(
            [
                f"{shortened(name, WITH_NUMBER)} {display.percent(upper - lower)}"
                for name, lower, upper in ends.select("segment", "lower", "upper").iter_rows()
            ],
            dtype=pl.String,
        ),
    )
    # An axis on the right, so that the names have their room.
    written = alt.Chart(names).mark_text(align="left", dx=8, color=INK).encode(x=x, y=y, text="label:N")
    return finish(
        alt.layer(areas, written).properties(width=WIDTH, height=330),
        display.say("How segments change"),
        display.say(
            "Share of all customers at the end of every month, {first} to {last}.",
            first=display.short_month(months[0]),
            last=display.short_month(months[-1]),
        ),
        display.say("Names of small segments are left out."),
    )
