"""Every line of a text file is a record or continues one; where lines are lost in one, the file is named with the
line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.lines import filled_lines, longest_line
from clv_pipeline_tests.helpers.shop_files import load, write

HEADER = "customer,date,amount,product\n"
COLUMNS = {"customer_id": "customer", "ordered_at": "date", "amount": "amount", "product_id": "product"}
ORDERS = [f"c{number},2024-03-01,3.50,mug\n" for number in range(1_500)]


def with_lines(**changed: str) -> str:
    """The file, some orders (`line_N`, counted from the top of the file) replaced."""
    lines = [HEADER, *ORDERS]
    for name, line in changed.items():
        lines[int(name.removeprefix("line_")) - 1] = line
    return "".join(lines)


def test_a_record_of_64_megabytes_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", with_lines(line_227="big,2024-03-01,3.50," + "x" * (64 << 20) + "\n"))
    with pytest.raises(SourceError, match=r"a\.csv: line 227 has 67 MB, which is too long for a record"):
        load(tmp_path, COLUMNS, path="a.csv")


def test_two_stray_quotes_that_swallow_a_thousand_orders_are_told_with_their_line(tmp_path: Path) -> None:
    text = with_lines(line_102='c100,2024-03-01,3.50,"mug\n', line_1102='c1100,2024-03-01,3.50,"\n')
    write(tmp_path, "a.csv", text)
    with pytest.raises(SourceError, match=r"a\.csv: a quote opened near line 102 is closed 1,000 lines below"):
        load(tmp_path, COLUMNS, path="a.csv")


def test_stray_quotes_in_two_columns_are_told_as_well(tmp_path: Path) -> None:
    text = with_lines(line_102='c100,2024-03-01,3.50,"mug\n', line_1102='"c1100,2024-03-01,3.50,mug\n')
    write(tmp_path, "a.csv", text)
    with pytest.raises(SourceError, match=r"a\.csv: a quote opened near line 102 is"):
        load(tmp_path, COLUMNS, path="a.csv")


def test_a_quote_that_is_never_closed_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", with_lines(line_102='c100,2024-03-01,3.50,"mug\n'))
    with pytest.raises(SourceError, match=r"a\.csv: a quote opened near line 102 is not closed, and 1,399 lines"):
        load(tmp_path, COLUMNS, path="a.csv")


def test_a_record_with_a_nul_is_rejected_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", with_lines(line_5="c\0x,2024-03-01,3.50,mug\n"))
    loaded = load(tmp_path, COLUMNS, path="a.csv")
    assert [file.unreadable_rows for file in loaded.files] == [1]
    [row] = [row for row in loaded.rows if row["source_text"] is not None]
    assert (row["source_line"], row["source_text"]) == (5, "unreadable line: c\u2400x,2024-03-01,3.50,mug")
    assert row["customer_id"] is row["amount"] is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_comments_of_several_lines_continue_their_records(tmp_path: Path, encoding: str) -> None:
    comment = '"Dear all,\n\nplease ring, twice,\nat the blue door.\nThanks, Ann"'
    text = with_lines(line_7=f"ann,2024-03-01,3.50,{comment}\n", line_9=f"bob,2024-03-01,3.50,{comment}\n\n\n")
    write(tmp_path, "a.csv", text, encoding)
    loaded = load(tmp_path, COLUMNS, path="a.csv")
    [file] = loaded.files
    # A blank line within a value is no line that could be lost.
    assert (file.rows, file.lines, file.joined_lines) == (1_500, 1_506, 6)
    assert "Dear all,\n\nplease ring, twice,\nat the blue door.\nThanks, Ann" in loaded.column("product_id")


def test_a_rejected_record_of_several_lines_is_one(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", with_lines(line_7='ann,2024-03-01,"x\ny\nz"\n'))
    [file] = load(tmp_path, COLUMNS, path="a.csv").files
    assert (file.rows, file.unreadable_rows, file.lines, file.joined_lines) == (1_500, 1, 1_502, 2)


def test_blank_lines_are_no_lines(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "\n\n" + HEADER + "\n".join(ORDERS[:9]) + "\n\n\n")
    [file] = load(tmp_path, COLUMNS, path="a.csv").files
    assert (file.rows, file.lines, file.joined_lines) == (9, 9, 0)


def test_lines_of_json_are_counted_too(tmp_path: Path) -> None:
    line = '{"customer": "ann", "date": "2024-03-01", "amount": 3.5, "product": "mug"}\n'
    write(tmp_path, "a.jsonl", line * 3 + "\n" + "no json\n" + line)
    [file] = load(tmp_path, COLUMNS, path="a.jsonl").files
    assert (file.rows, file.unreadable_rows, file.lines, file.joined_lines) == (5, 1, 5, 0)


@pytest.mark.parametrize(
    ("text", "filled", "longest"),
    [
        (b"", 0, (1, 0)),
        (b"\n\n", 0, (1, 0)),
        (b"a\n\nbcd\n", 2, (3, 3)),
        (b"a\r\n\r\nbcd", 2, (3, 3)),
        (b"\r\n\nab\n", 1, (3, 2)),
        (b"abc\nd", 2, (1, 3)),
        (b"ab\n" * 400_000 + b"\n" * 400_000 + b"abc", 400_001, (800_001, 3)),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_counted_across_chunks(
    tmp_path: Path, text: bytes, filled: int, longest: tuple[int, int], packed: bool
) -> None:
    path = tmp_path / ("a.csv.gz" if packed else "a.csv")
    path.write_bytes(gzip.compress(text) if packed else text)
    assert (filled_lines(path), longest_line(path)) == (filled, longest)
