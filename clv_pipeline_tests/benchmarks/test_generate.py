"""The generated transactions: reproducible, dirty exactly as stated, and shaped like a shop."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks import bare_tables, floor, generate, pandas_lifetimes, polars_rfm

ROWS = 20_000


@pytest.fixture(scope="module")
def lines() -> pl.DataFrame:
    return generate.generate(ROWS)


def test_the_same_seed_and_size_give_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first.csv", "again.csv", "other.csv"))
    generate.write(first, ROWS, seed=7)
    generate.write(again, ROWS, seed=7)
    generate.write(other, ROWS, seed=8)

    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_every_kind_of_dirt_has_its_stated_share_and_no_row_has_two(lines: pl.DataFrame) -> None:
    dirt = lines.select(
        missing_customer=pl.col("customer_id").is_null(),
        negative_quantity=(pl.col("quantity") <= 0) & ~pl.col("order_id").str.starts_with("C"),
        zero_price=pl.col("unit_price") <= 0,
        cancelled=pl.col("order_id").str.starts_with("C"),
    )

    assert lines.height == ROWS
    assert dirt.sum().row(0, named=True) == {
        "missing_customer": ROWS * generate.MISSING_CUSTOMER,
        "negative_quantity": ROWS * generate.NEGATIVE_QUANTITY,
        "zero_price": ROWS * generate.ZERO_PRICE,
        "cancelled": ROWS * generate.CANCELLED,
    }
    assert dirt.select(pl.sum_horizontal(pl.all()).max()).item() == 1
    assert lines.height - lines.unique().height == ROWS * generate.DUPLICATE


def test_the_lines_look_like_a_shop(lines: pl.DataFrame) -> None:
    orders = lines.drop_nulls().filter(~pl.col("order_id").str.starts_with("C")).unique("order_id")
    per_customer = orders.group_by("customer_id").len()["len"]

    assert lines["ordered_at"].is_sorted()
    assert 4 < lines.height / orders.height < 8
    assert 0.15 < (per_customer == 1).mean() < 0.5  # type: ignore[operator]
    assert per_customer.max() > 20  # type: ignore[operator]


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="999 rows are too few"):
        generate.generate(999)


def test_parts_are_as_one_file_would_be_with_customers_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "PART_ROWS", 8_000)
    generate.write_parts(tmp_path / "parts", ROWS)

    parts = [pl.read_csv(path, infer_schema=False) for path in sorted((tmp_path / "parts").iterdir())]
    assert [part.height for part in parts] == [8_000, 8_000, 4_000]
    customers = [set(part["customer_id"].drop_nulls()) for part in parts]
    assert sum(map(len, customers)) == len(set.union(*customers))


def test_pandas_polars_bare_tables_and_the_bare_query_agree_on_every_customer(tmp_path: Path) -> None:
    csv = tmp_path / "transactions.csv"
    # Without the copies, which only pandas removes.
    generate.generate(ROWS).unique(maintain_order=True).write_csv(csv, float_precision=2)

    pandas_report, summary = pandas_lifetimes.run(csv)
    polars_report, by_polars = polars_rfm.run(csv)
    floor_report, table = floor.run(csv)
    tables_report, by_tables = bare_tables.run(csv, tmp_path)

    by_pandas = pl.DataFrame(
        {column: summary[column].to_numpy() for column in ("frequency", "recency", "revenue")}
        | {"customer_id": summary.index.to_numpy()}
    ).sort("customer_id")
    by_query = pl.DataFrame(table).sort("customer_id")
    assert by_pandas["customer_id"].to_list() == by_query["customer_id"].to_list()
    for column in ("frequency", "recency", "revenue"):
        assert by_query[column].cast(pl.Float64).to_list() == pytest.approx(by_pandas[column].to_list())
    for others in (by_polars, by_tables):
        assert others.sort("customer_id").cast(pl.Float64).rows() == by_query.cast(pl.Float64).rows()
    reports = (pandas_report, polars_report, floor_report, tables_report)
    assert {report["customers"] for report in reports} == {by_query.height}
    assert pandas_report["peak_rss_mb"] > 0
