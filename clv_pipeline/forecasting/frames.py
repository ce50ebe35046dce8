"""Columns of frames as arrays, and the length of a year."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

DAYS_PER_YEAR = 365.25

Floats = NDArray[np.float64]


def floats(frame: pl.DataFrame, column: str) -> Floats:
    """Return a column as a float64 array; nulls become NaN."""
    return frame[column].cast(pl.Float64).to_numpy().astype(np.float64)
