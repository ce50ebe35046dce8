"""The generated lines are dirty exactly as stated, and shaped like a shop."""

from __future__ import annotations

import polars as pl
import pytest

from clv_pipeline.simulation import raw_lines

ROWS = 20_000


@pytest.fixture(scope="module")
def lines() -> pl.DataFrame:
    return raw_lines.generate(ROWS)


def test_every_kind_of_dirt_has_its_stated_share_and_no_row_has_two(lines: pl.DataFrame) -> None:
    dirt = lines.select(
        missing_customer=pl.col("customer_id").is_null(),
        negative_quantity=(pl.col("quantity") <= 0) & ~pl.col("order_id").str.starts_with("C"),
        zero_price=pl.col("unit_price") <= 0,
        cancelled=pl.col("order_id").str.starts_with("C"),
    )

    assert lines.height == ROWS
    assert dirt.sum().row(0, named=True) == {
        "missing_customer": ROWS * raw_lines.MISSING_CUSTOMER,
        "negative_quantity": ROWS * raw_lines.NEGATIVE_QUANTITY,
        "zero_price": ROWS * raw_lines.ZERO_PRICE,
        "cancelled": ROWS * raw_lines.CANCELLED,
    }
    assert dirt.select(pl.sum_horizontal(pl.all()).max()).item() == 1
    assert lines.height - lines.unique().height == ROWS * raw_lines.DUPLICATE


def test_the_lines_look_like_a_shop(lines: pl.DataFrame) -> None:
    orders = lines.drop_nulls().filter(~pl.col("order_id").str.starts_with("C")).unique("order_id")
    per_customer = orders.group_by("customer_id").len()["len"]

    assert lines["ordered_at"].is_sorted()
    assert 4 < lines.height / orders.height < 8
    assert 0.15 < (per_customer == 1).mean() < 0.5  # type: ignore[operator]
    assert per_customer.max() > 20  # type: ignore[operator]


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="999 rows are too few"):
        raw_lines.generate(999)
