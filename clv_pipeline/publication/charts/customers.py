"""Who the customers are: segments and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.frames import require_rows, rounded, with_optional
from clv_pipeline.publication.charts.heat import heat_map
from clv_pipeline.publication.charts.labels import in_two_lines
from clv_pipeline.publication.charts.look import ACCENT, INK, PANEL_WIDTH, QUIET, finish, panel_title
from clv_pipeline.publication.charts.numbers import in_currency

if TYPE_CHECKING:
    import altair as alt
    from altair.typing import ChartType


def segment_map(segments: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Every segment's share of the customers beside its share of the revenue.

    segments: one row per segment with customers (count) and revenue (currency); largest revenue on top. Where all
    revenue is NULL, customers alone are drawn, the largest segment on top.
    """
    import altair as alt

    require_rows(segments, "segment", "customers", "revenue")
    has_money = segments["revenue"].is_not_null().any()
    rows = segments.select("segment", pl.col("customers", "revenue").cast(pl.Float64)).sort(
        "revenue" if has_money else "customers", "segment", descending=[True, False]
    )
    names = [display.term(name) for name in rows["segment"]]
    customers, revenue = (rows[column].to_list() for column in ("customers", "revenue"))

    def panel(title: str, amounts: list[float], written: list[str], colour: str, axis: alt.Axis | None) -> ChartType:
        shares = [amount / sum(amounts) if sum(amounts) else 0.0 for amount in amounts]
        labels = [f"{display.percent(share)} ({amount})" for share, amount in zip(shares, written, strict=True)]
        data = pl.DataFrame({"segment": names, "share": shares, "label": labels}).with_columns(rounded("share"))
        # The longest bar leaves room for its label.
        reach = alt.Scale(domainMax=max(0.01, max(shares) * 1.55))
        bars = alt.Chart(data).encode(
            y=alt.Y("segment:N", sort=list(dict.fromkeys(names)), title=None, axis=axis),
            x=alt.X("share:Q", axis=None, scale=reach),
        )
        return alt.layer(
            bars.mark_bar(color=colour, height=16),
            bars.mark_text(align="left", dx=5, color=INK).encode(text="label:N"),
        ).properties(width=PANEL_WIDTH, height=alt.Step(25), title=panel_title(title))

    told = display.count(sum(customers))
    counts = [display.count(number) for number in customers]
    of_customers = panel(display.say("Share of customers"), customers, counts, QUIET, alt.Axis())
    if not has_money:
        return finish(
            of_customers,
            display.say("Who the customers are"),
            display.say("{customers} customers by segment.", customers=told),
        )
    amounts = [display.short(amount) for amount in revenue]
    return finish(
        alt.hconcat(of_customers, panel(display.say("Share of revenue"), revenue, amounts, ACCENT, None), spacing=12),
        display.say("Who the customers are, and who brings the revenue"),
        display.say(
            "{customers} customers and {amount} of revenue so far, by segment.",
            customers=told,
            amount=display.money(sum(revenue)),
        ),
    )


def rfm_heatmap(counts: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Customers in every cell of the recency × frequency grid, with the cell's segment and revenue.

    counts: r_score and f_score (1..5, 5 best) with customers (count); revenue (currency) and segment (the most frequent
    one of the cell) are optional. Absent cells are empty cells.

    Raises:
        ValueError: scores lie outside 1..5; columns or rows are missing (`require_rows`).
    """
    import altair as alt

    require_rows(counts, "r_score", "f_score", "customers")
    keys = ["r_score", "f_score"]
    score = pl.DataFrame({"score": range(1, 6)}, schema={"score": pl.Int64})
    grid = score.select(r_score="score").join(score.select(f_score="score"), how="cross")
    given = (
        with_optional(counts, revenue=pl.Float64, segment=pl.String)
        .sort("customers", descending=True)
        .group_by(pl.col(keys).cast(pl.Int64))
        .agg(pl.col("customers").sum(), pl.col("revenue").cast(pl.Float64).sum(), pl.col("segment").first())
    )
    cells = grid.join(given, on=keys, how="left").with_columns(pl.col("customers").fill_null(0))
    customers = cells["customers"].to_list()
    if sum(customers) != counts["customers"].sum():
        raise ValueError("RFM scores are between 1 and 5, but the frame has customers with other scores")
    has_money = "revenue" in counts.columns and counts["revenue"].is_not_null().any()
    has_names = "segment" in counts.columns and counts["segment"].is_not_null().any()
    names = [("", "") if name is None else in_two_lines(display.term(name)) for name in cells["segment"]]
    amounts = [
        display.short(amount) if number else "" for amount, number in cells.select("revenue", "customers").iter_rows()
    ]
    data = cells.select(
        *keys,
        depth=pl.col("customers"),
        label=pl.Series([display.count(number) for number in customers]),
        amount=pl.Series(amounts),
        name=pl.Series([first for first, _ in names]),
        rest=pl.Series([second for _, second in names]),
    )
    lines = ["name", "rest"] * has_names + ["label"] + ["amount"] * has_money
    chart = heat_map(
        data.select(*keys, "depth", *lines),
        x=alt.X("f_score:O", title=display.say("Frequency score (5: buys most often)"), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("r_score:O", sort="descending", title=display.say("Recency score (5: bought most recently)")),
        lines={line: round(13 * (place - (len(lines) - 1) / 2)) for place, line in enumerate(lines)},
        row_height=24 + 13 * len(lines),
    )
    told = {"customers": display.count(sum(customers))}
    empty = [score for score in range(1, 6) if not cells.filter(f_score=score)["customers"].sum()]
    return finish(
        chart,
        display.say("Customers by recency and frequency"),
        display.say("{customers} customers, with the revenue they brought and the usual segment.", **told)
        if has_money and has_names
        else display.say("{customers} customers by score.", **told),
        in_currency(display) if has_money else "",
        display.say_many(
            len(empty),
            "Score {scores} is empty: too many customers bought equally often to be told apart.",
            "Scores {scores} are empty: too many customers bought equally often to be told apart.",
            scores=", ".join(map(display.count, empty)),
        )
        if empty
        else "",
    )
