"""The table of outlooks against what came: its errors, and where nothing can be compared."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from benchmarks.generated_blocks import replace_block
from benchmarks.outlook import DOCUMENT, SHOPS, Seen, block, off
from clv_pipeline.evaluation.outlook import BACKTEST_SCHEMA
from clv_pipeline.simulation.seeded import SEEDED_SHOPS

MONTH: dict[str, Any] = {
    "cutoff": date(2024, 6, 30),
    "month": date(2024, 7, 1),
    "lead_months": 1,
    "days": 31,
    "target": "total_revenue",
    "method": "hybrid",
    "expected": 110.0,
    "lower": 80.0,
    "upper": 150.0,
    "interval_level": 0.8,
    "came": 100.0,
    "error": 0.1,
    "is_inside": True,
    "seasonal_naive": None,
    "seasonal_naive_error": None,
}


def seen(*rows: dict[str, Any]) -> Seen:
    parts = [row | {"target": target} for row in rows for target in ("known_revenue", "new_customers")]
    return Seen("shop", pl.DataFrame([*rows, *parts], schema=BACKTEST_SCHEMA))


def test_errors_are_sums_of_sizes_over_what_came() -> None:
    rows = seen(MONTH, MONTH | {"expected": 80.0, "came": 100.0}).backtest
    assert off(rows) == pytest.approx(0.15)
    assert off(rows.with_columns(came=0.0)) is None


def test_a_shop_has_a_row_for_the_months_near_and_far_and_none_where_none_was_over() -> None:
    far = MONTH | {"lead_months": 5, "expected": 150.0, "is_inside": False, "seasonal_naive": 90.0}
    lines = block([seen(MONTH, MONTH | {"lead_months": 0}, far), seen(MONTH | {"lead_months": 0})]).splitlines()
    assert lines[2:] == [
        "| shop | 1 to 3 | 1 | 1 | 10 % | 10 % | 10 % | – | – | 1 of 1 |",
        "| shop | 4 to 12 | 1 | 1 | 50 % | 50 % | 50 % | 50 % | 10 % | 0 of 1 |",
    ]


def test_the_document_has_the_block_and_the_shops_are_known() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert "new table" in replace_block(text, "outlook", "new table")
    assert {name for name in SHOPS if name.startswith(("plain", "seasonal"))} <= SEEDED_SHOPS.keys()
