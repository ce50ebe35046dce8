"""Who is left out of a campaign: a control group drawn by lot within strata.

Strata are a segment's customers of similar expected value, so that both groups are alike in what matters most. Every
customer has exactly the same chance to be left out, whatever the size of a stratum.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import polars as pl

LEAST_OF_EACH = 2
"""Fewest customers of either group in a stratum: one alone has no variance."""

CLASSES = 5
"""Most strata of a segment, by expected value."""

DRAWN_SCHEMA = pl.Schema({"customer_id": pl.String, "stratum": pl.Int32, "is_control": pl.Boolean})


def least_customers(holdout: float) -> int:
    """The fewest customers of whom this share can be left out, and two remain in either group."""
    return math.ceil(round(LEAST_OF_EACH / min(holdout, 1.0 - holdout), 9))


def draw(customers: pl.DataFrame, holdout: float, name: str, seed: int) -> pl.DataFrame:
    """Draw the control group.

    The number left out of a stratum is rounded by lot: with one uniform number u for the whole draw, a stratum between
    the cumulative numbers a and b of customers gives floor(b h + u) - floor(a h + u) (systematic sampling, Madow 1949,
    Annals of Mathematical Statistics 20). So the total is holdout × customers, rounded, and nobody's chance differs.

    Args:
        customers: `customer_id`, `segment`, `expected` (what is expected of each, any unit); each customer once.
        holdout: share to leave out, in (0, 0.5].
        name: of the campaign. Campaigns of other names leave out other customers.
        seed: with the same customers, name and seed the draw is the same.

    Returns:
        A row per customer (DRAWN_SCHEMA), in the order of customer_id.

    Raises:
        ValueError: the holdout is not in (0, 0.5], or there are fewer customers than `least_customers(holdout)`.
    """
    if not 0.0 < holdout <= 0.5:
        raise ValueError(f"holdout should lie in (0, 0.5]; found {holdout}")
    if customers.height < least_customers(holdout):
        raise ValueError(f"should be at least {least_customers(holdout)} customers; found {customers.height}")
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:16]))
    placed = _strata(customers, least_customers(holdout)).sort("customer_id")
    lots = placed.with_columns(pl.Series("lot", rng.permutation(placed.height)))
    sizes = lots.group_by("stratum").len("size").sort("stratum")
    taken = np.floor(np.cumsum(sizes["size"].to_numpy()) * holdout + rng.uniform())
    sizes = sizes.with_columns(pl.Series("left_out", np.diff(taken, prepend=0.0)).cast(pl.Int64))
    return (
        lots.join(sizes, on="stratum")
        .with_columns(is_control=pl.col("lot").rank("ordinal").over("stratum") <= pl.col("left_out"))
        .sort("customer_id")
        .select(DRAWN_SCHEMA.names())
        .cast(DRAWN_SCHEMA)
    )


def _strata(customers: pl.DataFrame, least: int) -> pl.DataFrame:
    """Place every customer in a `stratum` of at least `least` customers.

    Segments that are too small share one; if they are too few together, they share that of the smallest other segment.
    """
    sizes = customers.group_by("segment").len("size").sort("size", "segment")
    small = sizes.filter(pl.col("size") < least)
    if 0 < small["size"].sum() < least:
        small = sizes.head(small.height + 1)
    shares = pl.col("segment").is_in(small["segment"].to_list())
    return (
        customers.with_columns(cell=pl.when(~shares).then("segment"))
        .sort("cell", "expected", "customer_id", descending=[False, True, False], nulls_last=True)
        .with_columns(place=pl.int_range(pl.len()).over("cell"), size=pl.len().over("cell"))
        .with_columns(classes=pl.min_horizontal(pl.col("size") // least, CLASSES))
        .with_columns(value_class=pl.col("place") * pl.col("classes") // pl.col("size"))
        .with_columns(stratum=pl.struct("cell", "value_class").rank("dense"))
    )
