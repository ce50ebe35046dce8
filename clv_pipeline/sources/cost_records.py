"""Acquisition costs of which nothing may be missing or turned round: a record that cannot count is named.

A record that cannot be read stops the load. Credit notes may be in another file than their costs, so that what they
leave is known of all files together: `clv check` reads all of them, and a run finds it by the contract of
`acquisition_costs`.
"""

# Only identifiers that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from collections.abc import Sequence

import duckdb

from clv_pipeline.config.source import CostSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.errors import one_error
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.typed import NOT_SELECTED

_NAMED = 10
"""Most records that are looked up to be named."""


def refuse_unread_costs(con: duckdb.DuckDBPyConnection, table: str, files: Sequence[LoadedFile]) -> None:
    """Refuse loaded costs of which a record has no date or no amount: what customers cost would be too low.

    Raises:
        SourceError: names the file, the line and the column of the first records.
    """  # noqa: DOC501  (`one_error` makes the error)
    names = {file.source_id: file.source_file for file in files}
    rows = con.execute(
        f"SELECT source_id, source_line, date IS NULL, amount IS NULL FROM {quote_identifier(table)}"
        f" WHERE (date IS NULL OR amount IS NULL) AND source_text IS DISTINCT FROM '{NOT_SELECTED}'"
        " ORDER BY source_id, source_line LIMIT $most",
        {"most": _NAMED},
    ).fetchall()
    problems = [
        SourceError(
            f"{names[source_id]}, line {line}: no {' and no '.join(_missing(no_date, no_amount))} that can be read",
            to_do=f"correct the line, or leave it out by {CostSource.key}.where",
        )
        for source_id, line, no_date, no_amount in rows
    ]
    if problems:
        raise one_error(problems)


def refuse_credits_beyond_costs(con: duckdb.DuckDBPyConnection, table: str, files: Sequence[LoadedFile]) -> None:
    """Refuse the costs of all files where a month and channel is below 0: nobody is paid for acquiring customers.

    A credit note, an amount below 0, is netted with the other costs of its month and channel.

    Raises:
        SourceError: names the file and the line of the first credit notes that exceed them.
    """  # noqa: DOC501  (`one_error` makes the error)
    names = {file.source_id: file.source_file for file in files}
    rows = con.execute(
        "SELECT source_id, source_line, amount, strftime(date, '%Y-%m'), channel FROM"
        f" (SELECT *, sum(amount) OVER (PARTITION BY date_trunc('month', date), channel) AS of_month"
        f" FROM {quote_identifier(table)} WHERE source_text IS DISTINCT FROM '{NOT_SELECTED}')"
        " WHERE of_month < 0 AND amount < 0 ORDER BY source_id, source_line LIMIT $most",
        {"most": _NAMED},
    ).fetchall()
    problems = [
        SourceError(
            f"{names[source_id]}, line {line}: {amount} is more than was spent in {month}{of_channel}",
            to_do="correct the sign, or put the credit note into the month and channel of its costs",
        )
        for source_id, line, amount, month, channel in rows
        for of_channel in [f" on {channel}" if channel is not None else ""]
    ]
    if problems:
        raise one_error(problems)


def _missing(no_date: bool, no_amount: bool) -> list[str]:
    return [name for name, is_missing in (("date", no_date), ("amount", no_amount)) if is_missing]
