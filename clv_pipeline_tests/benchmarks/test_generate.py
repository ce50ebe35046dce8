"""The generated files: reproducible, and read alike by everything that is measured on them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from benchmarks import bare_tables, floor, generate, pandas_lifetimes, polars_rfm
from clv_pipeline.simulation import raw_lines

ROWS = 20_000


def test_the_same_seed_and_size_give_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first.csv", "again.csv", "other.csv"))
    generate.write(first, ROWS, seed=7)
    generate.write(again, ROWS, seed=7)
    generate.write(other, ROWS, seed=8)

    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_parts_are_as_one_file_would_be_with_customers_of_their_own(tmp_path: Path) -> None:
    generate.write_parts(tmp_path / "parts", ROWS, 8_000)

    parts = [pl.read_csv(path, infer_schema=False) for path in sorted((tmp_path / "parts").iterdir())]
    assert [part.height for part in parts] == [8_000, 8_000, 4_000]
    customers = [set(part["customer_id"].drop_nulls()) for part in parts]
    assert sum(map(len, customers)) == len(set.union(*customers))


def test_pandas_polars_bare_tables_and_the_bare_query_agree_on_every_customer(tmp_path: Path) -> None:
    csv = tmp_path / "transactions.csv"
    # Without the copies, which only pandas removes.
    raw_lines.generate(ROWS).unique(maintain_order=True).write_csv(csv, float_precision=2)

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
