"""What the clusters are: where they lie, how they differ from the whole shop, and which segments they consist of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import labelled, logarithmic
from clv_pipeline.publication.charts.frames import most, require_rows, rounded, sum_of, with_optional
from clv_pipeline.publication.charts.heat import heat_map
from clv_pipeline.publication.charts.look import GROUPS, MUTED, WIDTH, finish, legend
from clv_pipeline.publication.charts.numbers import in_currency

if TYPE_CHECKING:
    from altair.typing import ChartType


LARGEST = 260
"""Area in px of the largest bubble."""


def cluster_scatter(cells: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Where the customers of every cluster lie: days since the last purchase against revenue, both logarithmic.

    cells: a grid, one row per cell and cluster: cluster_name, days_since_last (days, 0 and more) and revenue (currency)
    of the middle of the cell, and customers (count). Where all revenue is NULL, purchases (count) takes its place.
    """
    import altair as alt

    require_rows(cells, "cluster_name", "days_since_last", "revenue", "customers")
    rows = with_optional(cells, purchases=pl.Float64)
    has_money = rows["revenue"].is_not_null().any()
    height = pl.col("revenue" if has_money else "purchases").cast(pl.Float64)
    drawn = rows.filter(height > 0)
    names, cluster = _clusters(drawn, display)
    data = drawn.select(
        days=rounded("days_since_last").clip(lower_bound=1),
        height=rounded(height),
        cluster=cluster,
        customers="customers",
    ).sort("customers", descending=True)
    title = display.say("Revenue") if has_money else display.say("Purchases")
    chart = (
        alt.Chart(data)
        .mark_point(filled=True, opacity=0.8)
        .encode(
            x=alt.X(
                "days:Q",
                title=display.say("Days since the last purchase"),
                **logarithmic(data["days"], display.count),
            ),
            y=alt.Y("height:Q", title=title, **logarithmic(data["height"], display.short)),
            size=alt.Size("customers:Q", scale=alt.Scale(rangeMin=12, rangeMax=LARGEST), legend=None),
            **_colour_and_shape("cluster", names),
        )
        .properties(width=WIDTH, height=330)
    )
    return finish(
        chart,
        display.say("Where the clusters lie"),
        display.say(
            "{customers} customers; the larger a mark, the more of them. Both axes are logarithmic.",
            customers=display.count(sum_of(data["customers"])),
        ),
        in_currency(display) if has_money else "",
    )


def cluster_profiles(profiles: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """How the clusters differ: their medians as multiples of the shop's median.

    profiles: one row per cluster: cluster_name, customers (count), its median_days_since_last (days), median_frequency
    (repeat purchases) and median_revenue (currency, NULL without money), and the medians of all customers as
    shop_days_since_last, shop_frequency and shop_revenue.
    """
    import altair as alt

    facts = {
        display.say("Days since last purchase"): ("median_days_since_last", "shop_days_since_last"),
        display.say("Purchases"): ("median_frequency", "shop_frequency"),
        display.say("Revenue"): ("median_revenue", "shop_revenue"),
    }
    require_rows(profiles, "cluster_name", "customers", *(column for pair in facts.values() for column in pair))
    # From 1 on: the first purchase counts, and so does today.
    raised = {"median_days_since_last": 1.0, "median_frequency": 1.0, "median_revenue": 0.0}
    names, cluster = _clusters(profiles, display)
    rows = profiles.with_columns(cluster=cluster)
    data = pl.concat(
        rows.group_by("cluster", maintain_order=True).agg(
            fact=pl.lit(place),
            ratio=rounded(
                (
                    (pl.col(of_cluster).cast(pl.Float64) + raised[of_cluster])
                    / (pl.col(of_shop).cast(pl.Float64) + raised[of_cluster])
                    * pl.col("customers")
                ).sum()
                / pl.col("customers").filter(pl.col(of_cluster).is_not_null()).sum()
            ),
        )
        for place, (of_cluster, of_shop) in enumerate(facts.values())
    ).filter(pl.col("ratio") > 0, pl.col("ratio").is_finite())
    shown = data["fact"].unique().sort().to_list()
    axis = labelled(shown, [list(facts)[place] for place in shown], labelAngle=0)
    # Each word in its own line.
    axis.labelExpr = f"split({axis.labelExpr}, ' ')"
    base = alt.Chart(data).encode(
        x=alt.X("fact:O", title=None, scale=alt.Scale(type="point", padding=0.35), axis=axis),
        y=alt.Y(
            "ratio:Q",
            title=display.say("Median, as a multiple of the shop's"),
            **logarithmic([*data["ratio"], 1.0], lambda ratio: f"{display.short(ratio)}×"),
        ),
        **_colour_and_shape("cluster", names),
    )
    layers = alt.layer(
        alt.Chart(pl.DataFrame({"ratio": [1.0]})).mark_rule(color=MUTED, strokeDash=[4, 4]).encode(y="ratio:Q"),
        base.mark_line(strokeWidth=2),
        base.mark_point(filled=True, size=80, opacity=1),
    ).properties(width=WIDTH, height=270)
    return finish(
        layers,
        display.say("How the clusters differ"),
        display.say("Each cluster's median as a multiple of that of all customers; dashed: the same as all."),
    )


def clusters_by_segment(cells: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """Customers by segment and cluster.

    cells: one row per segment and cluster_name with customers (count); absent cells are empty.
    """
    import altair as alt

    require_rows(cells, "segment", "cluster_name", "customers")
    other = display.say("Other")
    segment = most(cells, "segment", count="customers", other=other, at_most=14)
    names, cluster = _clusters(cells, display)
    data = (
        cells.select("customers", cluster=cluster, segment=pl.Series([display.term(name) for name in segment]))
        .group_by("segment", "cluster")
        .agg(pl.col("customers").sum())
        .with_columns(size=pl.col("customers").sum().over("segment"))
        .sort("size", "segment", "customers", descending=[True, False, True])
    )
    chart = heat_map(
        data.select(
            "segment",
            "cluster",
            depth="customers",
            label=pl.Series([display.count(number) for number in data["customers"]]),
        ),
        x=alt.X("cluster:N", sort=names, title=None, axis=alt.Axis(orient="top", labelAngle=-90)),
        y=alt.Y("segment:N", sort=data["segment"].unique(maintain_order=True).to_list(), title=None),
        lines={"label": 0},
        row_height=25,
    )
    return finish(
        chart,
        display.say("Segments and clusters"),
        display.say(
            "{customers} customers: segments follow fixed rules, clusters what is alike in this shop.",
            customers=display.count(sum_of(data["customers"])),
        ),
    )


def _clusters(rows: pl.DataFrame, display: Display) -> tuple[list[str], pl.Series]:
    """The names of the clusters in order, and that of every row; small clusters are put together."""
    other = display.say("Other")
    shown = most(rows, "cluster_name", count="customers", other=other, at_most=len(GROUPS))
    # In the same order everywhere, so that a cluster has one colour in all charts.
    order = sorted({*shown} - {other}) + [other] * (other in {*shown})
    named = {name: name if name == other else display.term(name) for name in order}
    return list(named.values()), shown.replace_strict(named, return_dtype=pl.String)


def _colour_and_shape(field: str, names: list[str]) -> dict[str, Any]:
    """Colour and shape of groups, in one legend."""
    import altair as alt

    colours = list(GROUPS)[: len(names)]
    shapes = alt.Scale(domain=names, range=[GROUPS[colour] for colour in colours])
    return {
        "color": legend(field, names, colours),
        "shape": alt.Shape(f"{field}:N", sort=names, scale=shapes, legend=alt.Legend(title=None)),
    }
