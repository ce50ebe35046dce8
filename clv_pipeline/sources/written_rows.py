"""Records become rows: those of one file, or of several of the same shape in one scan.

Here belongs that every file keeps what it is promised: its number, its lines, its rejects, and the original text where
a value cannot be read. Files scanned together for which one of these needs a closer look are taken out of the table
and read again by themselves.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import duckdb

from clv_pipeline.config.source import TableSource
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.batches import at_fault, together
from clv_pipeline.sources.conventions import Conventions
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.prepared_rows import prepared
from clv_pipeline.sources.records import lines_of
from clv_pipeline.sources.rejects import add_rejects, forget_rejects
from clv_pipeline.sources.tables import REJECTS, ColumnKind, RawTable, typed_by_reader
from clv_pipeline.sources.typed import UNREADABLE, typed_select


@dataclass(frozen=True)
class Target:
    """The table for the records of a source, and how to read them."""

    table: str
    """Name of the table as a quoted SQL identifier."""
    source: TableSource
    conventions: Conventions


@dataclass(frozen=True)
class _Counted:
    """What the table holds of one source after a scan."""

    rows: int = 0
    start: int = 0
    """The first rowid. Rowids do not start at 0 inside a transaction or after deleted rows."""
    texts: int = 0
    """Number of rows whose original text was kept."""
    unreadable: int = 0


def write_rows(con: duckdb.DuckDBPyConnection, target: Target, parts: Mapping[int, RawTable]) -> list[LoadedFile]:
    """Add the records of one table, or of tables of the same shape, by the numbers of their sources.

    Raises:
        SourceError: a file cannot be read, or lines are lost in it.
    """
    loaded: dict[int, LoadedFile] = {}
    left = dict(parts)
    if len(left) > 1 and _is_plain(target, next(iter(left.values()))):
        loaded |= _scan_together(con, target, left, by_reader=True)
        left = {source_id: raw for source_id, raw in parts.items() if source_id not in loaded}
    if len(left) > 1:
        loaded |= _scan_together(con, target, left, by_reader=False)
    for source_id, raw in parts.items():
        if source_id not in loaded:
            loaded[source_id] = _write_alone(con, target, raw, source_id)
    return [loaded[source_id] for source_id in parts]


def _scan_together(
    con: duckdb.DuckDBPyConnection, target: Target, parts: Mapping[int, RawTable], *, by_reader: bool
) -> dict[int, LoadedFile]:
    """Add the records of several tables; those that need a closer look are left out.

    They have lines that could not be split or, read `by_reader`, values that could not be parsed.
    """
    raw = together(list(parts.values()), target.source)
    with raw.at_hand():
        _insert(con, target, _typed_by_reader(target, raw) if by_reader else raw, list(parts))
        counted = _counted(con, target, parts)
        source_ids = list(parts)
        rejected = con.execute(f"SELECT DISTINCT file_id FROM {REJECTS}").fetchall()
        odd = {source_ids[file] for (file,) in rejected}
        if by_reader:
            odd |= {source_id for source_id, counts in counted.items() if counts.texts}
        if odd:
            con.execute(f"DELETE FROM {target.table} WHERE list_contains($odd, source_id)", {"odd": sorted(odd)})
            # They are none of the other files'.
            forget_rejects(con)
        good = {source_id: part for source_id, part in parts.items() if source_id not in odd}
        _number_lines(con, target, {source_id: counted[source_id].start for source_id in good}, raw)
        return {
            source_id: _loaded(con, target, part, source_id, counted[source_id].rows, counted[source_id].unreadable)
            for source_id, part in good.items()
        }


def _counted(con: duckdb.DuckDBPyConnection, target: Target, source_ids: Collection[int]) -> dict[int, _Counted]:
    found = con.execute(
        f"""
        SELECT source_id, count(*), min(rowid), count(source_text),
            count(*) FILTER (starts_with(source_text, '{UNREADABLE}'))
        FROM {target.table} WHERE source_id BETWEEN $first AND $last GROUP BY source_id
        """,
        {"first": min(source_ids), "last": max(source_ids)},
    ).fetchall()
    counts = {source_id: _Counted(*counted) for source_id, *counted in found}
    return {source_id: counts.get(source_id, _Counted()) for source_id in source_ids}


def _number_lines(con: duckdb.DuckDBPyConnection, target: Target, starts: Mapping[int, int], raw: RawTable) -> None:
    """Give rows their numbers: afterwards, because row_number() would make the scan single-threaded.

    `starts` are the first rowids of sources whose rows are in order and without a gap.
    """
    if not starts:
        return
    first, last = min(starts), max(starts)
    con.execute(
        f"UPDATE {target.table} SET source_line = rowid - $starts[source_id - $first + 1] + $first_line"
        " WHERE source_id BETWEEN $first AND $last AND $starts[source_id - $first + 1] IS NOT NULL",
        {
            "starts": [starts.get(source_id) for source_id in range(first, last + 1)],
            "first": first,
            "last": last,
            "first_line": raw.first_line,
        },
    )


def _write_alone(con: duckdb.DuckDBPyConnection, target: Target, raw: RawTable, source_id: int) -> LoadedFile:
    with raw.at_hand():
        rows = _insert_by_reader(con, target, raw, source_id) if _is_plain(target, raw) else None
        if rows is None:
            rows = _insert(con, target, raw, [source_id])
        counted = _counted(con, target, [source_id])[source_id]
        _number_lines(con, target, {source_id: counted.start}, raw)
        rejected = add_rejects(con, target.table, source_id, raw, counted.start, rows) if raw.stores_rejects else 0
        return _loaded(con, target, raw, source_id, rows + rejected, counted.unreadable + rejected)


def _loaded(
    con: duckdb.DuckDBPyConnection, target: Target, raw: RawTable, source_id: int, rows: int, unreadable: int
) -> LoadedFile:
    lines = lines_of(con, raw, rows)
    conventions = target.conventions
    dates = f", dates {' '.join(conventions.date_formats)}" if conventions.date_formats else ""
    decimal = ", decimal comma" if conventions.decimal == "," and raw.localised else ""
    return LoadedFile(
        source_id=source_id,
        source_file=raw.source_file,
        rows=rows,
        unreadable_rows=unreadable,
        bytes=raw.file.bytes if raw.file is not None else None,
        sha256=None,
        format=raw.format + dates + decimal,
        path=raw.file.label if raw.file is not None else raw.name or raw.source_file,
        stamp=raw.file.stamp() if raw.file is not None else raw.stamp,
        conventions=json.dumps(asdict(conventions)),
        read_with=_read_with(target.source),
        lines=lines.count if lines is not None else None,
        joined_lines=lines.continuing if lines is not None else None,
    )


def _read_with(source: TableSource) -> str:
    """The settings that decide which columns are read and how, as JSON."""
    stated = source.format.model_dump(exclude_none=True)
    seam = source.model_dump(include={"where", "fill_down"}, exclude_none=True)
    return json.dumps({"columns": source.columns, **({"format": stated} if stated else {}), **seam}, sort_keys=True)


def _insert(con: duckdb.DuckDBPyConnection, target: Target, raw: RawTable, source_ids: Sequence[int]) -> int:
    """Add the records of one scan and return their number. Rejected lines stay in the reject tables.

    Raises:
        SourceError: a file cannot be read.
    """
    if raw.stores_rejects:
        forget_rejects(con)
    rows = prepared(raw, target.source, target.conventions)
    select, parameters = typed_select(rows, target.source, target.conventions, source_ids)
    try:
        return _count(con, f"INSERT INTO {target.table} {select}", parameters)
    except duckdb.Error as error:
        raise SourceError(
            f"{at_fault(con, raw).source_file}: cannot be read",
            quoted=first_line(error),
            to_do=f"get the file again, or look at {target.source.key}.format",
        ) from error


def _is_plain(target: Target, raw: RawTable) -> bool:
    """Whether the CSV reader may parse dates and numbers itself: ISO dates and plain numbers."""
    has_plain_values = not target.conventions.date_formats and target.conventions.decimal == "."
    return bool(raw.csv_width) and raw.unreadable == "NULL" and has_plain_values and not target.source.prepares_rows


def _typed_by_reader(target: Target, raw: RawTable) -> RawTable:
    source = target.source
    kinds: dict[str, tuple[str, ColumnKind]] = {
        source.columns[name]: ("DECIMAL(18,4)", "number") for name in source.numbers if name in source.columns
    }
    if source.time is not None:
        kinds[source.columns[source.time]] = ("TIMESTAMP", "time")
    return typed_by_reader(raw, kinds)


def _insert_by_reader(con: duckdb.DuckDBPyConnection, target: Target, raw: RawTable, source_id: int) -> int | None:
    """Load a plain CSV without gaps in the fast way; of any other, load nothing.

    If the reader cannot parse a value, the function returns None, and the file must be loaded in the slow way, which
    keeps the original text of such rows.
    """
    rows = _insert(con, target, _typed_by_reader(target, raw), [source_id])
    gaps = _count(
        con,
        f"SELECT (SELECT count(*) FROM {REJECTS} WHERE error_type = 'CAST')"
        f" + (SELECT count(source_text) FROM {target.table} WHERE source_id = $id)",
        {"id": source_id},
    )
    if not gaps:
        return rows
    con.execute(f"DELETE FROM {target.table} WHERE source_id = $id", {"id": source_id})
    return None


def _count(con: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, object]) -> int:
    (count,) = con.execute(sql, parameters).fetchone() or (0,)
    return int(count)
