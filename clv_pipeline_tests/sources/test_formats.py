"""Everything that is not plain CSV: Parquet, JSON lines, workbooks, archives, databases. One shop, the same rows."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import time
import zipfile
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.helpers.shop_files import (
    AMOUNT_COLUMNS,
    PRICE_COLUMNS,
    ExcelDate,
    load,
    write,
    write_xlsx,
)

EXPECTED = [
    ("7", datetime(2010, 5, 1, 8, 26), Decimal("2.5")),
    ("8", datetime(2010, 5, 2), Decimal("-3")),
]
CSV = "customer,date,amount\n7,2010-05-01 08:26:00,2.5\n8,2010-05-02,-3\n"


def rows_of(loaded_rows: list[dict[str, object]]) -> list[tuple[object, ...]]:
    return [(row["customer_id"], row["ordered_at"], row["amount"]) for row in loaded_rows]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "date": [datetime(2010, 5, 1, 8, 26), datetime(2010, 5, 2)],
            "amount": [2.5, -3.0],
            "customer": [7.0, 8.0],
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    loaded = load(tmp_path, path="a.parquet")
    assert rows_of(loaded.rows) == EXPECTED
    assert loaded.column("source_line") == [1, 2]


def test_parquet_numbers_that_are_not_finite_and_dates_as_numbers(tmp_path: Path) -> None:
    amounts = [float("inf"), float("nan"), 1e30, None, 1.5]
    frame = pl.DataFrame({"date": [20100501] * 5, "amount": amounts, "customer": [1, None, 3, 4, 5]})
    frame.write_parquet(tmp_path / "a.parquet")
    loaded = load(tmp_path, path="a.parquet")
    assert loaded.column("amount") == [None, None, None, None, Decimal("1.5")]
    assert loaded.column("ordered_at") == [datetime(2010, 5, 1)] * 5
    assert loaded.column("customer_id") == ["1", None, "3", "4", "5"]
    assert [text is None for text in loaded.column("source_text")] == [False] * 4 + [True]


def test_parquet_dates_and_zoned_times(tmp_path: Path) -> None:
    zoned = pl.Series([datetime(2010, 5, 1, 22, 0)]).dt.replace_time_zone("America/New_York")
    pl.DataFrame({"date": zoned, "amount": [1], "customer": ["a"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"date": [date(2010, 5, 1)], "amount": [1], "customer": ["b"]}).write_parquet(tmp_path / "b.parquet")
    assert load(tmp_path, path="*.parquet").column("ordered_at") == [
        datetime(2010, 5, 2, 2),
        datetime(2010, 5, 1),
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "jsonl.gz"])
def test_json_lines(tmp_path: Path, suffix: str) -> None:
    lines = [
        {"customer": 7, "date": "2010-05-01T08:26:00", "amount": 2.5},
        {"amount": "-3", "customer": "8", "date": "2010-05-02", "more": {"a": 1}},
    ]
    text = "\n\n".join(json.dumps(line) for line in lines).encode()
    (tmp_path / f"a.{suffix}").write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    loaded = load(tmp_path, path="a.*")
    assert rows_of(loaded.rows) == EXPECTED
    assert loaded.column("source_line") == [1, 2]


def test_json_lines_that_are_no_objects_become_rows_with_their_text(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.jsonl",
        '{"customer":1,"date":"2010-05-01","amount":1}\n{"customer":\n[1]\n{"customer":2}\n',
    )
    loaded = load(tmp_path, path="a.jsonl")
    assert loaded.column("source_text")[:3] == [None, 'unreadable line: {"customer":', "unreadable line: [1]"]
    assert loaded.column("source_line") == [1, 2, 3, 4]
    assert (loaded.files[0].rows, loaded.files[0].unreadable_rows) == (4, 2)


def test_json_keys_may_hold_any_character(tmp_path: Path) -> None:
    columns = {"customer_id": 'a/b~c."d"', "ordered_at": "$.date", "amount": "Ämount", "o": "a b"}
    line = {'a/b~c."d"': "x", "$.date": "2010-05-01", "Ämount": 2, "a b": "y"}
    write(tmp_path, "a.jsonl", json.dumps(line) + "\n")
    row = load(tmp_path, columns, path="a.jsonl").rows[0]
    assert (row["customer_id"], row["amount"], row["attributes"]) == ("x", Decimal(2), '{"o":"y"}')


def test_all_sheets_of_a_workbook_are_read_as_excel_typed_them(tmp_path: Path) -> None:
    header = ["order", "customer", "date", "product", "quantity", "price", "country"]
    write_xlsx(
        tmp_path / "book.xlsx",
        {
            "Year 2009": [header, ["C489434", 13085, ExcelDate(40148.32291666667), 85048, 12, 6.95, "UK"]],
            "Year 2010": [
                header,
                [489435, None, ExcelDate(40149), "79323P", 1, 2, "UK"],
                [489436, 13086, ExcelDate(40150), 22041, -1, 2.1, "UK"],
            ],
            "empty": [],
        },
    )
    loaded = load(tmp_path, PRICE_COLUMNS, path="book.xlsx")
    assert loaded.column("source_file") == [
        "book.xlsx#Year 2009",
        "book.xlsx#Year 2010",
        "book.xlsx#Year 2010",
    ]
    assert loaded.column("ordered_at") == [
        datetime(2009, 12, 1, 7, 45),
        datetime(2009, 12, 2),
        datetime(2009, 12, 3),
    ]
    assert loaded.column("customer_id") == ["13085", None, "13086"]
    assert loaded.column("order_id") == ["C489434", "489435", "489436"]
    assert loaded.column("product_id") == ["85048", "79323P", "22041"]
    assert loaded.column("amount") == [Decimal("83.4"), Decimal(2), Decimal("-2.1")]
    assert loaded.column("source_line") == [2, 2, 3]
    only = load(tmp_path, PRICE_COLUMNS, path="book.xlsx", format={"sheets": ["Year 2009"]})
    assert len(only.rows) == 1


def test_a_sheet_that_does_not_exist_is_named(tmp_path: Path) -> None:
    write_xlsx(tmp_path / "book.xlsx", {"Year 2009": [["customer", "date", "amount"], [1, "2010-05-01", 1]]})
    with pytest.raises(SourceError, match=r"book.xlsx: has no sheet 'Year 2019' .*; did you mean 'Year 2009'\?"):
        load(tmp_path, path="book.xlsx", format={"sheets": ["Year 2019"]})


def test_the_members_of_a_zip_are_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2010/may.csv", CSV)
        archive.writestr("2010/june.csv", CSV.replace(",", ";").encode("utf-16"))
        archive.writestr("__MACOSX/2010/._may.csv", b"\x00")
        archive.writestr("read me.pdf", b"%PDF")
    loaded = load(tmp_path, path="a.zip")
    assert rows_of(loaded.rows) == EXPECTED * 2
    assert [file.source_file for file in loaded.files] == ["a.zip#2010/may.csv", "a.zip#2010/june.csv"]


@pytest.mark.parametrize("name", ["../evil.csv", "/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:/evil.csv"])
def test_a_zip_member_that_leads_out_of_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, CSV)
    with pytest.raises(SourceError, match="leads out of the archive"):
        load(tmp_path, path="a.zip")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"customer,date,amount\n" + b"0" * 110_000_000)
    with pytest.raises(SourceError, match=r"a.zip: unpacks \d+-fold"):
        load(tmp_path, path="a.zip")


def shop_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (customer, date TEXT, amount NUMERIC)")
        database.executemany(
            "INSERT INTO orders VALUES (?, ?, ?)", [(7, "2010-05-01 08:26:00", 2.5), ("8", "2010-05-02", -3)]
        )
    database.close()


def test_a_query_against_sqlite(tmp_path: Path) -> None:
    shop_database(tmp_path / "shop.db")
    query = "SELECT * FROM orders WHERE date LIKE '2010%' AND date <> ':x' ORDER BY date"
    loaded = load(tmp_path, url="sqlite:///shop.db", query=query)
    assert rows_of(loaded.rows) == EXPECTED
    assert loaded.column("source_file") == ["sqlite:///shop.db#query"] * 2
    assert (loaded.files[0].sha256, loaded.files[0].format) == (None, "query on sqlite")


def test_a_query_is_streamed_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.sources.databases.BATCH_ROWS", 10)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE orders (customer, date, amount)")
        # The third chunk changes its type, as sqlite allows.
        rows = [(n if n < 25 else f"C{n}", "2010-05-01", None if n < 10 else n / 2) for n in range(35)]
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    database.close()
    loaded = load(tmp_path, url="sqlite:///shop.db", query="SELECT * FROM orders")
    assert loaded.column("customer_id") == [str(n) if n < 25 else f"C{n}" for n in range(35)]
    assert loaded.column("amount") == [None if n < 10 else Decimal(n) / 2 for n in range(35)]


def test_a_query_against_a_duckdb_file_leaves_it_as_it_was(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
        con.execute(f"CREATE TABLE orders AS SELECT * FROM read_csv('{write(tmp_path, 'a.csv', CSV)}')")
    before = (tmp_path / "shop.duckdb").read_bytes()
    assert rows_of(load(tmp_path, path="duckdb:///shop.duckdb", query="FROM orders").rows) == EXPECTED
    with pytest.raises(SourceError, match="sources are only read, and it begins with CREATE"):
        load(tmp_path, url="duckdb:///shop.duckdb", query="CREATE TABLE evil AS SELECT 1 AS customer")
    assert (tmp_path / "shop.duckdb").read_bytes() == before


def test_no_password_appears_in_labels_or_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "s3cr%40t?x")
    for url in (
        "nosuchdriver://me:${SHOP_PASSWORD}@host/db?password=${SHOP_PASSWORD}",
        "postgresql://me:${SHOP_PASSWORD}@localhost:1/db",
        "sqlite://me:${SHOP_PASSWORD}@host/none.db",
    ):
        with pytest.raises(SourceError) as caught:
            load(tmp_path, url=url, query="SELECT 1")
        assert "s3cr" not in str(caught.value)
        assert any(part in str(caught.value) for part in ("#query: ", "no such file", "is not installed"))
        assert caught.value.__cause__ is None


def test_a_query_that_fails_says_why(tmp_path: Path) -> None:
    shop_database(tmp_path / "shop.db")
    with pytest.raises(SourceError, match="no such table: sales"):
        load(tmp_path, url="sqlite:///shop.db", query="SELECT * FROM sales")
    with pytest.raises(SourceError, match=r"sqlite:///nothing.db: there is no such file"):
        load(tmp_path, url="sqlite:///nothing.db", query="SELECT 1")
    assert not (tmp_path / "nothing.db").exists()


def test_files_of_several_kinds_make_one_table(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", CSV)
    pl.read_csv(tmp_path / "a.csv").write_parquet(tmp_path / "b.parquet")
    pl.read_csv(tmp_path / "a.csv").write_ndjson(tmp_path / "c.jsonl")
    loaded = load(tmp_path, AMOUNT_COLUMNS, path=["a.csv", "b.parquet", "*.jsonl", "*.csv"])
    assert rows_of(loaded.rows) == EXPECTED * 3
    assert [file.format for file in loaded.files] == [
        "CSV, delimiter ',', utf-8",
        "Parquet",
        "JSON lines, utf-8",
    ]


def json_lines(folder: Path, *objects: Mapping[str, object], name: str = "a.jsonl") -> None:
    write(folder, name, "".join(json.dumps(record) + "\n" for record in objects))


WHOLE = {"customer": "ann", "date": "2024-05-01", "amount": 2.5}
MAPPED = {**AMOUNT_COLUMNS, "country": "country", "channel": "a.b/c~d"}


def test_an_optional_key_that_no_line_of_a_file_has_is_empty(tmp_path: Path) -> None:
    json_lines(tmp_path, WHOLE, WHOLE)
    loaded = load(tmp_path, MAPPED, path="a.jsonl")
    assert loaded.column("country") == [None, None]
    assert loaded.column("attributes") == ['{"channel":null}'] * 2


def test_a_key_that_first_comes_after_the_lines_that_are_looked_at_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clv_pipeline.sources.json_lines._SAMPLE_LINES", 10)
    early, late = {"customer": "ann", "date": "2024-05-01"}, {**WHOLE, "country": "DE", "a.b/c~d": "web"}
    json_lines(tmp_path, *[early] * 20, late)
    loaded = load(tmp_path, MAPPED, path="a.jsonl")
    assert loaded.column("amount") == [None] * 20 + [Decimal("2.5")]
    assert loaded.column("country") == [None] * 20 + ["DE"]
    assert loaded.column("attributes")[-1] == '{"channel":"web"}'


@pytest.mark.parametrize("missing", ["customer", "date", "amount"])
def test_a_required_key_that_a_file_lacks_is_named_with_the_file(tmp_path: Path, missing: str) -> None:
    json_lines(tmp_path, WHOLE, name="a.jsonl")
    json_lines(tmp_path, {key: value for key, value in WHOLE.items() if key != missing}, name="b.jsonl")
    with pytest.raises(SourceError, match=rf"b\.jsonl: the column '{missing}' \(mapped to \w+\) is missing"):
        load(tmp_path, MAPPED, path="*.jsonl")


@pytest.mark.parametrize("columns", [12_000, 60_000])
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
def test_a_file_of_tens_of_thousands_of_columns_is_refused_before_it_costs_minutes(
    tmp_path: Path, kind: str, columns: int
) -> None:
    record = dict.fromkeys([*AMOUNT_COLUMNS.values(), *(f"{n:x}" for n in range(columns))], "1")
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        json_lines(tmp_path, record)
    elif kind == "parquet":
        pl.DataFrame(record).write_parquet(path)
    else:
        text = f"{','.join(record)}\n{','.join(record.values())}\n".encode()
        path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    began = time.process_time()
    told = rf"a\.{kind}: (has [\d,]+ columns|its first line is longer than 64 KB).*; export"
    with pytest.raises(SourceError, match=told):
        load(tmp_path, path=path.name)
    assert time.process_time() - began < 10


def test_a_file_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "ok.csv").write_text("customer,date,amount\nann,2024-05-01,1\n")
    odd = os.fsencode(tmp_path) + b"/caf\xe9.csv"
    Path(os.fsdecode(odd)).write_text("customer,date,amount\nann,2024-05-01,1\n")
    with pytest.raises(SourceError, match=r"caf\\udce9\.csv: its name is not UTF-8; rename it") as told:
        load(tmp_path, path="*.csv")
    assert str(told.value).isprintable()
