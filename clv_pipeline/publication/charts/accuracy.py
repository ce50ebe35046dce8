"""How good the forecasts were: totals, tenths, probabilities, the number of purchases, and the models compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.publication.charts.frames import require_rows
from clv_pipeline.publication.charts.look import (
    ACCENT,
    CONTRAST,
    INK,
    MUTED,
    PANEL_WIDTH,
    QUIET,
    WIDTH,
    finish,
    legend,
    money_axis,
    panel_title,
    short,
)

if TYPE_CHECKING:
    from altair.typing import ChartType

LOWEST_SKILL = -0.25
"""Lowest skill that is drawn; worse skills are drawn like it. Otherwise the worst rule would dwarf all other bars."""


def forecast_against_actual(totals: pl.DataFrame, what: str = "spend") -> ChartType:
    """What was forecast and what came, in total, at every past date; a plot per horizon.

    totals: horizon_days, forecast_on (date), forecast_spend and actual_spend (currency within the horizon; counts where
    `what` is purchases).
    """
    import altair as alt

    require_rows(totals, "horizon_days", "forecast_on", "forecast_spend", "actual_spend")
    series = ["Forecast", "Actual"]
    horizons = totals["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        rows = totals.filter(pl.col("horizon_days") == horizon).sort("forecast_on")
        data = pl.concat(
            rows.select(day="forecast_on", series=pl.lit(name), spend=pl.col(column).cast(pl.Float64))
            for name, column in zip(series, ("forecast_spend", "actual_spend"), strict=True)
        )
        base = alt.Chart(data).encode(
            x=alt.X("day:T", title="Day of the forecast", axis=alt.Axis(format="%b %Y", tickCount=4)),
            y=alt.Y("spend:Q", title=None, axis=money_axis(ticks=4), scale=alt.Scale(zero=True)),
            color=legend("series", series, [CONTRAST, ACCENT]),
        )
        sized: ChartType = alt.layer(
            base.mark_line(strokeWidth=1.6), base.mark_point(filled=True, size=45, opacity=1)
        ).properties(
            width=WIDTH if len(horizons) == 1 else PANEL_WIDTH,
            height=190,
            title=panel_title(f"Next {horizon} days"),
        )
        return sized

    dates = totals["forecast_on"].n_unique()
    return finish(
        alt.concat(*map(panel, horizons), columns=2, spacing=24),
        f"Total forecast against total {what}",
        f"{dates} past {'date' if dates == 1 else 'dates'}; all customers of the time together"
        + (", in the currency" if what == "spend" else ""),
    )


def calibration_by_decile(calibration: pl.DataFrame, what: str = "spend") -> ChartType:
    """Predicted against actual spend per customer by decile of the prediction, a plot per horizon.

    calibration: one row per horizon_days × decile (1 highest … 10 lowest prediction) with predicted_mean and
    actual_mean (currency per customer within the horizon; counts where `what` is purchases). The axis is a square root,
    so that the low deciles are visible beside the highest.

    Raises:
        ValueError: deciles are repeated; columns or rows are missing (`require_rows`).
    """
    import altair as alt

    keys = ["horizon_days", "decile"]
    require_rows(calibration, *keys, "predicted_mean", "actual_mean")
    if calibration.select(keys).is_duplicated().any():
        raise ValueError("calibration needs one row per horizon_days and decile: aggregate cutoffs first")
    means = calibration.sort(keys).select(
        "decile",
        pl.format("Next {} days", "horizon_days").alias("panel"),
        pl.col("predicted_mean").cast(pl.Float64).alias("Predicted"),
        pl.col("actual_mean").cast(pl.Float64).alias("Actual"),
    )
    panels = means["panel"].unique(maintain_order=True).to_list()
    deciles = alt.Chart().encode(x=alt.X("decile:O", title="Decile of prediction", axis=alt.Axis(labelAngle=0)))
    gaps = deciles.mark_rule(color=QUIET, strokeWidth=3).encode(y=alt.Y("Predicted:Q"), y2="Actual:Q")
    per_customer = f"{what.capitalize()} per customer"
    dots = (
        deciles.transform_fold(["Predicted", "Actual"], as_=["series", "mean"])
        .mark_point(filled=True, size=65, opacity=1)
        .encode(
            y=alt.Y("mean:Q", title=per_customer, scale=alt.Scale(type="sqrt"), axis=money_axis(ticks=4)),
            color=legend("series", ["Predicted", "Actual"], [CONTRAST, ACCENT]),
        )
    )
    chart = (
        alt.layer(gaps, dots, data=means)
        .properties(width=WIDTH if len(panels) == 1 else PANEL_WIDTH, height=190)
        .facet(alt.Facet("panel:N", sort=panels, title=None), columns=2, spacing=24)
        .resolve_scale(x="independent", y="independent")
    )
    return finish(
        chart,
        f"Forecast {what} against what came",
        "Mean per customer in each tenth of the customers, from the highest to the lowest prediction",
    )


def probabilities(classes: pl.DataFrame) -> ChartType:
    """P(buy) and P(alive) beside who bought, by class of P(buy).

    classes: one row per p_class (text, ascending) of one horizon: horizon_days, customers, and the shares p_purchase,
    p_alive (NULL where it is not known) and bought.
    """
    import altair as alt

    series = {"P(buy)": "p_purchase", "Bought": "bought", "P(alive)": "p_alive"}
    require_rows(classes, "horizon_days", "p_class", "customers", *series.values())
    rows = classes.sort("p_class")
    data = pl.concat(
        rows.select("p_class", series=pl.lit(name), share=pl.col(column).cast(pl.Float64).round(6))
        for name, column in series.items()
    )
    gaps = rows.select("p_class", expected=pl.col("p_purchase"), came=pl.col("bought"))
    x = alt.X("p_class:O", title="Class of P(buy)", axis=alt.Axis(labelAngle=0))
    layers = alt.layer(
        alt.Chart(gaps).mark_rule(color=QUIET, strokeWidth=3).encode(x=x, y="expected:Q", y2="came:Q"),
        alt.Chart(data.drop_nulls())
        .mark_point(filled=True, size=65, opacity=1)
        .encode(
            x=x,
            y=alt.Y("share:Q", title=None, axis=alt.Axis(format=".0%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
            color=legend("series", list(series), [CONTRAST, ACCENT, QUIET]),
        ),
    ).properties(width=WIDTH + 20, height=230)
    return finish(
        layers,
        f"Probabilities against who bought within {rows['horizon_days'][0]} days",
        f"{rows['customers'].sum():,} forecasts on past dates; P(alive) says who is still a customer, whoever buys",
    )


def fit_by_frequency(classes: pl.DataFrame) -> ChartType:
    """Expected and actual purchases per customer, by how often they had bought; a plot per horizon.

    classes: one row per horizon_days × repeats (text, ascending) with customers, expected_purchases and
    actual_purchases (counts of all customers of the class).
    """
    import altair as alt

    require_rows(classes, "horizon_days", "repeats", "customers", "expected_purchases", "actual_purchases")
    series = {"Expected": "expected_purchases", "Came": "actual_purchases"}
    horizons = classes["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        rows = classes.filter(pl.col("horizon_days") == horizon).sort("repeats")
        data = pl.concat(
            rows.select("repeats", series=pl.lit(name), mean=pl.col(column).cast(pl.Float64) / pl.col("customers"))
            for name, column in series.items()
        )
        bars = (
            alt.Chart(data)
            .mark_bar()
            .encode(
                x=alt.X("repeats:O", title="Repeat purchases until then", axis=alt.Axis(labelAngle=0)),
                xOffset=alt.XOffset("series:N", sort=list(series)),
                y=alt.Y("mean:Q", title=None, axis=alt.Axis(format="~g", tickCount=4)),
                color=legend("series", list(series), [CONTRAST, ACCENT]),
            )
        )
        sized: ChartType = bars.properties(
            width=WIDTH if len(horizons) == 1 else PANEL_WIDTH, height=170, title=panel_title(f"Next {horizon} days")
        )
        return sized

    bars = alt.concat(*map(panel, horizons), columns=2, spacing=24).resolve_scale(xOffset="independent")
    return finish(
        bars,
        "Purchases by how often customers had bought",
        "Purchase days per customer after the latest past date whose horizon is over",
    )


def leaderboard(models: pl.DataFrame, what: str = "spend") -> ChartType:
    """The skill of every model at every horizon, best first, the champion highlighted.

    models: one row per horizon_days × model with skill (1 perfect, 0 no better than the same for everybody) and
    is_champion. Models without any finite skill are named in the subtitle.

    Raises:
        ValueError: no model has a skill; columns or rows are missing (`require_rows`).
    """
    import altair as alt

    require_rows(models, "horizon_days", "model", "skill", "is_champion")
    rows = models.with_columns(pl.col("skill").cast(pl.Float64))
    scored = rows.filter(pl.col("skill").is_finite())
    unscored = sorted(set(rows["model"]) - set(scored["model"]))
    if scored.is_empty():
        raise ValueError(f"no model has a skill: {unscored}")
    horizons = scored["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        best_first = scored.filter(pl.col("horizon_days") == horizon).sort("skill", "model", descending=[True, False])
        data = best_first.select(
            "model",
            "skill",
            pl.col("skill").clip(lower_bound=LOWEST_SKILL).alias("drawn"),
            pl.col("skill").clip(lower_bound=0.0).alias("ends"),
            pl.when("is_champion").then(pl.lit(ACCENT)).otherwise(pl.lit(QUIET)).alias("colour"),
            pl.Series("label", [short(skill) for skill in best_first["skill"]])
            + pl.when("is_champion").then(pl.lit("  champion")).otherwise(pl.lit("")),
        )
        y = alt.Y("model:N", sort=data["model"].to_list(), title=None)
        reach = alt.Scale(domain=[min(0.0, *data["drawn"]), max(0.1, *data["drawn"])], nice=False)
        return alt.layer(
            alt.Chart(data)
            .mark_bar(height=16)
            .encode(y=y, x=alt.X("drawn:Q", axis=None, scale=reach), color=alt.Color("colour:N", scale=None)),
            alt.Chart(pl.DataFrame({"none": [0.0]})).mark_rule(color=MUTED).encode(x=alt.X("none:Q", scale=reach)),
            alt.Chart(data)
            .mark_text(align="left", dx=5, color=INK)
            .encode(y=y, x=alt.X("ends:Q", scale=reach), text="label:N"),
        ).properties(
            width=WIDTH - 150 if len(horizons) == 1 else PANEL_WIDTH - 140,
            height=alt.Step(24),
            title=panel_title(f"Next {horizon} days"),
        )

    return finish(
        alt.concat(*map(panel, horizons), columns=2, spacing=24),
        f"Skill of the models in forecasting {what}",
        "1 is perfect, 0 no better than the same forecast for everybody; on past dates"
        + (f"; without a skill: {', '.join(unscored)}" if unscored else ""),
    )
