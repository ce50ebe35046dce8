"""What is expected, and how far off it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.insights.charts.frames import require_rows
from clv_pipeline.insights.look import (
    ACCENT,
    CONTRAST,
    INK,
    PANEL_WIDTH,
    QUIET,
    WIDTH,
    finish,
    legend,
    money_axis,
    panel_title,
    short,
)
from clv_pipeline.insights.value_bins import value_bins

if TYPE_CHECKING:
    from altair.typing import ChartType


def forecast_distribution(steps: pl.DataFrame) -> ChartType:
    """How customers, and their value, spread over value per customer.

    steps: customers of one horizon: horizon_days, and step, customers and value as `value_bins` takes them; value is
    clv, the discounted margin (currency within the horizon). Raises ValueError also for several horizons.
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
    """The spend that is expected of all customers within every horizon, with its interval where there is one.

    totals: horizon_days, expected_spend, spend_lower and spend_upper (currency; NULL without an interval).
    """
    import altair as alt

    require_rows(totals, "horizon_days", "expected_spend", "spend_lower", "spend_upper")
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


def forecast_against_actual(totals: pl.DataFrame) -> ChartType:
    """What was forecast and what came, in total, for every past forecast; a plot per horizon.

    totals: horizon_days, forecast_on (date), forecast_spend and actual_spend (currency within the horizon).
    """
    import altair as alt

    require_rows(totals, "horizon_days", "forecast_on", "forecast_spend", "actual_spend")
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


def calibration_by_decile(calibration: pl.DataFrame) -> ChartType:
    """Predicted against actual spend per customer by decile of the prediction, a plot per horizon and model.

    calibration: one row per horizon_days × model × decile (1 lowest … 10 highest prediction) with
    predicted_mean and actual_mean (currency per customer within the horizon). The axis is a square root, so
    that the low deciles are visible beside the highest. Raises ValueError also for repeated deciles.
    """
    import altair as alt

    keys = ["horizon_days", "model", "decile"]
    require_rows(calibration, *keys, "predicted_mean", "actual_mean")
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

    require_rows(model_leaderboard, "horizon_days", "model", "score", "is_champion")
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
