"""Names, headers and cells that attack are text; archives that attack are refused."""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
from pathlib import Path

import polars as pl
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import prepare
from clv_pipeline_tests.helpers.shop_files import load, write

CSV = "customer,date,amount\n1,2010-05-01,1\n"
INJECTION = "x'); create table pwned as select 1; --"
NAMES = [INJECTION, 'a"b', "a;b", "[a-z]*?", "{a,b}", "$path", "?", "%s{0}", "a\nb", "é\u202e𝄞", "-rf", "' or 1=1"]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_name_is_a_name(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / "orders" / f"{name}.{kind}"
    path.parent.mkdir()
    frame = pl.DataFrame({"customer": ["1"], "date": ["2010-05-01"], "amount": [1]})
    match kind:
        case "csv":
            path.write_text(CSV)
        case "csv.gz":
            path.write_bytes(gzip.compress(CSV.encode()))
        case "parquet":
            frame.write_parquet(path)
        case "jsonl":
            frame.write_ndjson(path)
    loaded = load(tmp_path, path=f"orders/*.{kind}")
    assert loaded.column("source_file") == [f"orders/{name}.{kind}"]
    assert loaded.column("customer_id") == ["1"]


# A value that begins with a question mark is a question of `clv init`; a column of that name needs an expression.
@pytest.mark.parametrize("name", [name for name in NAMES if "\n" not in name and name != "?"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_hostile_column_name_is_a_name_on_either_side_of_the_mapping(tmp_path: Path, name: str, kind: str) -> None:
    frame = pl.DataFrame({name: ["ann"], "date": ["2010-05-01"], "amount": [1], f"{name} too": [f"{name}!"]})
    path = tmp_path / f"a.{kind}"
    {"csv": frame.write_csv, "parquet": frame.write_parquet, "jsonl": frame.write_ndjson}[kind](path)  # type: ignore[operator]
    columns = {"customer_id": name, "ordered_at": "date", "amount": "amount", name: f"{name} too"}
    loaded = load(tmp_path, columns, path=path.name)
    assert loaded.column("customer_id") == ["ann"]
    assert json.loads(loaded.column("attributes")[0]) == {name: f"{name}!"}


@pytest.mark.parametrize("cell", [INJECTION, "=cmd|' /C calc'!A0", "@SUM(1+1)", "{batch}", "'; drop table raw; --"])
def test_a_hostile_cell_arrives_as_it_is_whether_it_can_be_read_or_not(tmp_path: Path, cell: str) -> None:
    pl.DataFrame({"customer": [cell, "2"], "date": ["2010-05-01", cell], "amount": ["1", cell]}).write_csv(
        tmp_path / "a.csv"
    )
    loaded = load(tmp_path, path="a.csv")
    assert loaded.column("customer_id") == [cell, "2"]
    assert json.loads(loaded.column("source_text")[1]) == {"customer_id": "2", "ordered_at": cell, "amount": cell}


@pytest.fixture
def small_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ratio applies above 1 MB already, so that a bomb need not be large."""
    monkeypatch.setattr(prepare, "_RATIO_APPLIES_ABOVE", 1_000_000)


@pytest.mark.usefixtures("small_bombs")
def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode() + b"0" * 2_000_000))
    with pytest.raises(SourceError, match=r"a\.csv\.gz: unpacks \d+-fold and may be a bomb"):
        load(tmp_path, path="a.csv.gz")


@pytest.mark.usefixtures("small_bombs")
def test_a_workbook_that_is_a_bomb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/worksheets/sheet1.xml", b"0" * 2_000_000)
    with pytest.raises(SourceError, match=r"a\.xlsx: unpacks \d+-fold and may be a bomb"):
        load(tmp_path, path="a.xlsx")


@pytest.mark.usefixtures("small_bombs")
def test_many_members_that_share_the_same_bytes_are_a_bomb_together(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", CSV.encode() + b"0" * 500_000)
    packed = path.read_bytes()
    # The directory entry, forty times: every copy points at the one member.
    end = packed.rindex(b"PK\5\6")
    start = struct.unpack("<I", packed[end + 16 : end + 20])[0]
    entries = b"".join(packed[start:end].replace(b"a.csv", b"%c.csv" % (ord("A") + number)) for number in range(40))
    ending = packed[end : end + 8] + struct.pack("<HHII", 40, 40, len(entries), start) + b"\0\0"
    path.write_bytes(packed[:start] + entries + ending)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 40
    with pytest.raises(SourceError, match=r"a\.zip: unpacks \d+-fold and may be a bomb"):
        load(tmp_path, path="a.zip")


def test_a_zip_in_a_zip_is_not_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "inner.zip", "inner.zip")
    with pytest.raises(SourceError, match="compressed itself"):
        load(tmp_path, path="a.zip")


def test_errors_about_values_and_missing_headers_show_no_value(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "ann@example.com,C12345,1\nbob@example.com,C12346,1\n")
    with pytest.raises(SourceError) as no_header:
        load(tmp_path, path="a.csv")
    write(tmp_path, "a.csv", "customer,date,amount\n1,ann@example.com,1\n2,ann@example.org,1\n")
    with pytest.raises(SourceError) as no_date:
        load(tmp_path, path="a.csv")
    assert "ann" not in str(no_header.value) + str(no_date.value)
    assert "C12345" not in str(no_header.value)
    assert "'aaa@aaaaaaa.aaa', 'a99999'" in str(no_header.value)
    assert "'aaa@aaaaaaa.aaa'" in str(no_date.value)
