"""The published tables as their contracts say, without rows: what a query of an example or a document must fit."""

from __future__ import annotations

import duckdb

from clv_pipeline.contracts.loader import load_models


def empty_publication() -> duckdb.DuckDBPyConnection:
    """An open database in memory that has them; who asks for it closes it."""
    client = duckdb.connect()
    for name, model in load_models().items():
        if model.contract.published:
            columns = ", ".join(f'"{column.name}" {column.type}' for column in model.contract.columns)
            client.execute(f"create table {name} ({columns})")
    return client
