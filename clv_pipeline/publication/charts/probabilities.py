"""Probabilities: who is still a customer, and whether forecasts of who buys came true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import linear
from clv_pipeline.publication.charts.bars import class_names
from clv_pipeline.publication.charts.frames import LEAST, require_rows, rounded, sum_of
from clv_pipeline.publication.charts.heat import heat_map
from clv_pipeline.publication.charts.look import ACCENT, INK, MUTED, QUIET, WIDTH, finish

if TYPE_CHECKING:
    from altair.typing import ChartType


NORMAL_95 = 1.96
"""Standard errors on both sides of a share within which the true one lies with 95 %."""


def p_alive_by_recency_and_frequency(cells: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The mean P(alive) by how often customers bought and how long ago; P(buy) where P(alive) is not known.

    cells: one row per class of both: frequency_lower and frequency_upper (purchases; the upper bound is in the class),
    days_lower and days_upper (days since the last purchase; the upper bound is not in it), both uppers NULL where the
    class is open, p_alive (NULL where it is not known), p_purchase and customers (count).
    """
    import altair as alt

    bounds = ("frequency_lower", "frequency_upper", "days_lower", "days_upper")
    require_rows(cells, *bounds, "p_alive", "p_purchase", "customers")
    has_p_alive = cells["p_alive"].is_not_null().any()
    rows = (
        cells.filter(pl.col("customers") > 0)
        .with_columns(p=pl.col("p_alive" if has_p_alive else "p_purchase").cast(pl.Float64))
        .sort("frequency_lower", "days_lower")
        .drop_nulls("p")
    )
    often = [
        display.count(low)
        if low == high
        else f"≥ {display.count(low)}"
        if high is None
        else f"{display.count(low)}–{display.count(high)}"
        for low, high in rows.select("frequency_lower", "frequency_upper").iter_rows()
    ]
    ago = class_names(rows.select("days_lower", "days_upper").iter_rows(), display.count)
    few = pl.col("customers") < LEAST
    data = rows.select(
        depth=rounded("p"),
        often=pl.Series(often),
        ago=pl.Series(ago),
        label=pl.Series([display.percent(p) for p in rows["p"]]),
        size=pl.Series([f"({display.count(number)})" for number in rows["customers"]]),
    )
    columns = [name for _, name in sorted(dict(zip(rows["days_lower"], ago, strict=True)).items())]
    chart = heat_map(
        data,
        x=alt.X("ago:O", sort=columns, title=display.say("Days since the last purchase"), axis=alt.Axis(labelAngle=0)),
        y=alt.Y(
            "often:O",
            sort=data["often"].unique(maintain_order=True).reverse().to_list(),
            title=display.say("Purchases"),
        ),
        lines={"label": -6, "size": 8},
        row_height=38,
    )
    return finish(
        chart,
        display.say("Who is still a customer") if has_p_alive else display.say("Who will buy"),
        display.say("Mean P(alive) by purchases and by days since the last one; in brackets: customers.")
        if has_p_alive
        else display.say("Mean P(buy) by purchases and by days since the last one; in brackets: customers."),
        display.say("Means of fewer than {least} customers say little.", least=display.count(LEAST))
        if rows.filter(few).height
        else "",
    )


def reliability(classes: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """P(buy) against the share that bought, by class of P(buy): on the diagonal where forecasts came true.

    classes: one row per class of P(buy) of one horizon: horizon_days, customers (count), and the shares p_purchase
    (the mean forecast) and bought. Classes of fewer than 30 are left out, if there are larger ones.
    """
    import altair as alt

    require_rows(classes, "horizon_days", "customers", "p_purchase", "bought")
    large = classes.filter(pl.col("customers") >= LEAST).sort("p_purchase")
    rows = large if large.height else classes.filter(pl.col("customers") > 0).sort("p_purchase")
    share, size = pl.col("bought").cast(pl.Float64), pl.col("customers")
    error = NORMAL_95 * (share * (1 - share) / size).sqrt()
    data = rows.select(
        forecast=rounded("p_purchase"),
        actual=rounded("bought"),
        lower=rounded((share - error).clip(0, 1)),
        upper=rounded((share + error).clip(0, 1)),
        customers=size,
        label=pl.Series([display.short(number) for number in rows["customers"]]),
    )
    highest = [*data["forecast"], *data["actual"]]
    x = alt.X("forecast:Q", title=display.say("Forecast: mean P(buy)"), **linear(highest, display.percent))
    y = alt.Y("actual:Q", title=display.say("Actual: share that bought"), **linear(highest, display.percent))
    end = max([0.01, *highest])
    same = pl.DataFrame({"forecast": [0.0, end], "actual": [0.0, end]})
    base = alt.Chart(data).encode(x=x)
    layers = alt.layer(
        alt.Chart(same).mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1.2).encode(x=x, y=y),
        base.mark_rule(color=QUIET, strokeWidth=2).encode(y=alt.Y("lower:Q"), y2="upper:Q"),
        base.mark_point(filled=True, color=ACCENT, opacity=1).encode(
            y=y, size=alt.Size("customers:Q", scale=alt.Scale(rangeMin=25, rangeMax=260), legend=None)
        ),
        base.mark_text(align="left", dx=9, dy=8, color=INK).encode(y=y, text="label:N"),
    ).properties(width=WIDTH, height=300)
    return finish(
        layers,
        display.say("Did as many buy as was forecast?"),
        display.say(
            "{customers} forecasts for {days} days on past dates, by class of P(buy); numbers: forecasts.",
            customers=display.count(sum_of(rows["customers"])),
            days=display.count(rows["horizon_days"][0]),
        ),
        display.say("Dashed: as forecast; upright lines: {level} range.", level=display.percent(0.95)),
        display.say("Classes of fewer than {least} are left out.", least=display.count(LEAST))
        if rows.height < classes.height
        else "",
    )
