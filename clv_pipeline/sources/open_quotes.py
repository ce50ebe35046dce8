"""A quote that is opened and never closed makes one value of all the lines below it.

Here belongs finding that out. The CSV reader reports one broken record then, whatever the quote has swallowed; on
large files it does not even report where. Lines that are gone without a row of their own are no load.
"""

# Only identifiers that this package wrote itself enter the SQL.
# ruff: noqa: S608

import duckdb

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.prepare import lines_in
from clv_pipeline.sources.tables import REJECTS, RawTable


def refuse_swallowed_lines(con: duckdb.DuckDBPyConnection, raw: RawTable, rows: int) -> None:
    """Refuse a CSV in which a quote was left open, and which has more lines than gave `rows`.

    A file that holds both a stray quote and values of several lines is refused too: the two cannot be told apart.

    Raises:
        SourceError: it is such a file.
    """
    (line,) = con.execute(f"SELECT min(line) FROM {REJECTS} WHERE error_type = 'UNQUOTED VALUE'").fetchone() or (None,)
    if line is None or raw.scanned_path is None:
        return
    missing = lines_in(raw.scanned_path) - (raw.first_line - 1) - rows
    if missing > 0:
        raise SourceError(
            f"{raw.source_file}: a quote opened near line {line} is not closed, and {missing:,} lines after it are "
            "lost in it",
            to_do="close it, or write a quote inside a quoted value twice",
        )
