"""Checks are answered where the rows are: by Spark for its tables, by DuckDB for all others.

Spark is another DuckDB here, with other rows, so that every answer tells who gave it. That Spark itself gives the same
ones is proven in acceptance/test_spark_parity.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from clv_pipeline.quality.audit import Auditor
from clv_pipeline.spark.routed_connection import RoutedConnection
from clv_pipeline_tests.helpers.expectations import CASES, contract


class Elsewhere:
    """Holds `things`; knows the small tables of DuckDB, too."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.asked: list[tuple[str, Sequence[Any]]] = []
        self.most_rows = 0

    def is_elsewhere(self, relation: str) -> bool:
        return relation == "things"

    def to_spark(self, sql: str, parameters: Sequence[Any]) -> pa.Table:
        self.asked.append((sql, parameters))
        rows = self.connection.sql(sql, params=list(parameters)).to_arrow_table()
        self.most_rows = max(self.most_rows, rows.num_rows)
        return rows


@pytest.fixture
def here() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def there() -> Iterator[Elsewhere]:
    elsewhere = Elsewhere()
    with elsewhere.connection:
        yield elsewhere


@pytest.fixture
def auditor(here: duckdb.DuckDBPyConnection, there: Elsewhere) -> Iterator[Auditor]:
    auditor = Auditor(RoutedConnection(here, there))
    yield auditor
    auditor.close()


def fill(connection: duckdb.DuckDBPyConnection, table: str, rows: str) -> None:
    connection.execute(f"create table {table} as select * from (values {rows}) as t(id, other)")


@pytest.mark.parametrize("type_", CASES)
def test_every_kind_of_expectation_is_judged_by_the_rows_of_spark(
    here: duckdb.DuckDBPyConnection, there: Elsewhere, auditor: Auditor, type_: str
) -> None:
    kwargs, good, bad = CASES[type_]
    fill(here, "things", good)
    fill(there.connection, "things", bad)
    schema, broken = auditor.audit(contract(type_, kwargs), "things")
    assert schema.passed
    assert not broken.passed
    assert "could not run" not in broken.observed


def test_tables_of_duckdb_are_none_of_sparks_business(
    here: duckdb.DuckDBPyConnection, there: Elsewhere, auditor: Auditor
) -> None:
    kwargs, good, bad = CASES["expect_column_values_to_be_unique"]
    for table, rows in (("small_good", good), ("small_bad", bad)):
        fill(here, table, rows)
    promise = contract("expect_column_values_to_be_unique", kwargs)
    assert [auditor.audit(promise, table)[1].passed for table in ("small_good", "small_bad")] == [True, False]
    assert there.asked == []


def test_a_check_that_reads_tables_of_both_goes_to_spark(
    here: duckdb.DuckDBPyConnection, there: Elsewhere, auditor: Auditor
) -> None:
    fill(here, "small", "(1, 1)")
    fill(here, "things", "(2, 2)")
    for table in ("small", "things"):
        fill(there.connection, table, "(1, 1)")
    query = "select id from {batch} where id not in (select id from things)"
    [_, kept] = auditor.audit(contract("unexpected_rows_expectation", {"unexpected_rows_query": query}), "small")
    assert kept.passed
    assert there.asked


def test_what_a_failed_check_shows_comes_from_spark(
    here: duckdb.DuckDBPyConnection, there: Elsewhere, auditor: Auditor
) -> None:
    fill(here, "things", "(1, 1)")
    fill(there.connection, "things", "(1, -7)")
    promise = contract(
        "unexpected_rows_expectation", {"unexpected_rows_query": "select 1 from {batch} where other < 0"}
    )
    shows = "select 'lowest ' || min(other) from {batch}"
    promise.expectations[0] = promise.expectations[0].model_copy(update={"shows": shows})
    [_, broken] = auditor.audit(promise, "things")
    assert broken.observed == "1 unexpected row: lowest -7"


def test_values_reach_spark_as_parameters_and_glances_do_not_reach_it(
    here: duckdb.DuckDBPyConnection, there: Elsewhere, auditor: Auditor
) -> None:
    for connection in (here, there.connection):
        fill(connection, "things", "(1, 4242)")
    promise = contract("expect_column_values_to_be_between", {"column": "other", "min_value": 4241})
    assert auditor.audit(promise, "things")[1].passed
    assert any(4241 in parameters for _, parameters in there.asked)
    assert not [sql for sql, _ in there.asked if "4241" in sql]
    assert not [sql for sql, _ in there.asked if "LIMIT" in sql.upper()]


@pytest.mark.parametrize("type_", [type_ for type_ in CASES if type_ != "expect_table_row_count_to_be_between"])
def test_rows_that_are_all_wrong_are_counted_and_not_fetched(
    here: duckdb.DuckDBPyConnection, there: Elsewhere, auditor: Auditor, type_: str
) -> None:
    kwargs, _, bad = CASES[type_]
    for connection in (here, there.connection):
        fill(connection, "things", ", ".join([bad] * 500))
    [_, broken] = auditor.audit(contract(type_, kwargs), "things")
    assert not broken.passed
    assert there.most_rows <= 1
