"""A table of numbers and their doubles: its contract, and the function over frames that makes it."""

from __future__ import annotations

import polars as pl

from clv_pipeline.contracts import Contract


def doubled(table: str = "things") -> Contract:
    """The contract."""
    return Contract.model_validate(
        {
            "table": table,
            "layer": "layer",
            "description": "Numbers and their doubles.",
            "grain": "one row per number",
            "key": ["n"],
            "columns": [
                {"name": "n", "type": "INTEGER", "unit": "count", "description": "A number."},
                {"name": "twice", "type": "DOUBLE", "unit": "count", "description": "Its double."},
            ],
            "expectations": [
                {
                    "name": "n_unique",
                    "type": "expect_column_values_to_be_unique",
                    "kwargs": {"column": "n"},
                    "description": "Once.",
                }
            ],
        }
    )


def double(frame: pl.DataFrame) -> pl.DataFrame:
    """The function."""
    return frame.select(twice=pl.col("n") * 2.0, n="n")
