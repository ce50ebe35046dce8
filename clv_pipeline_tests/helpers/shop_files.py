"""Files of a shop and what is read from them: write a source, load it, look at the rows; and a minimal XLSX writer."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import duckdb

from clv_pipeline.config.settings import Settings, TransactionSource
from clv_pipeline.sources import LoadedFile, load_records

AMOUNT_COLUMNS = {"customer_id": "customer", "ordered_at": "date", "amount": "amount"}
PRICE_COLUMNS = {
    "customer_id": "customer",
    "order_id": "order",
    "ordered_at": "date",
    "product_id": "product",
    "quantity": "quantity",
    "unit_price": "price",
    "country": "country",
}


@dataclass(frozen=True)
class Loaded:
    """The outcome of a load."""

    files: list[LoadedFile]
    rows: list[dict[str, Any]]

    def column(self, name: str) -> list[Any]:
        """One column, in the table's order."""
        return [row[name] for row in self.rows]


def transactions(columns: dict[str, str] | None = None, **source: Any) -> TransactionSource:
    """The validated source block."""
    block = {"columns": columns or AMOUNT_COLUMNS, **source}
    return Settings.from_mapping({"source": {"transactions": block}}).source.transactions


def load(base_dir: Path, columns: dict[str, str] | None = None, **source: Any) -> Loaded:
    """Loads into a database in memory; `path` and so on as in clv.yaml, relative to `base_dir`."""
    with duckdb.connect() as con:
        files = load_records(con, "raw", transactions(columns, **source), base_dir, base_dir / "work folder [1]")
        result = con.execute("SELECT * FROM raw")
        names = [column[0] for column in result.description]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    named = {file.source_id: file.source_file for file in files}
    return Loaded(files, [{"source_file": named[row.pop("source_id")], **row} for row in rows])


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    """A text file, its line ends as they are in `text`."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


_CELL_DATE = 's="1"'
_CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


@dataclass(frozen=True)
class ExcelDate:
    """A cell that Excel shows as a date; `serial` is in days since 1899-12-30."""

    serial: float


def write_xlsx(path: Path, sheets: dict[str, Sequence[Sequence[object]]]) -> None:
    """A workbook of inline strings, numbers and dates: enough of the format for a reader."""

    def cell(value: object) -> str:
        if value is None:
            return "<c/>"
        if isinstance(value, ExcelDate):
            return f"<c {_CELL_DATE}><v>{value.serial}</v></c>"
        if isinstance(value, int | float):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'

    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("[Content_Types].xml", _CONTENT_TYPES)
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}"><Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        names = "".join(
            f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
            for number, name in enumerate(sheets, start=1)
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{names}</sheets></workbook>',
        )
        parts = "".join(
            f'<Relationship Id="rId{number}" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in range(1, len(sheets) + 1)
        )
        styles = f'<Relationship Id="rId99" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
        book.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{parts}{styles}</Relationships>')
        formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs>'
        book.writestr("xl/styles.xml", f'<styleSheet xmlns="{_MAIN}">{formats}</styleSheet>')
        for number, rows in enumerate(sheets.values(), start=1):
            data = "".join(f"<row>{''.join(cell(value) for value in row)}</row>" for row in rows)
            book.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{data}</sheetData></worksheet>',
            )
