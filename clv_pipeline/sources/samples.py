"""The first rows of tables, from which it is judged what their values are like.

Here belongs asking a table, and copying the first rows of files that are scanned together. What follows from the values
is judged elsewhere (`conventions`, `unmapped_money`, `column_facts`).
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import duckdb

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.batches import at_fault
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.parameters import side_by_side, used
from clv_pipeline.sources.tables import Column, RawTable

_Answer = TypeVar("_Answer")

SAMPLE_ROWS = 1_000
"""Number of rows that are sampled from the head of each file."""
SAMPLE_BUFFER_BYTES = 4_000_000
"""Buffer size of a scan for a sample. A scan reads at least one buffer, and this is enough."""


def sample(
    con: duckdb.DuckDBPyConnection,
    table: RawTable,
    theirs: str,
    condition: str,
    kinds: Sequence[str] = ("text",),
    formats: Sequence[str] = (),
    whole: bool = False,
) -> list[str]:
    """Distinct trimmed values in the head of `table`, as text, that meet the SQL `condition` on `v`.

    The condition may name `$formats`. With `whole`, all rows are read and the first values in sorted order returned.
    The list is empty for a column of none of the `kinds`.
    """
    column = table.columns[theirs]
    if column.kind not in kinds:
        return []
    if whole and table.far is not None:
        question = partial(sample, theirs=theirs, condition=condition, kinds=kinds, formats=formats, whole=True)
        found = {value for values in answers(con, table, question) for value in values}
        return sorted(found)[:SAMPLE_ROWS]
    limit = "" if whole else f"LIMIT {SAMPLE_ROWS}"
    if (head := table.head) is not None and not whole:
        table, column, limit = head, head.columns[theirs], ""
    query = (
        f"SELECT DISTINCT v FROM (SELECT trim(CAST({column.expression} AS VARCHAR)) AS v FROM {table.scan} {limit}) "
        f"WHERE v <> '' AND ({condition}) ORDER BY v LIMIT {SAMPLE_ROWS}"
    )
    parameters = {**table.parameters, "buffer": SAMPLE_BUFFER_BYTES, "formats": list(formats)}
    return [value for (value,) in ask(con, table, query, parameters)]


def answers(
    con: duckdb.DuckDBPyConnection, table: RawTable, question: Callable[[duckdb.DuckDBPyConnection, RawTable], _Answer]
) -> list[_Answer]:
    """The answer of `table` to a question about all of its rows; of files that are read elsewhere, one of each.

    The question can be pickled, and its answer does not grow with the rows.
    """
    return table.far(question) if table.far is not None else [question(con, table)]


def ask(
    con: duckdb.DuckDBPyConnection, table: RawTable, query: str, parameters: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """The answer to a query that scans `table`, which is at hand meanwhile. It takes of the parameters what it names.

    Raises:
        SourceError: the table cannot be read.
    """
    try:
        with table.at_hand():
            return con.execute(query, used(parameters, query)).fetchall()
    except duckdb.Error as error:
        raise SourceError(
            f"{at_fault(con, table).source_file}: cannot be sampled",
            quoted=first_line(error),
            to_do="get the file again, or state another format of the source",
        ) from error


@contextmanager
def with_first_rows(
    con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], names: Collection[Any]
) -> Iterator[list[RawTable]]:
    """The tables, those of several files with a copy of the first rows of each: of the columns `names`, as text.

    Raises:
        SourceError: a file cannot be read.
    """
    found = [
        replace(table, head=_first_rows(con, table, names, f"clv_first_rows_{number}")) if table.parts else table
        for number, table in enumerate(tables)
    ]
    yield found
    # After an error the transaction is over, and the copies go with the connection.
    for table in found:
        if table.head is not None:
            con.execute(f"DROP TABLE {table.head.scan}")


def _first_rows(con: duckdb.DuckDBPyConnection, table: RawTable, names: Collection[Any], copy: str) -> RawTable:
    aliases = {name: f"h{position}" for position, name in enumerate(names)}
    queries = []
    for part in table.parts:
        fields = ", ".join(f"CAST({part.columns[name].expression} AS VARCHAR) AS {h}" for name, h in aliases.items())
        parameters = {**part.parameters, "buffer": SAMPLE_BUFFER_BYTES}
        queries.append((f"SELECT {fields or 'NULL AS h0'} FROM {part.scan} LIMIT {SAMPLE_ROWS}", parameters))
    sql, parameters = side_by_side(queries)
    ask(con, table, f"CREATE OR REPLACE TEMP TABLE {copy} AS {sql}", parameters)
    columns = {name: Column(alias, table.columns[name].kind) for name, alias in aliases.items()}
    return replace(table, scan=copy, parameters={}, columns=columns, parts=())
