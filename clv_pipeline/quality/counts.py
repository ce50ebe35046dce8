"""What an audit counts, as SQL: the numbers by which Great Expectations judges the expectations of most contracts.

Left to itself, Great Expectations asks three to five times for one expectation, with a window or a join for a key, and
for examples of unexpected rows, which no audit shows because a row may be a person's data. Here one statement counts
everything that rows say by themselves, and one statement each counts the copies of a key and the rows of a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from clv_pipeline.database.sql_text import quote_identifier

if TYPE_CHECKING:
    import duckdb

    from clv_pipeline.spark.routed_connection import RoutedConnection

_COPIES = """
select coalesce(sum(copies), 0)
from (select count(*) as copies from {batch} where {known} group by {columns} having count(*) > 1) as repeated
"""


@dataclass(frozen=True)
class Count:
    """A number about a table."""

    sql: str
    """An aggregate over its rows, or a query with the table as `{batch}`."""
    values: tuple[Any, ...] = ()
    """Bound to each `?`."""
    is_query: bool = False


ROWS = Count("count(*)")

Counts = Mapping[str, Count]
"""By the name that Great Expectations has for a number."""


def counts_of(type_: str, kwargs: Mapping[str, Any]) -> Counts | None:
    """The numbers that decide an expectation; None if only Great Expectations knows how to find them."""
    if type_ not in _KINDS:
        return None
    arguments, counts = _KINDS[type_]
    return counts(kwargs) if kwargs.keys() <= arguments else None


def measure(
    connection: duckdb.DuckDBPyConnection | RoutedConnection, relation: str, counts: Iterable[Count]
) -> dict[Count, int | Exception]:
    """Every count of a table, or the error that its engine raised."""
    batch = quote_identifier(relation)
    distinct = list(dict.fromkeys(counts))
    alone, shared = [c for c in distinct if c.is_query], [c for c in distinct if not c.is_query]
    found: dict[Count, int | Exception] = {}
    if shared:
        try:
            found.update(zip(shared, _numbers(connection, batch, shared), strict=True))
        except Exception:  # one of them cannot be counted: which one is found below
            alone = [*shared, *alone]
    for count in alone:
        try:
            [found[count]] = _numbers(connection, batch, [count])
        except Exception as error:  # an engine may raise anything, and the check then could not run
            found[count] = error
    return found


def _numbers(connection: Any, batch: str, counts: Sequence[Count]) -> list[int]:
    """The results of one query, or of aggregates over the same rows."""
    if counts[0].is_query:
        statement = counts[0].sql.format(batch=batch)
    else:
        statement = f"select {', '.join(count.sql for count in counts)} from {batch}"  # noqa: S608  (quoted)
    [row] = connection.execute(statement, [value for count in counts for value in count.values]).fetchall()
    return [int(number) for number in row]


def _where(condition: str, *values: Any) -> Count:
    return Count(f"count(*) filter (where {condition})", values)


def _nulls(column: str) -> Count:
    return _where(f"{column} is null")


def _of_column(kwargs: Mapping[str, Any], metric: str, unexpected: Callable[[str], Count]) -> Counts:
    column = quote_identifier(kwargs["column"])
    return {
        "table.row_count": ROWS,
        "column_values.nonnull.unexpected_count": _nulls(column),
        f"column_values.{metric}.unexpected_count": unexpected(column),
    }


def _not_null(kwargs: Mapping[str, Any]) -> Counts:
    return _of_column(kwargs, "nonnull", _nulls)


def _unique(kwargs: Mapping[str, Any]) -> Counts:
    return _of_column(kwargs, "unique", lambda column: _copies([column]))


def _in_set(kwargs: Mapping[str, Any]) -> Counts | None:
    allowed = kwargs["value_set"]
    if not isinstance(allowed, list) or not allowed or not all(isinstance(v, str | int | float) for v in allowed):
        return None
    marks = ", ".join("?" * len(allowed))
    return _of_column(kwargs, "in_set", lambda column: _where(f"{column} not in ({marks})", *allowed))


def _between(kwargs: Mapping[str, Any]) -> Counts | None:
    sides = {"min": "<", "max": ">"}
    ends = {side: kwargs[f"{side}_value"] for side in sides if kwargs.get(f"{side}_value") is not None}
    if not ends or not all(isinstance(end, int | float | date) for end in ends.values()):
        return None
    outside = [f"{sides[side]}{'=' if kwargs.get(f'strict_{side}') else ''} ?" for side in ends]
    return _of_column(
        kwargs,
        "between",
        lambda column: _where(" or ".join(f"{column} {end}" for end in outside), *ends.values()),
    )


def _pair(kwargs: Mapping[str, Any]) -> Counts | None:
    larger, smaller = quote_identifier(kwargs["column_A"]), quote_identifier(kwargs["column_B"])
    ignored = {"both_values_are_missing": "or", "either_value_is_missing": "and"}
    known = ignored.get(kwargs.get("ignore_row_if", "both_values_are_missing"))
    if known is None:
        return None
    metric = "column_pair_values.a_greater_than_b"
    return {
        "table.row_count": ROWS,
        f"{metric}.filtered_row_count": _where(f"{larger} is not null {known} {smaller} is not null"),
        f"{metric}.unexpected_count": _where(f"{larger} {'<' if kwargs.get('or_equal') else '<='} {smaller}"),
    }


def _unique_together(kwargs: Mapping[str, Any]) -> Counts:
    columns = [quote_identifier(column) for column in kwargs["column_list"]]
    return {
        "table.row_count": ROWS,
        "compound_columns.unique.filtered_row_count": _where(" or ".join(f"{c} is not null" for c in columns)),
        "compound_columns.unique.unexpected_count": _copies(columns),
    }


def _copies(columns: Sequence[str]) -> Count:
    """The rows that share all these columns with another row. NULL is never the same."""
    known = " and ".join(f"{column} is not null" for column in columns)
    # Braces of a name are doubled, because the table is put in by `format`.
    named = {"known": known, "columns": ", ".join(columns)}
    doubled = {name: text.replace("{", "{{").replace("}", "}}") for name, text in named.items()}
    return Count(_COPIES.format(batch="{batch}", **doubled), is_query=True)


def _row_count(_: Mapping[str, Any]) -> Counts:
    return {"table.row_count": ROWS}


def _unexpected_rows(kwargs: Mapping[str, Any]) -> Counts:
    query = f"select count(*) from ({kwargs['unexpected_rows_query']}) as unexpected"  # noqa: S608  (a contract's)
    return {"unexpected_rows_query.row_count": Count(query, is_query=True)}


_OF_COLUMN = frozenset({"column", "mostly"})
_KINDS: Mapping[str, tuple[frozenset[str], Callable[[Mapping[str, Any]], Counts | None]]] = {
    "expect_column_values_to_not_be_null": (_OF_COLUMN, _not_null),
    "expect_column_values_to_be_unique": (_OF_COLUMN, _unique),
    "expect_column_values_to_be_in_set": (_OF_COLUMN | {"value_set"}, _in_set),
    "expect_column_values_to_be_between": (
        _OF_COLUMN | {"min_value", "max_value", "strict_min", "strict_max"},
        _between,
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": (
        frozenset({"column_A", "column_B", "or_equal", "ignore_row_if", "mostly"}),
        _pair,
    ),
    "expect_compound_columns_to_be_unique": (frozenset({"column_list", "mostly"}), _unique_together),
    "expect_table_row_count_to_equal": (frozenset({"value"}), _row_count),
    "expect_table_row_count_to_be_between": (frozenset({"min_value", "max_value"}), _row_count),
    "unexpected_rows_expectation": (frozenset({"unexpected_rows_query"}), _unexpected_rows),
}
"""The arguments with which an expectation can be counted here, and how."""
