"""Binning of a heavy-tailed amount per customer into 1–2–5 steps, for distributions that people can read."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from clv_pipeline.publication.charts.look import short

EDGES = [mantissa * 10**exponent for exponent in range(12) for mantissa in (1, 2, 5)]
"""Where bins begin: 1, 2, 5, 10 … 5 · 10¹¹."""


def value_bins(steps: pl.DataFrame) -> pl.DataFrame:
    """Bins < 1, 1–2, 2–5, 5–10, 10–20 and so on, of which those with the lowest and highest percent are joined.

    steps: at least one row of customers in each of step (number of EDGES not above the amount), customers (count),
    value (sum of their amounts). Returns at least two rows, ascending and without gaps: bin (text), customers, value.
    """
    counted = steps.select(
        pl.col("step").cast(pl.Int64).clip(0, len(EDGES)), "customers", pl.col("value").cast(pl.Float64)
    ).sort("step")
    reached = counted["customers"].cum_sum()
    percent = reached[-1] // 100
    # At least two bins, also where nearly all values share one or lie above all edges.
    lowest = min(counted.filter(reached > percent)["step"][0], len(EDGES) - 1)
    highest = max(counted.filter(reached >= reached[-1] - percent)["step"][0], lowest + 1)
    edges = [short(edge) for edge in EDGES[lowest:highest]]
    labels = [f"< {edges[0]}", *(f"{low}–{high}" for low, high in pairwise(edges)), f"≥ {edges[-1]}"]
    joined = counted.group_by(pl.col("step").clip(lowest, highest)).agg(pl.col("customers", "value").sum())
    bins = pl.DataFrame({"step": range(lowest, highest + 1), "bin": labels}, schema_overrides={"step": pl.Int64})
    return bins.join(joined, on="step", how="left", maintain_order="left").fill_null(0).drop("step")
