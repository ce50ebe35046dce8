"""JSON lines as tables that SQL can scan: a record is a line, a column is a key.

Lines are read as text and parsed by JSON functions: read_json would stop at a broken line, or drop it. Here belongs
which keys a file has; the keys of many small files are asked for in one statement.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from clv_pipeline.config.source import TableSource
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.batches import MOST_LINES, alike
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.parameters import side_by_side, used
from clv_pipeline.sources.prepare import text_facts
from clv_pipeline.sources.tables import SCAN_OPTIONS, Column, RawTable, in_place_or_copied, refuse_too_wide

_SAMPLE_LINES = 10_000

_UNREADABLE = "CASE WHEN doc IS NULL THEN line END"

# The unit separator cannot occur unescaped in JSON, so no valid line is ever split.
_SCAN = (
    "(SELECT file_index, line, CASE WHEN json_valid(line) THEN "
    "CASE WHEN json_type(line) = 'OBJECT' THEN line END END AS doc "
    f"FROM read_csv($path, {SCAN_OPTIONS}, header = false, delim = chr(31), quote = '', escape = '', "
    "columns = {'line': 'VARCHAR'}) WHERE trim(line) <> '')"
)

_FIELDS = f"(SELECT *, json_extract_string(doc, $keys) AS fields FROM {_SCAN})"


def json_lines(file: SourceFile, gzipped: bool, source: TableSource, copy: Path, origin: Mapping[str, Any]) -> RawTable:
    """A file of JSON lines, still without columns (`with_keys`).

    Raises:
        SourceError: the file is no text.
    """
    facts = text_facts(file, gzipped, source.format.encoding)
    path, parameters, copies, facts = in_place_or_copied(file, gzipped, facts, copy)
    return RawTable(
        source_file=file.label,
        scan=_SCAN,
        parameters=parameters,
        columns={},
        format=f"JSON lines, {facts.encoding}{', gzip' if gzipped else ''}",
        first_line=1,
        unreadable=_UNREADABLE,
        stores_rejects=True,
        localised=False,
        scanned_path=path,
        lines=facts.lines,
        **{**origin, "temporary": [*origin["temporary"], *copies]},
    )


def with_keys(
    con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource
) -> tuple[list[RawTable], list[SourceError]]:
    """The tables, those of JSON lines with a column for every key, and an error for each that has none."""
    lines = [table for table in tables if table.scan == _SCAN]
    found = iter([keys for group in alike(lines, _is_small) for keys in _keys_of(con, group)])
    complete: list[RawTable] = []
    problems: list[SourceError] = []
    for table in tables:
        try:
            complete.append(_with_columns(con, table, next(found), source) if table.scan == _SCAN else table)
        except SourceError as error:
            problems.append(error)
    return complete, problems


def _is_small(table: RawTable) -> bool | None:
    return (table.lines is not None and table.lines <= MOST_LINES) or None


def _keys_of(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable]) -> list[list[str] | SourceError]:
    """For each file the keys in its first lines, in their order, or the error if it cannot be read."""
    queries = [
        (
            f"SELECT DISTINCT {number}, unnest(json_keys(doc)) FROM (SELECT doc FROM {_SCAN} LIMIT {_SAMPLE_LINES})",
            table.parameters,
        )
        for number, table in enumerate(tables)
    ]
    sql, parameters = side_by_side(queries)
    keys: list[list[str]] = [[] for _ in tables]
    try:
        with replace(tables[0], parts=tuple(tables)).at_hand():
            for number, key in con.execute(f"{sql} ORDER BY ALL", parameters).fetchall():
                keys[number].append(key)
    except duckdb.Error as error:
        if len(tables) == 1:
            return [_unread(tables[0], error)]
        # One by one, and in a connection of its own, because the error has ended the transaction.
        with con.cursor() as aside:
            return [found for table in tables for found in _keys_of(aside, [table])]
    return list(keys)


def _unread(table: RawTable, error: duckdb.Error) -> SourceError:
    return SourceError(f"{table.source_file}: cannot be read as JSON lines", quoted=first_line(error))


def _with_columns(
    con: duckdb.DuckDBPyConnection, table: RawTable, found: list[str] | SourceError, source: TableSource
) -> RawTable:
    if isinstance(found, SourceError):
        raise found
    assert table.file is not None  # noqa: S101  (it was opened)
    own = own_columns(source)
    absent = [key for key in own if found and key not in found]
    # Writers usually leave out keys without a value. A required key may still come further below.
    sought = {*source.required_columns, *(name for name, _ in table.file.partition)}
    try:
        with table.at_hand():
            keys = [*found, *(key for key in absent if key not in sought or _has_key(con, table.parameters, key))]
    except duckdb.Error as error:
        raise _unread(table, error) from error
    if not keys:
        raise SourceError(
            f"{table.source_file}: none of its first {_SAMPLE_LINES:,} lines is a JSON object with keys",
            to_do="write one object per line, not an array and not indented",
        )
    refuse_too_wide(table.file, len(keys))
    # Mapped keys are taken out of a line together: each function call parses it anew. They have the same place in every
    # file, so that files with other keys beside them can be read together.
    places = {key: f"fields[{place}]" for place, key in enumerate(own, start=1)}
    others = {key: f"key_{number}" for number, key in enumerate(keys) if key not in places}
    pointers = {name: _pointer(key) for key, name in others.items()}
    expressions = places | {key: f"json_extract_string(doc, ${name})" for key, name in others.items()}
    return replace(
        table,
        scan=_FIELDS,
        parameters={**table.parameters, **pointers, "keys": list(map(_pointer, own))},
        columns={key: Column(expressions[key]) for key in keys},
    )


def _pointer(key: str) -> str:
    """A JSON pointer. It reaches any key, including keys with dots, quotes or a dollar sign."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _has_key(con: duckdb.DuckDBPyConnection, parameters: Mapping[str, Any], key: str) -> bool:
    """Whether any object in a file of JSON lines has the key."""
    asked = f"SELECT EXISTS (SELECT 1 FROM {_SCAN} WHERE json_exists(doc, $key))"
    return con.execute(asked, used({**parameters, "key": _pointer(key)}, asked)).fetchall() == [(True,)]
