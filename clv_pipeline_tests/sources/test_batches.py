"""Small files of the same shape are scanned together, and every row, line number and reject is as if each were read by
itself."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import batches as module
from clv_pipeline.sources import load_records
from clv_pipeline.sources.batches import batches
from clv_pipeline.sources.catalog import list_files
from clv_pipeline.sources.conventions import Conventions
from clv_pipeline.sources.load import create_table
from clv_pipeline.sources.tables import RawTable, open_tables
from clv_pipeline.sources.written_rows import Target, write_rows
from clv_pipeline_tests.helpers.shop_files import AMOUNT_COLUMNS, Loaded, load, transactions, write

HEADER = "customer,date,amount\n"
COLUMNS = {**AMOUNT_COLUMNS, "note": "note"}


def each_alone(base_dir: Path, columns: dict[str, str] | None = None, **source: Any) -> Loaded:
    """What a load gives that scans every file by itself."""
    with patch.object(module, "MOST_FILES", 1):
        return load(base_dir, columns, **source)


def assert_same(together: Loaded, alone: Loaded) -> None:
    def rows(loaded: Loaded) -> list[tuple[tuple[str, Any], ...]]:
        return sorted((tuple(row.items()) for row in loaded.rows), key=repr)

    assert list(map(asdict, together.files)) == list(map(asdict, alone.files))
    assert rows(together) == rows(alone)


def opened(con: duckdb.DuckDBPyConnection, folder: Path, **source: Any) -> list[RawTable]:
    """The files of a source, neighbours together where they may be."""
    described = transactions(**source)
    files = list_files(described, folder)
    tables, problems = open_tables(con, files, (), described, folder / "work")
    assert problems == []
    return batches(tables, described)


class Watched:
    """A connection that counts its statements."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.statements = 0

    def execute(self, *query: Any) -> duckdb.DuckDBPyConnection:
        self.statements += 1
        return self.con.execute(*query)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.con, name)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_hundred_daily_files_take_as_many_statements_as_two(tmp_path: Path, ending: str) -> None:
    def statements(count: int) -> int:
        folder = tmp_path / f"{count}"
        for day in range(count):
            order = {"customer": f"c{day}", "date": f"2024-01-{day % 28 + 1:02}", "amount": "1.50"}
            text = HEADER + ",".join(order.values()) if ending == "csv" else json.dumps(order)
            write(folder, f"{day:03}.{ending}", f"{text}\n")
        with duckdb.connect() as con:
            watched: Any = Watched(con)
            files = load_records(watched, "raw", transactions(path=f"*.{ending}"), folder, folder / "work")
            assert [file.rows for file in files] == [1] * count
            numbers = con.execute("SELECT source_id, source_line FROM raw ORDER BY ALL").fetchall()
        assert numbers == [(number, 2 if ending == "csv" else 1) for number in range(1, count + 1)]
        return int(watched.statements)

    assert statements(100) == statements(2)


GOOD = ["c1,2024-03-01,3.50,mug", "c2,2024-03-02,1250,", "c3,2024-03-03,-2.25,a tea pot", ",2024-03-04,7,"]
ODD = [
    "c4,2024-03-05",  # too few fields
    "c5,2024-03-05,1,mug,cup",  # too many
    "c6,yesterday,3.50,mug",
    "c7,2024-03-06,three,mug",
    "c8,2024-03-06,,mug",
    "",
    'c9,2024-03-07,4,"two\nlines"',
    'c10,2024-03-07,4,"a ""quoted"" word"',
    "c\0x,2024-03-08,1,mug",
    "1.2E+15,2024-03-08,1,mug",
]
LINES = st.lists(st.sampled_from(GOOD), max_size=6) | st.lists(st.sampled_from([*GOOD, *ODD]), max_size=5)
FILES = st.lists(
    st.tuples(LINES, st.sampled_from(["\n", "\n", "\r\n"]), st.booleans(), st.sampled_from(["", "", "ä", "\n"])),
    min_size=2,
    max_size=7,
)


@given(files=FILES)
@settings(max_examples=60, deadline=None)
def test_csv_files_that_are_scanned_together_give_what_each_gives_alone(
    files: Sequence[tuple[list[str], str, bool, str]],
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, "000.csv", "customer,date,amount,note\nfirst,2024-01-31,1.50,\n")
        for number, (lines, line_end, is_ended, extra) in enumerate(files, start=1):
            lines = ["customer,date,amount,note", *lines]
            if extra == "ä":
                lines.append("c11,2024-03-09,5,Käse")
            text = (line_end if extra == "\n" else "") + line_end.join(lines) + (line_end if is_ended else "")
            write(folder, f"{number:03}.csv", text, "windows-1252" if extra == "ä" and number % 2 else "utf-8")
        asked: dict[str, Any] = {"columns": COLUMNS, "path": "*.csv", "format": {"decimal": "."}}
        assert_same(load(folder, **asked), each_alone(folder, **asked))


