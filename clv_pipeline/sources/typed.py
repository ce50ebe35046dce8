"""From a raw table's text to typed columns, in one SELECT.

Here belongs the meaning of values: trimming, missing customers, dates, numbers, the amount. A value that
cannot be read becomes NULL, and the row then keeps its original fields in `source_text`. No row is refused
here. Attributes are a JSON object. Which of them are numbers is decided later, from all rows together.
"""

# Only identifiers and expressions that this package wrote itself enter the SQL; values are parameters.
# ruff: noqa: S608

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from clv_pipeline.config.source import CustomerSource, TableSource, TransactionSource
from clv_pipeline.sources.conventions import Conventions, instant_of, is_plausible
from clv_pipeline.sources.expressions import Kind
from clv_pipeline.sources.numerals import BARE, NEGATIVE, SIGNED, around
from clv_pipeline.sources.parameters import used
from clv_pipeline.sources.tables import FILE_NUMBER, Column, RawTable


def target_columns(kind: type[TableSource]) -> dict[str, str]:
    """The columns of the raw table that a source of this kind is loaded into, in order, with their SQL types."""
    types: dict[str | None, str] = {kind.time: "TIMESTAMP", **dict.fromkeys(kind.numbers, "DECIMAL(18,4)")}
    return {
        "source_id": "INTEGER",
        "source_line": "BIGINT",
        **{name: types.get(name, "VARCHAR") for name in kind.known},
        **({"attributes": "VARCHAR"} if kind.takes_attributes else {}),
        "source_text": "VARCHAR",
    }


UNCOMPRESSED = ("customer_id", "order_id", "product_id")
"""The columns that hold most of the text. Compressing them takes a sixth of a load and saves half of its disk."""

UNREADABLE = "unreadable line: "
"""Beginning of the source_text of a record that could not be split into fields."""

NOT_SELECTED = "not selected"
"""Beginning of the source_text of a row for which `where` is not true. The original fields of a transaction follow if
some could not be read."""

SHOWN_CHARACTERS = 2_000
"""Most characters that are kept of an unreadable line, which may be megabytes long."""


