"""What was sold: by day, by month, by customer and cohort, and which rows were left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.publication.charts.frames import require_rows
from clv_pipeline.publication.charts.look import (
    ACCENT,
    CONTRAST,
    INK,
    PAPER,
    QUIET,
    TINT,
    WIDTH,
    finish,
    legend,
    money_axis,
    percent,
    shade,
    short,
)

if TYPE_CHECKING:
    from altair.typing import ChartType

MIN_WEEKS = 8
"""Fewer complete weeks than this are drawn day by day."""


def daily_revenue(days: pl.DataFrame) -> ChartType:
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
    base = alt.Chart(data).encode(
        x=alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y" if by_week else "%d %b", tickCount=8)),
        y=alt.Y("revenue:Q", title=None, axis=money_axis()),
    )
    layers = alt.layer(
        base.mark_area(color=ACCENT, opacity=0.12), base.mark_line(color=ACCENT, strokeWidth=2)
    ).properties(width=WIDTH + 20, height=250)
    first, last = data["day"][0], data["day"][-1]
    span = f"{data.height} complete weeks, Mondays {first} to {last}" if by_week else f"{first} to {last}"
    return finish(
        layers,
        f"Revenue per {'week' if by_week else 'day'}",
        f"{span}; {short(float(data['revenue'].sum()))} in all",
    )


def customers_by_month(months: pl.DataFrame) -> ChartType:
    """Buyers of every month: those who bought for the first time, and those who came back.

    months: one row per month: calendar_month, new_customers and returning_customers (counts).
    """
    import altair as alt

    require_rows(months, "calendar_month", "new_customers", "returning_customers")
    series = {"New": "new_customers", "Returning": "returning_customers"}
    counts = pl.concat(
        months.select(
            month=pl.col("calendar_month").dt.strftime("%Y-%m"),
            series=pl.lit(name),
            place=pl.lit(place),
            customers=column,
        )
        for place, (name, column) in enumerate(series.items())
    )
    bars = (
        alt.Chart(counts)
        .mark_bar()
        .encode(
            x=alt.X("month:O", title=None, axis=alt.Axis(labelAngle=-40, labelOverlap="greedy")),
            y=alt.Y("customers:Q", title=None, axis=money_axis()),
            color=legend("series", list(series), [CONTRAST, ACCENT]),
            order="place:Q",
        )
        .properties(width=WIDTH + 20, height=250)
    )
    return finish(
        bars,
        "Buyers per month, new and returning",
        f"{months.height} complete months; {months['new_customers'].sum():,} customers bought for the first time",
    )


def revenue_by_tenth(deciles: pl.DataFrame) -> ChartType:
    """The share of revenue that every tenth of the customers brought, the best tenth first.

    deciles: decile (1 … 10, the best first) and revenue_share (0 to 1).
    """
    import altair as alt

    require_rows(deciles, "decile", "revenue_share")
    data = deciles.sort("decile").select(tenth="decile", share="revenue_share")
    data = data.with_columns(label=pl.Series([percent(share) for share in data["share"]]))
    base = alt.Chart(data).encode(
        x=alt.X("tenth:O", title="Tenth of the customers by revenue (1: the best)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title=None, axis=alt.Axis(format=".0%", tickCount=5)),
    )
    return finish(
        alt.layer(base.mark_bar(color=ACCENT), base.mark_text(dy=-8, color=INK).encode(text="label:N")).properties(
            width=WIDTH + 20, height=230
        ),
        "Share of revenue by tenth of the customers",
        f"The best tenth brought {data['label'][0]} of the revenue",
    )


def cohort_heatmap(cohorts: pl.DataFrame) -> ChartType:
    """The share of every month's new customers who bought again in the months that followed.

    cohorts: cohort_month (date), age_months (1 and up) and retention (0 to 1); complete months only.
    """
    import altair as alt

    require_rows(cohorts, "cohort_month", "age_months", "retention")
    data = cohorts.select("age_months", "retention", cohort=pl.col("cohort_month").dt.strftime("%Y-%m"))
    cells = (
        alt.Chart(data)
        .mark_rect(fill=TINT, stroke=PAPER, strokeWidth=1)
        .encode(
            x=alt.X("age_months:O", title="Months since the first purchase", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("cohort:O", title=None),
            fillOpacity=shade("retention"),
        )
        .properties(width=WIDTH, height=alt.Step(22))
    )
    highest = percent(max(data["retention"].to_list()))
    return finish(
        cells,
        "Who comes back, by month of the first purchase",
        f"The darker, the more of a month's new customers bought again; the darkest is {highest}",
    )


def ledger_flow(outcomes: pl.DataFrame) -> ChartType:
    """From all source rows, reason by reason, to the rows that were kept.

    outcomes: one row per outcome (kept, or the reason of a rejection) with rows (count).
    """
    import altair as alt

    require_rows(outcomes, "outcome", "rows")
    kept = outcomes.filter(pl.col("outcome") == "kept")["rows"].sum()
    lost = outcomes.filter(pl.col("outcome") != "kept").sort("rows", "outcome", descending=[True, False])
    left = total = int(outcomes["rows"].sum())
    steps = [("all rows", 0, total, QUIET)]
    for reason, rows in lost.select("outcome", "rows").iter_rows():
        steps.append((reason, left - rows, left, CONTRAST))
        left -= rows
    steps.append(("kept", 0, left, ACCENT))
    data = pl.DataFrame(steps, schema=["step", "begin", "end", "colour"], orient="row").with_columns(
        label=pl.Series([f"{'−' * (colour == CONTRAST)}{end - begin:,}" for _, begin, end, colour in steps])
    )
    base = alt.Chart(data).encode(y=alt.Y("step:N", sort=data["step"].to_list(), title=None))
    # The longest bar leaves room for its label.
    reach = alt.Scale(domain=[0, max(total, 1) * 1.25], nice=False)
    layers = alt.layer(
        base.mark_bar(height=16).encode(
            x=alt.X("begin:Q", axis=None, scale=reach), x2="end:Q", color=alt.Color("colour:N", scale=None)
        ),
        base.mark_text(align="left", dx=5, color=INK).encode(x=alt.X("end:Q", scale=reach), text="label:N"),
    ).properties(width=WIDTH - 70, height=alt.Step(25))
    return finish(layers, "From source rows to rows kept", f"{kept:,} of {total:,} rows are kept")
