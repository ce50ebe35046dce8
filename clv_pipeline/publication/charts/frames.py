"""What every chart requires of its frame, and what it does with small groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

LEAST = 30
"""Groups of fewer customers are not shown on their own: what is said of them is chance, and may name somebody."""


class NothingToDrawError(ValueError):
    """The rows of a chart are none, or say nothing that it could show."""


def require_rows(frame: pl.DataFrame, *columns: str) -> None:
    """Check that the frame has these columns and at least one row.

    Raises:
        NothingToDrawError: there are no rows.
        ValueError: a column is missing.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"the chart needs the columns {missing}, which the frame does not have")
    if frame.is_empty():
        raise NothingToDrawError(f"there is nothing to draw: the frame with {list(columns)} is empty")


def with_optional(frame: pl.DataFrame, **types: PolarsDataType) -> pl.DataFrame:
    """The frame with these columns, of NULL where it does not have them."""
    lacking = [pl.lit(None, dtype).alias(name) for name, dtype in types.items() if name not in frame.columns]
    return frame.with_columns(lacking)


def stacked(frame: pl.DataFrame, key: str, series: dict[str, str], value: str) -> pl.DataFrame:
    """The columns of `series` (name: column) below each other: key, series, place (from 0), value; NULL is left out."""
    return pl.concat(
        frame.select(key, series=pl.lit(name), place=pl.lit(place), **{value: rounded(column)})
        for place, (name, column) in enumerate(series.items())
    ).drop_nulls(value)


def sum_of(amounts: pl.Series) -> float:
    """The sum; 0 of nothing."""
    return float(amounts.cast(pl.Float64).sum())


def rounded(column: str | pl.Expr) -> pl.Expr:
    """Six digits of an amount, more than a picture shows: specifications stay small."""
    expression = pl.col(column) if isinstance(column, str) else column
    return expression.cast(pl.Float64).round_sig_figs(6)


def most(groups: pl.DataFrame, name: str, *, count: str, other: str, at_most: int) -> pl.Series:
    """What every row's group is called: its name, or `other` for groups of few customers and beyond `at_most`."""
    totals = groups.group_by(name).agg(pl.col(count).sum()).sort(count, name, descending=[True, False])
    large = totals.filter(pl.col(count) >= LEAST)[name].to_list()
    kept = large if totals.height <= at_most else large[: at_most - 1]
    return groups.select(
        pl.when(pl.col(name).is_in(kept)).then(pl.col(name)).otherwise(pl.lit(other)).alias(name)
    ).to_series()