def typed_select(
    table: RawTable, source: TableSource, conventions: Conventions, source_ids: Sequence[int]
) -> tuple[str, dict[str, Any]]:
    """(SQL, its parameters): the rows of `table` in the source's `target_columns`, source_line still 0.

    `source_ids` are the numbers of its parts, or its own.
    Every mapped column exists in the table. amount is NULL if and only if a mapped number is, or none is mapped.
    """
    if not table.localised:
        conventions = replace(conventions, decimal=".", thousands=None)
    raw = {ours: table.columns[theirs] for ours, theirs in source.columns.items()}
    attributes = [f"a{position}" for position in range(len(source.attributes))]
    aliases = {
        **dict(zip(source.attributes, attributes, strict=True)),
        **{n: f"raw_{n}" for n in _known(source)},
    }
    numbers = [name for name in source.numbers if name in raw]
    needed = [name for name in numbers if name not in source.optional_numbers]
    spare = [name for name in numbers if name in source.optional_numbers]
    texts = [name for name in source.known if name in raw and name not in (*numbers, source.time)]

    fields = ", ".join(f"{raw[ours].expression} AS {alias}" for ours, alias in aliases.items())
    computed = {name: raw[name].written for name in _known(source) if raw[name].written}
    fields += "".join(f", {written} AS written_{name}" for name, written in computed.items())
    typed = [f"{_text(raw[name], aliases[name])} AS {name}" for name in texts if name != "currency"]
    typed += [f"upper({_text(raw[name], aliases[name])}) AS {name}" for name in texts if name == "currency"]
    typed += [f"{_number(raw[name], aliases[name], conventions)} AS {name}" for name in numbers]
    times = [source.time] if source.time is not None else []
    typed += [f"{_instant(raw[name], aliases[name])} AS instant" for name in times]
    gaps = [f"{name} IS NULL" for name in (*times, *needed)]
    # A blank is no number that could not be read.
    gaps += [f"({name} IS NULL AND {_text(raw[name], aliases[name])} IS NOT NULL)" for name in spare]
    if "customer_id" in source.known:
        gaps.append(f"coalesce({_ROUNDED}, false)")
    unread = " OR ".join(gaps)
    original = ", ".join(
        f"'{name}', {f'written_{name}' if name in computed else aliases[name]}" for name in _known(source)
    )
    pairs = [f"$attribute_{position}, {alias}" for position, alias in enumerate(attributes)]
    trimmed = [
        f"$attribute_{position}, {_attribute(raw[ours], aliases[ours], conventions, source)}"
        for position, ours in enumerate(source.attributes)
    ]
    attribute_object = f"CAST(json_object({', '.join(trimmed)}) AS VARCHAR)" if pairs else "NULL"
    original_object = f"CAST(json_object({', '.join([original, *pairs])}) AS VARCHAR)"
    shown = f"'{UNREADABLE}' || left(unreadable, {SHOWN_CHARACTERS})"
    output = {
        "source_id": "CAST($source_ids[file_number] AS INTEGER)",
        "source_line": "0",
        **{name: name for name in (*texts, *numbers, *times)},
        "customer_id": _CUSTOMER,
        "amount": _amount(needed),
        "attributes": attribute_object,
        "source_text": f"CASE WHEN {unread} THEN {original_object} END",
    }
    if table.unreadable != "NULL":
        output["attributes"] = f"CASE WHEN unreadable IS NULL THEN {attribute_object} END"
        output["source_text"] = (
            f"CASE WHEN unreadable IS NOT NULL THEN {shown} WHEN {unread} THEN {original_object} END"
        )
    if table.selected != "true":
        left_out = f"'{NOT_SELECTED}' || CASE WHEN {unread} THEN ': ' || {original_object} ELSE '' END"
        split = "unreadable IS NULL AND " if table.unreadable != "NULL" else ""
        if not isinstance(source, TransactionSource):
            # Only transactions are booked. Of others, nothing is kept that nobody wants.
            left_out = f"'{NOT_SELECTED}'"
            names = [name for name in (*source.known, "attributes") if name in output]
            output.update({name: f"CASE WHEN selected THEN {output[name]} END" for name in names})
        output["source_text"] = f"CASE WHEN {split}NOT selected THEN {left_out} ELSE {output['source_text']} END"
        fields += f", coalesce({table.selected}, false) AS selected"
    columns = ", ".join(f"{output.get(name, 'NULL')} AS {name}" for name in target_columns(type(source)))
    # The SELECTs are nested because an expression that is written twice is evaluated twice.
    file_number = FILE_NUMBER if table.parts else "1"
    sql = f"SELECT {fields}, {table.unreadable} AS unreadable, {file_number} AS file_number FROM {table.scan}"
    sql = f"SELECT *, {', '.join(typed)} FROM ({sql})"
    for name in times:
        if conventions.date_formats and raw[name].kind in ("text", "number"):
            parsed = f"CAST({_parsed_time(aliases[name])} AS TIMESTAMP)"
            either = f"CASE WHEN {is_plausible('instant')} THEN instant ELSE {parsed} END"
            sql = f"SELECT * REPLACE ({either} AS instant) FROM ({sql})"
        sql = f"SELECT *, CASE WHEN {is_plausible('instant')} THEN instant END AS {name} FROM ({sql})"
    sql = f"SELECT {columns} FROM ({sql})"
    parameters = {
        **table.parameters,
        **reading_parameters(conventions),
        "source_ids": list(source_ids),
        "attribute_pattern": _attribute_pattern(conventions),
        "attribute_mark": _group_mark(conventions),
        **{f"attribute_{position}": name for position, name in enumerate(source.attributes)},
    }
    return sql, used(parameters, sql)


def reading_parameters(conventions: Conventions) -> dict[str, Any]:
    """The parameters of the SQL that reads numbers and dates."""
    return {
        "date_formats": conventions.date_formats,
        "group_pattern": rf"[+-]?{_grouped(_any_mark(conventions))}({_decimal_mark(conventions)}[0-9]+)?",
        "group_mark": _any_mark(conventions),
        "decimal": conventions.decimal,
        "currency": around(conventions.currency or ""),
        "negative": NEGATIVE,
    }


def read_as(kind: Kind, column: Column, conventions: Conventions) -> str:
    """SQL that reads a column inside an expression as the loader reads fields; numbers have six decimal places."""
    sql = column.expression
    if kind == "number":
        return _number(column, sql, conventions, "DECIMAL(38,6)")
    if kind != "time":
        return _text(column, sql)
    instant = _instant(column, sql)
    plain = f"CASE WHEN {is_plausible(instant)} THEN {instant} END"
    if not conventions.date_formats or column.kind not in ("text", "number"):
        return plain
    return f"coalesce({plain}, CAST({_parsed_time(sql)} AS TIMESTAMP))"


def _parsed_time(sql: str) -> str:
    return f"try_strptime(trim(CAST({sql} AS VARCHAR)), $date_formats)"


def _known(source: TableSource) -> list[str]:
    return [ours for ours in source.columns if ours not in source.attributes]


# Excel shows long numbers as 1.23457E+15 and exports that: many customers then have the same id.
_ROUNDED = "contains(customer_id, '+') AND regexp_full_match(customer_id, '[0-9]([.,][0-9]+)?[eE][+][0-9]+')"

_CUSTOMER = (
    f"CASE WHEN {_ROUNDED} THEN NULL "
    "WHEN strlen(customer_id) <= 4 AND lower(customer_id) IN ('nan', 'null', 'none', 'n/a') THEN NULL "
    # A column of whole numbers with gaps is floating point to pandas and Excel: 13085.0 is customer 13085.
    "WHEN ends_with(customer_id, '.0') AND regexp_full_match(customer_id, '[0-9]+[.]0') "
    "THEN left(customer_id, length(customer_id) - 2) ELSE customer_id END"
)


