"""XLSX workbooks, sheet by sheet.

Here belongs everything that handles spreadsheets. Each sheet becomes a Parquet copy in the work folder, with
Excel's types (numbers and dates are not text there). From then on it is a table like any other.
"""

from pathlib import Path

import fastexcel

from clv_pipeline.config.source import TableSource
from clv_pipeline.errors import SourceError, did_you_mean
from clv_pipeline.sources.errors import first_line, one_error
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.prepare import refuse_zip_bomb


def sheets_as_parquet(file: SourceFile, source: TableSource, stem: Path) -> list[tuple[SourceFile, Path]]:
    """The visible sheets, or those in `format.sheets`: (the sheet labelled `book.xlsx#Sheet`, its Parquet copy).

    The first row of a sheet is its header. The other rows are typed per column; a column of mixed types is text.
    Empty sheets are left out.

    Raises:
        SourceError: the workbook is damaged or a bomb, a sheet is missing, a header holds a mapped column twice, or
            no sheet has any cell.
    """  # noqa: DOC501  (`one_error` makes the other one)
    refuse_zip_bomb(file.label, file.path)
    try:
        book = fastexcel.read_excel(file.path)
    except fastexcel.FastExcelError as error:
        raise SourceError(
            f"{file.label}: cannot be read as a workbook", quoted=first_line(error), to_do="save it again as .xlsx"
        ) from error
    chosen = source.format.sheets or book.sheet_names
    missing = [name for name in chosen if name not in book.sheet_names]
    if missing:
        raise one_error(
            [
                SourceError(
                    f"{file.label}: has no sheet {name!r}",
                    quoted=f"sheets found: {book.sheet_names}{did_you_mean(name, book.sheet_names)}",
                    to_do=f"correct {source.key}.format.sheets",
                )
                for name in missing
            ]
        )
    found = []
    for position, name in enumerate(chosen):
        label = f"{file.label}#{name}"
        try:
            first = book.load_sheet(name, header_row=None, n_rows=1, dtypes="string")
            # A hidden sheet is usually a copy or a list of choices. It is read only if `format.sheets` names it.
            is_unasked = first.visible != "visible" and source.format.sheets is None
            header = first.to_polars()
            if header.is_empty() or is_unasked:
                continue
            names = [str(value).strip() if value is not None else "" for value in header.row(0)]
            twice = sorted({theirs for theirs in own_columns(source) if names.count(theirs) > 1})
            if twice:
                raise SourceError(f"{label}: the header holds {twice} more than once", to_do="rename one of them")
            # schema_sample_rows=None: a text in the last row makes the column text, and no cell is lost.
            unique = [value if value and names.index(value) == at else f"__{at}" for at, value in enumerate(names)]
            sheet = book.load_sheet(name, header_row=None, skip_rows=1, column_names=unique, schema_sample_rows=None)
            # A column without a name of its own cannot be mapped.
            frame = sheet.to_polars().select(name for name in unique if name in names)
        except fastexcel.FastExcelError as error:
            raise SourceError(f"{label}: cannot be read", quoted=first_line(error)) from error
        path = stem.with_name(f"{stem.name}_{position:03d}.parquet")
        frame.write_parquet(path)
        found.append((SourceFile(label, file.path), path))
    if not found:
        raise SourceError(f"{file.label}: no visible sheet holds anything")
    return found
