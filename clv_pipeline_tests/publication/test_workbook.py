"""Workbooks: cells of the right type, money in its currency, and nothing that a spreadsheet would run."""

from __future__ import annotations

import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from clv_pipeline.display import Display
from clv_pipeline.errors import ExportError
from clv_pipeline.publication import workbook
from clv_pipeline.publication.workbook import write_workbook

ROWS = pl.DataFrame(
    {
        "customer_id": ["0017", "=1+1", "https://example.com"],
        "last_purchase_date": [date(2024, 6, 30), None, date(2024, 1, 2)],
        "orders": [3, 1_234, None],
        "revenue": [Decimal("1234.5678"), Decimal("-12.5000"), None],
        "p_purchase": [0.25, 0.0, 1.0],
        "at_risk": [True, False, None],
    },
    schema_overrides={"revenue": pl.Decimal(28, 4), "orders": pl.Int32},
)


def part(file: Path, name: str) -> str:
    with zipfile.ZipFile(file) as archive:
        return archive.read(f"xl/{name}").decode()


def formats(file: Path) -> list[str]:
    """The number formats that the workbook defines."""
    return [piece.split('"')[0] for piece in part(file, "styles.xml").split('formatCode="')[1:]]


def test_cells_read_back_with_their_types(tmp_path: Path) -> None:
    file = tmp_path / "list.xlsx"
    write_workbook(ROWS, file, Display())
    read = pl.read_excel(file)
    assert dict(read.schema) == {
        "customer_id": pl.String,
        "last_purchase_date": pl.Date,
        "orders": pl.Int64,
        "revenue": pl.Float64,
        "p_purchase": pl.Float64,
        "at_risk": pl.Boolean,
    }
    assert read["customer_id"].to_list() == ROWS["customer_id"].to_list()
    assert read["last_purchase_date"].to_list() == ROWS["last_purchase_date"].to_list()
    assert read["revenue"].to_list() == [1234.5678, -12.5, None]


def test_a_text_is_neither_a_formula_nor_a_link(tmp_path: Path) -> None:
    file = tmp_path / "list.xlsx"
    write_workbook(ROWS, file, Display())
    sheet = part(file, "worksheets/sheet1.xml")
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet.lower()
    assert "=1+1" in part(file, "sharedStrings.xml")


def test_the_header_stays_in_view(tmp_path: Path) -> None:
    file = tmp_path / "list.xlsx"
    write_workbook(ROWS, file, Display())
    assert '<pane ySplit="1"' in part(file, "worksheets/sheet1.xml")
    assert 'state="frozen"' in part(file, "worksheets/sheet1.xml")


@pytest.mark.parametrize(
    ("display", "money", "day"),
    [
        (Display("en-US", currency="EUR"), "[$€]#,##0.00", "m/d/yyyy"),
        (Display("de-DE", currency="EUR"), "#,##0.00\N{NO-BREAK SPACE}[$€]", "dd.mm.yyyy"),
        (Display("en-US", currency="JPY"), "[$¥]#,##0", "m/d/yyyy"),
        (Display("hi-IN", currency="INR"), "[$₹]#,##0.00", "d/m/yyyy"),
        (Display("en-US"), "#,##0.00", "m/d/yyyy"),
    ],
)
def test_money_and_days_have_the_format_of_the_locale(tmp_path: Path, display: Display, money: str, day: str) -> None:
    file = tmp_path / "list.xlsx"
    write_workbook(ROWS, file, display)
    assert {money, day, "0.0%"} <= set(formats(file))


def test_the_same_list_gives_the_same_file_and_an_empty_one_has_its_header(tmp_path: Path) -> None:
    once, again, empty = (tmp_path / name for name in ("once.xlsx", "again.xlsx", "empty.xlsx"))
    write_workbook(ROWS, once, Display())
    write_workbook(ROWS, again, Display())
    assert once.read_bytes() == again.read_bytes()
    write_workbook(ROWS.clear(), empty, Display())
    assert pl.read_excel(empty).columns == ROWS.columns


def test_more_customers_than_a_sheet_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_ROWS", 2)
    with pytest.raises(ExportError, match=r"3 customers are more than the 2 that a sheet of \.xlsx holds"):
        write_workbook(ROWS, tmp_path / "list.xlsx", Display())
