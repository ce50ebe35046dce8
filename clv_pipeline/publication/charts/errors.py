"""Where forecasts are right and where they are wrong: customer by customer, in their order, and by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import labelled, linear
from clv_pipeline.publication.charts.frames import (
    LEAST,
    NothingToDrawError,
    most,
    require_rows,
    rounded,
    stacked,
    sum_of,
    with_optional,
)
from clv_pipeline.publication.charts.look import (
    ACCENT,
    CONTRAST,
    INK,
    MUTED,
    QUIET,
    WIDTH,
    finish,
    lines,
    panel_title,
)
from clv_pipeline.publication.charts.numbers import in_currency

if TYPE_CHECKING:
    from altair.typing import ChartType


MOST = 10
"""Most groups of one kind."""
FURTHEST = 1.5
"""Errors beyond this are drawn at the edge; their label says what they are."""


def forecast_scatter(cells: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Forecast against actual spend per customer, as a grid of both: on the diagonal where they agree.

    cells: one row per cell: forecast_lower and actual_lower (lower bounds of the same ascending bins, currency; 0 is
    the bin below the first bound, with those who have or spend nothing) and customers (count); absent cells are empty.
    """
    import altair as alt

    require_rows(cells, "forecast_lower", "actual_lower", "customers")
    rows = cells.filter(pl.col("customers") > 0).select(
        pl.col("forecast_lower", "actual_lower").cast(pl.Float64), "customers"
    )
    edges = sorted({0.0, *rows["forecast_lower"], *rows["actual_lower"]})
    place = {edge: number for number, edge in enumerate(edges)}
    data = rows.select(
        forecast=pl.col("forecast_lower").replace_strict(place, return_dtype=pl.Int64),
        actual=pl.col("actual_lower").replace_strict(place, return_dtype=pl.Int64),
        customers="customers",
    )
    written = [display.short(edge) for edge in edges]
    places = list(range(len(edges)))
    scale = alt.Scale(domain=[-0.6, len(edges) - 0.4], nice=False)
    axis: dict[str, Any] = {"axis": labelled(places, written, grid=True), "scale": scale}
    x = alt.X("forecast:Q", title=display.say("Forecast spend, from"), **axis)
    y = alt.Y("actual:Q", title=display.say("Actual spend, from"), **axis)
    same = pl.DataFrame({"forecast": [0, len(edges) - 1], "actual": [0, len(edges) - 1]})
    layers = alt.layer(
        alt.Chart(same).mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1.2).encode(x=x, y=y),
        alt.Chart(data)
        .mark_point(filled=True, color=ACCENT, opacity=0.85)
        .encode(x=x, y=y, size=alt.Size("customers:Q", scale=alt.Scale(rangeMin=8, rangeMax=420), legend=None)),
    ).properties(width=WIDTH, height=360)
    total = sum_of(data["customers"])
    near = sum_of(data.filter((pl.col("forecast") - pl.col("actual")).abs() <= 1)["customers"])
    return finish(
        layers,
        display.say("Forecast and actual spend, customer by customer"),
        display.say(
            "{customers} forecasts on past dates, the larger a mark the more; {share} are at most one class off.",
            customers=display.count(total),
            share=display.percent(near / total),
        ),
        display.say("Dashed: as forecast; the classes grow with the amount."),
        in_currency(display),
    )


