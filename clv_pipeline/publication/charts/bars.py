"""One chart for any list of names with amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from clv_pipeline.publication.charts.frames import require_rows
from clv_pipeline.publication.charts.look import ACCENT, INK, WIDTH, finish, percent, short

if TYPE_CHECKING:
    from altair.typing import ChartType


def ranking(rows: pl.DataFrame, *, title: str, unit: str, as_percent: bool = False) -> ChartType:
    """Names with their amounts as bars, in the order of the rows.

    rows: name (text, each once) and amount (not negative in most rows).
    unit: what the amounts are, for the subtitle. as_percent: amounts are shares.
    """
    import altair as alt

    require_rows(rows, "name", "amount")
    data = rows.select(pl.col("name").cast(pl.String), pl.col("amount").cast(pl.Float64))
    amounts = data["amount"].to_list()
    written = [percent(amount) if as_percent else short(amount) for amount in amounts]
    data = data.with_columns(label=pl.Series(written))
    reach = alt.Scale(domain=[min(0.0, *amounts) * 1.2, max(*amounts, 1e-9) * 1.2], nice=False)
    base = alt.Chart(data).encode(
        y=alt.Y("name:N", sort=data["name"].to_list(), title=None),
        x=alt.X("amount:Q", axis=None, scale=reach),
    )
    layers = alt.layer(
        base.mark_bar(color=ACCENT, height=16),
        base.mark_text(align="left", dx=5, color=INK).encode(text="label:N", x=alt.X("amount:Q", scale=reach)),
    ).properties(width=WIDTH - 70, height=alt.Step(25))
    return finish(layers, title, unit)
