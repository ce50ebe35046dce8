"""A list of customers as an XLSX workbook for people: typed cells, money in its currency, days as days.

Which separators numbers have is up to the spreadsheet that opens it. The same list gives the same file.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_pipeline.contracts.loader import load_models
from clv_pipeline.display import Display
from clv_pipeline.errors import ExportError

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 1_048_575
"""What a sheet holds below its header."""

_MADE_ON = datetime(2000, 1, 1)

_CUSTOMERS = ("customer_overview", "clv_forecasts")


def write_workbook(rows: pl.DataFrame, file: Path, display: Display) -> None:
    """Write the rows as a sheet whose header stays in view.

    Args:
        rows: columns of `customer_overview` and `clv_forecasts`; texts are harmless already.
        file: where to write.
        display: says the currency, where it stands, and how days are written.

    Raises:
        ExportError: there are more rows than a sheet holds.
    """
    import polars as pl
    import xlsxwriter

    if rows.height > MOST_ROWS:
        raise ExportError(
            f"{display.count(rows.height)} customers are more than the {display.count(MOST_ROWS)} that a sheet of .xlsx"
            " holds",
            to_do="write fewer with --top, or .csv or .parquet",
        )
    # Decimals of the database have more digits than cells of a spreadsheet.
    cells = rows.with_columns(pl.selectors.decimal().cast(pl.Float64))
    # Texts stay texts: no formula, no link, no number.
    options = {f"strings_to_{what}": False for what in ("formulas", "urls", "numbers")}
    formats: dict[Any, str] = {
        pl.Date: display.spreadsheet_day(),
        pl.Float64: "#,##0.00",
        pl.Int32: "#,##0",
        pl.Int64: "#,##0",
    }
    with xlsxwriter.Workbook(str(file), options) as workbook:
        workbook.set_properties({"created": _MADE_ON})
        cells.write_excel(
            workbook,
            "customers",
            column_formats=_formats(cells.columns, display),
            dtype_formats=formats,
            freeze_panes=(1, 0),
            autofit=True,
        )


def _formats(columns: list[str], display: Display) -> dict[Any, str]:
    """The formats of columns that have a unit with one."""
    of_unit = {
        "currency": display.spreadsheet_money(),
        "share": "0.0%",
        "probability": "0.0%",
        "score": "0",
        "rank": "0",
    }
    models = load_models()
    units = {column.name: column.unit for table in _CUSTOMERS for column in models[table].contract.columns}
    return {name: of_unit[unit] for name in columns if (unit := units.get(name)) is not None and unit in of_unit}
