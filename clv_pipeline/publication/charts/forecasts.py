"""Charts of what is forecast: per customer, within horizons, and week by week."""

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
    MUTED,
    PAPER,
    QUIET,
    WIDTH,
    finish,
    legend,
    lines,
    panel_title,
)
from clv_pipeline.publication.charts.numbers import in_currency
from clv_pipeline.publication.charts.value_bins import value_bins

if TYPE_CHECKING:
    from altair.typing import ChartType


def forecast_distribution(steps: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
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
    bins = value_bins(steps, display)
    series = {display.say("Share of customers"): "customers", display.say("Share of value"): "value"}
    shares = stacked(
        bins.with_columns((pl.col(column) / pl.col(column).sum()).fill_nan(0) for column in series.values()),
        "bin",
        series,
        "share",
    )
    shares = shares.with_columns(label=pl.Series([display.percent(share) for share in shares["share"]]))
    reach = alt.Scale(domain=[0, max([0.01, *shares["share"]]) * 1.2], nice=False)
    base = alt.Chart(shares).encode(
        y=alt.Y("bin:O", sort=bins["bin"].to_list(), title=None),
        yOffset=alt.YOffset("series:N", sort=list(series)),
        x=alt.X("share:Q", axis=None, scale=reach),
    )
    bars = alt.layer(
        base.mark_bar().encode(color=legend("series", list(series), [QUIET, ACCENT])),
        base.mark_text(align="left", dx=5, color=INK).encode(text="label:N"),
    ).properties(width=WIDTH, height=alt.Step(15))
    return finish(
        bars,
        display.say("Customer lifetime value in the next {days} days", days=display.count(horizons[0])),
        display.say(
            "{customers} customers by the margin forecast for each, {amount} in all.",
            customers=display.count(sum_of(bins["customers"])),
            amount=display.money(float(bins["value"].sum())),
        ),
    )


def revenue_fan(horizons: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The spend of all customers, added up over the days ahead, with its range and what came in the same days before.

    horizons: horizon_days, expected_spend, spend_lower and spend_upper (currency; NULL without an interval);
    last_year_spend (optional) is what came within as many days from a year before on. Where all expected_spend is NULL,
    expected_purchases and last_year_purchases (counts, both optional) are drawn.
    """
    import altair as alt

    require_rows(horizons, "horizon_days", "expected_spend", "spend_lower", "spend_upper")
    optional = ("last_year_spend", "expected_purchases", "last_year_purchases")
    given = with_optional(horizons, **dict.fromkeys(optional, pl.Float64)).sort("horizon_days")
    has_money = given["expected_spend"].is_not_null().any()
    columns: list[str | None] = ["expected_spend", "spend_lower", "spend_upper", "last_year_spend"]
    if not has_money:
        columns = ["expected_purchases", None, None, "last_year_purchases"]
    names = ["forecast", "lower", "upper", "last_year"]
    ahead = given.select(
        pl.col("horizon_days").cast(pl.Int64).alias("days"),
        *(
            (rounded(column) if column else pl.lit(None, pl.Float64)).alias(name)
            for name, column in zip(names, columns, strict=True)
        ),
    )
    today = ahead.head(1).select(
        pl.lit(0, pl.Int64).alias("days"),
        *(pl.when(pl.lit(ahead[name].is_not_null().any())).then(0.0).alias(name) for name in names),
    )
    rows = pl.concat([today, ahead])
    series = {
        display.say("Forecast"): ("forecast", (ACCENT, [1, 0])),
        display.say("A year before"): ("last_year", (QUIET, [3, 3])),
    }
    added_up = stacked(rows, "days", {name: column for name, (column, _) in series.items()}, "amount")
    ends = ahead.drop_nulls("forecast").select("days", amount="forecast")
    ends = ends.with_columns(label=pl.Series([display.short(amount) for amount in ends["amount"]], dtype=pl.String))
    days = rows["days"].to_list()
    x = alt.X(
        "days:Q",
        title=display.say("Days from today"),
        axis=labelled(days, [display.count(day) for day in days]),
        scale=alt.Scale(domain=[0, max(days) * 1.08], nice=False),
    )
    amounts = [amount for name in names for amount in rows[name]]
    y = alt.Y("amount:Q", title=None, **linear(amounts, display.short, room=1.05))
    fan = rows.select("days", "upper", amount="lower").drop_nulls()
    layers = [
        alt.Chart(added_up)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            **lines("series", {name: series[name][1] for name in series if name in {*added_up["series"]}}),
        ),
        alt.Chart(ends).mark_point(filled=True, color=ACCENT, size=50, opacity=1).encode(x=x, y=y),
        alt.Chart(ends).mark_text(color=INK, dy=-12, align="right").encode(x=x, y=y, text="label:N"),
    ]
    if fan.height:
        layers.insert(0, alt.Chart(fan).mark_area(color=ACCENT, opacity=0.2).encode(x=x, y=y, y2="upper:Q"))
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=270),
        display.say("Forecast revenue, added up") if has_money else display.say("Forecast purchases, added up"),
        display.say("Today's customers together, without those who are yet to come."),
        display.say("Shaded: the range of the total.") if fan.height else "",
        in_currency(display) if has_money else "",
    )


def revenue_ahead(months: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The forecast of every month ahead: of known and of new customers, its range, and last year's month.

    months: one row per month: month (date), and as currency revenue_so_far, known_revenue, new_revenue, total_revenue,
    total_lower, total_upper, last_year_revenue (NULL where it is not known); interval_level (optional) is the share of
    months that ranges are made to hold.
    """
    import altair as alt

    series = {
        display.say("Actual so far"): ("revenue_so_far", QUIET),
        display.say("Known customers"): ("known_revenue", ACCENT),
        display.say("New customers"): ("new_revenue", CONTRAST),
    }
    columns = {name: column for name, (column, _) in series.items()}
    totals = ("total_revenue", "total_lower", "total_upper", "last_year_revenue")
    require_rows(months, "month", *columns.values(), *totals)
    level = with_optional(months, interval_level=pl.Float64)["interval_level"][0]
    rows = months.sort("month").select("month", pl.col(*columns.values(), *totals).cast(pl.Float64))
    rows = rows.with_row_index("at")
    parts = stacked(rows, "at", columns, "revenue").filter((pl.col("revenue") > 0.0) | (pl.col("place") > 0))
    names = [name for name in series if name in {*parts["series"]}]
    x = alt.X("at:O", **month_axis(rows["month"].to_list(), display))
    highest = [amount for column in ("total_upper", "total_revenue", "last_year_revenue") for amount in rows[column]]
    bars = (
        alt.Chart(parts)
        .mark_bar(stroke=PAPER, strokeWidth=0.5)
        .encode(
            x=x,
            y=alt.Y("revenue:Q", title=None, **linear(highest, display.short)),
            color=legend("series", names, [series[name][1] for name in names]),
            order="place:Q",
        )
    )
    bounds = rows.select("at", *(rounded(column).alias(column) for column in totals))
    ranges = alt.Chart(bounds.select("at", "total_lower", "total_upper").drop_nulls()).encode(x=x)
    known = bounds.select("at", last="last_year_revenue").drop_nulls()
    last_year = alt.Chart(known).encode(x=x, y="last:Q")
    # Each with an edge, so that it stands out from the bar that it lies on.
    layers = [bars] + [
        ranges.mark_rule(color=colour, strokeWidth=width).encode(y="total_lower:Q", y2="total_upper:Q")
        for colour, width in ((PAPER, 4), (INK, 1.5))
    ]
    if known.height:
        layers += [
            last_year.mark_tick(color=colour, thickness=thickness, width=width)
            for colour, thickness, width in ((PAPER, 6, 17), (INK, 3, 14))
        ]
    sums = {"total": sum_of(rows["total_revenue"]), "new": sum_of(rows["new_revenue"])}
    decimals = display.decimals_for(sums.values())
    told = {name: display.amount(amount, decimals, with_currency=True) for name, amount in sums.items()}
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=270),
        display.say("Forecast revenue by month"),
        display.say_many(
            rows.height,
            "{number} month: {total} in all, {new} of it from customers who are yet to come.",
            "{number} months: {total} in all, {new} of it from customers who are yet to come.",
            **told,
        ),
        display.say("Upright line: range of the total.")
        if level is None
        else display.say("Upright line: {level} range of the total.", level=display.percent(level)),
        display.say("Short bar: the same month a year before.") if known.height else "",
    )


