"""Binning of a heavy-tailed amount per customer into 1–2–5 steps, for distributions that people can read."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from clv_pipeline.display import Display
from clv_pipeline.publication.charts.bars import class_names

EDGES = [mantissa * 10**exponent for exponent in range(12) for mantissa in (1, 2, 5)]
"""Where bins begin: 1, 2, 5, 10 … 5 · 10¹¹."""


def value_bins(steps: pl.DataFrame, display: Display) -> pl.DataFrame:
    """Bins < 1, 1–2, 2–5, 5–10, 10–20 and so on; those with the lowest and highest percent are joined, empty ones too.

    steps: at least one row of customers in each of step (number of EDGES not above the amount), customers (count),
    value (sum of their amounts). Returns rows that are ascending and without gaps: bin (text), customers, value.
    """
    counted = (
        steps.filter(pl.col("customers") > 0)
        .select(pl.col("step").cast(pl.Int64).clip(0, len(EDGES)), "customers", pl.col("value").cast(pl.Float64))
        .sort("step")
    )
    reached = counted["customers"].cum_sum()
    percent = reached[-1] // 100
    lowest = counted.filter(reached > percent)["step"][0]
    highest = counted.filter(reached >= reached[-1] - percent)["step"][0]
    bins = (
        counted.group_by(pl.col("step").clip(lowest, max(lowest, highest)))
        .agg(pl.col("customers", "value").sum())
        .sort("step")
    )
    # A bin reaches up to the next one that has customers.
    edges = [EDGES[step - 1] for step in bins["step"][1:]]
    bounds: list[tuple[float | None, float | None]] = [*pairwise([None, *edges, None])]
    if not edges:
        [step] = bins["step"]
        bounds = [(EDGES[step - 1] if step else None, EDGES[step] if step < len(EDGES) else None)]
    return bins.select(pl.Series("bin", class_names(bounds, display.short)), "customers", "value")
