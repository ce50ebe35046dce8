"""The charts of the report and of the asset pages: one function per chart, a polars frame in, a chart out.

Here: aggregation to what is drawn. Not here: queries, Dagster, files, colours (look). A chart holds only what
it draws: never a customer id and never a row per customer, because specifications and pictures are kept in
metadata that everybody with access to the UI can read. Money is in the currency of the source.

Every function raises ValueError if its frame is empty or lacks a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.insights.look import (
    ACCENT,
    CONTRAST,
    INK,
    PANEL_WIDTH,
    PAPER,
    QUIET,
    TINT,
    WIDTH,
    finish,
    legend,
    money_axis,
    panel_title,
    percent,
    shade,
    short,
    to_png,
)
from clv_pipeline.insights.value_bins import value_bins

if TYPE_CHECKING:
    from altair.typing import ChartType

__all__ = [
    "calibration_by_decile",
    "cohort_heatmap",
    "customers_by_month",
    "daily_revenue",
    "forecast_against_actual",
    "forecast_distribution",
    "leaderboard",
    "ledger_flow",
    "ranking",
    "revenue_by_tenth",
    "rfm_heatmap",
    "segment_map",
    "to_png",
    "totals_by_horizon",
]

MIN_WEEKS = 8
"""Fewer complete weeks than this are drawn day by day."""


def forecast_distribution(steps: pl.DataFrame) -> ChartType:
    """How customers, and their value, spread over value per customer.

    steps: customers of one horizon: horizon_days, and step, customers and value as `value_bins` takes them; value is
    clv, the discounted margin (currency within the horizon). Raises ValueError also for several horizons.
    """
    import altair as alt

    _require(steps, "horizon_days", "step", "customers", "value")
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


def calibration_by_decile(calibration: pl.DataFrame) -> ChartType:
    """Predicted against actual spend per customer by decile of the prediction, a plot per horizon and model.

    calibration: one row per horizon_days × model × decile (1 lowest … 10 highest prediction) with
    predicted_mean and actual_mean (currency per customer within the horizon). The axis is a square root, so
    that the low deciles are visible beside the highest. Raises ValueError also for repeated deciles.
    """
    import altair as alt

    keys = ["horizon_days", "model", "decile"]
    _require(calibration, *keys, "predicted_mean", "actual_mean")
    if calibration.select(keys).is_duplicated().any():
        raise ValueError("calibration needs one row per horizon_days, model and decile: aggregate cutoffs first")
    models = calibration["model"].unique().sort().to_list()
    panel_name = "Next {} days" if len(models) == 1 else "Next {} days: {}"
    means = calibration.sort(keys).select(
        "decile",
        pl.format(panel_name, *keys[: panel_name.count("{}")]).alias("panel"),
        pl.col("predicted_mean").cast(pl.Float64).alias("Predicted"),
        pl.col("actual_mean").cast(pl.Float64).alias("Actual"),
    )
    panels = means["panel"].unique(maintain_order=True).to_list()
    deciles = alt.Chart().encode(x=alt.X("decile:O", title="Decile of prediction", axis=alt.Axis(labelAngle=0)))
    gaps = deciles.mark_rule(color=QUIET, strokeWidth=3).encode(y=alt.Y("Predicted:Q"), y2="Actual:Q")
    dots = (
        deciles.transform_fold(["Predicted", "Actual"], as_=["series", "mean"])
        .mark_point(filled=True, size=65, opacity=1)
        .encode(
            y=alt.Y("mean:Q", title="Spend per customer", scale=alt.Scale(type="sqrt"), axis=money_axis(ticks=4)),
            color=legend("series", ["Predicted", "Actual"], [CONTRAST, ACCENT]),
        )
    )
    chart = (
        alt.layer(gaps, dots, data=means)
        .properties(width=WIDTH if len(panels) == 1 else PANEL_WIDTH, height=190)
        .facet(alt.Facet("panel:N", sort=panels, title=None), columns=2, spacing=24)
        .resolve_scale(x="independent", y="independent")
    )
    subtitle = "Mean per customer in each tenth of the customers, from the lowest to the highest prediction"
    return finish(
        chart,
        "Forecast spend against what came" + (f": {models[0]}" if len(models) == 1 else ""),
        subtitle,
    )


def leaderboard(model_leaderboard: pl.DataFrame, *, score_title: str, lower_is_better: bool) -> ChartType:
    """The score of every model at every horizon, best first, champions highlighted.

    model_leaderboard: one row per horizon_days × model with score and is_champion. Models without any finite
    score are named in the subtitle. `score_title` names the score and its unit, as in "mean
    absolute error (currency per customer)".
    Raises ValueError also if no model has a score.
    """
    import altair as alt

    _require(model_leaderboard, "horizon_days", "model", "score", "is_champion")
    rows = model_leaderboard.with_columns(pl.col("score").cast(pl.Float64))
    scored = rows.filter(pl.col("score").is_finite())
    unscored = sorted(set(rows["model"]) - set(scored["model"]))
    if scored.is_empty():
        raise ValueError(f"no model has a score: {unscored}")
    horizons = scored["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        best_first = scored.filter(pl.col("horizon_days") == horizon).sort(
            "score", "model", descending=[not lower_is_better, False]
        )
        data = best_first.select(
            "model",
            "score",
            pl.when("is_champion").then(pl.lit(ACCENT)).otherwise(pl.lit(QUIET)).alias("colour"),
            pl.Series("label", [short(score) for score in best_first["score"]])
            + pl.when("is_champion").then(pl.lit("  champion")).otherwise(pl.lit("")),
        )
        bars = alt.Chart(data).encode(
            y=alt.Y("model:N", sort=data["model"].to_list(), title=None),
            x=alt.X("score:Q", axis=None),
        )
        return alt.layer(
            bars.mark_bar(height=16).encode(color=alt.Color("colour:N", scale=None)),
            bars.mark_text(align="left", dx=5, color=INK).encode(text="label:N"),
        ).properties(
            width=WIDTH - 150 if len(horizons) == 1 else PANEL_WIDTH - 140,
            height=alt.Step(24),
            title=panel_title(f"Next {horizon} days"),
        )

    direction = "lower is better" if lower_is_better else "higher is better"
    return finish(
        alt.concat(*map(panel, horizons), columns=2, spacing=24),
        f"Models by {score_title}",
        f"Backtest per model and horizon, {direction}"
        + (f"; without a score: {', '.join(unscored)}" if unscored else ""),
    )


def segment_map(segments: pl.DataFrame) -> ChartType:
    """Every segment's share of the customers beside its share of the revenue.

    segments: one row per segment with customers (count) and revenue (currency); largest revenue on top.
    """
    import altair as alt

    _require(segments, "segment", "customers", "revenue")
    rows = segments.select("segment", pl.col("customers", "revenue").cast(pl.Float64)).sort(
        "revenue", "segment", descending=[True, False]
    )
    order = rows["segment"].to_list()
    customers, revenue = (rows[column].to_list() for column in ("customers", "revenue"))

    def panel(title: str, amounts: list[float], written: list[str], colour: str, axis: alt.Axis | None) -> ChartType:
        shares = [amount / sum(amounts) if sum(amounts) else 0.0 for amount in amounts]
        labels = [f"{percent(share)} ({amount})" for share, amount in zip(shares, written, strict=True)]
        data = pl.DataFrame({"segment": order, "share": shares, "label": labels})
        # The longest bar leaves room for its label.
        reach = alt.Scale(domainMax=max(0.01, max(shares) * 1.4))
        bars = alt.Chart(data).encode(
            y=alt.Y("segment:N", sort=order, title=None, axis=axis),
            x=alt.X("share:Q", axis=None, scale=reach),
        )
        return alt.layer(
            bars.mark_bar(color=colour, height=16),
            bars.mark_text(align="left", dx=5, color=INK).encode(text="label:N"),
        ).properties(width=PANEL_WIDTH, height=alt.Step(25), title=panel_title(title))

    return finish(
        alt.hconcat(
            panel("Share of customers", customers, [f"{n:,.0f}" for n in customers], QUIET, alt.Axis()),
            panel("Share of revenue", revenue, [short(amount) for amount in revenue], ACCENT, None),
            spacing=12,
        ),
        "Who the customers are, and who brings the revenue",
        f"{sum(customers):,.0f} customers and {short(sum(revenue))} of revenue so far, by segment",
    )


def rfm_heatmap(counts: pl.DataFrame) -> ChartType:
    """Customers in every cell of the recency × frequency grid.

    counts: r_score and f_score (1..5, 5 best) with customers (count); absent cells are empty cells. Raises
    ValueError also for scores outside 1..5.
    """
    import altair as alt

    _require(counts, "r_score", "f_score", "customers")
    score = pl.DataFrame({"score": range(1, 6)}, schema={"score": pl.Int64})
    grid = score.select(r_score="score").join(score.select(f_score="score"), how="cross")
    given = counts.group_by(pl.col("r_score", "f_score").cast(pl.Int64)).agg(pl.col("customers").sum())
    cells = grid.join(given, on=["r_score", "f_score"], how="left").fill_null(0)
    customers = cells["customers"].to_list()
    if sum(customers) != counts["customers"].sum():
        raise ValueError("RFM scores are between 1 and 5, but the frame has customers with other scores")
    cells = cells.with_columns(pl.Series("label", [f"{n:,}" for n in customers]))
    base = alt.Chart(cells).encode(
        x=alt.X("f_score:O", title="Frequency score (5: buys most often)", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("r_score:O", sort="descending", title="Recency score (5: bought most recently)"),
    )
    layers = alt.layer(
        base.mark_rect(fill=TINT, stroke=PAPER, strokeWidth=2).encode(fillOpacity=shade("customers")),
        base.mark_text(fontSize=13, color=INK).encode(text="label:N"),
    ).properties(width=WIDTH, height=290)
    return finish(layers, "Customers by recency and frequency", f"{sum(customers):,} customers in quintile scores")


def daily_revenue(days: pl.DataFrame) -> ChartType:
    """Revenue over time: a line over complete weeks (Monday to Sunday), or over days if there are few weeks.

    days: one row per day with revenue (currency); days that are absent had none. The incomplete weeks at both
    ends are left out, because they would read as a collapse of the business.
    """
    import altair as alt

    _require(days, "day", "revenue")
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

    months: one row per month: period_start, new_customers and returning_customers (counts).
    """
    import altair as alt

    _require(months, "period_start", "new_customers", "returning_customers")
    series = {"New": "new_customers", "Returning": "returning_customers"}
    counts = pl.concat(
        months.select(
            month=pl.col("period_start").dt.strftime("%Y-%m"),
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

    deciles: to_percent (10, 20 … 100) and revenue_share (0 to 1).
    """
    import altair as alt

    _require(deciles, "to_percent", "revenue_share")
    data = deciles.sort("to_percent").select(tenth=pl.col("to_percent") // 10, share="revenue_share")
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


def totals_by_horizon(totals: pl.DataFrame) -> ChartType:
    """The spend that is expected of all customers within every horizon, with its interval where there is one.

    totals: horizon_days, expected_spend, spend_lower and spend_upper (currency; NULL without an interval).
    """
    import altair as alt

    _require(totals, "horizon_days", "expected_spend", "spend_lower", "spend_upper")
    rows = totals.sort("horizon_days").select(
        horizon=pl.format("{} days", "horizon_days"),
        expected=pl.col("expected_spend").cast(pl.Float64),
        lower=pl.col("spend_lower").cast(pl.Float64),
        upper=pl.col("spend_upper").cast(pl.Float64),
    )
    rows = rows.with_columns(label=pl.Series([short(amount) for amount in rows["expected"]]))
    base = alt.Chart(rows).encode(y=alt.Y("horizon:O", sort=rows["horizon"].to_list(), title=None))
    layers = alt.layer(
        base.mark_bar(color=QUIET, height=12).encode(
            x=alt.X("lower:Q", title="Expected spend, interval shaded", axis=money_axis(), scale=alt.Scale(zero=True)),
            x2="upper:Q",
        ),
        base.mark_point(filled=True, color=ACCENT, size=110, opacity=1).encode(x="expected:Q"),
        base.mark_text(color=INK, dy=-16).encode(x="expected:Q", text="label:N"),
    ).properties(width=WIDTH - 10, height=alt.Step(52))
    return finish(layers, "Expected revenue by horizon", "All customers of today together; new customers are not in it")


def cohort_heatmap(cohorts: pl.DataFrame) -> ChartType:
    """The share of every month's new customers who bought again in the months that followed.

    cohorts: cohort_month (date), age_months (1 and up) and retention (0 to 1); complete months only.
    """
    import altair as alt

    _require(cohorts, "cohort_month", "age_months", "retention")
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

    _require(outcomes, "outcome", "rows")
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


def forecast_against_actual(totals: pl.DataFrame) -> ChartType:
    """What was forecast and what came, in total, for every past forecast; a plot per horizon.

    totals: horizon_days, forecast_on (date), forecast_spend and actual_spend (currency within the horizon).
    """
    import altair as alt

    _require(totals, "horizon_days", "forecast_on", "forecast_spend", "actual_spend")
    series = ["Forecast", "Actual"]
    horizons = totals["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        rows = totals.filter(pl.col("horizon_days") == horizon).sort("forecast_on")
        data = pl.concat(
            rows.select(
                day=pl.col("forecast_on").cast(pl.String), series=pl.lit(name), spend=pl.col(column).cast(pl.Float64)
            )
            for name, column in zip(series, ("forecast_spend", "actual_spend"), strict=True)
        )
        bars = (
            alt.Chart(data)
            .mark_bar()
            .encode(
                x=alt.X("day:O", title="Day of the forecast", axis=alt.Axis(labelAngle=0)),
                xOffset=alt.XOffset("series:N", sort=series),
                y=alt.Y("spend:Q", title=None, axis=money_axis(ticks=4)),
                color=legend("series", series, [CONTRAST, ACCENT]),
            )
        )
        sized: ChartType = bars.properties(
            width=WIDTH if len(horizons) == 1 else PANEL_WIDTH,
            height=190,
            title=panel_title(f"Next {horizon} days"),
        )
        return sized

    bars = alt.concat(*map(panel, horizons), columns=2, spacing=24).resolve_scale(xOffset="independent")
    return finish(bars, "Total forecast against total spend", "All customers of the time together, in the currency")


def ranking(rows: pl.DataFrame, *, title: str, unit: str, as_percent: bool = False) -> ChartType:
    """Names with their amounts as bars, in the order of the rows.

    rows: name (text, each once) and amount (not negative in most rows).
    unit: what the amounts are, for the subtitle. as_percent: amounts are shares.
    """
    import altair as alt

    _require(rows, "name", "amount")
    data = rows.select(pl.col("name").cast(pl.String), pl.col("amount").cast(pl.Float64))
    amounts = data["amount"].to_list()
    written = [percent(amount) if as_percent else short(amount) for amount in amounts]
    data = data.with_columns(label=pl.Series(written))
    reach = alt.Scale(domain=[min(0.0, *amounts) * 1.2, max(*amounts, 1e-9) * 1.2], nice=False)
    base = alt.Chart(data).encode(
        y=alt.Y("name:N", sort=data["name"].to_list(), title=None, axis=alt.Axis(labelLimit=170)),
        x=alt.X("amount:Q", axis=None, scale=reach),
    )
    layers = alt.layer(
        base.mark_bar(color=ACCENT, height=16),
        base.mark_text(align="left", dx=5, color=INK).encode(text="label:N", x=alt.X("amount:Q", scale=reach)),
    ).properties(width=WIDTH - 70, height=alt.Step(25))
    return finish(layers, title, unit)


def _require(frame: pl.DataFrame, *columns: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"the chart needs the columns {missing}, which the frame does not have")
    if frame.is_empty():
        raise ValueError(f"there is nothing to draw: the frame with {list(columns)} is empty")
