"""Who comes back, by month of the first purchase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.display import ENGLISH, Display
from clv_pipeline.publication.charts.axes import labelled, linear
from clv_pipeline.publication.charts.frames import (
    LEAST,
    NothingToDrawError,
    require_rows,
    rounded,
    sum_of,
    with_optional,
)
from clv_pipeline.publication.charts.heat import heat_map, shade_legend
from clv_pipeline.publication.charts.look import ACCENT, INK, PAPER, QUIET, WIDTH, finish

if TYPE_CHECKING:
    from altair.typing import ChartType


AGES = (1, 2, 3, 4, 5, 6, 9, 12, 15, 18, 21, 24)
"""The months after the first purchase that are shown: numbers of more would not fit."""
MOST = 24
"""Most cohorts that are shown."""
NAME_HEIGHT, NAME_WIDTH = 0.065, 0.25
"""How high and wide the name of a line is, as a share of the plot."""


def cohort_heatmap(cohorts: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The share of every month's new customers who bought again in the months that followed.

    cohorts: cohort_month (date), age_months (1 and up) and retention (0 to 1), complete months only; customers
    (optional) is the size of the cohort. The latest 24 cohorts are drawn; those of fewer than 30 customers share a row.

    Raises:
        NothingToDrawError: no cohort has an age that is shown, or there are no rows.
        ValueError: columns are missing (`require_rows`).
    """
    import altair as alt

    require_rows(cohorts, "cohort_month", "age_months", "retention")
    given = with_optional(cohorts, customers=pl.Int64).with_columns(pl.col("customers").cast(pl.Int64))
    size = given.group_by("cohort_month").agg(pl.col("customers").max()).sort("cohort_month")
    is_small = pl.col("customers") < LEAST
    large = size.filter(is_small.fill_null(value=False).not_()).tail(MOST)
    small = size.filter(is_small)
    rows = given.filter(pl.col("age_months").is_in(AGES))
    others = display.say("Smaller cohorts")
    names = pl.DataFrame(
        {
            "cohort_month": large["cohort_month"],
            "cohort": [_named(display, display.short_month(month), size_) for month, size_ in large.iter_rows()],
        },
        schema={"cohort_month": cohorts.schema["cohort_month"], "cohort": pl.String},
    )
    shown = rows.join(names, on="cohort_month", maintain_order="left").select("age_months", "retention", "cohort")
    together = (
        rows.join(small.select("cohort_month"), on="cohort_month")
        .group_by("age_months")
        .agg(retention=(pl.col("retention") * pl.col("customers")).sum() / pl.col("customers").sum())
        .with_columns(cohort=pl.lit(_named(display, others, sum_of(small["customers"]))))
        .sort("age_months")
    )
    cells = pl.concat([shown, together.select(shown.columns)])
    if cells["retention"].is_null().all():
        raise NothingToDrawError("there is nothing to draw: no cohort has one of the months that are shown")
    highest = cells["retention"].max()
    marks = [0.0, float(highest) / 2, float(highest)]  # type: ignore[arg-type]
    data = cells.select(
        "age_months",
        "cohort",
        depth=rounded("retention"),
        label=pl.Series([display.count(share * 100) for share in cells["retention"]]),
    )
    chart = heat_map(
        data,
        x=alt.X("age_months:O", title=display.say("Months since the first purchase"), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("cohort:N", sort=data["cohort"].unique(maintain_order=True).to_list(), title=None),
        lines={"label": 0},
        row_height=22,
        legend=shade_legend(marks, [display.percent(mark) for mark in marks], display.say("Bought again")),
    )
    return finish(
        chart,
        display.say("Who comes back, by month of the first purchase"),
        display.say("Percent of a month's new customers who bought again that many months later."),
        display.say("In brackets: how many they were.") if size["customers"].is_not_null().any() else "",
        display.say_many(
            small.height,
            "{number} cohort of fewer than {least} customers is in the last row.",
            "{number} cohorts of fewer than {least} customers are in the last row.",
            least=display.count(LEAST),
        )
        if small.height
        else "",
    )


def _named(display: Display, name: str, size: float | None) -> str:
    return name if size is None else f"{name} ({display.count(size)})"


def retention_curves(cohorts: pl.DataFrame, *, display: Display = ENGLISH) -> ChartType:
    """The share of customers who bought again, by months since the first purchase: all, and by year of that.

    cohorts: cohort_month (date), age_months (1 and up), customers (size of the cohort) and retention (0 to 1);
    complete months only. In a history of less than two years the lines are of half-years. At an age that fewer than
    half of a line's customers have reached, or fewer than 30, it ends; who are fewer have none. A single line beside
    that of all would be the same.
    """
    import altair as alt

    require_rows(cohorts, "cohort_month", "age_months", "customers", "retention")
    by_year = cohorts["cohort_month"].dt.year().n_unique() > 2
    names = {
        start: str(start.year)
        if by_year
        else display.say("{year}, half {half}", year=start.year, half=1 + (start.month > 6))
        for start in cohorts["cohort_month"].unique()
    }
    rows = cohorts.with_columns(
        group=pl.col("cohort_month").replace_strict(names, return_dtype=pl.String),
        came=pl.col("retention") * pl.col("customers"),
    )
    everybody = display.say("All")
    means = _curve(rows.with_columns(group=pl.lit(everybody)))
    curves = _curve(rows.filter(pl.col("group").is_in(_large(rows))))
    groups = curves["group"].unique(maintain_order=True).to_list()
    oldest = int(max(1.0, *means["age"], *curves["age"]))
    ages = list(range(0, oldest + 1, 1 + oldest // 9))
    x = alt.X(
        "age:Q",
        title=display.say("Months since the first purchase"),
        axis=labelled(ages, [display.count(age) for age in ages]),
        scale=alt.Scale(domain=[0, oldest], nice=False),
    )
    shares = [*means["share"], *curves["share"]]
    y = alt.Y("share:Q", title=None, **linear(shares, display.percent))
    ends = _apart(
        pl.concat([means.tail(1), curves.group_by("group", maintain_order=True).tail(1)]), oldest, max(shares)
    )
    thin = alt.Chart(curves).encode(x=x, y=y, detail="group:N")
    bold = alt.Chart(means).encode(x=x, y=y)
    layers = [
        thin.mark_line(color=QUIET, strokeWidth=1.4, point=alt.OverlayMarkDef(color=QUIET, size=12)),
        bold.mark_line(color=ACCENT, strokeWidth=3.2),
        # Bright around the letters, where they lie on a line.
        *(
            alt.Chart(ends).mark_text(align="left", dx=6, **look).encode(x=x, y="label:Q", text="group:N")
            for look in ({"color": PAPER, "stroke": PAPER, "strokeWidth": 4}, {"color": INK})
        ),
    ]
    size = sum_of(cohorts.group_by("cohort_month").agg(pl.col("customers").max())["customers"])
    return finish(
        alt.layer(*layers).properties(width=WIDTH, height=260),
        display.say("How many come back"),
        display.say(
            "Share of {number} customers who bought again that many months later; bold: all of them.",
            number=display.count(size),
        )
        if groups
        else display.say(
            "Share of {number} customers who bought again that many months later.", number=display.count(size)
        ),
        ""
        if not groups
        else display.say_many(
            len(groups),
            "Thin: those of {number} year of first purchases.",
            "Thin: by year of the first purchase.",
        )
        if by_year
        else display.say("Thin: by half-year of the first purchase."),
    )


def _large(rows: pl.DataFrame) -> list[str]:
    """The groups of at least 30 customers; none where it is only one."""
    sizes = rows.unique(["group", "cohort_month"]).group_by("group").agg(size=pl.col("customers").sum())
    large = sizes.filter(pl.col("size") >= LEAST)["group"].to_list()
    return large if len(large) > 1 else []


def _apart(ends: pl.DataFrame, oldest: float, highest: float) -> pl.DataFrame:
    """Where the names of lines stand (`label`): at their ends, or so far above the name below that both can be read."""
    rows, placed = ends.sort("share", "group"), list[tuple[float, float]]()
    for age, share in rows.select("age", "share").iter_rows():
        above = [place + NAME_HEIGHT * highest for other, place in placed if abs(age - other) < NAME_WIDTH * oldest]
        placed.append((age, max([share, *above])))
    return rows.with_columns(label=pl.Series([place for _, place in placed], dtype=pl.Float64))


def _curve(rows: pl.DataFrame) -> pl.DataFrame:
    """Group, age and share (weighted by customers), where enough of the group's customers have that age."""
    sizes = rows.unique(["group", "cohort_month"]).group_by("group").agg(size=pl.col("customers").sum())
    return (
        rows.group_by("group", age="age_months")
        .agg(pl.col("came").sum(), reached=pl.col("customers").sum())
        .join(sizes, on="group")
        .filter(pl.col("reached") * 2 >= pl.col("size"), pl.col("reached") >= pl.min_horizontal("size", LEAST))
        .select("group", pl.col("age").cast(pl.Float64), share=rounded(pl.col("came") / pl.col("reached")))
        .sort("group", "age")
    )