def tracking(weeks: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Repeat purchases and the model that was fitted to them, week by week and cumulative; ahead is the model alone.

    weeks: one row per week: week_ends (date), purchases and cumulative_purchases (counts; NULL where the week is not
    over), and the same of the model, in expected, expected_process, cumulative_expected and cumulative_process.
    """
    import altair as alt

    names = [display.say("Actual"), display.say("Model"), display.say("Model without season")]
    panels = {
        display.say("By week"): dict(zip(names, ("purchases", "expected", "expected_process"), strict=True)),
        display.say("Added up"): dict(
            zip(names, ("cumulative_purchases", "cumulative_expected", "cumulative_process"), strict=True)
        ),
    }
    looks: dict[str, tuple[str, list[int]]] = dict(
        zip(names, ((ACCENT, [1, 0]), (CONTRAST, [6, 3]), (QUIET, [2, 2])), strict=True)
    )
    require_rows(weeks, "week_ends", *(column for series in panels.values() for column in series.values()))
    rows = weeks.sort("week_ends").with_row_index("week")
    known = rows.filter(pl.col("purchases").is_not_null())
    shown = list(range(0, rows.height, max(1, rows.height // 7)))
    axis = labelled(shown, [display.short_month(rows["week_ends"][place]) for place in shown])
    last = pl.DataFrame({"week": known["week"].tail(1)})

    def panel(title: str, series: dict[str, str]) -> ChartType:
        data = stacked(rows, "week", series, "purchases").select("week", "series", pl.col("purchases").round(2))
        x = alt.X("week:Q", title=None, axis=axis, scale=alt.Scale(nice=False, zero=False))
        drawn = (
            alt.Chart(data)
            .mark_line(strokeWidth=1.6)
            .encode(
                x=x,
                y=alt.Y("purchases:Q", title=None, **linear(data["purchases"], display.short)),
                **lines("series", looks),
            )
        )
        today = alt.Chart(last).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(x=x)
        sized: ChartType = alt.layer(drawn, today).properties(width=WIDTH, height=170, title=panel_title(title))
        return sized

    actual = display.count(sum_of(known["purchases"]))
    return finish(
        alt.vconcat(*(panel(title, series) for title, series in panels.items()), spacing=18),
        display.say("Repeat purchases, and the model that is fitted to them"),
        display.say_many(
            known.height,
            "{number} week that is over, with {actual} repeat purchases: the model's sum is made to be the same.",
            "{number} weeks that are over, with {actual} repeat purchases: the model's sum is made to be the same.",
            actual=actual,
        ),
        display.say_many(
            rows.height - known.height,
            "{number} week ahead, without customers who are yet to come.",
            "{number} weeks ahead, without customers who are yet to come.",
        ),
    )
