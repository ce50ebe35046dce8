"""Columns as bytes that a page can hold: numbers as small integers, names as numbers of a list, all of it compressed.

What comes out are letters of base64, so no text from outside can ever become markup. The other direction is
`script/data.js`.

Layout, before gzip: 4 bytes with the length of the head (little-endian), the head (JSON), and the columns one after
the other. A column of n integers of k bytes lies there byte by byte: first the n lowest bytes, last the n highest,
which compresses better. The largest integer of a width stands for a value that is missing.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clv_pipeline.text import displayed

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

LEVEL = 6
"""Of compression: the highest one takes twice as long for a hundredth."""
WIDTHS = (1, 2, 4)
"""Bytes of an integer."""


def packed(about: Mapping[str, Any], columns: Iterable[pl.Series], decimals: Mapping[str, int]) -> str:
    """What a page holds of these columns, in base64.

    Args:
        about: what stands beside the columns, as JSON has it.
        columns: texts, true and false, or numbers, each with its name. In `id` texts hardly repeat.
        decimals: how many decimals of a column of numbers are kept; none by default.
    """
    heads: list[dict[str, Any]] = []
    bodies: list[bytes] = []
    for series in columns:
        head, body = _column(series, decimals.get(series.name, 0))
        heads.append({"name": series.name, "rows": len(series), **head})
        bodies.append(body)
    told = json.dumps({**about, "columns": heads}, ensure_ascii=False, separators=(",", ":")).encode()
    whole = b"".join([struct.pack("<I", len(told)), told, *bodies])
    return base64.b64encode(gzip.compress(whole, LEVEL, mtime=0)).decode()


def _column(series: pl.Series, decimals: int) -> tuple[dict[str, Any], bytes]:
    """A column: what its head says, and its bytes."""
    import polars as pl

    if series.name == "id":
        return {"texts": series.to_list()}, b""
    return _names(series) if series.dtype == pl.String else _numbers(series, decimals)


def _names(series: pl.Series) -> tuple[dict[str, Any], bytes]:
    """A column of few texts: their list, safe to display, and the number of each."""
    import polars as pl

    names = series.drop_nulls().unique().sort()
    codes = series.cast(pl.Enum(names)).to_physical()
    head, body = _integers(codes)
    return {**head, "names": list(map(displayed, names))}, body


def _numbers(series: pl.Series, decimals: int) -> tuple[dict[str, Any], bytes]:
    """A column of numbers with so many decimals: integers above a base, or doubles where they do not fit."""
    import polars as pl

    scaled = series.cast(pl.Float64) * 10**decimals
    spread = float(scaled.max() or 0) - float(scaled.min() or 0)
    if spread >= 2 ** (8 * WIDTHS[-1]) - 1:
        return {"bytes": 8}, series.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype("<f8").tobytes()
    head, body = _integers(scaled.round().cast(pl.Int64))
    return {**head, "decimals": decimals}, body


def _integers(series: pl.Series) -> tuple[dict[str, Any], bytes]:
    """Integers above the smallest one, in the fewest bytes that hold them and one more."""
    low, high = int(series.min() or 0), int(series.max() or 0)  # type: ignore[arg-type]
    width = next(width for width in WIDTHS if high - low < 2 ** (8 * width) - 1)
    above = (series.cast(int) - low).fill_null(2 ** (8 * width) - 1).to_numpy().astype(f"<u{width}")
    return {"bytes": width, "base": low}, _planes(above, width)


def _planes(values: NDArray[np.unsignedinteger[Any]], width: int) -> bytes:
    """The lowest bytes of all, then the next ones."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, width).T).tobytes()
