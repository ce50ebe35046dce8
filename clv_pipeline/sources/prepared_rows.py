"""Rows prepared before they are read: `fill_down`, expressions in place of columns, and `where`.

Here belongs putting these settings of a source into the SQL of a raw table. A record stays one row, in its place in the
file. What an expression may say is in `expressions`.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import replace

import duckdb

from clv_pipeline.config.source import FillDown, TableSource
from clv_pipeline.sources.conventions import Conventions
from clv_pipeline.sources.errors import first_line
from clv_pipeline.sources.expressions import QUOTES, Kind, Parsed, computed, condition
from clv_pipeline.sources.parameters import used
from clv_pipeline.sources.tables import Column, RawTable
from clv_pipeline.sources.typed import read_as, reading_parameters

_UNDECIDED = Conventions([], ".", None)
"""Stands for the conventions of a source until they are decided. Its expressions are only looked at with them."""

_ZEROS = "'[.]0*$|([.][0-9]*[1-9])0+$'"
"""Pattern of zeros that end the decimal places of a number."""


def prepared(raw: RawTable, source: TableSource, conventions: Conventions) -> RawTable:
    """The table with blank fields filled, expressions as columns, and the condition of `where`."""
    if not source.prepares_rows:
        return raw
    filled = _filled(raw, source.fill_down) if source.fill_down is not None else raw
    return _computed(
        filled, source, conventions if raw.localised else replace(conventions, decimal=".", thousands=None)
    )


def to_be_judged(con: duckdb.DuckDBPyConnection, raw: RawTable, source: TableSource) -> RawTable:
    """The table with the columns from which conventions are decided. Its expressions are known to DuckDB as valid.

    Raises:
        SourceError: DuckDB refuses an expression, for example because it adds a text to a number.
    """
    if not source.prepares_rows:
        return raw
    table = _computed(raw, source, _UNDECIDED)
    expressions = [(parsed, table.columns[theirs].expression) for theirs, parsed in computed(source).items()]
    where = condition(source)
    for parsed, sql in [*expressions, *([(where, table.selected)] if where is not None else [])]:
        query = f"SELECT {sql} FROM {table.scan} LIMIT 0"
        try:
            with table.at_hand():
                con.execute(query, used(table.parameters, query))
        except duckdb.Error as error:
            problem = f"cannot be computed from the columns of {raw.source_file}"
            raise parsed.refusal(problem, first_line(error), QUOTES) from error
    return table


def _computed(raw: RawTable, source: TableSource, conventions: Conventions) -> RawTable:
    parameters = {**raw.parameters, **reading_parameters(conventions)}

    def placed(expression: Parsed, prefix: str) -> str:
        sql, texts = expression.sql(lambda name, sql, kind: _read(raw, name, sql, kind, conventions), prefix)
        parameters.update(texts)
        return sql

    ours = {theirs: name for name, theirs in source.columns.items()}
    columns = dict(raw.columns)
    for number, (theirs, expression) in enumerate(computed(source).items()):
        sql = placed(expression, f"expression_{number}")
        columns[theirs] = _column(raw, expression, sql, ours[theirs], source)
    where = condition(source)
    selected = placed(where, "where") if where is not None else raw.selected
    return replace(raw, columns=columns, parameters=parameters, selected=selected)


def _read(raw: RawTable, name: str | None, sql: str, kind: Kind, conventions: Conventions) -> str:
    return read_as(kind, raw.columns[name] if name is not None else Column(sql), conventions)


def _column(raw: RawTable, expression: Parsed, sql: str, ours: str, source: TableSource) -> Column:
    """The column of an expression, as a reader of typed files would give it to our column `ours`."""
    fields = ", ".join(f"CAST({raw.columns[name].expression} AS VARCHAR)" for name in expression.columns)
    written = f"concat_ws(' | ', {fields})" if fields else f"CAST({sql} AS VARCHAR)"
    match expression.kind:
        case "number" if ours in source.numbers:
            return Column(sql, "number", written)
        case "number" if ours in source.known:
            # 10.000000 is the id 10.
            return Column(f"regexp_replace(CAST({sql} AS VARCHAR), {_ZEROS}, '\\1')", "text", written)
        case "number":
            return Column(f"CAST({sql} AS DOUBLE)", "number", written)
        case "time":
            return Column(sql, "time", written)
        case "condition":
            return Column(f"CAST({sql} AS VARCHAR)", "text", written)
        case "text":
            return Column(sql, "text", written)


def _filled(raw: RawTable, fill_down: FillDown) -> RawTable:
    """The table with blank fields of `columns` filled from above within lines of the same `by`, in the same order."""
    names = {name: f"f{position}" for position, name in enumerate(raw.columns)}
    by = _filled_text(names[fill_down.by])

    def field(name: str) -> str:
        own = names[name]
        if name not in fill_down.columns:
            return own
        above = (
            f"last_value(CASE WHEN {_filled_text(own)} IS NOT NULL THEN {own} END IGNORE NULLS) OVER"
            f" (PARTITION BY {by} ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
        )
        return f"CASE WHEN {by} IS NULL OR {_filled_text(own)} IS NOT NULL THEN {own} ELSE {above} END AS {own}"

    fields = "".join(f"{column.expression} AS {names[name]}, " for name, column in raw.columns.items())
    scan = f"SELECT {fields}{raw.unreadable} AS no_record, row_number() OVER () AS place FROM {raw.scan}"
    scan = f"SELECT {', '.join(map(field, names))}, no_record, place FROM ({scan})"
    return replace(
        raw,
        scan=f"(SELECT * FROM ({scan}) ORDER BY place)",
        columns={name: replace(column, expression=names[name]) for name, column in raw.columns.items()},
        unreadable="no_record" if raw.unreadable != "NULL" else "NULL",
    )


def _filled_text(sql: str) -> str:
    return f"nullif(trim(CAST({sql} AS VARCHAR)), '')"
