"""Shops without money: a mapping may name none, but not because it was forgotten.

A column that looks like money, by name and values, is asked about before anything is loaded.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import re
from collections.abc import Collection, Iterable, Sequence

import duckdb

from clv_pipeline.config.source import TableSource, TransactionSource
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.conventions import LOOKS_LIKE_NUMBER
from clv_pipeline.sources.errors import listed
from clv_pipeline.sources.expressions import own_columns
from clv_pipeline.sources.samples import SAMPLE_ROWS, ask
from clv_pipeline.sources.tables import RawTable

_WORDS = re.compile(
    "amount|price|total|revenue|sales|turnover|spen[dt]|value|paid|payment|gross|net|subtotal|cost|gmv"
    "|betrag|preis|umsatz|summe|montant|prix|importe|precio|importo|prezzo|valor|bedrag|prijs"
)
"""Parts of names that money has."""


def may_be_money(columns: Iterable[str], source: TableSource) -> list[str]:
    """The columns of transactions without money that may hold it, by their names. A mapped one has been thought of."""
    if not isinstance(source, TransactionSource) or source.has_money:
        return []
    mapped = set(own_columns(source))
    return [name for name in columns if name not in mapped and _WORDS.search(name.lower())]


def refuse_unmapped_money(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource) -> None:
    """Refuse transactions that map no money although a column looks like it.

    Raises:
        SourceError: names the file and the columns.
    """
    for table in tables:
        if money := _numbers(con, table, may_be_money(table.columns, source)):
            raise SourceError(
                f"{table.source_file}: no money is mapped, and columns look like money",
                quoted=listed(money),
                to_do=f"map amount (or quantity and unit_price) in {source.key}.columns; if the shop has no money, map"
                " the column under another name: it is then an attribute",
            )


def _numbers(con: duckdb.DuckDBPyConnection, table: RawTable, names: Collection[str]) -> list[str]:
    """Those of the columns of which most filled values are numbers."""
    if not names:
        return []
    texts = [
        f"nullif(trim(CAST({table.columns[name].expression} AS VARCHAR)), '') AS t{position}"
        for position, name in enumerate(names)
    ]
    shares = [f"avg(CAST(regexp_matches(t{position}, $number) AS INTEGER))" for position in range(len(texts))]
    query = f"SELECT {', '.join(shares)} FROM (SELECT {', '.join(texts)} FROM {table.scan} LIMIT {SAMPLE_ROWS})"
    # A currency may stand before or after.
    number = rf"^\D{{0,4}}({LOOKS_LIKE_NUMBER})\D{{0,4}}$"
    [found] = ask(con, table, query, {**table.parameters, "number": number})
    return [name for name, share in zip(names, found, strict=True) if share is not None and share > 0.5]
