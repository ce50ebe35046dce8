"""Rows with arbitrary text in every text column."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import polars as pl
from hypothesis import strategies as st

HOSTILE = "\x00\x07\x0b\x1b\x7f\x85\u2028\u202e\ufffe\uffff<&\"'{}\\$[]|\n\t ,;é顧🎁\u200d"


def arbitrary_texts(size: int) -> st.SearchStrategy[list[str]]:
    """So many different texts; many hold what native code or a page might take amiss."""
    text = st.text(max_size=12) | st.text(alphabet=HOSTILE, max_size=12) | st.text(min_size=200, max_size=300)
    return st.lists(text, min_size=size, max_size=size, unique=True)


def with_texts(rows: pl.DataFrame, texts: Sequence[str], *, keep: Sequence[str] = ("kept",)) -> pl.DataFrame:
    """The rows with other texts: equal ones stay equal, different ones different; those to `keep` stay.

    Codes and facts stay too: none of them comes from outside.
    """
    columns = []
    for name, type_ in rows.schema.items():
        if type_ == pl.String and not name.endswith(("_code", "facts")):
            values = [value for value in rows[name].unique(maintain_order=True) if value not in (None, *keep)]
            numbered = (f"{text}{round_ or ''}" for round_, text in _rounds(texts))
            columns.append(pl.col(name).replace(dict(zip(values, numbered, strict=False))))
    return rows.with_columns(columns)


def _rounds(texts: Sequence[str]) -> zip[tuple[int, str]]:
    """The texts over and over, with the number of the round."""
    return zip((n // len(texts) for n in cycle(range(10_000))), cycle(texts), strict=False)
