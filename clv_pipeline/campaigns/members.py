"""The members of a campaign as they are compared: what is read of them, and the measure, which is margin or orders."""

from __future__ import annotations

import polars as pl

OUTCOME_COLUMNS = (
    *("is_control", "stratum", "segment", "expected_purchases", "expected_margin", "expected_deviation"),
    *("orders", "margin"),
)
"""What is read of every member of a campaign: one row each, within one window."""


def compared(members: pl.DataFrame, *, has_money: bool) -> pl.DataFrame:
    """The members with `outcome` and `expected`: of margin, or of orders in a shop without money."""
    came, expected = ("margin", "expected_margin") if has_money else ("orders", "expected_purchases")
    return members.with_columns(
        outcome=pl.col(came).cast(pl.Float64), expected=pl.col(expected).cast(pl.Float64).fill_null(0.0)
    )


def mean_of(group: pl.DataFrame, column: str) -> float | None:
    """The mean of a column; None where nothing of it is known."""
    mean = group[column].cast(pl.Float64).mean()
    return None if mean is None else float(mean)  # type: ignore[arg-type]
