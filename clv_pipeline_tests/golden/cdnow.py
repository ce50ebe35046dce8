"""The CDNOW 1/10 sample as the published results use it: calibration 39 weeks, holdout 39 weeks."""

from __future__ import annotations

from datetime import date
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

CUTOFF = date(1997, 9, 30)
HOLDOUT_DAYS = 39 * 7


def sample() -> PurchaseDays:
    """The purchase days of the sample."""
    spec = find_spec("lifetimes")
    assert spec is not None
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "datasets" / "CDNOW_sample.txt").read_text()
    return PurchaseDays.of(
        pl.DataFrame({"line": text.splitlines()}).select(
            pl.col("line").str.strip_chars().str.split_exact(" ", 0).struct[0].alias("customer_id"),
            pl.col("line").str.extract(r"\s(\d{8})\s").str.to_date("%Y%m%d").alias("day"),
            pl.col("line").str.extract(r"([\d.]+)\s*$").cast(pl.Float64).alias("spend"),
        )
    )
