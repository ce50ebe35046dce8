"""How good the forecasts were: totals, deciles, the number of purchases, and the models compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import linear
from clv_pipeline.publication.charts.axes import months as month_axis
from clv_pipeline.publication.charts.frames import NothingToDrawError, require_rows, rounded, stacked
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
    panel_title,
)
from clv_pipeline.publication.charts.numbers import in_currency

if TYPE_CHECKING:
    import altair as alt
    from altair.typing import ChartType


LOWEST_SKILL = -0.25
"""Lowest skill that is drawn; worse skills are drawn like it. Otherwise the worst rule would dwarf all other bars."""


def _next(days: int, display: Display) -> alt.TitleParams:
    return panel_title(display.say("Next {days} days", days=display.count(days)))


def _panel_width(horizons: list[int]) -> int:
    return WIDTH if len(horizons) == 1 else PANEL_WIDTH


def forecast_against_actual(totals: pl.DataFrame, what: str = "spend", *, display: Display = ENGLISH) -> ChartType:
    """The forecast and the actual total of every past date; a plot per horizon.

    totals: horizon_days, forecast_on (date), forecast_spend and actual_spend (currency within the horizon; counts where
    `what` is purchases).
    """
    import altair as alt

    require_rows(totals, "horizon_days", "forecast_on", "forecast_spend", "actual_spend")
    series = {display.say("Forecast"): "forecast_spend", display.say("Actual"): "actual_spend"}
    horizons = totals["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        rows = totals.filter(pl.col("horizon_days") == horizon).sort("forecast_on").with_row_index("at")
        data = stacked(rows, "at", series, "spend")
        base = alt.Chart(data).encode(
            x=alt.X("at:O", **month_axis(rows["forecast_on"].to_list(), display)),
            y=alt.Y("spend:Q", title=None, **linear(data["spend"], display.short, ticks=4)),
            color=legend("series", list(series), [CONTRAST, ACCENT]),
            shape=alt.Shape(
                "series:N", sort=list(series), scale=alt.Scale(domain=list(series), range=["square", "circle"])
            ),
        )
        sized: ChartType = alt.layer(
            base.mark_line(strokeWidth=1.6), base.mark_point(filled=True, size=45, opacity=1)
        ).properties(width=_panel_width(horizons), height=190, title=_next(horizon, display))
        return sized

    dates = totals["forecast_on"].n_unique()
    return finish(
        alt.concat(*map(panel, horizons), columns=2, spacing=24),
        display.say("Total spend, forecast and actual")
        if what == "spend"
        else display.say("Total purchases, forecast and actual"),
        display.say_many(
            dates,
            "All customers of the time together, on {number} past date.",
            "All customers of the time together, on {number} past dates.",
        ),
        in_currency(display) if what == "spend" else "",
    )


def calibration_by_decile(calibration: pl.DataFrame, what: str = "spend", *, display: Display = ENGLISH) -> ChartType:
    """Forecast and actual spend per customer by decile of the forecast, a plot per horizon.

    calibration: one row per horizon_days × decile (1 highest … 10 lowest forecast) with predicted_mean and
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
    series = {display.say("Forecast"): "predicted_mean", display.say("Actual"): "actual_mean"}
    horizons = calibration["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        rows = calibration.filter(pl.col("horizon_days") == horizon).sort("decile")
        dots = stacked(rows, "decile", series, "mean")
        x = alt.X("decile:O", title=display.say("Decile of the forecast"), axis=alt.Axis(labelAngle=0))
        amounts = linear(dots["mean"], display.short, ticks=4)
        y = alt.Y(
            "mean:Q",
            title=None,
            axis=amounts["axis"],
            scale=alt.Scale(type="sqrt", domain=amounts["scale"].domain, nice=False),
        )
        gaps = rows.select("decile", mean=rounded("predicted_mean"), actual=rounded("actual_mean"))
        sized: ChartType = alt.layer(
            alt.Chart(gaps).mark_rule(color=QUIET, strokeWidth=3).encode(x=x, y=y, y2="actual:Q"),
            alt.Chart(dots)
            .mark_point(filled=True, size=65, opacity=1)
            .encode(
                x=x,
                y=y,
                color=legend("series", list(series), [CONTRAST, ACCENT]),
                shape=alt.Shape(
                    "series:N", sort=list(series), scale=alt.Scale(domain=list(series), range=["square", "circle"])
                ),
            ),
        ).properties(width=_panel_width(horizons), height=190, title=_next(horizon, display))
        return sized

    return finish(
        alt.concat(*map(panel, horizons), columns=2, spacing=24),
        display.say("Spend per customer by decile, forecast and actual")
        if what == "spend"
        else display.say("Purchases per customer by decile, forecast and actual"),
        display.say(
            "Means of the customers from the highest forecast, 1, to the lowest, 10; the axis is a square root."
        ),
        in_currency(display) if what == "spend" else "",
    )


def fit_by_frequency(classes: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Forecast and actual purchases per customer, by how often they had bought; a plot per horizon.

    classes: one row per horizon_days × repeats (text, ascending) with customers, expected_purchases and
    actual_purchases (counts of all customers of the class).
    """
    import altair as alt

    require_rows(classes, "horizon_days", "repeats", "customers", "expected_purchases", "actual_purchases")
    series = {display.say("Forecast"): "expected_purchases", display.say("Actual"): "actual_purchases"}
    horizons = classes["horizon_days"].unique().sort().to_list()

    def panel(horizon: int) -> ChartType:
        rows = classes.filter(pl.col("horizon_days") == horizon).sort("repeats")
        means = rows.with_columns(pl.col(column) / pl.col("customers") for column in series.values())
        data = stacked(means, "repeats", series, "mean")
        bars = (
            alt.Chart(data)
            .mark_bar()
            .encode(
                x=alt.X("repeats:O", title=display.say("Repeat purchases until then"), axis=alt.Axis(labelAngle=0)),
                xOffset=alt.XOffset("series:N", sort=list(series)),
                y=alt.Y("mean:Q", title=None, **linear(data["mean"], display.short, ticks=4)),
                color=legend("series", list(series), [CONTRAST, ACCENT]),
            )
        )
        sized: ChartType = bars.properties(width=_panel_width(horizons), height=170, title=_next(horizon, display))
        return sized

    bars = alt.concat(*map(panel, horizons), columns=2, spacing=24).resolve_scale(xOffset="independent")
    return finish(
        bars,
        display.say("Purchases by how often customers had bought, forecast and actual"),
        display.say("Purchase days per customer after the latest past date whose horizon is over."),
    )


def leaderboard(models: pl.DataFrame, what: str = "spend", *, display: Display = ENGLISH) -> ChartType:
    """The skill of every model at every horizon, best first, the champion highlighted.

    models: one row per horizon_days × model with skill (1 perfect, 0 no better than the same for everybody) and
    is_champion. Models without any finite skill are named in the subtitle.

    Raises:
        NothingToDrawError: no model has a skill, or there are no rows.
        ValueError: columns are missing (`require_rows`).
    """
    import altair as alt

    require_rows(models, "horizon_days", "model", "skill", "is_champion")
    rows = models.with_columns(pl.col("skill").cast(pl.Float64))
    scored = rows.filter(pl.col("skill").is_finite())
    unscored = sorted(set(rows["model"]) - set(scored["model"]))
    if scored.is_empty():
        raise NothingToDrawError(f"no model has a skill: {unscored}")
    horizons = scored["horizon_days"].unique().sort().to_list()
    champion = display.say("champion")

    def panel(horizon: int) -> ChartType:
        best_first = scored.filter(pl.col("horizon_days") == horizon).sort("skill", "model", descending=[True, False])
        data = best_first.select(
            "model",
            rounded("skill"),
            rounded(pl.col("skill").clip(lower_bound=LOWEST_SKILL)).alias("drawn"),
            rounded(pl.col("skill").clip(lower_bound=0.0)).alias("ends"),
            pl.when("is_champion").then(pl.lit(ACCENT)).otherwise(pl.lit(QUIET)).alias("colour"),
            pl.Series("label", [display.number(skill, 2) for skill in best_first["skill"]])
            + pl.when("is_champion").then(pl.lit("  " + champion)).otherwise(pl.lit("")),
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
            title=_next(horizon, display),
        )

    return finish(
        alt.concat(*map(panel, horizons), columns=2, spacing=24),
        display.say("Skill of the models in forecasting spend")
        if what == "spend"
        else display.say("Skill of the models in forecasting purchases"),
        display.say("1 is perfect, 0 no better than the same forecast for everybody; on past dates."),
        display.say("Without a skill: {models}.", models=", ".join(unscored)) if unscored else "",
    )
