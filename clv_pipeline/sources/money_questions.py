"""What only the user can answer about the money of a source: which of two totals counts, and whether it is cents.

`clv check` asks. Here belongs what is measured; the wording is in `cli/survey_text.py`.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from clv_pipeline.config.source import Expression, TransactionSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.catalog import list_files
from clv_pipeline.sources.lakehouse import open_snapshot
from clv_pipeline.sources.load import load_records, prepared
from clv_pipeline.sources.samples import sample
from clv_pipeline.sources.synonyms import plain, sounds_like_cents
from clv_pipeline.sources.tables import RawTable, open_tables

TOTALS = (
    *("linetotal", "lineamount", "totalprice", "lineprice", "sales", "salesamount", "extendedprice"),
    *("netamount", "grossamount", "amount", "totalamount", "total", "revenue", "subtotal"),
)
"""Names of columns with the money of a line: as `plain` writes them, the likeliest first."""


@dataclass(frozen=True)
class StatedTotal:
    """A stated total of a line beside quantity × unit price."""

    column: str
    """Their name of the column of the total."""
    is_taken: bool
    """Whether the total is mapped, and so the money of the line."""
    lines: int = 0
    """Number of lines on which all three can be read."""
    differing: int = 0
    """On how many of them they differ by more than 0.01."""
    difference: Decimal = Decimal(0)
    """The sum of the totals of these lines less that of quantity × unit price."""
    problem: str | None = None
    """Why the total cannot be compared; None if it can."""


@dataclass(frozen=True)
class MoneyQuestions:
    """What to ask about the money of a source."""

    stated_total: StatedTotal | None = None
    """The total that differs; None if there is nothing to ask."""
    may_be_cents: tuple[str, ...] = ()
    """Our names of the mapped columns that may be in hundredths."""


def money_questions(
    con: duckdb.DuckDBPyConnection, raw: str, source: TransactionSource, base_dir: Path, work_dir: Path
) -> MoneyQuestions:
    """What to ask about the money of a source whose records are loaded into `raw`.

    A source that maps quantity and unit price is read once more if its first file, or its table of a lakehouse, has a
    column that sounds like the total of a line. Of a query, only mapped columns are looked at.

    Raises:
        SourceError: the first file, or the table, cannot be read.
    """
    # An expression has been thought of.
    plainly = [ours for ours in source.money if not isinstance(source.columns.get(ours, Expression("")), Expression)]
    cents = [ours for ours in plainly if sounds_like_cents(source.columns[ours])]
    is_priced = {"quantity", "unit_price"} <= source.columns.keys()
    total = None
    if is_priced and "amount" in source.columns:
        total = _compared(con, raw, source.columns["amount"], is_taken=True)
    elif is_priced:
        column = _line_total(con, source, base_dir, work_dir)
        total = _loaded_and_compared(con, source, column, base_dir, work_dir) if column is not None else None
    elif _writes_minor_units(con, source, base_dir, work_dir):
        cents.append("amount")
    asks = total is not None and (total.differing or total.problem)
    return MoneyQuestions(total if asks else None, tuple(dict.fromkeys(cents)))


@contextmanager
def _first_file(
    con: duckdb.DuckDBPyConnection, source: TransactionSource, base_dir: Path, work_dir: Path
) -> Iterator[RawTable | None]:
    """The first table of the first file of a source; None for a query and for a table of a lakehouse."""
    with prepared(con, work_dir) as copies:
        tables, _ = open_tables(con, list_files(source, base_dir)[:1], (), source, copies)
        yield tables[0] if tables else None


def _line_total(
    con: duckdb.DuckDBPyConnection, source: TransactionSource, base_dir: Path, work_dir: Path
) -> str | None:
    """The unmapped column that sounds most like the total of a line, if it holds numbers."""
    if source.table is not None:
        return _sounds_like_a_total(open_snapshot(source.table, base_dir).whole().columns, source)
    with _first_file(con, source, base_dir, work_dir) as table:
        column = _sounds_like_a_total(table.columns, source) if table is not None else None
        return column if table is not None and column is not None and _has_digits(con, table, column) else None


def _sounds_like_a_total(columns: Iterable[str], source: TransactionSource) -> str | None:
    free = {plain(name): name for name in columns if name not in source.columns.values()}
    return next((free[name] for name in TOTALS if name in free), None)


def _has_digits(con: duckdb.DuckDBPyConnection, table: RawTable, column: str) -> bool:
    return table.columns[column].kind == "number" or bool(sample(con, table, column, "regexp_matches(v, '[0-9]')"))


def _writes_minor_units(
    con: duckdb.DuckDBPyConnection, source: TransactionSource, base_dir: Path, work_dir: Path
) -> bool:
    """Whether amounts are written as payment services do: JSON, whole numbers, the currency in lower case."""
    amount, currency = source.columns.get("amount", ""), source.columns.get("currency", "currency")
    with _first_file(con, source, base_dir, work_dir) as table:
        if table is None or not table.format.startswith("JSON") or not {amount, currency} <= table.columns.keys():
            return False
        is_lower = not sample(con, table, currency, "v <> lower(v)") and sample(con, table, currency, "v = lower(v)")
        return bool(is_lower) and not sample(con, table, amount, "NOT regexp_full_match(v, '-?[0-9]+')")


def _loaded_and_compared(
    con: duckdb.DuckDBPyConnection, source: TransactionSource, column: str, base_dir: Path, work_dir: Path
) -> StatedTotal:
    stated = source.model_copy(update={"columns": {**source.columns, "amount": column}})
    try:
        load_records(con, "stated_totals", stated, base_dir, work_dir)
        return _compared(con, "stated_totals", column, is_taken=False)
    except SourceError as error:  # a column that is not mapped need not be readable, and that is worth telling
        return StatedTotal(column, is_taken=False, problem=str(error))
    finally:
        con.execute("DROP TABLE IF EXISTS stated_totals")


def _compared(con: duckdb.DuckDBPyConnection, raw: str, column: str, *, is_taken: bool) -> StatedTotal:
    ((lines, differing, difference),) = con.execute(
        f"""
        WITH compared AS (
            SELECT CAST(CAST(amount AS DOUBLE) - CAST(quantity AS DOUBLE) * CAST(unit_price AS DOUBLE)
                AS DECIMAL(38, 4)) AS difference
            FROM {quote_identifier(raw)}
        )
        SELECT count(difference), count(*) FILTER (abs(difference) > 0.01),
            coalesce(sum(difference) FILTER (abs(difference) > 0.01), 0)
        FROM compared
        """
    ).fetchall()
    return StatedTotal(column, is_taken, lines, differing, difference)