RECORDS = st.lists(
    st.sampled_from(
        [
            '{"customer": "c1", "date": "2024-03-01", "amount": 3.5, "note": "mug"}',
            '{"date": "2024-03-02", "amount": "1250", "customer": "c2"}',
            '  {"customer": "c3", "date": "2024-03-03", "amount": null, "further": {"a": [1]}}',
            '{"customer": "c4", "date": "never", "amount": 1}',
            '{"customer": "c5", "date": "2024-03-05", "amo',
            "[1, 2]",
            "",
            "null",
        ]
    ),
    max_size=5,
)


@given(files=st.lists(RECORDS, min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_json_lines_that_are_scanned_together_give_what_each_file_gives_alone(files: Sequence[list[str]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        first = '{"customer": "first", "date": "2024-01-31", "amount": 1.5}'
        for number, lines in enumerate(files):
            write(folder, f"{number:03}.jsonl", "\n".join([first, *lines, f'{{"customer": "{number}"}}']))
        asked: dict[str, Any] = {"columns": COLUMNS, "path": "*.jsonl"}
        assert_same(load(folder, **asked), each_alone(folder, **asked))


def test_files_of_other_columns_delimiters_or_packing_between_them_keep_their_place(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", HEADER + "c1,2024-01-01,1\n")
    write(tmp_path, "2.csv", "date,customer,amount\n2024-01-02,c2,2\n")
    write(tmp_path, "3.csv", "customer;date;amount\nc3;2024-01-03;3\n")
    (tmp_path / "4.csv.gz").write_bytes(gzip.compress((HEADER + "c4,2024-01-04,4\n").encode()))
    write(tmp_path, "5.csv", HEADER + "c5,2024-01-05,5\n")
    write(tmp_path, "6.csv", HEADER + "c6,2024-01-06,6\n")
    loaded = load(tmp_path, AMOUNT_COLUMNS, path="*.csv*")
    assert [(file.source_id, file.source_file) for file in loaded.files] == [
        (number, f"{number}.csv{'.gz' if number == 4 else ''}") for number in range(1, 7)
    ]
    assert sorted(loaded.column("customer_id")) == ["c1", "c2", "c3", "c4", "c5", "c6"]
    assert_same(loaded, each_alone(tmp_path, AMOUNT_COLUMNS, path="*.csv*"))


def test_what_folders_say_stays_with_the_rows_of_their_file(tmp_path: Path) -> None:
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        write(tmp_path, f"date={day}/part.csv", f"customer,amount\n{day[-1]},1.50\n")
    loaded = load(tmp_path, AMOUNT_COLUMNS, path="*/part.csv")
    days = {row["customer_id"]: str(row["ordered_at"].date()) for row in loaded.rows}
    assert days == {"1": "2024-01-01", "2": "2024-01-02", "3": "2024-01-03"}
    with duckdb.connect() as con:
        [together] = opened(con, tmp_path, path="*/part.csv")
    assert len(together.parts) == 3


def test_expressions_and_conditions_hold_in_files_that_are_scanned_together(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"{number}.csv", f"customer,date,cents,state\na,2024-01-01,{number}50,paid\nb,2024-01-02,1,x\n")
    asked: dict[str, Any] = {
        "columns": {"customer_id": "customer", "ordered_at": "date", "amount": {"sql": "cents / 100"}},
        "path": "*.csv",
        "where": "state = 'paid'",
    }
    loaded = load(tmp_path, **asked)
    assert [str(row["amount"]) for row in loaded.rows if row["source_text"] is None] == ["0.5000", "1.5000", "2.5000"]
    assert_same(loaded, each_alone(tmp_path, **asked))


def test_values_are_filled_down_within_a_file_only(tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "order,customer,date,amount\n7,c1,2024-01-01,1\n7,,,2\n")
    write(tmp_path, "2.csv", "order,customer,date,amount\n7,,2024-01-02,3\n")
    loaded = load(
        tmp_path,
        {**AMOUNT_COLUMNS, "order_id": "order"},
        path="*.csv",
        fill_down={"by": "order", "columns": ["customer", "date"]},
    )
    assert [row["customer_id"] for row in loaded.rows] == ["c1", "c1", None]


def test_a_file_that_is_gone_when_it_is_scanned_is_the_one_that_is_named(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"{number}.csv", HEADER + f"c{number},2024-01-01,1\n")
    with duckdb.connect() as con:
        source = transactions(path="*.csv")
        [together] = opened(con, tmp_path, path="*.csv")
        (tmp_path / "1.csv").unlink()
        con.execute("BEGIN")
        create_table(con, "raw", type(source))
        target = Target("raw", source, Conventions([], ".", None))
        with pytest.raises(SourceError, match=r"^1\.csv: cannot be read"):
            write_rows(con, target, dict(enumerate(together.parts, start=1)))


def test_large_files_are_scanned_alone(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path, f"{number}.csv", HEADER + "c1,2024-01-01,1\n" * (module.MOST_LINES if number else 1))
    with duckdb.connect() as con:
        assert [table.parts for table in opened(con, tmp_path, path="*.csv")] == [(), ()]