def gain_curve(deciles: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The share of the actual spend that comes from the customers with the highest forecasts.

    deciles: decile (1 is the highest forecast, to 10) and actual_share (0 to 1, of all actual spend); perfect_share
    (optional) is that of the same number of customers in the order of their actual spend.
    """
    import altair as alt

    require_rows(deciles, "decile", "actual_share")
    given = with_optional(deciles, perfect_share=pl.Float64).sort("decile")
    start = pl.DataFrame({"customers": [0.0], "forecast": [0.0], "perfect": [0.0], "chance": [0.0]})
    rows = given.select(
        customers=pl.int_range(1, pl.len() + 1) / pl.len(),
        forecast=pl.col("actual_share").cast(pl.Float64).cum_sum(),
        perfect=pl.col("perfect_share").cast(pl.Float64).cum_sum(),
        chance=pl.int_range(1, pl.len() + 1) / pl.len(),
    )
    series = {
        display.say("Order of the forecast"): ("forecast", (ACCENT, [1, 0])),
        display.say("Perfect order"): ("perfect", (CONTRAST, [6, 3])),
        display.say("Chance"): ("chance", (QUIET, [2, 2])),
    }
    if rows["perfect"].is_null().all():
        del series[display.say("Perfect order")]
    curves = stacked(
        pl.concat([start, rows]), "customers", {name: column for name, (column, _) in series.items()}, "share"
    )
    x = alt.X(
        "customers:Q",
        title=display.say("Share of customers, the highest forecast first"),
        **linear([1.0], display.percent),
    )
    y = alt.Y("share:Q", title=display.say("Share of actual spend"), **linear([1.0], display.percent))
    told = rows.filter(pl.Series([number in (1, 2, 5) for number in range(1, rows.height + 1)])).select(
        rounded("customers"), share=rounded("forecast")
    )
    told = told.with_columns(label=pl.Series([display.percent(share) for share in told["share"]], dtype=pl.String))
    dots = alt.Chart(told).encode(x=x, y=y)
    layers = alt.layer(
        alt.Chart(curves)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            **lines("series", {name: look for name, (_, look) in series.items()}),
        ),
        dots.mark_point(color=ACCENT, filled=True, size=45, opacity=1),
        dots.mark_text(align="left", dx=8, dy=9, color=INK).encode(text="label:N"),
    ).properties(width=WIDTH, height=280)
    return finish(
        layers,
        display.say("Do the right customers stand at the top?"),
        display.say(
            "The decile with the highest forecasts brought {share} of the actual spend, on past dates.",
            share=display.percent(rows["forecast"][0]),
        ),
    )


def error_by_group(groups: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """By how much the totals of groups of customers were missed: the mean error over past dates, a plot per kind.

    Errors have no sign, so that too high and too low do not cancel; a label says which it was where it always was.

    groups: one row per group and past date: group_kind (segment, country, cohort, age, value, decile or another name),
    group_name, forecast_on (date), customers (count), forecast and actual (sums of the group). Groups of fewer than 30
    customers, and all beyond ten of a kind, are put together.

    Raises:
        NothingToDrawError: nothing came of any group, or there are no rows.
        ValueError: columns are missing (`require_rows`).
    """
    import altair as alt

    require_rows(groups, "group_kind", "group_name", "forecast_on", "customers", "forecast", "actual")
    other = display.say("Other")
    kinds = groups["group_kind"].unique(maintain_order=True).to_list()
    rows = pl.concat(_errors(groups.filter(pl.col("group_kind") == kind), other, display) for kind in kinds)
    if rows.is_empty():
        raise NothingToDrawError("there is nothing to draw: nothing came of any group")
    judged = rows.filter(pl.col("group_name") != other) if (rows["group_name"] != other).any() else rows
    ends = {judged["off"].min(): display.say("best"), judged["off"].max(): display.say("worst")}
    sides = {1: f" {display.say('too high')}", -1: f" {display.say('too low')}"}
    labels = [
        f"{display.percent(off)}{'' if off in ends else sides.get(side, '')} ({display.count(customers)})"
        + (f"  {ends[off]}" if off in ends else "")
        for off, side, customers in rows.select("off", "side", "customers").iter_rows()
    ]
    data = rows.select(
        "group_kind",
        name="group_name",
        off=rounded(pl.col("off").clip(0.0, FURTHEST)),
        none=pl.lit(0.0),
        label=pl.Series(labels),
        colour=pl.when(pl.col("off").is_in(list(ends))).then(pl.lit(CONTRAST)).otherwise(pl.lit(ACCENT)),
    )
    amounts = linear(data["off"], display.percent)
    # The labels have their room on the right.
    room = alt.Scale(domain=[0, max(amounts["scale"].domain[-1], 0.01) * 1.9], nice=False)
    called = _kinds(display)

    def panel(kind: str) -> ChartType:
        of_kind = data.filter(pl.col("group_kind") == kind).drop("group_kind")
        y = alt.Y("name:N", sort=of_kind["name"].to_list(), title=None)
        axis = (
            amounts["axis"]
            if kind == shown[-1]
            else alt.Axis(values=amounts["axis"]["values"], labels=False, grid=True)
        )
        base = alt.Chart(of_kind).encode(x=alt.X("off:Q", title=None, axis=axis, scale=room), y=y)
        sized: ChartType = alt.layer(
            base.mark_rule(color=QUIET, strokeWidth=2).encode(x2="none:Q"),
            base.mark_point(filled=True, size=75, opacity=1).encode(color=alt.Color("colour:N", scale=None)),
            base.mark_text(align="left", dx=8, color=INK).encode(text="label:N"),
        ).properties(width=WIDTH - 110, height=alt.Step(21), title=panel_title(called.get(kind) or display.term(kind)))
        return sized

    shown = [kind for kind in kinds if kind in {*data["group_kind"]}]
    return finish(
        alt.vconcat(*map(panel, shown), spacing=10),
        display.say("Where forecasts are right, and where not"),
        display.say("By how much the total of a group was missed on past dates, on average; in brackets: customers."),
        display.say("Too high or too low: on every date."),
        display.say("Other: groups of fewer than {least}, and all beyond the largest.", least=display.count(LEAST))
        if other in {*data["name"]}
        else "",
    )


def _errors(groups: pl.DataFrame, other: str, display: Display) -> pl.DataFrame:
    """The groups of one kind in the order of the rows, small ones together at the end: customers, error and side.

    Groups of which nothing came on any date have none. The side is 1 where all forecasts were too high, −1 where all
    were too low, else 0.
    """
    # What the tables put together themselves goes with what is put together here.
    named = groups.with_columns(pl.col("group_name").replace("other", other))
    sizes = named.group_by("group_name").agg(pl.col("customers").mean())
    shown = most(sizes, "group_name", count="customers", other=other, at_most=MOST)
    called = {
        name: other if put == other else display.term(name)
        for name, put in zip(sizes["group_name"], shown, strict=True)
    }
    error = pl.col("forecast") / pl.col("actual") - 1
    return (
        named.with_columns(pl.col("group_name").replace_strict(called, return_dtype=pl.String))
        .group_by("group_kind", "group_name", "forecast_on", maintain_order=True)
        .agg(pl.col("customers").sum(), pl.col("forecast", "actual").cast(pl.Float64).sum())
        .filter(pl.col("actual") > 0)
        .group_by("group_kind", "group_name", maintain_order=True)
        .agg(
            pl.col("customers").mean().round().cast(pl.Int64),
            off=error.abs().mean(),
            side=pl.when((error > 0).all()).then(1).when((error < 0).all()).then(-1).otherwise(0),
        )
        .sort(pl.col("group_name") == other, maintain_order=True)
    )


def _kinds(display: Display) -> dict[str, str]:
    """What the kinds of groups are called."""
    return {
        "segment": display.say("Segment"),
        "country": display.say("Country"),
        "cohort": display.say("First purchase"),
        "age": display.say("Time since the first purchase"),
        "value": display.say("Value so far"),
        "decile": display.say("Decile of the forecast"),
    }
