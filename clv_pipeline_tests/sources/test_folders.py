"""Folders as a source, and what their names say: hive partitions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import Load, LoadedFile, load_changes
from clv_pipeline.sources.catalog import find_files
from clv_pipeline_tests.helpers.shop_files import load, transactions, write

BY_DAY = {"customer_id": "customer", "ordered_at": "dt", "amount": "amount"}
LINES = "customer,amount\n1,5\n2,7.5\n"


def changes(con: duckdb.DuckDBPyConnection, folder: Path, known: Sequence[LoadedFile] = ()) -> Load:
    """A load of the folder `orders`, whose days are in its names."""
    source = transactions(BY_DAY, path="orders")
    return load_changes(con, "new", source, folder, folder / "work", live="live", known=known)


def test_a_folder_is_read_with_its_subfolders_and_what_is_left_out_is_named(tmp_path: Path) -> None:
    write(tmp_path, "orders/2024/a.csv", "customer,date,amount\n1,2024-01-01,5\n")
    (tmp_path / "orders/2024/deep").mkdir()
    pl.DataFrame({"customer": [2], "date": ["2024-01-02"], "amount": [7.5]}).write_parquet(
        tmp_path / "orders/2024/deep/b.parquet"
    )
    for name in ("_SUCCESS", "readme.md", "2024/.a.csv.crc", "2024/_old.csv"):
        write(tmp_path, f"orders/{name}", "no orders")
    loaded = load(tmp_path, path="orders/")
    assert loaded.column("source_file") == ["orders/2024/a.csv", "orders/2024/deep/b.parquet"]
    found = find_files(transactions(path="orders"), tmp_path)
    assert found.left_out == [
        f"orders/{name}" for name in ("2024/.a.csv.crc", "2024/_old.csv", "_SUCCESS", "readme.md")
    ]


@pytest.mark.parametrize(
    ("inside", "kind"), [("_delta_log/00000000000000000000.json", "delta"), ("metadata/v1.metadata.json", "iceberg")]
)
def test_a_folder_that_is_a_table_is_not_read_file_by_file(tmp_path: Path, inside: str, kind: str) -> None:
    write(tmp_path, "orders/data.csv", "customer,date,amount\n1,2024-01-01,5\n")
    write(tmp_path, f"orders/{inside}", "{}")
    with pytest.raises(
        SourceError, match=rf"orders: holds a table of format {kind}, of which .*table: \{{format: {kind}"
    ):
        load(tmp_path, path="orders")


@pytest.mark.parametrize(
    ("data", "inside", "kind"),
    [
        ("data.csv", "_delta_log/00000000000000000000.json", "delta"),
        ("country=DE/dt=1/data.csv", "_delta_log/00000000000000000000.json", "delta"),
        ("data/data.csv", "metadata/v1.metadata.json", "iceberg"),
        ("data/dt=1/data.csv", "metadata/v1.metadata.json", "iceberg"),
    ],
)
def test_a_glob_into_a_table_is_refused_as_the_table_is(tmp_path: Path, data: str, inside: str, kind: str) -> None:
    write(tmp_path, f"lake/orders/{data}", "customer,date,amount\n1,2024-01-01,5\n")
    assert len(load(tmp_path, path="lake/**/*.csv").rows) == 1
    write(tmp_path, f"lake/orders/{inside}", "{}")
    for pattern in ("lake/orders/**/*.csv", "lake/**/*.csv", "lake/*rs/**/*.csv"):
        with pytest.raises(SourceError, match=rf"holds a table of format {kind}, of which not every file counts"):
            load(tmp_path, path=pattern)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_partition_columns_are_mapped_like_any_other(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"customer": [1, 2], "amount": [5.0, 7.5]})
    for day in ("2024-01-03", "2024-01-04"):
        folder = tmp_path / f"orders/country=C%C3%B4te d'Ivoire/dt={day}"
        folder.mkdir(parents=True)
        if kind == "parquet":
            frame.write_parquet(folder / "part-0.parquet")
        elif kind == "jsonl":
            frame.write_ndjson(folder / "part-0.jsonl")
        else:
            frame.write_csv(folder / f"part-0.{kind}", compression="gzip" if kind.endswith("gz") else "uncompressed")
    loaded = load(tmp_path, {**BY_DAY, "country": "country"}, path=f"orders/*/dt=*/*.{kind}")
    assert loaded.column("ordered_at") == [datetime(2024, 1, day) for day in (3, 3, 4, 4)]
    assert set(loaded.column("country")) == {"Côte d'Ivoire"}
    assert sum(loaded.column("amount")) == 25


def test_numbers_and_missing_values_of_partitions_are_read_too(tmp_path: Path) -> None:
    write(tmp_path, "o/customer=7/amount=2.5/a.csv", "date,x\n2024-01-01,1\n")
    write(tmp_path, "o/customer=__HIVE_DEFAULT_PARTITION__/amount=1/a.csv", "date,x\n2024-01-02,1\n")
    loaded = load(tmp_path, path="o")
    assert sorted(zip(loaded.column("customer_id"), loaded.column("amount"), strict=True), key=str) == [
        ("7", 2.5),
        (None, 1),
    ]


def test_a_column_of_the_file_wins_over_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "o/amount=99/a.csv", "customer,date,amount\n1,2024-01-01,5\n")
    write(tmp_path, "o/amount=98/b.jsonl", '{"customer": 2, "date": "2024-01-02", "amount": 6}\n')
    assert load(tmp_path, path="o").column("amount") == [6, 5]


def test_keys_that_lines_may_leave_out_are_taken_from_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "o/country=CH/b.jsonl", '{"customer": 2, "date": "2024-01-02", "amount": 6}\n')
    columns = {"customer_id": "customer", "ordered_at": "date", "amount": "amount", "country": "country"}
    assert load(tmp_path, columns, path="o").column("country") == ["CH"]


def test_a_missing_column_is_told_with_those_of_the_folders(tmp_path: Path) -> None:
    write(tmp_path, "orders/dt=2024-01-03/a.csv", "client,amount\n1,5\n")
    with pytest.raises(SourceError, match=r"the column 'customer' .*columns found: 'client', 'amount', 'dt'"):
        load(tmp_path, BY_DAY, path="orders")


def test_a_value_over_several_lines_is_counted_in_a_partition(tmp_path: Path) -> None:
    write(tmp_path, "orders/dt=2024-01-03/a.csv", 'customer,amount,note\n1,5,"a\nb"\n2,7.5,c\n')
    (file,) = load(tmp_path, BY_DAY, path="orders").files
    assert (file.rows, file.lines, file.joined_lines) == (2, 3, 1)


def test_the_same_bytes_on_two_days_are_two_sets_of_records_and_nothing_is_read_twice(tmp_path: Path) -> None:
    for day in ("03", "04"):
        write(tmp_path, f"orders/dt=2024-01-{day}/part-0.csv", LINES)
    with duckdb.connect() as con:
        first = changes(con, tmp_path)
        assert [file.rows for file in first.files] == [2, 2]
        con.execute("alter table new rename to live")
        assert changes(con, tmp_path, first.files).read == []
        write(tmp_path, "orders/dt=2024-01-05/part-0.csv", LINES)
        assert changes(con, tmp_path, first.files).read == ["orders/dt=2024-01-05/part-0.csv"]


def test_without_a_mapped_partition_the_same_bytes_count_once_as_ever(tmp_path: Path) -> None:
    for day in ("03", "04"):
        write(tmp_path, f"orders/dt=2024-01-{day}/part-0.csv", "customer,date,amount\n1,2024-01-01,5\n")
    (file,) = load(tmp_path, path="orders").files
    assert file.copies == "orders/dt=2024-01-04/part-0.csv"
