"""What campaigns brought beyond what would have come without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import linear
from clv_pipeline.publication.charts.frames import require_rows, rounded
from clv_pipeline.publication.charts.look import ACCENT, CONTRAST, INK, MUTED, QUIET, WIDTH, finish

if TYPE_CHECKING:
    from altair.typing import ChartType


WIDEST = (-1.0, 3.0)
"""Between these the ends of a range are drawn: a range without an end, or far beyond, goes to the edge."""


def campaign_results(results: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The uplift of every campaign with its range, beside no effect.

    results: one row per campaign, the newest first: campaign (text), contacts (count), uplift (ratio; NULL where it is
    not known yet), uplift_lower, uplift_upper (NULL where the range has no such end, or before the verdict) and
    verdict_code. Campaigns without an uplift are drawn without a mark.
    """
    import altair as alt

    require_rows(results, "campaign", "contacts", "uplift", "uplift_lower", "uplift_upper", "verdict_code")
    lowest, highest = WIDEST
    has_range = pl.col("uplift_lower").is_not_null() | pl.col("uplift_upper").is_not_null()
    names = [display.term(name) for name in results["campaign"]]
    written = {
        "uplift_found": display.say("gain"),
        "loss_found": display.say("loss"),
        "not_found": display.say("not told from none"),
        "too_small": display.say("too small to tell"),
    }
    unknown, running = display.say("not known yet"), display.say("not over yet")
    labels = [
        f"{unknown} ({display.count(contacts)})"
        if uplift is None
        else f"{display.change(uplift)} {written.get(verdict, running)} ({display.count(contacts)})"
        for uplift, verdict, contacts in results.select("uplift", "verdict_code", "contacts").iter_rows()
    ]
    rows = results.select(
        name=pl.Series(names),
        uplift=rounded(pl.col("uplift").cast(pl.Float64).clip(lowest, highest)),
        lower=rounded(
            pl.when(has_range).then(pl.col("uplift_lower").cast(pl.Float64).fill_null(lowest)).clip(lowest, highest)
        ),
        upper=rounded(
            pl.when(has_range).then(pl.col("uplift_upper").cast(pl.Float64).fill_null(highest)).clip(lowest, highest)
        ),
        label=pl.Series(labels),
        colour=pl.when(pl.col("verdict_code").is_in(["uplift_found"]))
        .then(pl.lit(ACCENT))
        .when(pl.col("verdict_code") == "loss_found")
        .then(pl.lit(CONTRAST))
        .otherwise(pl.lit(QUIET)),
    ).with_columns(ends=pl.max_horizontal("uplift", "upper", pl.lit(0.0)))
    ends = [*rows["lower"], *rows["uplift"], *rows["upper"]]
    amounts = linear([*ends, 0.05], display.percent)
    # The labels have their room on the right.
    low, high = amounts["scale"].domain
    x = alt.X(
        "uplift:Q",
        title=None,
        axis=amounts["axis"],
        scale=alt.Scale(domain=[low, high + (high - low) * 0.9], nice=False),
    )
    y = alt.Y("name:N", sort=list(dict.fromkeys(names)), title=None)
    base = alt.Chart(rows).encode(y=y)
    layers = alt.layer(
        alt.Chart(pl.DataFrame({"uplift": [0.0]})).mark_rule(color=MUTED, strokeDash=[4, 4]).encode(x=x),
        base.mark_rule(color=QUIET, strokeWidth=4).encode(x=alt.X("lower:Q"), x2="upper:Q"),
        base.mark_point(filled=True, size=85, opacity=1).encode(x=x, color=alt.Color("colour:N", scale=None)),
        base.mark_text(align="left", dx=9, color=INK).encode(x=alt.X("ends:Q"), text="label:N"),
    ).properties(width=WIDTH, height=alt.Step(30))
    return finish(
        layers,
        display.say("What campaigns brought"),
        display.say("Uplift: what the contact added, as a share of what would have come without it; dashed: none."),
        display.say("Bars: range of the uplift; in brackets: contacts."),
    )
