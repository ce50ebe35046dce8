"""What the report reads: named queries on the published tables, and their rows as cells that know where they are from.

Every query returns its rows in an order that no tie decides; sums of DOUBLE go through DECIMAL, because the same tables
have to give the same page. A query that finds nothing returns no row, and the template says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.publication.report.queries import accuracy, customers, forecast, quality, sales, summary

if TYPE_CHECKING:
    import duckdb
    import polars as pl

QUERIES: dict[str, str] = {
    **summary.QUERIES,
    **forecast.QUERIES,
    **customers.QUERIES,
    **sales.QUERIES,
    **accuracy.QUERIES,
    **quality.QUERIES,
}
"""The queries by name. The report lists them, so that every number can be found in the published tables."""


@dataclass(frozen=True)
class Cell:
    """A value and where it stands: the query, the row (from 0) and the column."""

    value: Any
    query: str
    row: int
    column: str

    def __str__(self) -> str:
        return str(self.value)


def read(connection: duckdb.DuckDBPyConnection, name: str) -> pl.DataFrame:
    """The rows of a query of the report."""
    frame: pl.DataFrame = connection.sql(QUERIES[name]).pl()
    return frame


def cells(name: str, frame: pl.DataFrame) -> list[dict[str, Cell]]:
    """The rows of a query for a template: cells by column."""
    return [
        {column: Cell(value, name, number, column) for column, value in row.items()}
        for number, row in enumerate(frame.iter_rows(named=True))
    ]
