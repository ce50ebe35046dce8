"""Binning of a heavy-tailed amount per customer into 1–2–5 steps, for distributions that people can read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl

from clv_pipeline.insights.look import short

EDGES = [mantissa * 10**exponent for exponent in range(12) for mantissa in (1, 2, 5)]
"""Where bins begin: 1, 2, 5, 10 … 5 · 10¹¹."""


def value_bins(values: pl.Series) -> pl.DataFrame:
    """Count and sum finite amounts in the bins < 1, 1–2, 2–5, 5–10, 10–20 and so on.

    The lowest and the highest percent of the values are gathered in the open bins at both ends. Returns at
    least two rows, ascending and without gaps: bin (text), customers (count), value (sum of the amounts).
    Raises ValueError if there are no values or some are null or not finite.
    """
    amounts = values.cast(pl.Float64).alias("value")
    if amounts.is_empty() or amounts.null_count() or not amounts.is_finite().all():
        raise ValueError(f"binning needs finite numbers, but {values.name} is empty or has null or infinite values")
    # Number of the last edge that is not above the amount; below all edges it is −1.
    last_edge = np.searchsorted(EDGES, amounts.to_numpy(), side="right") - 1
    steps = amounts.to_frame().with_columns(pl.Series("step", last_edge, dtype=pl.Int64))
    ordered = steps["step"].sort()
    # At least two bins, also where nearly all values share one or lie above all edges.
    lowest = min(ordered[len(ordered) // 100], len(EDGES) - 2)
    highest = max(ordered[-1 - len(ordered) // 100], lowest + 1)
    edges = [short(edge) for edge in EDGES[lowest + 1 : highest + 1]]
    labels = [f"< {edges[0]}", *(f"{low}–{high}" for low, high in pairwise(edges)), f"≥ {edges[-1]}"]
    counted = steps.group_by(pl.col("step").clip(lowest, highest)).agg(
        pl.len().cast(pl.Int64).alias("customers"), pl.col("value").sum()
    )
    bins = pl.DataFrame({"step": range(lowest, highest + 1), "bin": labels}, schema_overrides={"step": pl.Int64})
    return bins.join(counted, on="step", how="left", maintain_order="left").fill_null(0).drop("step")
