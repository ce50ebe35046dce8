"""Lines that the CSV reader could not split into fields. They become raw rows too, with their text and the reason."""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import duckdb

from clv_pipeline.sources.prepare import blank_lines_before
from clv_pipeline.sources.tables import REJECT_SCANS, REJECTS, RawTable
from clv_pipeline.sources.typed import SHOWN_CHARACTERS, UNREADABLE


def forget_rejects(con: duckdb.DuckDBPyConnection) -> None:
    """Empty the reject tables of earlier reads."""
    known = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE temporary AND table_name IN ($errors, $scans)",
        {"errors": REJECTS, "scans": REJECT_SCANS},
    ).fetchall()
    for (name,) in known:
        con.execute(f"DELETE FROM {name}")


def add_rejects(
    con: duckdb.DuckDBPyConnection, table: str, source_id: int, raw: RawTable, start: int, good_rows: int
) -> int:
    """Append the lines that were not split to `table` (quoted), and renumber the good rows below them.

    Returns the number of these lines. The good rows of the source begin at the rowid `start`.
    """
    lines = con.execute(f"SELECT DISTINCT line, line_byte_position FROM {REJECTS} ORDER BY ALL").fetchall()
    if not lines:
        return 0
    assert raw.scanned_path is not None  # noqa: S101 - only a scanned file has stored rejects
    # DuckDB counts blank lines here, although they are not records.
    blanks = blank_lines_before(raw.scanned_path, [position for _, position in lines])
    numbers = [line - blank for (line, _), blank in zip(lines, blanks, strict=True)]
    con.execute("CREATE OR REPLACE TEMP TABLE clv_reject_lines (line BIGINT, number BIGINT, good_before BIGINT)")
    con.execute(
        "INSERT INTO clv_reject_lines SELECT unnest($lines), unnest($numbers), unnest($good_before)",
        {
            "lines": [line for line, _ in lines],
            "numbers": numbers,
            "good_before": [number - raw.first_line - earlier for earlier, number in enumerate(numbers)],
        },
    )
    if good_rows:
        con.execute(
            f"""
            UPDATE {table} AS t SET source_line = t.source_line + shifted.shift
            FROM (
                SELECT good.position, steps.shift
                FROM (SELECT rowid AS position FROM {table} WHERE rowid >= $start) AS good
                ASOF JOIN (
                    SELECT good_before + $start AS threshold,
                        max(number - $first_line - good_before) + 1 AS shift
                    FROM clv_reject_lines GROUP BY ALL
                ) AS steps ON good.position >= steps.threshold
            ) AS shifted
            WHERE t.rowid = shifted.position
            """,
            {"start": start, "first_line": raw.first_line},
        )
    con.execute(
        f"""
        INSERT INTO {table} (source_id, source_line, source_text)
        SELECT $source_id, any_value(number),
            '{UNREADABLE}' || left(trim(any_value(csv_line), chr(10) || chr(13)), {SHOWN_CHARACTERS})
                || ' [' || string_agg(DISTINCT error_message, '; ' ORDER BY error_message) || ']'
        FROM {REJECTS} JOIN clv_reject_lines USING (line)
        GROUP BY line ORDER BY line
        """,
        {"source_id": source_id},
    )
    return len(lines)