# DuckDB multiplies two DECIMAL(18,4) as DECIMAL(18,8) and fails the whole query above 10^10. The wide product is
# right for all rows but costs fifty times as much, so only the rows that need it use it.
_PRODUCT = (
    "CASE WHEN abs(CAST(quantity AS DOUBLE) * CAST(unit_price AS DOUBLE)) < 1e9 "
    "THEN TRY_CAST(quantity * unit_price AS DECIMAL(18,4)) "
    "ELSE TRY_CAST(CAST(quantity AS DECIMAL(38,4)) * unit_price AS DECIMAL(18,4)) END"
)


def _amount(numbers: Sequence[str]) -> str:
    if not numbers:
        return "NULL"
    if "amount" not in numbers:
        return _PRODUCT
    no_number = " OR ".join(f"{name} IS NULL" for name in numbers)
    return f"CASE WHEN {no_number} THEN NULL ELSE amount END" if len(numbers) > 1 else "amount"


def _attribute(column: Column, alias: str, conventions: Conventions, source: TableSource) -> str:
    if column.kind != "text":
        return alias
    text = _text(column, alias)
    if not isinstance(source, CustomerSource) or conventions.thousands is None:
        return text
    # Numbers as people write them become numbers that SQL reads. Other values of the column stay as they are.
    number = f"replace(regexp_replace({text}, $attribute_mark, '', 'g'), $decimal, '.')"
    return f"CASE WHEN regexp_full_match({text}, $attribute_pattern) THEN {number} ELSE {text} END"


def _text(column: Column, alias: str) -> str:
    text = f"nullif(trim(CAST({alias} AS VARCHAR)), '')"
    # Excel has no whole numbers: its order 489435 arrives as 489435.0.
    return f"regexp_replace({text}, '[.]0$', '')" if column.kind == "number" else text


def _instant(column: Column, alias: str) -> str:
    if column.kind == "time":
        return f"TRY_CAST({alias} AS TIMESTAMP)"
    if column.kind == "zoned":
        return f"timezone('UTC', {alias})"
    # An offset in the text is dropped, not applied: the day of an order is the day in its shop.
    return instant_of(f"trim(CAST({alias} AS VARCHAR))")


def _number(column: Column, alias: str, conventions: Conventions, type_: str = "DECIMAL(18,4)") -> str:
    if column.kind == "number":
        return f"TRY_CAST({alias} AS {type_})"
    text = f"CAST({alias} AS VARCHAR)"
    bare = f"trim({text})"
    if conventions.currency is not None:
        bare = f"regexp_replace({bare}, $currency, '{BARE}')"
    bare = f"regexp_replace({bare}, $negative, '{SIGNED}')"
    # Currency and signs are stripped only where the plain cast fails.
    return f"coalesce({_digits(text, conventions, type_)}, {_digits(bare, conventions, type_)})"


def _digits(text: str, conventions: Conventions, type_: str) -> str:
    point = f"TRY_CAST({text} AS {type_})"
    # Thousands separators are dropped only between groups of three digits: 1.2 under a decimal comma is not 12.
    joined = f"replace(regexp_replace(trim({text}), $group_mark, '', 'g'), $decimal, '.')"
    is_grouped = f"regexp_full_match(trim({text}), $group_pattern)"
    grouped = f"CASE WHEN {is_grouped} THEN TRY_CAST({joined} AS {type_}) END"
    if conventions.decimal == ".":
        return f"coalesce({point}, {grouped})"
    comma = f"TRY_CAST(replace({text}, $decimal, '.') AS {type_})"
    return f"CASE WHEN contains({text}, '.') THEN {grouped} ELSE coalesce({comma}, {grouped}) END"


def _any_mark(conventions: Conventions) -> str:
    """Pattern of any thousands separator. Spaces and apostrophes between groups of three digits are not ambiguous."""
    return f"[{conventions.thousands or ''}' \u00a0\u202f’]"


def _group_mark(conventions: Conventions) -> str:
    # Spreadsheets write no-break spaces where people mean spaces.
    return {" ": "[ \u00a0\u202f]", ".": "[.]"}.get(conventions.thousands or "", conventions.thousands or "")


def _attribute_pattern(conventions: Conventions) -> str:
    grouped = _grouped(_group_mark(conventions))
    return rf"[+-]?([0-9]+|{grouped})({_decimal_mark(conventions)}[0-9]+)?"


def _grouped(mark: str) -> str:
    return rf"[0-9]{{1,3}}({mark}[0-9]{{3}})+"


def _decimal_mark(conventions: Conventions) -> str:
    return {".": "[.]"}.get(conventions.decimal, conventions.decimal)
