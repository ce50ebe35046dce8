"""How unevenly customers bring revenue: the curve of the best ones, and the deciles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import linear
from clv_pipeline.publication.charts.frames import require_rows, rounded
from clv_pipeline.publication.charts.look import ACCENT, INK, MUTED, WIDTH, finish

if TYPE_CHECKING:
    from altair.typing import ChartType


TOLD = (1.0, 5.0, 10.0, 20.0, 50.0)
"""The top percents whose share is written beside the curve."""


def revenue_concentration(best: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The share of the revenue that the best customers brought, for every share of the customers.

    best: top_percent (0 to 100 percent of the customers, the best first; each once) and revenue_share (0 to 1, of all
    of these together). The deciles added up give ten rows; the table revenue_concentration gives the top ones.
    """
    import altair as alt

    require_rows(best, "top_percent", "revenue_share")
    given = best.select(percent=rounded("top_percent"), share=rounded("revenue_share")).unique("percent")
    ends = pl.DataFrame({"percent": [0.0, 100.0], "share": [0.0, 1.0]})
    curve = pl.concat([given, ends.join(given, on="percent", how="anti")]).sort("percent")
    told = curve.filter(pl.col("percent").is_in(TOLD))
    told = told.with_columns(
        label=pl.Series(
            [f"{display.percent(percent / 100)} → {display.percent(share)}" for percent, share in told.iter_rows()],
            dtype=pl.String,
        )
    )
    x = alt.X(
        "percent:Q",
        title=display.say("Share of customers, the best first"),
        **linear([100.0], lambda percent: display.percent(percent / 100)),
    )
    y = alt.Y("share:Q", title=display.say("Share of revenue"), **linear([1.0], display.percent))
    dots = alt.Chart(told).encode(x=x, y=y)
    layers = alt.layer(
        alt.Chart(curve).mark_area(color=ACCENT, opacity=0.12).encode(x=x, y=y),
        alt.Chart(ends).mark_line(color=MUTED, strokeDash=[4, 4], strokeWidth=1.2).encode(x=x, y=y),
        alt.Chart(curve).mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y=y),
        dots.mark_point(color=ACCENT, filled=True, size=45, opacity=1),
        dots.mark_text(align="left", dx=8, dy=6, color=INK).encode(text="label:N"),
    ).properties(width=WIDTH, height=280)
    tenth = curve.filter(pl.col("percent") == 10)["share"]
    return finish(
        layers,
        display.say("How much the best customers bring"),
        display.say("The best decile of the customers brought {share} of the revenue.", share=display.percent(tenth[0]))
        if tenth.len()
        else "",
        display.say("Dashed: all customers bring the same."),
    )


def revenue_by_tenth(deciles: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The share of revenue that every decile of the customers brought, the best first.

    deciles: decile (1 … 10, the best first) and revenue_share (0 to 1).
    """
    import altair as alt

    require_rows(deciles, "decile", "revenue_share")
    data = deciles.sort("decile").select("decile", share=rounded("revenue_share"))
    data = data.with_columns(label=pl.Series([display.percent(share) for share in data["share"]]))
    base = alt.Chart(data).encode(
        x=alt.X("decile:O", title=display.say("Decile of the customers by revenue"), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("share:Q", title=None, **linear(data["share"], display.percent)),
    )
    return finish(
        alt.layer(base.mark_bar(color=ACCENT), base.mark_text(dy=-8, color=INK).encode(text="label:N")).properties(
            width=WIDTH, height=230
        ),
        display.say("Share of revenue by decile of the customers"),
        display.say("The best decile, 1, brought {share} of the revenue.", share=data["label"][0]),
    )
