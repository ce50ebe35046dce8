"""What was sold, by day and by month, and which rows were left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import labelled, linear
from clv_pipeline.publication.charts.axes import months as month_axis
from clv_pipeline.publication.charts.frames import require_rows, rounded, stacked, sum_of, with_optional
from clv_pipeline.publication.charts.look import (
    ACCENT,
    CONTRAST,
    INK,
    PAPER,
    QUIET,
    WIDTH,
    finish,
    legend,
    lines,
)

if TYPE_CHECKING:
    from altair.typing import ChartType


MIN_WEEKS = 8
"""Fewer complete weeks than this are drawn day by day."""


def revenue_by_month(months: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Revenue by month, that of the same months a year before, and the forecast with its range.

    months: one row per month: calendar_month (date), and as currency revenue (NULL ahead), last_year_revenue (NULL
    where it is not known), forecast, lower and upper (NULL where there is none); is_partial is true of months of which
    only a part is known. The forecast of such a month is for the whole of it.
    """
    import altair as alt

    amounts = ("revenue", "last_year_revenue", "forecast", "lower", "upper")
    require_rows(months, "calendar_month", "is_partial", *amounts)
    rows = (
        months.sort("calendar_month")
        .with_columns(pl.col(amounts).cast(pl.Float64))
        .with_row_index("month")
        .with_columns(whole=pl.when(~pl.col("is_partial")).then("revenue"))
    )
    actual, last_year, forecast = names = [
        display.say("Actual"),
        display.say("A year before"),
        display.say("Forecast"),
    ]
    series = stacked(rows, "month", {actual: "whole", last_year: "last_year_revenue", forecast: "forecast"}, "revenue")
    look = {actual: (ACCENT, [1, 0]), last_year: (QUIET, [2, 2]), forecast: (CONTRAST, [6, 3])}
    highest = [rows[column].max() for column in amounts]
    x = alt.X(
        "month:Q",
        **month_axis(rows["calendar_month"].to_list(), display),
        scale=alt.Scale(domain=[0, max(rows.height - 1, 1)], nice=False),
    )
    y = alt.Y("revenue:Q", title=None, **linear(map(_float, highest), display.short))
    fan = rows.select("month", revenue=rounded("lower"), upper=rounded("upper")).drop_nulls()
    partial = rows.filter("is_partial", pl.col("revenue").is_not_null()).select("month", revenue=rounded("revenue"))
    layers = [
        alt.Chart(fan).mark_area(color=CONTRAST, opacity=0.25).encode(x=x, y=y, y2="upper:Q"),
        alt.Chart(series)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            **lines("series", {name: look[name] for name in names if name in {*series["series"]}}),
        ),
        alt.Chart(partial).mark_point(color=ACCENT, size=60, strokeWidth=2, filled=False).encode(x=x, y=y),
    ]
    shown = [layer for layer, data in zip(layers, (fan, series, partial), strict=True) if data.height]
    past = rows.filter(pl.col("whole").is_not_null())
    return finish(
        alt.layer(*shown).properties(width=WIDTH, height=260),
        display.say("Revenue by month"),
        display.say_many(
            past.height,
            "{number} complete month, {amount} in all.",
            "{number} complete months, {amount} in all.",
            amount=display.money(float(past["whole"].sum())),
        ),
        display.say("A ring is a month of which only a part is known.") if partial.height else "",
        display.say("Shaded: the range of the forecast.") if fan.height else "",
    )


def _float(value: object) -> float | None:
    return None if value is None else float(value)  # type: ignore[arg-type]


