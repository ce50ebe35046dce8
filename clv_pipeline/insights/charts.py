"""The charts of the report and of the asset pages: one function per chart, a polars frame in, a chart out.

Here: aggregation to what is drawn. Not here: queries, Dagster, files, colours (look). A chart holds only what
it draws: never a customer id and never a row per customer, because specifications and pictures are kept in
metadata that everybody with access to the UI can read. Money is in the currency of the source.

Every function raises ValueError if its frame is empty or lacks a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import polars as pl

from clv_pipeline.insights.look import (
    ACCENT,
    CONTRAST,
    INK,
    PANEL_WIDTH,
    QUIET,
    TINTS,
    WIDTH,
    finish,
    legend,
    money_axis,
    panel_title,
    percent,
    short,
    to_png,
)
from clv_pipeline.insights.value_bins import value_bins

if TYPE_CHECKING:
    from altair.typing import ChartType

__all__ = [
    "calibration_by_decile",
    "daily_revenue",
    "forecast_distribution",
    "leaderboard",
    "rfm_heatmap",
    "segment_map",
    "to_png",
]

MIN_WEEKS = 8
"""Fewer complete weeks than this are drawn day by day."""


def forecast_distribution(
    forecasts: pl.DataFrame, *, value: Literal["expected_spend", "clv"] = "expected_spend"
) -> ChartType:
    """How customers, and the value expected from them, spread over value per customer.

    forecasts: one row per customer for one horizon: horizon_days and `value` (expected_spend, or clv, the
    discounted margin; currency within the horizon), in bins of 1–2–5 steps. Raises
    ValueError also for several horizons, or for values that are null or not finite.
    """
    import altair as alt

    _require(forecasts, "horizon_days", value)
    horizons = forecasts["horizon_days"].unique().to_list()
    if len(horizons) > 1:
        raise ValueError(f"the distribution is drawn for one horizon, but the frame has {sorted(horizons)}")
    values = forecasts[value].cast(pl.Float64)
    bins = value_bins(values)
    what = "Expected spend" if value == "expected_spend" else "Customer lifetime value"
    series = {"Share of customers": "customers", f"Share of {what.lower()}": "value"}
    shares = pl.concat(
        bins.select("bin", series=pl.lit(name), share=(pl.col(column) / pl.col(column).sum()).fill_nan(0))
        for name, column in series.items()
    )
    bars = (
        alt.Chart(shares)
        .mark_bar()
        .encode(
            x=alt.X("bin:O", sort=bins["bin"].to_list(), title=f"{what} per customer", axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("series:N", sort=list(series)),
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format=".0%", tickCount=6)),
            color=legend("series", list(series), [QUIET, ACCENT]),
        )
        .properties(width=WIDTH + 20, height=270)
    )
    total = float(values.sum())
    top = float(values.top_k(max(1, len(values) // 10)).sum())
    carried = f"; the top 10% of them bring {percent(top / total)}" if total > 0 else ""
    return finish(
        bars,
        f"{what} in the next {horizons[0]} days",
        f"{len(values):,} customers, {short(total)} in all{carried}",
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
    shade = alt.Color("customers:Q", scale=alt.Scale(range=TINTS, domainMin=0), legend=None)
    on_dark = alt.datum.customers > 0.45 * max(customers)
    layers = alt.layer(
        base.mark_rect(stroke="white", strokeWidth=2).encode(color=shade),
        base.mark_text(fontSize=13).encode(
            text="label:N", color=alt.condition(on_dark, alt.value("white"), alt.value(INK))
        ),
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


def _require(frame: pl.DataFrame, *columns: str) -> None:
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"the chart needs the columns {missing}, which the frame does not have")
    if frame.is_empty():
        raise ValueError(f"there is nothing to draw: the frame with {list(columns)} is empty")
