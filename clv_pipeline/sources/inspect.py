"""A look at a source without loading it into the warehouse: a guessed mapping, and the result of a load.

Here belongs what `clv init` and `clv check` know; the commands themselves only print it. A guess is a
proposal for the user to correct. Columns that were not recognised are named, never filled in silently.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from clv_pipeline.config.source import CustomerSource, EventSource, FileFormat, Source, TableSource, TransactionSource
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.catalog import list_files
from clv_pipeline.sources.conventions import LOOKS_LIKE_NUMBER, MISSING, SAMPLE_ROWS, used
from clv_pipeline.sources.errors import first_line, one_error
from clv_pipeline.sources.load import conventions_of, load_records
from clv_pipeline.sources.loaded import LoadedFile
from clv_pipeline.sources.reach import readable_folders
from clv_pipeline.sources.tables import RawTable, open_tables
from clv_pipeline.sources.typed import NOT_SELECTED, UNREADABLE

SYNONYMS = {
    "customer_id": "customerid customer customernumber customerno customerkey custid clientid client userid user "
    "buyerid buyer memberid member accountid account shopperid contactid customeremail email",
    "ordered_at": "orderedat ordereddate orderdate orderdatetime orderpurchasetimestamp invoicedate transactiondate "
    "purchasedate purchasedat saledate createdat datetime timestamp date time day",
    "order_id": "orderid order ordernumber orderno invoice invoiceid invoiceno invoicenumber transactionid "
    "transaction receiptid receipt basketid saleid",
    "product_id": "productid product productcode stockcode sku itemid item itemcode articleid article ean asin",
    "quantity": "quantity qty units unitsordered quantityordered numberofunits numberofitems numberofcds itemcount",
    "unit_price": "unitprice price itemprice priceperunit priceeach sellingprice unitcost",
    "amount": "amount totalamount orderamount netamount grossamount lineamount linetotal ordertotal totalprice "
    "total revenue sales salesamount spend paymentvalue dollarvalue value",
    "country": "country countrycode countryname shipcountry shippingcountry billingcountry customercountry",
}
"""Our column names and their names elsewhere: lower case, letters and digits only, the likeliest first."""


@dataclass(frozen=True)
class Guess:
    """A proposed mapping and how sure it is."""

    columns: dict[str, str]
    """Recognised columns: our name and the file's name."""
    further: list[str]
    """Columns of the file that were not recognised, as candidates for attributes."""
    unknown: list[str]
    """Required columns that were not recognised, in words."""
    date_problem: str | None
    """Why the dates cannot be read unless their format is stated; None if they can."""
    first_record: list[str] | None = None
    """The fields of the first line if it looks like a record: the columns then have names of ours."""


