"""What every chart requires of its frame: columns and rows, or a clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def require_rows(frame: pl.DataFrame, *columns: str) -> None:
    """Check that the frame has these columns and at least one row.

    Raises:
        ValueError: a column is missing, or there are no rows.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"the chart needs the columns {missing}, which the frame does not have")
    if frame.is_empty():
        raise ValueError(f"there is nothing to draw: the frame with {list(columns)} is empty")
