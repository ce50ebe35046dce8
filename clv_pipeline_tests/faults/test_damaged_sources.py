"""Source files that were cut off, or change while they are read: the load says so, and no half of one gets in."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import load_records
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.helpers.shop_files import load, transactions, write_xlsx

HEADER = ("customer", "date", "amount")
ROWS = [(f"C{number}", f"2011-02-{1 + number % 28:02}", number % 97 + 0.5) for number in range(3_000)]
CSV = "\n".join(",".join(map(str, row)) for row in (HEADER, *ROWS)) + "\n"


def write_csv(path: Path) -> None:
    path.write_text(CSV)


def write_gz(path: Path) -> None:
    path.write_bytes(gzip.compress(CSV.encode()))


def write_parquet(path: Path) -> None:
    pl.DataFrame(ROWS, schema=HEADER, orient="row").write_parquet(path)


def write_book(path: Path) -> None:
    write_xlsx(path, {"Orders": [HEADER, *ROWS]})


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("orders.csv", CSV)


def write_json_lines(path: Path) -> None:
    pl.DataFrame(ROWS, schema=HEADER, orient="row").write_ndjson(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv.gz", write_gz),
        ("a.parquet", write_parquet),
        ("a.xlsx", write_book),
        ("a.zip", write_zip),
    ],
)
def test_a_packed_file_that_was_cut_off_is_refused_by_name(
    tmp_path: Path, injected: Injected, name: str, write: Callable[[Path], None], share: float
) -> None:
    injected(f"truncated {Path(name).suffix}")
    path = tmp_path / name
    write(path)
    assert len(load(tmp_path, path=name).rows) == len(ROWS)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SourceError, match=f"^{name}"):
        load(tmp_path, path=name)


@pytest.mark.parametrize(("name", "write"), [("a.csv", write_csv), ("a.jsonl", write_json_lines)])
def test_a_text_file_cut_within_a_line_keeps_the_half_line_as_unreadable(
    tmp_path: Path, injected: Injected, name: str, write: Callable[[Path], None]
) -> None:
    injected(f"truncated {Path(name).suffix}")
    path = tmp_path / name
    write(path)
    whole = load(tmp_path, path=name)
    lines = path.read_bytes().splitlines(keepends=True)
    # Behind the customer of the 2,000th record.
    start = 2_000 if name == "a.csv" else 1_999
    path.write_bytes(b"".join(lines[:start]) + lines[start][:16])
    cut = load(tmp_path, path=name)
    assert cut.rows[:-1] == whole.rows[:1_999]
    assert cut.files[0].rows == 2_000
    assert cut.files[0].unreadable_rows == 1
    assert cut.rows[-1]["amount"] is None


def test_a_csv_cut_at_a_row_boundary_reads_as_a_shorter_file(tmp_path: Path, injected: Injected) -> None:
    """Undetectable by itself, as a file that simply has fewer rows; that is what the volume checks are for."""
    injected("truncated .csv")
    (tmp_path / "a.csv").write_text("".join(CSV.splitlines(keepends=True)[:1_001]))
    loaded = load(tmp_path, path="a.csv")
    assert loaded.files[0].rows == 1_000
    assert loaded.files[0].unreadable_rows == 0


class Interrupted:
    """A connection during whose first INSERT something else happens on the machine."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, happening: Callable[[], object]) -> None:
        self._connection = connection
        self._happening: Callable[[], object] | None = happening

    def execute(self, query: str, *arguments: Any) -> Any:
        result = self._connection.execute(query, *arguments)
        if query.startswith("INSERT") and self._happening is not None:
            self._happening()
            self._happening = None
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("change", ["appended to", "rewritten", "removed"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, injected: Injected, change: str) -> None:
    injected("a file that changes while it is read")
    path = tmp_path / "a.csv"
    write_csv(path)

    def happening() -> None:
        if change == "appended to":
            with path.open("a") as writer:
                writer.write("C1,2011-03-01,1\n")
        elif change == "rewritten":
            path.write_text(CSV.replace("2011-02", "2011-03"))
        else:
            path.unlink()

    with duckdb.connect() as con, pytest.raises(SourceError, match=r"a\.csv: was .* while it was read"):
        load_records(Interrupted(con, happening), "raw", transactions(path="a.csv"), tmp_path, tmp_path / "work")  # type: ignore[arg-type]
