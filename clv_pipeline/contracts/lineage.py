"""Which upstream columns every output column comes from."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage

from clv_pipeline.contracts.loader import DIALECT, SqlModel, TableModel
from clv_pipeline.errors import ContractError

ColumnLineage = dict[str, list[tuple[str, str]]]
"""Output column → the (table, column) pairs it is computed from, sorted."""


def column_lineage(model: SqlModel, models: Mapping[str, TableModel]) -> ColumnLineage:
    """Trace each declared column of `model` to the tables it reads.

    Raises:
        ContractError: a column cannot be traced, which a query over the declared schemas always can.
    """
    schema = {
        name: {column.name: column.type for column in models[name].contract.columns} for name in model.dependencies
    }
    try:
        # One call for all columns qualifies the query once; untrimmed, because only tables and columns are read.
        nodes = lineage(None, model.parsed, schema=schema, dialect=DIALECT, trim_selects=False)
    except SqlglotError as error:
        raise ContractError(f"{model.name}: its columns cannot be traced", quoted=str(error)) from error
    traced: ColumnLineage = {}
    for column in model.contract.columns:
        sources = {
            (leaf.source.name, leaf.name.rsplit(".", 1)[-1])
            for leaf in nodes[column.name].walk()
            if isinstance(leaf.source, exp.Table)
        }
        traced[column.name] = sorted(sources)
    return traced
