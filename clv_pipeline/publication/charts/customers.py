"""Who the customers are: segments and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.publication.charts.frames import require_rows
from clv_pipeline.publication.charts.look import (
    ACCENT,
    INK,
    PANEL_WIDTH,
    PAPER,
    QUIET,
    TINT,
    WIDTH,
    finish,
    panel_title,
    percent,
    shade,
    short,
)

if TYPE_CHECKING:
    from altair.typing import ChartType


def segment_map(segments: pl.DataFrame) -> ChartType:
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

    of_customers = panel("Share of customers", customers, [f"{n:,.0f}" for n in customers], QUIET, alt.Axis())
    if not has_money:
        return finish(of_customers, "Who the customers are", f"{sum(customers):,.0f} customers by segment")
    return finish(
        alt.hconcat(
            of_customers,
            panel("Share of revenue", revenue, [short(amount) for amount in revenue], ACCENT, None),
            spacing=12,
        ),
        "Who the customers are, and who brings the revenue",
        f"{sum(customers):,.0f} customers and {short(sum(revenue))} of revenue so far, by segment",
    )


def rfm_heatmap(counts: pl.DataFrame) -> ChartType:
    """Customers in every cell of the recency × frequency grid.

    counts: r_score and f_score (1..5, 5 best) with customers (count); absent cells are empty cells.

    Raises:
        ValueError: scores lie outside 1..5; columns or rows are missing (`require_rows`).
    """
    import altair as alt

    require_rows(counts, "r_score", "f_score", "customers")
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
