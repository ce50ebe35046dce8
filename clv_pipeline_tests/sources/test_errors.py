"""What is wrong with a source is said before anything is loaded: file, cause, and what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import list_files, load_records
from clv_pipeline_tests.helpers.shop_files import load, transactions, write

GOOD = "customer,date,amount\n1,2010-05-01,1\n"


def error_of(tmp_path: Path, **source: object) -> str:
    with pytest.raises(SourceError) as caught:
        load(tmp_path, **source)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_missing_column_is_named_with_the_nearest_and_the_ones_found(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", GOOD)
    write(tmp_path, "b.csv", GOOD.replace("amount", "Amount ").replace("customer", "client"))
    error = error_of(tmp_path, path="*.csv")
    assert "b.csv: the column 'customer' (mapped to customer_id) is missing" in error
    assert "the column 'amount' (mapped to amount) is missing" in error
    assert "columns found: 'client', 'date', 'Amount'; did you mean 'Amount'?" in error
    assert "a.csv" not in error


def test_all_headers_are_read_before_the_table_is_touched(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", GOOD)
    write(tmp_path, "z.csv", "nothing,of,this\n1,2,3\n")
    with duckdb.connect() as con:
        con.execute("CREATE TABLE raw AS SELECT 42 AS yesterday")
        with pytest.raises(SourceError):
            load_records(con, "raw", transactions(path="*.csv"), tmp_path, tmp_path / "work")
        assert con.execute("FROM raw").fetchall() == [(42,)]
    assert list((tmp_path / "work").iterdir()) == []


def test_what_is_wrong_is_told_also_within_a_transaction_that_the_error_ends(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", GOOD)
    source = transactions(path="*.csv", format={"date_formats": ["%Q"]})
    with duckdb.connect() as con:
        con.execute("BEGIN TRANSACTION")
        with pytest.raises(SourceError, match=r"a\.csv: cannot be read.*%Q.*date_formats"):
            load_records(con, "raw", source, tmp_path, tmp_path / "work")
        con.execute("ROLLBACK")
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("path", ["none.csv", "*.csv", "lifetimes:NONE.txt", "lifetimes:../__init__.py"])
def test_a_path_that_matches_nothing_is_named(tmp_path: Path, path: str) -> None:
    assert error_of(tmp_path, path=path).startswith(f"{path}: ")


def test_a_folder_without_readable_files_is_no_source(tmp_path: Path) -> None:
    write(tmp_path, "orders/_SUCCESS", "")
    told = "orders: is a folder without any file of a kind that is read (it holds orders/_SUCCESS); name another folder"
    assert error_of(tmp_path, path="orders") == told


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: str) -> None:
    write(tmp_path, "a.csv", content)
    assert "a.csv: is empty" in error_of(tmp_path, path="a.csv")


def test_a_header_alone_is_allowed_unless_no_file_has_more(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "customer,date,amount")
    assert "a.csv: holds no record below its header" in error_of(tmp_path, path="*.csv")
    write(tmp_path, "b.csv", GOOD)
    assert [file.rows for file in load(tmp_path, path="*.csv").files] == [0, 1]


def test_a_header_that_holds_a_mapped_name_twice_is_an_error_but_other_names_may_repeat(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a.csv", "customer,date,amount,x,x\n1,2010-05-01,1,2,3\n")
    assert len(load(tmp_path, path="a.csv").rows) == 1
    write(tmp_path, "a.csv", "customer,date,amount,amount\n1,2010-05-01,1,2\n")
    assert "the header holds 'amount' (mapped to amount) twice" in error_of(tmp_path, path="a.csv")


def test_a_truncated_or_damaged_gzip_is_named(tmp_path: Path) -> None:
    packed = gzip.compress((GOOD + "1,2010-05-01,1\n" * 10_000).encode())
    for damaged in (packed[:-30], packed[:40] + b"damage" + packed[46:], b"no gzip at all"):
        (tmp_path / "a.csv.gz").write_bytes(damaged)
        assert "a.csv.gz: is truncated or damaged" in error_of(tmp_path, path="a.csv.gz")


@pytest.mark.parametrize("name", ["a.parquet", "a.xlsx", "a.zip"])
def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, GOOD)
    assert error_of(tmp_path, path=name).startswith(f"{name}: ")


def test_an_unknown_kind_of_file_is_named_with_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, "a.xls", GOOD)
    assert "a.xls: this kind of file is not read; known are .csv" in error_of(tmp_path, path="a.xls")


def test_bytes_that_are_not_in_the_encoding_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD.encode() + b"\x81,2010-05-01,1\n")
    stated = {"encoding": "windows-1252"}
    assert "a.csv: is not valid charmap (byte 0x81)" in error_of(tmp_path, path="a.csv", format=stated)


def test_the_same_file_is_read_once_even_if_two_patterns_match_it(tmp_path: Path) -> None:
    write(tmp_path, "orders/a.csv", GOOD)
    write(tmp_path, "orders/b.csv", GOOD)
    files = list_files(transactions(path=["orders/*.csv", "orders/../orders/a.csv"]), tmp_path)
    assert [file.label for file in files] == ["orders/a.csv", "orders/b.csv"]


def test_absolute_paths_and_globs_work(tmp_path: Path) -> None:
    write(tmp_path, "orders/a.csv", GOOD)
    for path in (tmp_path / "orders" / "a.csv", tmp_path / "orders" / "*.csv", tmp_path / "**" / "*.csv"):
        (file,) = list_files(transactions(path=str(path)), Path("/"))
        assert file.label == str(tmp_path / "orders" / "a.csv")
