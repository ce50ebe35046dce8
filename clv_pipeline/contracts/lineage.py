"""Which upstream columns every output column comes from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage

from clv_pipeline.contracts.loader import DIALECT, SqlModel, TableModel
from clv_pipeline.errors import ContractError

ColumnLineage = dict[str, list[tuple[str, str]]]
"""Output column → the (table, column) pairs it is computed from, sorted."""


Schema = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""Tables with the names and types of their columns."""


def column_lineage(model: SqlModel, models: Mapping[str, TableModel]) -> ColumnLineage:
    """Trace each declared column of `model` to the tables it reads.

    Raises:
        ContractError: a column cannot be traced, which a query over the declared schemas always can.
    """
    schema = tuple(
        (name, tuple((column.name, column.type) for column in models[name].contract.columns))
        for name in model.dependencies
    )
    try:
        traced = _traced(model.sql, schema)
    except SqlglotError as error:
        raise ContractError(f"{model.name}: its columns cannot be traced", quoted=str(error)) from error
    return {column.name: traced[column.name] for column in model.contract.columns}


@cache
def _traced(sql: str, schema: Schema) -> ColumnLineage:
    """The lineage of a query, once in a process: to qualify a query takes longer than to run it on a small shop."""
    # One call for all columns qualifies the query once; untrimmed, because only tables and columns are read.
    nodes = lineage(
        None, sql, schema={table: dict(columns) for table, columns in schema}, dialect=DIALECT, trim_selects=False
    )
    return {
        column: sorted(
            {
                (leaf.source.name, leaf.name.rsplit(".", 1)[-1])
                for leaf in node.walk()
                if isinstance(leaf.source, exp.Table)
            }
        )
        for column, node in nodes.items()
    }
