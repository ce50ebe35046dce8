"""Every line of a text file is a record or continues one. No line is lost silently.

Here belongs comparing the number of lines with the number of records once a file is loaded. The CSV reader can lose
lines in three ways. A quote that is never closed turns everything after it into one broken record. Two stray quotes
turn what is between them into one long value, and the file stays valid. A record beyond the reader's buffer is skipped.

A file with as many lines as records needs no further look. Only a file with values of several lines, or with blank
lines, is read once more.
"""

# Only expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from dataclasses import dataclass

import duckdb

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.lines import filled_lines, longest_line
from clv_pipeline.sources.parameters import used
from clv_pipeline.sources.tables import BUFFER_BYTES, REJECTS, RawTable, text_scan

LINES_BETWEEN = 2
"""Lines within a value that look like records are taken for records from this number on. Fewer may be chance."""

_SHARE_ALIKE = 0.9
"""Share of the lines within a value that must have as many fields as a record."""


@dataclass(frozen=True)
class Lines:
    """The lines of a file below its header that are not blank."""

    count: int
    continuing: int
    """Number of lines that continue a record."""


@dataclass(frozen=True)
class _Continued:
    """Records of several lines."""

    lines: int
    """Number of lines that continue a record."""
    swallowed_at: int | None
    """Line where the first value that holds records begins."""
    swallowed: int | None
    """Number of lines in that value."""


def lines_of(con: duckdb.DuckDBPyConnection, raw: RawTable, rows: int) -> Lines | None:
    """The lines of a text file that was just loaded; None for a source without lines.

    Args:
        con: the connection that loaded it. Its reject tables still hold the rejected lines of this file; the next load
            empties them.
        raw: the file.
        rows: number of records in the table, including the rejected ones.

    Raises:
        SourceError: lines are in no record, or a value has swallowed records.
    """  # noqa: DOC501  (`_lost` makes the error)
    if raw.lines is None or raw.scanned_path is None:
        return None
    if raw.lines - raw.header_lines - raw.parameters.get("skip", 0) == rows:
        return Lines(rows, 0)
    count = filled_lines(raw.scanned_path) - raw.header_lines
    if count == rows:
        return Lines(rows, 0)
    unclosed = _unclosed_quote(con)
    found = [_continued_rejects(con, raw), *([_continued_values(con, raw)] if raw.csv_width else [])]
    continuing = sum(part.lines for part in found)
    if (missing := count - rows - continuing) > 0 or (unclosed is not None and count > rows):
        raise _lost(raw, unclosed, max(missing, count - rows if unclosed is not None else 0))
    for part in found:
        if part.swallowed_at is not None:
            raise SourceError(
                f"{raw.source_file}: a quote opened near line {part.swallowed_at} is closed {part.swallowed:,} lines"
                " below, and what is between them looks like records",
                to_do="take the stray quotes out, or write a quote inside a quoted value twice",
            )
    return Lines(count, continuing)


def _unclosed_quote(con: duckdb.DuckDBPyConnection) -> int | None:
    [(line,)] = con.execute(f"SELECT min(line) FROM {REJECTS} WHERE error_type = 'UNQUOTED VALUE'").fetchall()
    return int(line) if line is not None else None


def _lost(raw: RawTable, unclosed: int | None, missing: int) -> SourceError:
    """The error for lines that are in no record."""
    if unclosed is not None:
        # A value of several lines beside it could not be told from the open quote.
        return SourceError(
            f"{raw.source_file}: a quote opened near line {unclosed} is not closed, and {missing:,} lines after it are"
            " lost in it",
            to_do="close it, or write a quote inside a quoted value twice",
        )
    assert raw.scanned_path is not None  # noqa: S101  (its lines have been counted)
    line, size = longest_line(raw.scanned_path)
    if size > BUFFER_BYTES:
        return SourceError(
            f"{raw.source_file}: line {line} has {size / 1e6:,.0f} MB, which is too long for a record",
            to_do="take it out, or get the file again",
        )
    return SourceError(
        f"{raw.source_file}: {missing:,} of its lines are in no record", to_do="look for stray quotes in it"
    )


_SEPARATORS = "len({0}) - len(replace({0}, $delimiter, ''))"
_ALIKE = f"lambda line: {_SEPARATORS.format('line')} IN ($width - 1, $width)"
_FILLED = "lambda line: line NOT IN ('', chr(13))"


def _continued_values(con: duckdb.DuckDBPyConnection, raw: RawTable) -> _Continued:
    """Values of several lines, in all columns.

    A value has swallowed records if its lines, without the quotes, are records: the first line lacks the fields before
    the value, and the last line lacks the fields after it.
    """
    columns = [f"c{position}" for position in range(raw.csv_width)]
    several = " OR ".join(f"contains({column}, chr(10))" for column in columns)
    sql = f"""
        WITH numbered AS (SELECT row_number() OVER () AS record, * FROM {text_scan(raw)}),
        several AS (
            SELECT record, unnest([{", ".join(columns)}]) AS value, unnest(range({raw.csv_width})) AS position
            FROM numbered WHERE {several}
        ),
        parted AS (
            SELECT record, position, string_split(value, chr(10)) AS pieces FROM several WHERE contains(value, chr(10))
        ),
        filled AS (SELECT *, list_filter(pieces[2:-2], {_FILLED}) AS between FROM parted),
        judged AS (
            SELECT record, len(between) + 1 AS continuing,
                len(between) >= {LINES_BETWEEN} AND $width >= 3
                AND len(list_filter(between, {_ALIKE})) >= {_SHARE_ALIKE} * len(between)
                AND {_SEPARATORS.format("pieces[1]")} IN ($width - 1 - position, $width - position)
                AND {_SEPARATORS.format("pieces[-1]")} = position AS swallowed
            FROM filled
        ),
        placed AS (
            SELECT *, record + sum(continuing) OVER (ORDER BY record ROWS UNBOUNDED PRECEDING) - continuing AS before
            FROM judged
        )
        SELECT coalesce(sum(continuing), 0), min(before) FILTER (WHERE swallowed),
            arg_min(continuing, record) FILTER (WHERE swallowed)
        FROM placed
    """
    parameters = used({**raw.parameters, "width": raw.csv_width}, sql)
    [(lines, before, swallowed)] = con.execute(sql, parameters).fetchall()
    return _Continued(int(lines), None if before is None else int(before) + raw.first_line - 1, swallowed)


def _continued_rejects(con: duckdb.DuckDBPyConnection, raw: RawTable) -> _Continued:
    """Rejected records of several lines. They hold whole lines."""
    sql = f"""
        WITH rejected AS (
            SELECT line, any_value(rtrim(csv_line, chr(10) || chr(13))) AS text FROM {REJECTS} GROUP BY line
        ),
        filled AS (SELECT line, list_filter(string_split(text, chr(10))[2:], {_FILLED}) AS below FROM rejected),
        judged AS (
            SELECT line, len(below) AS continuing,
                len(below) > {LINES_BETWEEN} AND $width >= 3
                AND len(list_filter(below, {_ALIKE})) >= {_SHARE_ALIKE} * len(below) AS swallowed
            FROM filled
        )
        SELECT coalesce(sum(continuing), 0), min(line) FILTER (WHERE swallowed),
            arg_min(continuing, line) FILTER (WHERE swallowed)
        FROM judged
    """
    parameters = {"width": raw.csv_width, "delimiter": raw.parameters.get("delimiter", "")}
    return _Continued(*con.execute(sql, parameters).fetchall()[0])
