"""How people buy: what orders are worth and how large they are, the days between them, and when they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import labelled
from clv_pipeline.publication.charts.bars import class_names, written_bars
from clv_pipeline.publication.charts.frames import require_rows, sum_of
from clv_pipeline.publication.charts.heat import heat_map, shade_legend
from clv_pipeline.publication.charts.look import finish
from clv_pipeline.publication.charts.numbers import in_currency

if TYPE_CHECKING:
    from collections.abc import Callable

    from altair.typing import ChartType


def order_values(bins: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """How many orders are of which value.

    bins: one row per bin, ascending and without gaps: bin_lower and bin_upper (currency; the lowest bin_lower and the
    highest bin_upper may be NULL) and orders (count).
    """
    chart, told = _distribution(bins, "orders", display.short, display)
    return finish(
        chart,
        display.say("What orders are worth"),
        display.say("{number} orders by value; {share} are of {bin}.", **told),
        in_currency(display),
    )


def order_gaps(bins: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """How many days lie between an order and the customer's next one.

    bins: one row per bin, ascending and without gaps: bin_lower and bin_upper (days; the lowest bin_lower and the
    highest bin_upper may be NULL) and gaps (count).
    """
    chart, told = _distribution(bins, "gaps", display.count, display)
    return finish(
        chart,
        display.say("Days between two orders of a customer"),
        display.say("{number} gaps; most common: {bin} days ({share}).", **told),
        display.say("Who never came back has none."),
    )


def order_sizes(bins: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """How many lines orders have.

    bins: one row per bin, ascending and without gaps: bin_lower and bin_upper (lines; the lowest bin_lower and the
    highest bin_upper may be NULL) and orders (count).
    """
    chart, told = _distribution(bins, "orders", display.count, display)
    return finish(
        chart,
        display.say("How large orders are"),
        display.say("{number} orders by number of lines; most common: {bin} ({share}).", **told),
        display.say("A line is mostly a product, of which there can be several items."),
    )


def order_hours(cells: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """When orders come: by day of the week and hour.

    cells: weekday (1 is Monday, to 7), hour (0 to 23) and orders (count); absent cells had none.
    """
    import altair as alt

    require_rows(cells, "weekday", "hour", "orders")
    counts = cells.group_by("weekday", "hour").agg(pl.col("orders").sum().cast(pl.Int64))
    peak = counts.sort("orders", "weekday", "hour", descending=[True, False, False]).row(0, named=True)
    days = {number: display.weekday(number) for number in range(1, 8)}
    grid = pl.DataFrame({"weekday": list(days)}).join(pl.DataFrame({"hour": range(24)}), how="cross")
    data = grid.join(counts.cast(pl.Int64), on=["weekday", "hour"], how="left").select(
        "hour", day=pl.col("weekday").replace_strict(days, return_dtype=pl.String), depth=pl.col("orders").fill_null(0)
    )
    marks = [0.0, peak["orders"] / 2, float(peak["orders"])]
    hours = list(range(0, 24, 3))
    chart = heat_map(
        data,
        x=alt.X(
            "hour:O",
            title=display.say("Hour of the day, in the time of the data"),
            axis=labelled(hours, [display.count(hour) for hour in hours], labelAngle=0),
        ),
        y=alt.Y("day:N", sort=list(days.values()), title=None),
        lines={},
        row_height=24,
        legend=shade_legend(marks, [display.count(mark) for mark in marks], display.say("Orders in an hour")),
    )
    return finish(
        chart,
        display.say("When orders come"),
        display.say(
            "{number} orders; most came on {day} between {hour} and {next} o'clock.",
            number=display.count(sum_of(counts["orders"])),
            day=days[peak["weekday"]],
            hour=display.count(peak["hour"]),
            next=display.count(peak["hour"] + 1),
        ),
    )


def _distribution(
    bins: pl.DataFrame, count: str, write: Callable[[float], str], display: Display
) -> tuple[ChartType, dict[str, str]]:
    """The share of every bin, and for the subtitle the number in all and the fullest bin with its share."""
    require_rows(bins, "bin_lower", "bin_upper", count)
    rows = bins.select(pl.col("bin_lower", "bin_upper", count).cast(pl.Float64)).sort("bin_lower", nulls_last=False)
    names = class_names(rows.select("bin_lower", "bin_upper").iter_rows(), write)
    counts = rows[count].to_list()
    total = sum_of(rows[count])
    shares = [amount / max(1.0, total) for amount in counts]
    written = [
        f"{display.percent(share)} ({display.count(amount)})" for share, amount in zip(shares, counts, strict=True)
    ]
    fullest = counts.index(max(counts))
    told = {
        "number": display.count(total),
        "share": display.percent(shares[fullest]),
        "bin": names[fullest],
    }
    return written_bars(names, shares, written), told
