"""Every line of a text file is a record, or continues one: no line goes without a word.

Here belongs counting lines against records, once a file is loaded. The CSV reader can lose lines in three ways: a quote
that is never closed makes one broken record of all that follows; two stray quotes make one long value of what is
between them, and the file is as valid as before; and a record beyond the reader's buffer is skipped.

Where there are as many lines as records, nothing more is asked. Only a file with values of several lines, or with blank
lines, is looked at once more.
"""

# Only expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from dataclasses import dataclass

import duckdb

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.lines import filled_lines, longest_line
from clv_pipeline.sources.tables import BUFFER_BYTES, REJECTS, RawTable, text_scan

LINES_BETWEEN = 2
"""So many lines within a value, that are built like records, are records: fewer may be chance."""

_SHARE_ALIKE = 0.9
"""Of the lines within a value, how many have to be built like records."""


@dataclass(frozen=True)
class Lines:
    """The lines of a file below its header that are not blank."""

    count: int
    continuing: int
    """Those that continue a record."""


@dataclass(frozen=True)
class _Continued:
    """Records of several lines."""

    lines: int
    """That continue one."""
    swallowed_at: int | None
    """Line at which the first value begins that holds records."""
    swallowed: int | None
    """Lines in that value."""


def lines_of(con: duckdb.DuckDBPyConnection, raw: RawTable, rows: int) -> Lines | None:
    """The lines of a text file just loaded; None for what has no lines.

    Args:
        con: the connection that has loaded it; what was rejected is still in the reject tables, and will not be.
        raw: the file.
        rows: records in the table, the rejected ones included.

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
    """What is wrong where lines are in no record."""
    if unclosed is not None:
        # Where values of several lines stand beside it, the two cannot be told apart.
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
    """Values of several lines, all columns considered.

    A value has swallowed records where its lines, the quotes taken out, are as many records: its first line lacks the
    fields before it, its last one those behind it.
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
    parameters = {**raw.parameters, "width": raw.csv_width}
    [(lines, before, swallowed)] = con.execute(sql, parameters).fetchall()
    return _Continued(int(lines), None if before is None else int(before) + raw.first_line - 1, swallowed)


def _continued_rejects(con: duckdb.DuckDBPyConnection, raw: RawTable) -> _Continued:
    """Rejected records of several lines. Whole lines are in them."""
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