def guess_mapping(paths: Sequence[str], base_dir: Path) -> Guess:
    """Propose a mapping from the names of the columns.

    A date column must also hold dates, and a number column numbers. If only one column holds dates, it is `ordered_at`
    whatever its name.

    Raises:
        SourceError: files cannot be read or do not have the same columns.
    """  # noqa: DOC501  (`one_error` makes the other one)
    source = TransactionSource.model_construct(path=list(paths), columns={}, format=FileFormat())
    with (
        tempfile.TemporaryDirectory() as folder,
        open_scratch(None, [Path(folder), *readable_folders(source, base_dir)]) as con,
    ):
        tables, problems = open_tables(con, list_files(source, base_dir, Path(folder)), (), source, Path(folder))
        if problems:
            raise one_error(problems)
        first = tables[0]
        first_record = None
        if first.starts_with_data:
            first_record = list(first.columns)
            placeholders = [f"column_{position}" for position in range(1, first.csv_width + 1)]
            source = source.model_copy(update={"format": FileFormat(header=False, names=placeholders)})
            tables, problems = open_tables(con, list_files(source, base_dir), (), source, Path(folder) / "again")
            if problems:
                raise one_error(problems)
            first = tables[0]
        for table in tables[1:]:
            if set(table.columns) != set(first.columns):
                different = sorted(set(table.columns) ^ set(first.columns))
                raise SourceError(
                    f"{table.source_file}: has other columns than {first.source_file}",
                    quoted=", ".join(different),
                    to_do="give one kind of file at a time",
                )
        dates = _mostly(con, first, _LOOKS_LIKE_DATE)
        numbers = _mostly(con, first, _LOOKS_LIKE_MONEY)
        columns: dict[str, str] = {}
        for ours, names in SYNONYMS.items():
            allowed = {"ordered_at": dates}.get(ours, numbers if ours in TransactionSource.numbers else None)
            free = [name for name in first.columns if name not in columns.values()]
            theirs = _first_match(names.split(), [n for n in free if allowed is None or n in allowed])
            if theirs is not None:
                columns[ours] = theirs
        if "ordered_at" not in columns and len(dates - set(columns.values())) == 1:
            columns["ordered_at"] = next(iter(dates - set(columns.values())))
        if {"quantity", "unit_price"} <= set(columns):
            # A total may be the whole order's, repeated on each of its lines. The line's own numbers are safe.
            columns.pop("amount", None)
        date_problem = None
        if "ordered_at" in columns:
            only_date = TransactionSource.model_construct(columns={"ordered_at": columns["ordered_at"]})
            try:
                conventions_of(con, tables, only_date)
            except SourceError as error:
                date_problem = str(error)
    unknown = [f"`{name}`" for name in TransactionSource.required if name not in columns]
    if "amount" not in columns and not {"quantity", "unit_price"} <= set(columns):
        unknown.append("`amount` (or `quantity` and `unit_price`)")
    further = [name for name in first.columns if name not in columns.values()]
    order = [name for name in TransactionSource.known if name in columns]
    return Guess({name: columns[name] for name in order}, further, unknown, date_problem, first_record)


_LOOKS_LIKE_DATE = (
    r"(1[89]|20)\d\d[-/.]?\d\d?[-/.]?\d\d?([ T].*)?|\d\d?[-/.]\d\d?[-/.](\d\d){1,2}( .*)?"
    r"|\d\d?[ /-][A-Za-z]{3,9}[ /-](\d\d){1,2}( .*)?|[A-Za-z]{3,9} \d\d?,? \d{4}( .*)?"
)


_CURRENCY = r"([A-Z]{0,2}\p{Sc}|[A-Z]{3})?[ \x{a0}\x{202f}]?"
_LOOKS_LIKE_MONEY = rf"[(+−-]?{_CURRENCY}[(]?({LOOKS_LIKE_NUMBER}){_CURRENCY}[)−-]?"


def _mostly(con: duckdb.DuckDBPyConnection, table: RawTable, pattern: str) -> set[str]:
    """The columns where more than half of the filled values in the head match the pattern.

    Raises:
        SourceError: the head cannot be read.
    """
    texts = [
        f"nullif(trim(CAST({column.expression} AS VARCHAR)), '') AS t{position}"
        for position, column in enumerate(table.columns.values())
    ]
    shares = [f"avg(CAST(regexp_full_match(t{position}, $pattern) AS INTEGER))" for position in range(len(texts))]
    query = f"SELECT {', '.join(shares)} FROM (SELECT {', '.join(texts)} FROM {table.scan} LIMIT {SAMPLE_ROWS})"
    try:
        with table.at_hand():
            found = con.execute(query, used({**table.parameters, "pattern": pattern}, query)).fetchall()[0]
    except duckdb.Error as error:
        raise SourceError(
            f"{table.source_file}: cannot be read", quoted=first_line(error), to_do="get the file again"
        ) from error
    return {name for name, share in zip(table.columns, found, strict=True) if share is not None and share > 0.5}


def _first_match(synonyms: Sequence[str], names: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    return next((plain[synonym] for synonym in synonyms if synonym in plain), None)


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
    left_out: list[str]
    """Labels of the files in named folders that are of no kind that is read."""


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
        numbers = " OR ".join(f"{name} IS NULL" for name in mapped if name in transactions.numbers) or "false"
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
    finally:
        con.execute("DROP VIEW raw")
        con.execute("DROP TABLE IF EXISTS further")
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
        left_out=left_out,
    )


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
