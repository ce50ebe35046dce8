"""Small text files of the same shape, which one scan reads together.

A scan costs more than the rows of a small file, and a shop of daily files has hundreds of them. Here belongs which
files go together, and what scans all of them. That every file keeps its numbers, lines and rejects is seen to in
`written_rows`; the first rows of each are taken in `samples`.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb

from clv_pipeline.config.source import TableSource
from clv_pipeline.sources import copies
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.parameters import used
from clv_pipeline.sources.tables import FILE_NUMBER, Column, RawTable

MOST_LINES = 50_000
"""Most lines of a file that is read together with others. A larger one takes longer than its scan costs."""
MOST_FILES = 250
_MOST_COLUMNS = 200
"""Most columns of such a file. Each scan names them all."""


def batches(tables: Sequence[RawTable], source: TableSource) -> list[RawTable]:
    """The tables in their order, neighbours of the same shape as one table with `parts`."""
    found = alike(tables, lambda table: _shape(table, source))
    return [together(parts, source) if len(parts) > 1 else parts[0] for parts in found]


def alike(tables: Sequence[RawTable], shape: Callable[[RawTable], object | None]) -> list[list[RawTable]]:
    """Groups of neighbours of the same shape; a table without a shape is a group by itself.

    No group has more than `MOST_FILES`, or more bytes than copies may take: all are at hand together.
    """
    found: list[list[RawTable]] = []
    last: object | None = None
    size = 0
    for table in tables:
        own, bytes_ = shape(table), table.file.bytes if table.file is not None else 0
        is_full = bool(found) and (len(found[-1]) == MOST_FILES or size + bytes_ > copies.MOST_BYTES)
        if own is None or own != last or is_full:
            found.append([])
            size = 0
        found[-1].append(table)
        last, size = own, size + bytes_
    return found


def _shape(table: RawTable, source: TableSource) -> tuple[Any, ...] | None:
    """What tables must share to be scanned together; None for a table that is scanned alone."""
    is_small = table.lines is not None and table.lines <= MOST_LINES and table.csv_width <= _MOST_COLUMNS
    # Values are filled down within a file. Of a damaged file, the scan is another one.
    if not is_small or source.fill_down is not None or table.unreadable == "damaged":
        return None
    columns = {name: table.columns.get(name) for name in _wanted(source)}
    parameters = {name: value for name, value in _parameters(table, columns).items() if not _varies(name)}
    return (
        *(table.scan, table.selected, table.unreadable, table.csv_width),
        *(table.first_line, table.header_lines, table.localised),
        *(columns, parameters),
    )


def _wanted(source: TableSource) -> list[Any]:
    return list(dict.fromkeys([*source.columns.values(), *own_columns(source)]))


def _varies(name: str) -> bool:
    """Whether a parameter may differ between files that are scanned together: its path and its folders."""
    return name == "path" or name.startswith("partition_")


def _parameters(table: RawTable, columns: Mapping[Any, Column | None]) -> dict[str, Any]:
    texts = [text for column in columns.values() if column for text in (column.expression, column.written)]
    return used(table.parameters, " ".join([table.scan, table.selected, *texts]))


def together(parts: Sequence[RawTable], source: TableSource) -> RawTable:
    """Tables of the same shape as one."""
    first = parts[0]
    columns = {name: column for name in _wanted(source) if (column := first.columns.get(name)) is not None}
    parameters = _parameters(first, columns)
    varying = [name for name in parameters if _varies(name)]

    def of_file(sql: str) -> str:
        return re.sub(r"\$(partition_\w+)", rf"$\1[{FILE_NUMBER}]", sql)

    return replace(
        first,
        parameters={**parameters, **{name: [part.parameters[name] for part in parts] for name in varying}},
        columns={
            name: replace(column, expression=of_file(column.expression), written=of_file(column.written))
            for name, column in columns.items()
        },
        selected=of_file(first.selected),
        temporary=[path for part in parts for path in part.temporary],
        parts=tuple(parts),
    )


def at_fault(con: duckdb.DuckDBPyConnection, table: RawTable) -> RawTable:
    """The first file of `table` that cannot be scanned, after a scan has failed; `table` itself if each can be."""
    for part in table.parts:
        # In a connection of its own, because the error has ended the transaction.
        with con.cursor() as aside:
            query = f"SELECT count(*) FROM {part.scan}"
            try:
                aside.execute(query, used(part.parameters, query))
            except duckdb.Error:
                return part
    return table
