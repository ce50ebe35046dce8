"""Charts of what is expected: per customer, within horizons, and week by week."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.publication.charts.frames import require_rows
from clv_pipeline.publication.charts.look import (
    ACCENT,
    CONTRAST,
    INK,
    MUTED,
    QUIET,
    WIDTH,
    finish,
    legend,
    money_axis,
    panel_title,
    short,
)
from clv_pipeline.publication.charts.value_bins import value_bins

if TYPE_CHECKING:
    from altair.typing import ChartType


def forecast_distribution(steps: pl.DataFrame) -> ChartType:
    """How customers, and their value, spread over value per customer.

    steps: customers of one horizon: horizon_days, and step, customers and value as `value_bins` takes them; value is
    clv, the discounted margin (currency within the horizon).

    Raises:
        ValueError: there are several horizons; columns or rows are missing (`require_rows`).
    """
    import altair as alt

    require_rows(steps, "horizon_days", "step", "customers", "value")
    horizons = steps["horizon_days"].unique().to_list()
    if len(horizons) > 1:
        raise ValueError(f"the distribution is drawn for one horizon, but the frame has {sorted(horizons)}")
    bins = value_bins(steps)
    series = {"Share of customers": "customers", "Share of customer lifetime value": "value"}
    shares = pl.concat(
        bins.select("bin", series=pl.lit(name), share=(pl.col(column) / pl.col(column).sum()).fill_nan(0))
        for name, column in series.items()
    )
    title = "Customer lifetime value per customer"
    bars = (
        alt.Chart(shares)
        .mark_bar()
        .encode(
            x=alt.X("bin:O", sort=bins["bin"].to_list(), title=title, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("series:N", sort=list(series)),
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format=".0%", tickCount=6)),
            color=legend("series", list(series), [QUIET, ACCENT]),
        )
        .properties(width=WIDTH + 20, height=270)
    )
    return finish(
        bars,
        f"Customer lifetime value in the next {horizons[0]} days",
        f"{bins['customers'].sum():,} customers, {short(float(bins['value'].sum()))} in all",
    )


def totals_by_horizon(totals: pl.DataFrame) -> ChartType:
    """The expected spend of all customers within every horizon, with its interval if there is one.

    totals: horizon_days, expected_purchases (count), expected_spend, spend_lower and spend_upper (currency; NULL
    without an interval). Where all expected_spend is NULL, purchases are drawn.
    """
    import altair as alt

    require_rows(totals, "horizon_days", "expected_purchases", "expected_spend", "spend_lower", "spend_upper")
    has_money = totals["expected_spend"].is_not_null().any()
    rows = totals.sort("horizon_days").select(
        horizon=pl.format("{} days", "horizon_days"),
        expected=pl.col("expected_spend" if has_money else "expected_purchases").cast(pl.Float64),
        lower=pl.col("spend_lower").cast(pl.Float64),
        upper=pl.col("spend_upper").cast(pl.Float64),
    )
    rows = rows.with_columns(label=pl.Series([short(amount) for amount in rows["expected"]]))
    title = "Expected spend, interval shaded" if has_money else "Expected purchases"
    base = alt.Chart(rows).encode(y=alt.Y("horizon:O", sort=rows["horizon"].to_list(), title=None))
    layers = alt.layer(
        base.mark_bar(color=QUIET, height=12).encode(
            x=alt.X("lower:Q", title=title, axis=money_axis(), scale=alt.Scale(zero=True)),
            x2="upper:Q",
        ),
        base.mark_point(filled=True, color=ACCENT, size=110, opacity=1).encode(x="expected:Q"),
        base.mark_text(color=INK, dy=-16).encode(x="expected:Q", text="label:N"),
    ).properties(width=WIDTH - 10, height=alt.Step(52))
    return finish(
        layers,
        f"Expected {'revenue' if has_money else 'purchases'} by horizon",
        "All customers of today together; new customers are not in it",
    )


def revenue_ahead(months: pl.DataFrame) -> ChartType:
    """Expected revenue of every month ahead: of known and of new customers, its range, and last year's month.

    months: one row per month: month (date), and as currency revenue_so_far, known_revenue, new_revenue, total_revenue,
    total_lower, total_upper, last_year_revenue (NULL where it is not known).
    """
    import altair as alt

    series = {"Came so far": "revenue_so_far", "Known customers": "known_revenue", "New customers": "new_revenue"}
    totals = ("total_revenue", "total_lower", "total_upper", "last_year_revenue")
    require_rows(months, "month", *series.values(), *totals)
    rows = months.sort("month").select(
        pl.col("month").dt.strftime("%Y-%m"), pl.col(*series.values(), *totals).cast(pl.Float64)
    )
    parts = pl.concat(
        rows.select("month", series=pl.lit(name), place=pl.lit(place), revenue=column)
        for place, (name, column) in enumerate(series.items())
    ).filter((pl.col("revenue") > 0.0) | (pl.col("place") > 0))
    names = [name for name in series if name in {*parts["series"]}]
    colours = dict(zip(series, (QUIET, ACCENT, CONTRAST), strict=True))
    x = alt.X("month:O", title=None, axis=alt.Axis(labelAngle=-40))
    bars = (
        alt.Chart(parts)
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y("revenue:Q", title="Line: range of the total; tick: same month of last year", axis=money_axis()),
            color=legend("series", names, [colours[name] for name in names]),
            order="place:Q",
        )
    )
    base = alt.Chart(rows).encode(x=x)
    ranges = base.mark_rule(color=INK).encode(y="total_lower:Q", y2="total_upper:Q")
    known = rows.select("month", last="last_year_revenue").drop_nulls()
    layers = [bars, ranges]
    if known.height:
        layers.append(alt.Chart(known).mark_tick(color=MUTED, thickness=2, width=16).encode(x=x, y="last:Q"))
    return finish(
        alt.layer(*layers).properties(width=WIDTH + 20, height=270),
        "Expected revenue by month",
        f"{rows.height} months: {short(float(rows['total_revenue'].sum()))} in all,"
        f" {short(float(rows['new_revenue'].sum()))} of it from customers who are yet to come",
    )


def tracking(weeks: pl.DataFrame) -> ChartType:
    """Actual and expected repeat purchases, week by week and cumulative; future weeks have only expected ones.

    weeks: one row per week: week_ends (date), purchases and cumulative_purchases (counts; NULL where the week is not
    over), and the same as expected, in expected, expected_process, cumulative_expected and cumulative_process.
    """
    import altair as alt

    panels = {
        "Per week": {"Came": "purchases", "Expected": "expected", "Expected without season": "expected_process"},
        "Added up": {
            "Came": "cumulative_purchases",
            "Expected": "cumulative_expected",
            "Expected without season": "cumulative_process",
        },
    }
    require_rows(weeks, "week_ends", *(column for series in panels.values() for column in series.values()))
    rows = weeks.sort("week_ends")
    known = rows.filter(pl.col("purchases").is_not_null())
    names = list(panels["Per week"])

    def panel(title: str, series: dict[str, str]) -> ChartType:
        data = pl.concat(
            rows.select(week="week_ends", series=pl.lit(name), purchases=pl.col(column).cast(pl.Float64).round(2))
            for name, column in series.items()
        )
        lines = (
            alt.Chart(data.drop_nulls())
            .mark_line(strokeWidth=1.6)
            .encode(
                x=alt.X("week:T", title=None, axis=alt.Axis(format="%b %Y", tickCount=8)),
                y=alt.Y("purchases:Q", title=None, axis=money_axis()),
                color=legend("series", names, [ACCENT, CONTRAST, QUIET]),
            )
        )
        today = alt.Chart(known.tail(1).select(week="week_ends")).mark_rule(color=MUTED, strokeDash=[3, 3])
        sized: ChartType = alt.layer(lines, today.encode(x="week:T")).properties(
            width=WIDTH + 20, height=170, title=panel_title(title)
        )
        return sized

    came, expected = (
        float(known[column].cast(pl.Float64).sum()) if known.height else 0.0 for column in ("purchases", "expected")
    )
    return finish(
        alt.vconcat(*(panel(title, series) for title, series in panels.items()), spacing=18),
        "Repeat purchases, expected and come",
        f"{known.height} weeks that are over: {short(came)} came, {short(expected)} were expected; "
        f"{rows.height - known.height} weeks ahead, without customers who are yet to come",
    )
