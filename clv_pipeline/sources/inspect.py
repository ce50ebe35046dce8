"""A look at what a load of a source gave, before any cleaning.

Here belongs what `clv check` counts; the command itself only prints it. What `clv init` proposes is in `guess`.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from clv_pipeline.config.source import CostSource, CustomerSource, EventSource, Source, TableSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.sources.conventions import MISSING
from clv_pipeline.sources.cost_records import refuse_credits_beyond_costs, refuse_unread_costs
from clv_pipeline.sources.load import load_records
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.money_questions import MoneyQuestions, money_questions
from clv_pipeline.sources.typed import NOT_SELECTED, UNREADABLE


@dataclass(frozen=True)
class Attribute:
    """Facts about the values of one customer attribute."""

    name: str
    filled: float
    """Share of the records that have a value."""
    numeric: float
    """Share of the values that are finite numbers."""


@dataclass(frozen=True)
class FurtherSurvey:
    """The result of a load of demographics or events."""

    files: list[LoadedFile]
    rows: int
    unreadable: int
    """Rows that could not be split, have no customer, or have an unreadable date."""
    customers: int
    buyers: int
    """Customers who are also in the transactions."""
    attributes: list[Attribute]
    """Attributes of demographics, by name; empty for events."""
    event_types: int
    """Number of event types; 0 for demographics."""
    first_day: datetime | None
    """First day of the events; None for demographics, like `last_day`."""
    last_day: datetime | None


@dataclass(frozen=True)
class CostSurvey:
    """The result of a load of acquisition costs, all of whose records can be read."""

    files: list[LoadedFile]
    rows: int
    amount: float
    channels: int
    """Number of channels; 0 where none is mapped."""
    first_day: datetime | None
    last_day: datetime | None


@dataclass(frozen=True)
class Survey:
    """The result of a load of a source, before any cleaning.

    Counts are transaction rows. A row may count under several reasons.
    """

    files: list[LoadedFile]
    rows: int
    customers: int
    first_day: datetime | None
    last_day: datetime | None
    readable: dict[str, float]
    """Share of rows with a readable value, by our name of each mapped column."""
    unreadable_lines: int
    no_customer: int
    no_date: int
    no_number: int
    not_positive: int
    """Rows with an amount of zero or below: returns, corrections, gifts."""
    repeated: int
    """Rows that equal an earlier row in every mapped column."""
    not_selected: int
    """Rows for which `where` is not true; no other count includes them, and neither do the shares."""
    demographics: FurtherSurvey | None
    events: FurtherSurvey | None
    costs: CostSurvey | None
    left_out: list[str]
    """Labels of the files in named folders that are of no kind that is read."""
    money: MoneyQuestions
    """What to ask about the money."""


def survey_of(
    con: duckdb.DuckDBPyConnection,
    raw: str,
    files: list[LoadedFile],
    source: Source,
    base_dir: Path,
    work_dir: Path,
    left_out: list[str],
) -> Survey:
    """Count the rows of a load, and the rows that the further sources would give.

    Args:
        con: a connection that can read the files of all sources.
        raw: name of the table that holds all loaded transactions.
        files: the files of that load.
        source: the configured source.
        base_dir: where relative paths start.
        work_dir: takes temporary copies.
        left_out: files that the load left out.

    Raises:
        SourceError: a further source cannot be read.
    """
    transactions = source.transactions
    mapped = [name for name in transactions.known if name in transactions.columns]
    kept = [*mapped, "attributes"]
    con.execute(f"CREATE TEMP VIEW raw AS FROM {quote_identifier(raw)}")
    try:
        shares = ", ".join(f"coalesce(count({name}) / nullif(count(*), 0), 0)" for name in mapped)
        needed = [name for name in transactions.numbers if name not in transactions.optional_numbers]
        numbers = " OR ".join(f"{name} IS NULL" for name in mapped if name in needed) or "false"
        counted = con.execute(
            f"""
            WITH records AS (
                SELECT *, NOT coalesce(starts_with(source_text, '{UNREADABLE}'), false) AS is_split FROM raw
                WHERE NOT coalesce(starts_with(source_text, '{NOT_SELECTED}'), false)
            )
            SELECT count(*), count(DISTINCT customer_id), min(ordered_at), max(ordered_at),
                count(*) FILTER (NOT is_split),
                count(*) FILTER (is_split AND customer_id IS NULL),
                count(*) FILTER (is_split AND ordered_at IS NULL),
                count(*) FILTER (is_split AND ({numbers})),
                count(*) FILTER (amount <= 0),
                count(*) FILTER (is_split)
                    - (SELECT count(*) FROM (SELECT DISTINCT {", ".join(kept)} FROM records WHERE is_split)),
                (SELECT count(*) FROM raw) - count(*),
                {shares}
            FROM records
            """
        ).fetchall()[0]
        further = {
            kind.key: _survey_further(con, kind, base_dir, work_dir)
            for kind in (source.customers, source.events)
            if kind is not None
        }
        costs = _survey_costs(con, source.costs, base_dir, work_dir) if source.costs is not None else None
    finally:
        con.execute("DROP VIEW raw")
        con.execute("DROP TABLE IF EXISTS further")
    questions = money_questions(con, raw, transactions, base_dir, work_dir)
    rows, customers, first_day, last_day, unreadable, no_customer, no_date, no_number, negative, repeated = counted[:10]
    not_selected = counted[10]
    return Survey(
        files=files,
        rows=rows,
        customers=customers,
        first_day=first_day,
        last_day=last_day,
        readable=dict(zip(mapped, counted[11:], strict=True)),
        unreadable_lines=unreadable,
        no_customer=no_customer,
        no_date=no_date,
        no_number=no_number,
        not_positive=negative,
        repeated=repeated,
        not_selected=not_selected,
        demographics=further.get(CustomerSource.key),
        events=further.get(EventSource.key),
        costs=costs,
        left_out=left_out,
        money=questions,
    )


def _survey_costs(con: duckdb.DuckDBPyConnection, source: CostSource, base_dir: Path, work_dir: Path) -> CostSurvey:
    files = load_records(con, "further", source, base_dir, work_dir)
    refuse_unread_costs(con, "further", files)
    refuse_credits_beyond_costs(con, "further", files)
    found = con.execute(
        "SELECT count(*), CAST(coalesce(sum(amount), 0) AS DOUBLE), count(DISTINCT channel), min(date), max(date)"
        f" FROM further WHERE source_text IS DISTINCT FROM '{NOT_SELECTED}'"
    ).fetchall()[0]
    return CostSurvey(files, *found)


def _survey_further(
    con: duckdb.DuckDBPyConnection, source: TableSource, base_dir: Path, work_dir: Path
) -> FurtherSurvey:
    files = load_records(con, "further", source, base_dir, work_dir)
    time = source.time or "NULL::TIMESTAMP"
    is_unread = "customer_id IS NULL" if source.time is None else f"customer_id IS NULL OR {time} IS NULL"
    selected = f"source_text IS DISTINCT FROM '{NOT_SELECTED}'"
    types = f"count(DISTINCT coalesce(event, '')) FILTER ({selected})" if "event" in source.known else "0"
    rows, unreadable, customers, buyers, first_day, last_day, event_types = con.execute(
        f"""
        SELECT count(*), count(*) FILTER (({is_unread}) AND {selected}), count(DISTINCT customer_id),
            count(DISTINCT customer_id) FILTER (customer_id IN (SELECT customer_id FROM raw)),
            min({time}), max({time}), {types}
        FROM further
        """
    ).fetchall()[0]
    attributes = []
    if source.takes_attributes:
        attributes = con.execute(
            f"""
            WITH fields AS (
                SELECT unnest(map_keys(pairs)) AS name, unnest(map_values(pairs)) AS value
                FROM (SELECT CAST(CAST(attributes AS JSON) AS MAP(VARCHAR, VARCHAR)) AS pairs FROM further)
            ), filled AS (
                SELECT name, CASE WHEN lower(value) NOT IN {MISSING} THEN value END AS value FROM fields
            )
            SELECT name, count(value) / count(*),
                coalesce(count(*) FILTER (isfinite(TRY_CAST(value AS DOUBLE))) / nullif(count(value), 0), 0)
            FROM filled GROUP BY name ORDER BY name
            """
        ).fetchall()
    return FurtherSurvey(
        files=files,
        rows=rows,
        unreadable=unreadable,
        customers=customers,
        buyers=buyers,
        attributes=[Attribute(*row) for row in attributes],
        event_types=event_types,
        first_day=first_day,
        last_day=last_day,
    )
