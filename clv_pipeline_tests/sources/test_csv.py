"""CSV as people have it: encodings, delimiters, line ends, odd values, lines that are broken."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.config.source import TransactionSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources import load_records
from clv_pipeline.sources.typed import target_columns
from clv_pipeline_tests.helpers.shop_files import PRICE_COLUMNS, load, transactions, write

HEADER = "customer,date,amount\n"


def test_a_good_row_is_typed_and_says_where_it_came_from(tmp_path: Path) -> None:
    write(
        tmp_path,
        "orders/may.csv",
        "order,product,quantity,price,date,customer,country\nI1,P1,3,2.50,2010-05-01 08:26:00, 17 , United Kingdom \n",
    )
    loaded = load(tmp_path, PRICE_COLUMNS, path="orders/*.csv")
    assert loaded.rows == [
        {
            "source_file": "orders/may.csv",
            "source_line": 2,
            "customer_id": "17",
            "order_id": "I1",
            "ordered_at": datetime(2010, 5, 1, 8, 26),
            "product_id": "P1",
            "quantity": Decimal("3"),
            "unit_price": Decimal("2.5"),
            "amount": Decimal("7.5"),
            "country": "United Kingdom",
            "currency": None,
            "cost": None,
            "attributes": None,
            "source_text": None,
        }
    ]
    assert list(loaded.rows[0]) == ["source_file", *list(target_columns(TransactionSource))[1:]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "  "])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str, line_end: str) -> None:
    lines = [["customer", "date", "amount"], ["7", "2010-05-01", "2.50"], ["8", "2010-05-02", "3.50"]]
    write(tmp_path, "a.txt", line_end.join(delimiter.join(line) for line in lines) + line_end)
    assert load(tmp_path, path="a.txt").column("amount") == [Decimal("2.5"), Decimal("3.5")]


def test_columns_aligned_by_spaces_are_read_as_cdnow_is_written(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.txt",
        " customer date     amount \r\n\r\n 00001 19970101   11.77\r\n 00002 19970112  112.00\r\n",
    )
    loaded = load(tmp_path, path="a.txt")
    assert loaded.column("customer_id") == ["00001", "00002"]
    assert loaded.column("ordered_at") == [datetime(1997, 1, 1), datetime(1997, 1, 12)]
    assert loaded.files[0].format == "CSV, delimiter whitespace, utf-8, dates %Y%m%d"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "utf-16", "utf-16-be"])
def test_the_encoding_is_found_out_even_if_the_only_odd_letter_is_in_the_last_line(
    tmp_path: Path, encoding: str
) -> None:
    rows = "".join(f"{number},2010-05-01,1.00\n" for number in range(100_000))
    text = f"{HEADER}{rows}Zoë,2010-05-01,1.00\n"
    write(tmp_path, "a.csv", ("\ufeff" if encoding == "utf-16-be" else "") + text, encoding)
    loaded = load(tmp_path, path="a.csv")
    assert loaded.rows[-1]["customer_id"] == "Zoë"
    assert loaded.rows[-1]["source_line"] == 100_002
    assert loaded.rows[0]["customer_id"] == "0"


def test_a_configured_encoding_wins(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", f"{HEADER}Łódź,2010-05-01,1\n", "iso8859-2")
    assert load(tmp_path, path="a.csv", format={"encoding": "latin2"}).column("customer_id") == ["Łódź"]


def test_every_line_that_cannot_be_split_becomes_a_row_with_its_text_and_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", HEADER + "1,2010-05-01,1\nbad\n2,2010-05-02,2\n3,x,y,z,4\n4,2010-05-03,3\n")
    loaded = load(tmp_path, path="a.csv")
    by_line = {row["source_line"]: row for row in loaded.rows}
    assert sorted(by_line) == [2, 3, 4, 5, 6]
    assert [by_line[line]["customer_id"] for line in (2, 4, 6)] == ["1", "2", "4"]
    assert by_line[5]["source_text"].startswith("unreadable line: 3,x,y,z,4 [Expected")
    assert by_line[3]["source_text"].startswith("unreadable line: bad [Expected Number of Columns: 3 Found: 1")
    assert (by_line[3]["customer_id"], by_line[3]["amount"], by_line[3]["source_file"]) == (
        None,
        None,
        "a.csv",
    )
    assert (loaded.files[0].rows, loaded.files[0].unreadable_rows) == (5, 2)


def test_line_numbers_are_right_on_both_sides_of_many_broken_lines_in_a_large_file(tmp_path: Path) -> None:
    broken = {3, 4, 5, 60_000, 123_456, 150_000, 200_001}
    lines = [f"{n},2010-05-01,1.00" if n not in broken else f"broken {n}" for n in range(2, 200_002)]
    write(tmp_path, "a.csv", HEADER + "\n".join(lines) + "\n")
    loaded = load(tmp_path, path="a.csv")
    assert len(loaded.rows) == 200_000
    good = [row for row in loaded.rows if row["source_text"] is None]
    assert all(row["customer_id"] == str(row["source_line"]) for row in good)
    assert {row["source_line"] for row in loaded.rows if row["source_text"]} == broken
    assert all(f"broken {row['source_line']} [" in row["source_text"] for row in loaded.rows if row["source_text"])


def test_blank_lines_and_line_breaks_in_quotes_count_as_no_record_and_as_one(tmp_path: Path) -> None:
    text = (
        'customer,date,amount\n1,2010-05-01,1\n\n\n"2\nb",2010-05-01,2\nbad\n3,2010-05-01,3\n\nworse\n4,2010-05-01,4\n'
    )
    write(tmp_path, "a.csv", text)
    loaded = load(tmp_path, path="a.csv")
    found = sorted((row["source_line"], row["customer_id"] or row["source_text"].split(" ")[2]) for row in loaded.rows)
    assert found == [(2, "1"), (3, "2\nb"), (4, "bad"), (5, "3"), (6, "worse"), (7, "4")]


def test_line_numbers_start_again_in_every_file_and_stay_right_inside_a_transaction(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", HEADER + "1,2010-05-01,1\nbad\n2,2010-05-01,1\n")
    write(tmp_path, "b.csv", HEADER)
    write(tmp_path, "c.csv", HEADER + "3,2010-05-01,1\n4,2010-05-01,1\n")
    with duckdb.connect() as con:
        name = 'odd "name"'
        con.execute("BEGIN")
        files = load_records(con, name, transactions(path="*.csv"), tmp_path, tmp_path / "work")
        con.execute("COMMIT")
        rows = con.execute(
            f"SELECT source_id, source_line, customer_id FROM {quote_identifier(name)} ORDER BY 1, 2"
        ).fetchall()
    assert rows == [
        (1, 2, "1"),
        (1, 3, None),
        (1, 4, "2"),
        (3, 2, "3"),
        (3, 3, "4"),
    ]
    assert [file.source_file for file in files] == ["a.csv", "b.csv", "c.csv"]
    assert [(file.rows, file.unreadable_rows) for file in files] == [(3, 1), (0, 0), (2, 0)]


def test_a_quote_that_swallows_lines_is_an_error_and_one_that_spoils_its_own_line_a_rejected_row(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a.csv", HEADER + '1,2010-05-01,1\n2,"2010-05-01,2\n3,2010-05-01,3\n4,2010-05-01,4\n')
    with pytest.raises(SourceError, match=r"a.csv: a quote opened near line 3 is not closed, and 2 lines after it"):
        load(tmp_path, path="a.csv")
    write(tmp_path, "a.csv", HEADER + '1,2010-05-01,1\n"O"Neil",2010-05-01,2\n3,2010-05-01,3\n')
    loaded = load(tmp_path, path="a.csv")
    assert [row["customer_id"] for row in loaded.rows] == ["1", "3", None]
    assert "unterminated quote" in loaded.rows[2]["source_text"]


@pytest.mark.parametrize(
    ("text", "customer"),
    [
        ("13085.0", "13085"),
        ("13085", "13085"),
        (" 13085.0 ", "13085"),
        ("00001", "00001"),
        ("13085.00", "13085.00"),
        ("A13.0", "A13.0"),
        ("nan", None),
        ("NULL", None),
        ("None", None),
        ("N/A", None),
        ("   ", None),
        ("", None),
        ("Nanette", "Nanette"),
    ],
)
def test_customers(tmp_path: Path, text: str, customer: str | None) -> None:
    write(tmp_path, "a.csv", f"{HEADER}{text},2010-05-01,1\n")
    row = load(tmp_path, path="a.csv").rows[0]
    assert (row["customer_id"], row["source_text"]) == (customer, None)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12.5", Decimal("12.5")),
        (" -3 ", Decimal(-3)),
        ("1e2", Decimal(100)),
        ("1.23455", Decimal("1.2346")),
        ("1e400", None),
        ("inf", None),
        ("nan", None),
        ("99999999999999999999", None),
        ("twelve", None),
        ("", None),
    ],
)
def test_numbers_that_cannot_be_read_are_null_and_the_original_stays(
    tmp_path: Path, text: str, amount: Decimal | None
) -> None:
    write(tmp_path, "a.csv", f"{HEADER}7,2010-05-01,{text}\n")
    row = load(tmp_path, path="a.csv").rows[0]
    original = {"customer_id": "7", "ordered_at": "2010-05-01", "amount": text or None}
    kept = json.loads(row["source_text"]) if row["source_text"] else None
    assert (row["amount"], kept) == (amount, original if amount is None else None)


def test_the_amount_is_null_if_and_only_if_a_mapped_number_is(tmp_path: Path) -> None:
    columns = {**PRICE_COLUMNS, "amount": "amount"}
    for name in ("order_id", "product_id", "country"):
        del columns[name]
    rows = [
        "1,2010-05-01,2,3,10",
        "2,2010-05-01,x,3,10",
        "3,2010-05-01,2,,10",
        "4,2010-05-01,2,3,?",
        "5,soon,2,3,9",
    ]
    write(tmp_path, "a.csv", "customer,date,quantity,price,amount\n" + "\n".join(rows) + "\n")
    loaded = load(tmp_path, columns, path="a.csv")
    assert loaded.column("amount") == [Decimal(10), None, None, None, Decimal(9)]
    assert [text is None for text in loaded.column("source_text")] == [True, False, False, False, False]
    assert loaded.column("ordered_at")[4] is None


def test_a_product_that_overflows_is_null(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "customer,date,quantity,price\n1,2010-05-01,99999999999999,99999999999999\n")
    columns = {"customer_id": "customer", "ordered_at": "date", "quantity": "quantity", "unit_price": "price"}
    row = load(tmp_path, columns, path="a.csv").rows[0]
    assert (row["amount"], row["quantity"]) == (None, Decimal(99999999999999))


def test_further_columns_become_attributes_whatever_their_names_are(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", 'customer,date,amount,"a ""b""; --",left\n7,2010-05-01,1,x,\n')
    columns = {
        "customer_id": "customer",
        "ordered_at": "date",
        "amount": "amount",
        'o"dd': 'a "b"; --',
        "left": "left",
    }
    assert load(tmp_path, columns, path="a.csv").column("attributes") == ['{"o\\"dd":"x","left":null}']


def test_another_column_order_and_further_columns_in_one_of_the_files_are_fine(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", HEADER + "1,2010-05-01,1\n")
    write(tmp_path, "b.csv", "new;amount;date;customer\nx;2;2010-05-02;2\n")
    assert load(tmp_path, path="*.csv").column("customer_id") == ["1", "2"]


def test_mixed_line_ends_and_leading_blank_lines_are_read(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "\n\r\n" + HEADER + "1,2010-05-01,1\r\n2,2010-05-01,2\n3,2010-05-01,3\r\n")
    assert load(tmp_path, path="a.csv").column("customer_id") == ["1", "2", "3"]


def test_compressed_files_and_names_with_glob_characters_are_read_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "d [1]*"
    folder.mkdir()
    (folder / "x[a]?.csv.gz").write_bytes(gzip.compress((HEADER + "1,2010-05-01,1\n").encode()))
    loaded = load(tmp_path, path="d [1]*/x[a]?.csv.gz")
    assert loaded.column("source_file") == ["d [1]*/x[a]?.csv.gz"]
    assert loaded.files[0].format == "CSV, delimiter ',', utf-8, gzip"


def test_nothing_is_left_in_the_work_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", HEADER + "é,2010-05-01,1\n", "windows-1252")
    work = tmp_path / "work folder [1]"
    write(work, "sources/left over", "of a load that was killed")
    write(work, "spilled", "by somebody else")
    load(tmp_path, path="a.csv")
    assert [path.name for path in work.iterdir()] == ["spilled"]
