"""How dates and numbers are written, decided once for all files of a source.

Here belongs judging samples of text: day or month first, decimal comma or point. Ambiguous values are never
guessed: the error asks for the format and shows two of them. Files are judged together, because a daily file
alone may hold only ambiguous dates. If the heads of the files do not decide, whole columns are read.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import duckdb

from clv_pipeline.config.source import CustomerSource, Expression, TableSource
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.batches import batches
from clv_pipeline.sources.errors import shape
from clv_pipeline.sources.expressions import read_as_dates, read_as_numbers
from clv_pipeline.sources.numerals import currency_of, undressed
from clv_pipeline.sources.samples import answers, ask, sample, with_first_rows
from clv_pipeline.sources.tables import RawTable


@dataclass(frozen=True)
class Conventions:
    """How to read text as dates and numbers."""

    date_formats: list[str]
    """strptime formats, tried in this order if a value is not ISO 8601."""
    decimal: str
    thousands: str | None
    """Thousands separator, accepted only between groups of three digits."""
    currency: str | None = None
    """The only currency that may stand beside amounts, as in $12.50 or 12.50 EUR."""


def is_plausible(timestamp: str) -> str:
    """SQL that is true if the SQL expression `timestamp` can be the date of an order.

    DuckDB reads 01-02-10 as a day of the year 1, and knows infinity and years above 9999. The zero dates of Excel,
    Windows and SQL Server, which mean no date, are 1900-01-01 or earlier.
    """
    return f"{timestamp} BETWEEN TIMESTAMP '1900-01-02' AND TIMESTAMP '9999-12-30'"


def instant_of(text: str) -> str:
    """SQL that reads the trimmed SQL expression `text` as an ISO 8601 timestamp; NULL if it is none.

    DuckDB takes the PM of 2010-05-01 08:26 PM for a time zone. Such values are left to the formats.
    """
    return f"CASE WHEN lower(right({text}, 2)) NOT IN ('am', 'pm') THEN TRY_CAST({text} AS TIMESTAMP) END"


def decide(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource) -> Conventions:
    """The conventions of `tables`, from the configuration or from the values.

    Raises:
        SourceError: the values are ambiguous.
    """
    configured = source.format
    other = {".": ",", ",": "."}
    with with_first_rows(con, batches(tables, source), judged_columns(source)) as tables:
        dates = configured.date_formats if configured.date_formats is not None else _date_formats(con, tables, source)
        currency = _currency(con, tables, source)
        decimal = configured.decimal or other.get(configured.thousands or "") or _decimal(con, tables, source, currency)
    thousands = configured.thousands or other.get(decimal or "")
    return Conventions(dates, decimal or ".", thousands, currency)


def still_hold(
    con: duckdb.DuckDBPyConnection, conventions: Conventions, tables: Sequence[RawTable], source: TableSource
) -> bool:
    """Whether `tables` follow the conventions that were decided from earlier files.

    False is not an error: all files must then be judged together once more.
    """
    with with_first_rows(con, batches(tables, source), judged_columns(source)) as judged:
        return _still_hold(con, conventions, judged, source)


def _still_hold(
    con: duckdb.DuckDBPyConnection, conventions: Conventions, tables: Sequence[RawTable], source: TableSource
) -> bool:
    configured = source.format
    if configured.date_formats is None:
        condition = f"NOT {_IS_ISO} AND try_strptime(v, $formats) IS NULL"
        if any(
            _plain_format(value) or _DAY_MONTH.match(value)
            for table in tables
            for theirs in read_as_dates(source)
            for value in sample(con, table, theirs, condition, _DATE_KINDS, conventions.date_formats or ["%Y"])
        ):
            return False
    try:
        currency = _currency(con, tables, source)
    except SourceError:  # several currencies; judging all files together raises the error
        return False
    if currency not in (None, conventions.currency):
        return False
    if configured.decimal is None and configured.thousands is None:
        try:
            evidence = _decimal(con, tables, source, currency)
        except SourceError:  # ambiguous by itself; the other files may decide
            return False
        # As long as no number had a separator, the first separator decides.
        return evidence is None or (conventions.thousands is not None and evidence == conventions.decimal)
    return True


def judged_columns(source: TableSource) -> list[str]:
    """The columns whose values are looked at."""
    numbers = read_as_numbers(source, (*source.numbers, *source.money), everywhere=True)
    return list(dict.fromkeys([*read_as_dates(source), *numbers, *_undeclared(source)]))


def _undeclared(source: TableSource) -> list[str]:
    """Customer attributes are not declared as numbers or text, so their values decide."""
    return list(source.attributes.values()) if isinstance(source, CustomerSource) else []


_IS_ISO = f"coalesce({is_plausible(instant_of('v'))}, false)"

_DATE_KINDS = ("text", "number")
"""Kinds of columns that may hold dates. 20100501 is a date even if a file has it as a number."""


# --- dates ---

_CLOCK = r"(?P<clock>\d{1,2}:\d{2}(?P<seconds>:\d{2}(?P<fraction>\.\d+)?)?)"
_TIME = rf"(?:(?P<gap>T| +){_CLOCK}(?P<half> ?[AaPp][Mm])?)?$"
_DAY_MONTH = re.compile(r"^(?P<first>\d{1,2})(?P<sep>[/.\-])(?P<second>\d{1,2})(?P=sep)(?P<year>\d{4}|\d{2})" + _TIME)
_COMPACT = re.compile(r"^\d{8}" + _TIME)
_COMPACT_SECONDS = re.compile(r"^\d{14}$")
_YEAR_FIRST = re.compile(r"^\d{4}(?P<sep>[-/.])\d{1,2}(?P=sep)\d{1,2}" + _TIME)
_DAY_NAME = re.compile(r"^\d{1,2}(?P<sep>[ \-/])(?P<month>[A-Za-z]{3,9})(?P=sep)(?P<year>\d{4}|\d{2})" + _TIME)
_NAME_DAY = re.compile(r"^(?P<month>[A-Za-z]{3,9}) \d{1,2}(?P<comma>,?) (?P<year>\d{4})" + _TIME)


def _clock_format(match: re.Match[str]) -> str:
    if not match["clock"]:
        return ""
    seconds = ":%S" if match["seconds"] else ""
    fraction = ".%f" if match["fraction"] else ""
    half = match["half"] or ""
    hour = "%I" if half else "%H"
    gap = "T" if match["gap"] == "T" else " "
    return f"{gap}{hour}:%M{seconds}{fraction}{' %p' if half.startswith(' ') else '%p' if half else ''}"


def _plain_format(value: str) -> str | None:
    """The strptime format of a date whose parts cannot be mistaken for each other."""
    if match := _COMPACT.match(value):
        return "%Y%m%d" + _clock_format(match)
    if _COMPACT_SECONDS.match(value):
        return "%Y%m%d%H%M%S"
    # With hyphens or slashes and without AM or PM, the value is ISO 8601 already, or not a date.
    if (match := _YEAR_FIRST.match(value)) and (match["sep"] == "." or match["half"]):
        return match["sep"].join(("%Y", "%m", "%d")) + _clock_format(match)
    if match := _DAY_NAME.match(value):
        month, year = "%b" if len(match["month"]) == 3 else "%B", "%Y" if len(match["year"]) == 4 else "%y"
        return f"%d{match['sep']}{month}{match['sep']}{year}" + _clock_format(match)
    if match := _NAME_DAY.match(value):
        return f"{'%b' if len(match['month']) == 3 else '%B'} %d{match['comma']} %Y" + _clock_format(match)
    return None


def _date_formats(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource) -> list[str]:
    columns = [(table, theirs) for theirs in read_as_dates(source) for table in tables]
    values = sorted({value for found in columns for value in sample(con, *found, f"NOT {_IS_ISO}", _DATE_KINDS)})
    if not values:
        return []
    formats = {found for value in values if (found := _plain_format(value))}
    numeric = [match for value in values if (match := _DAY_MONTH.match(value))]
    for separator in sorted({match["sep"] for match in numeric}):
        alike = [match for match in numeric if match["sep"] == separator]
        day_first = _day_comes_first(con, columns, separator, alike, source.key)
        formats |= {_numeric_format(match, day_first=day_first) for match in alike}
    if not formats and not any(sample(con, *found, _IS_ISO, _DATE_KINDS) for found in columns):
        shapes = _two(sorted(set(map(shape, values))))
        name = columns[0][1]
        value = name.sql if isinstance(name, Expression) else quote_identifier(name)
        read = f"{source.key}.columns.{source.time}: {{sql: 'to_timestamp({value})'}}"
        raise SourceError(
            f"{tables[0].source_file}: no date format is known for the column {name!r}",
            quoted=f"values like {shapes}",
            to_do=f"state {source.key}.format.date_formats, for example ['%d/%m/%Y %H:%M'], or map another. "
            f"Seconds since 1970 are read by {read}, milliseconds by epoch_ms; Excel's numbers of days have no format:"
            " export them as dates",
        )
    # Two-digit years first: %Y would read 10 as the year 10.
    return sorted(formats, key=lambda text: ("%Y" in text, text))


def _numeric_format(match: re.Match[str], *, day_first: bool) -> str:
    year = "%Y" if len(match["year"]) == 4 else "%y"
    parts = ("%d", "%m", year) if day_first else ("%m", "%d", year)
    return match["sep"].join(parts) + _clock_format(match)


def _day_comes_first(
    con: duckdb.DuckDBPyConnection,
    columns: Sequence[tuple[RawTable, str]],
    separator: str,
    samples: Sequence[re.Match[str]],
    key: str,
) -> bool:
    first = max(_up_to_31(match["first"]) for match in samples)
    second = max(_up_to_31(match["second"]) for match in samples)
    if first <= 12 and second <= 12:
        # The head may hold only the first days of a month. Reading the whole column costs a scan, so it is done last.
        first, second = _largest_parts(con, columns, separator)
    shown = _two([match.string for match in samples])
    either = [_numeric_format(samples[0], day_first=day_first) for day_first in (True, False)]
    asked = f"state {key}.format.date_formats: ['{either[0]}'] or ['{either[1]}']"
    where = f"{columns[0][0].source_file}: the dates in the column {columns[0][1]!r}"
    if first <= 12 and second <= 12:
        raise SourceError(f"{where} may be day first or month first", quoted=shown, to_do=asked)
    if first > 12 and second > 12:
        raise SourceError(f"{where} are day first in some rows, month first in others", quoted=shown, to_do=asked)
    return first > 12


def _up_to_31(part: str) -> int:
    return int(part) if int(part) <= 31 else 0


def _largest_parts(
    con: duckdb.DuckDBPyConnection, columns: Iterable[tuple[RawTable, str]], separator: str
) -> tuple[int, int]:
    found = [
        largest
        for table, theirs in columns
        if table.columns[theirs].kind == "text"
        for largest in answers(con, table, partial(_largest_of, theirs=theirs, separator=separator))
    ]
    return max((first for first, _ in found), default=0), max((second for _, second in found), default=0)


def _largest_of(con: duckdb.DuckDBPyConnection, table: RawTable, *, theirs: str, separator: str) -> tuple[int, int]:
    pattern = rf"^(\d{{1,2}})[{re.escape(separator)}](\d{{1,2}})[{re.escape(separator)}]\d"
    query = (
        "SELECT max(first) FILTER (first <= 31), max(second) FILTER (second <= 31) FROM (SELECT "
        "TRY_CAST(regexp_extract(v, $pattern, 1) AS INTEGER) AS first, "
        "TRY_CAST(regexp_extract(v, $pattern, 2) AS INTEGER) AS second "
        f"FROM (SELECT trim(CAST({table.columns[theirs].expression} AS VARCHAR)) AS v FROM {table.scan}))"
    )
    [(first, second)] = ask(con, table, query, {**table.parameters, "pattern": pattern})
    return first or 0, second or 0


def _two(values: Sequence[str]) -> str:
    distinct = list(dict.fromkeys((values[0], values[-1])))
    return " and ".join(repr(value) for value in distinct)


# --- numbers ---

LOOKS_LIKE_NUMBER = r"[+-]?[0-9][0-9.,' ]*|[+-]?[.,][0-9]+"
"""SQL regular expression for whatever may be a number in some country."""
MISSING = "('', 'nan', 'null', 'none', 'n/a')"
"""SQL list of the words that stand for a missing value, in lower case."""

_POINT = re.compile(r"^[+-]?(\d{1,3}(,\d{3})+\.\d+|\d{1,3}(,\d{3}){2,}|0?\.\d+|\d{4,}\.\d+|\d+\.(\d{1,2}|\d{4,}))$")
_COMMA = re.compile(r"^[+-]?(\d{1,3}(\.\d{3})+,\d+|\d{1,3}(\.\d{3}){2,}|0?,\d+|\d{4,},\d+|\d+,(\d{1,2}|\d{4,}))$")
_EITHER = re.compile(r"^[+-]?\d{1,3}[.,]\d{3}$")


def _holds_numbers(con: duckdb.DuckDBPyConnection, table: RawTable, theirs: str) -> bool:
    """Whether all values in the head of a column look like numbers or missing values."""
    pattern = LOOKS_LIKE_NUMBER.replace("'", "''")
    return not sample(con, table, theirs, f"NOT regexp_full_match(v, '{pattern}') AND lower(v) NOT IN {MISSING}")


def _currency(con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource) -> str | None:
    """The currency in the head of the money columns; None if the numbers have none.

    Raises:
        SourceError: there are several currencies.
    """
    money = read_as_numbers(source, source.money, everywhere=False)
    values = [
        value
        for table in tables
        for theirs in money
        for value in sample(con, table, theirs, "TRY_CAST(v AS DOUBLE) IS NULL")
    ]
    found = {currency: value for value in reversed(values) if (currency := currency_of(value))}
    if len(found) > 1:
        raise SourceError(
            f"{tables[0].source_file}: amounts are in several currencies",
            quoted=_two(sorted(found.values())),
            to_do=f"map the currency of each row as {source.key}.columns.currency, read the amounts without signs (both"
            " may be expressions, see docs/how-to/currencies.md), and state currency.report_in and currency.rates: they"
            " convert",
        )
    return next(iter(found), None)


def _decimal(
    con: duckdb.DuckDBPyConnection, tables: Sequence[RawTable], source: TableSource, currency: str | None
) -> str | None:
    """The decimal separator that the values prove; None if no number has a separator.

    Raises:
        SourceError: the values prove both separators, or neither.
    """
    numbers = [
        (table, theirs)
        for table in tables
        if table.localised
        for theirs in (
            *read_as_numbers(source, source.numbers, everywhere=True),
            *(name for name in _undeclared(source) if _holds_numbers(con, table, name)),
        )
    ]
    # Integers in the head prove nothing about the rest: 1.234 may come further down.
    for whole in (False, True):
        found = {
            undressed(value, currency)
            for table, theirs in numbers
            for value in sample(con, table, theirs, "contains(v, ',') OR contains(v, '.')", whole=whole)
        }
        values = sorted(found)
        point = [value for value in values if _POINT.match(value)]
        comma = [value for value in values if _COMMA.match(value)]
        if point or comma:
            break
    either = [value for value in values if _EITHER.match(value)]
    asked = f"state {source.key}.format.decimal: '.' or ','"
    if point and comma:
        raise SourceError(
            f"{tables[0].source_file}: numbers are written with a decimal point and with a decimal comma",
            quoted=f"{point[0]!r} and {comma[0]!r}",
            to_do=asked,
        )
    if either and not point and not comma:
        problem = "numbers may have a decimal or a thousands separator"
        raise SourceError(f"{tables[0].source_file}: {problem}", quoted=_two(either), to_do=asked)
    return "." if point else "," if comma else None