def daily_revenue(days: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Revenue over time: a line over complete weeks (Monday to Sunday), or over days if there are few weeks.

    days: one row per day with revenue (currency); days that are absent had none. The incomplete weeks at both
    ends are left out, because they would read as a collapse of the business.
    """
    import altair as alt

    require_rows(days, "day", "revenue")
    sums = days.group_by(pl.col("day").cast(pl.Date)).agg(pl.col("revenue").cast(pl.Float64).sum())
    calendar = sums.select(pl.date_range(pl.col("day").min(), pl.col("day").max(), "1d").alias("day"))
    daily = calendar.join(sums, on="day", how="left").fill_null(0).sort("day")
    weekly = (
        daily.group_by(pl.col("day").dt.truncate("1w"))
        .agg(pl.col("revenue").sum(), length=pl.len())
        .filter(pl.col("length") == 7)
        .select("day", "revenue")
        .sort("day")
    )
    by_week = weekly.height >= MIN_WEEKS
    data = weekly if by_week else daily
    first, last = data["day"][0], data["day"][-1]
    shown = list(range(0, data.height, max(1, data.height // 7)))
    written = [(display.short_month if by_week else display.short_day)(data["day"][place]) for place in shown]
    base = alt.Chart(data.select(pl.int_range(pl.len()).alias("place"), revenue=rounded("revenue"))).encode(
        x=alt.X(
            "place:Q",
            title=None,
            axis=labelled(shown, written),
            scale=alt.Scale(domain=[0, max(data.height - 1, 1)], nice=False),
        ),
        y=alt.Y("revenue:Q", title=None, **linear(data["revenue"], display.short)),
    )
    layers = alt.layer(
        base.mark_area(color=ACCENT, opacity=0.12), base.mark_line(color=ACCENT, strokeWidth=2)
    ).properties(width=WIDTH, height=250)
    told = {
        "number": display.count(data.height),
        "first": display.short_day(first),
        "last": display.short_day(last),
        "amount": display.money(float(data["revenue"].sum())),
    }
    return finish(
        layers,
        display.say("Revenue by week") if by_week else display.say("Revenue by day"),
        display.say("{number} complete weeks, Mondays {first} to {last}: {amount} in all.", **told)
        if by_week
        else display.say("{first} to {last}: {amount} in all.", **told),
    )


def customers_by_month(months: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Buyers of every month: those who bought for the first time, and those who came back.

    months: one row per month: calendar_month (date), new_customers and returning_customers (counts). is_left_censored
    (optional) is true of the first months of the history, whose new customers may have bought before it.
    """
    import altair as alt

    require_rows(months, "calendar_month", "new_customers", "returning_customers")
    rows = with_optional(months, is_left_censored=pl.Boolean).sort("calendar_month").with_row_index("place_in_time")
    early = pl.col("is_left_censored").fill_null(value=False)
    rows = rows.with_columns(new=pl.when(~early).then("new_customers"), first_seen=pl.when(early).then("new_customers"))
    colours = {
        display.say("Returning"): ("returning_customers", ACCENT),
        display.say("New"): ("new", CONTRAST),
        display.say("First seen: perhaps not new"): ("first_seen", QUIET),
    }
    counts = stacked(rows, "place_in_time", {name: column for name, (column, _) in colours.items()}, "customers")
    drawn = [name for name in colours if name in {*counts["series"]}]
    totals = rows.select(pl.col("new_customers") + pl.col("returning_customers")).to_series()
    bars = (
        alt.Chart(counts)
        .mark_bar(stroke=PAPER, strokeWidth=0.5)
        .encode(
            x=alt.X("place_in_time:O", **month_axis(rows["calendar_month"].to_list(), display)),
            y=alt.Y("customers:Q", title=None, **linear(totals, display.short)),
            color=legend("series", drawn, [colours[name][1] for name in drawn]),
            order="place:Q",
        )
        .properties(width=WIDTH, height=250)
    )
    censored = rows.filter(early).height
    return finish(
        bars,
        display.say("Buyers by month, new and returning"),
        display.say_many(
            rows.height,
            "{number} complete month; {newcomers} customers bought for the first time.",
            "{number} complete months; {newcomers} customers bought for the first time.",
            newcomers=display.count(float(rows["new_customers"].sum())),
        ),
        display.say_many(
            censored,
            "The history begins with the first month: many who look new in it are not.",
            "The history begins here: many who look new in the first {number} months are not.",
        )
        if censored
        else "",
    )


def ledger_flow(outcomes: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """From all source rows, reason by reason, to the rows that were kept.

    outcomes: one row per outcome (kept, or the reason of a rejection) with rows (count).
    """
    import altair as alt

    require_rows(outcomes, "outcome", "rows")
    kept = sum_of(outcomes.filter(pl.col("outcome") == "kept")["rows"])
    lost = outcomes.filter(pl.col("outcome") != "kept").sort("rows", "outcome", descending=[True, False])
    left = total = int(sum_of(outcomes["rows"]))
    steps = [(display.say("all rows"), 0, total, QUIET)]
    for reason, rows in lost.select("outcome", "rows").iter_rows():
        steps.append((display.term(reason), left - rows, left, CONTRAST))
        left -= rows
    steps.append((display.say("kept"), 0, left, ACCENT))
    data = pl.DataFrame(steps, schema=["step", "begin", "end", "colour"], orient="row").with_columns(
        label=pl.Series(
            [f"{'−' * (colour == CONTRAST)}{display.count(end - begin)}" for _, begin, end, colour in steps]
        )
    )
    base = alt.Chart(data).encode(y=alt.Y("step:N", sort=data["step"].to_list(), title=None))
    # The longest bar leaves room for its label.
    reach = alt.Scale(domain=[0, max(total, 1) * 1.45], nice=False)
    layers = alt.layer(
        base.mark_bar(height=16).encode(
            x=alt.X("begin:Q", axis=None, scale=reach), x2="end:Q", color=alt.Color("colour:N", scale=None)
        ),
        base.mark_text(align="left", dx=5, color=INK).encode(x=alt.X("end:Q", scale=reach), text="label:N"),
    ).properties(width=WIDTH, height=alt.Step(25))
    return finish(
        layers,
        display.say("From source rows to rows kept"),
        display.say("{kept} of {total} rows are kept.", kept=display.count(kept), total=display.count(total)),
    )
