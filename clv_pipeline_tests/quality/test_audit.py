"""The canary: known-bad rows are caught by every kind of expectation that the contracts use.

If Great Expectations and DuckDB ever stop understanding each other, these tests go red and not the gate silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pytest

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.quality import CheckResult
from clv_pipeline.quality.counts import counts_of, measure
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.expectations import CASES, contract


def audit(session: Session, rows: str, promise: Contract) -> list[CheckResult]:
    session.execute(f"create or replace table things as select * from (values {rows}) as t(id, other)")
    return session.auditor.audit(promise, "things")


@pytest.mark.parametrize("type_", CASES)
def test_good_rows_pass_and_bad_rows_are_caught(session: Session, type_: str) -> None:
    kwargs, good, bad = CASES[type_]
    assert [result.passed for result in audit(session, good, contract(type_, kwargs))] == [True, True]
    schema, broken = audit(session, bad, contract(type_, kwargs))
    assert schema.passed
    assert not broken.passed
    assert broken.blocks


def test_all_that_our_contracts_promise_is_counted() -> None:
    promises = [e for model in load_models().values() for e in model.contract.expectations]
    assert [e.name for e in promises if counts_of(e.type, e.kwargs) is None] == []


def test_the_canary_knows_every_kind_of_expectation_in_use() -> None:
    used = {e.type for model in load_models().values() for e in model.contract.expectations}
    assert used <= set(CASES)


def test_a_warning_shows_but_does_not_block(session: Session) -> None:
    promise = contract("expect_column_values_to_be_unique", {"column": "id"}, severity="warning")
    _, warned = audit(session, "(1, 1), (1, 2)", promise)
    assert not warned.passed
    assert not warned.blocks


def test_counts_are_observed_but_no_values(session: Session) -> None:
    promise = contract("expect_column_values_to_be_in_set", {"column": "other", "value_set": [1]})
    _, broken = audit(session, "(1, 1), (2, 424242)", promise)
    assert broken.observed == "1 of 2 rows unexpected"
    assert "424242" not in str(broken)


def test_an_expectation_that_failed_shows_what_its_contract_says(session: Session) -> None:
    promise = contract(
        "unexpected_rows_expectation", {"unexpected_rows_query": "select 1 from {batch} where other < 0"}
    )
    shows = "select 'lowest ' || min(other) from {batch}"
    promise.expectations[0] = promise.expectations[0].model_copy(update={"shows": shows})
    _, kept = audit(session, "(1, 1)", promise)
    assert "lowest" not in kept.observed
    _, broken = audit(session, "(1, -1), (2, -7)", promise)
    assert broken.observed == "2 unexpected rows: lowest -7"


def test_an_expectation_that_cannot_run_has_failed_and_says_why(session: Session) -> None:
    promise = contract("unexpected_rows_expectation", {"unexpected_rows_query": "select nonsense from {batch}"})
    _, broken = audit(session, "(1, 1)", promise)
    assert broken.blocks
    assert broken.observed == "the check could not run"
    assert "nonsense" in broken.quoted
    assert "nonsense" in broken.told


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select 1 as id", "other INTEGER missing"),
        ("select 1 as id, 2 as other, 3 as extra", "extra INTEGER undeclared"),
        ("select 1 as id, 2::bigint as other", "other BIGINT undeclared"),
        ("select 2 as other, 1 as id", "order other, id"),
    ],
)
def test_a_wrong_schema_is_the_only_result(session: Session, query: str, said: str) -> None:
    session.execute(f"create or replace table things as {query}")
    promise = contract("expect_column_values_to_not_be_null", {"column": "id"})
    results = session.auditor.audit(promise, "things")
    assert [result.check for result in results] == ["columns_match_contract"]
    assert results[0].blocks
    assert said in results[0].observed


def test_tables_can_be_audited_one_after_the_other_and_again(session: Session) -> None:
    promise = contract("expect_column_values_to_not_be_null", {"column": "id"})
    session.execute("create table things as select 1 as id, 1 as other")
    session.execute("create table others as select null::integer as id, 1 as other")
    verdicts = [session.auditor.audit(promise, name)[1].passed for name in ("things", "others", "things")]
    assert verdicts == [True, False, True]


ROWS = {
    "no rows": "(1, 1) limit 0",
    "rows that keep everything": "(1, 1), (2, 1)",
    "nothing known": "(null::integer, null::integer), (null, null)",
    "copies, with and without NULL": "(1, 1), (1, 1), (1, null), (1, null), (null, null), (null, null), (3, 9)",
    "one above, one below": "(1, -1), (2, 3), (9, 2)",
}
ASKED = [
    *((type_, kwargs) for type_, (kwargs, _, _) in CASES.items()),
    ("expect_column_values_to_not_be_null", {"column": "other", "mostly": 0.5}),
    ("expect_column_values_to_be_unique", {"column": "id", "mostly": 0.4}),
    ("expect_column_values_to_be_between", {"column": "other", "min_value": 1}),
    ("expect_column_values_to_be_between", {"column": "other", "max_value": 2.5, "mostly": 0.6}),
    ("expect_column_values_to_be_between", {"column": "other", "min_value": 1, "strict_min": True, "max_value": 9}),
    ("expect_column_values_to_be_between", {"column": "id", "max_value": 3, "strict_max": True, "strict_min": False}),
    ("expect_column_values_to_be_in_set", {"column": "other", "value_set": [1, 2, 3], "mostly": 0.7}),
    (
        "expect_column_pair_values_a_to_be_greater_than_b",
        {"column_A": "id", "column_B": "other", "ignore_row_if": "either_value_is_missing", "mostly": 0.5},
    ),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "id", "column_B": "other"}),
    ("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 2}),
    ("unexpected_rows_expectation", {"unexpected_rows_query": "select id from {batch} where '{{' = '{{' and id > 1"}),
]


@pytest.mark.parametrize(("type_", "kwargs"), ASKED)
def test_counts_lead_to_the_verdict_that_the_library_finds_alone(
    session: Session, monkeypatch: pytest.MonkeyPatch, type_: str, kwargs: dict[str, Any]
) -> None:
    promise = contract(type_, kwargs)
    assert counts_of(type_, kwargs) is not None
    counted = {what: rows_audited(session, rows, promise) for what, rows in ROWS.items()}
    monkeypatch.setattr("clv_pipeline.quality.audit.counts_of", lambda *_: None)
    assert counted == {what: rows_audited(session, rows, promise) for what, rows in ROWS.items()}


def rows_audited(session: Session, rows: str, promise: Contract) -> list[CheckResult]:
    values, _, limit = rows.partition(" limit ")
    everything = f"select * from (values {values}) as t(id, other) limit {limit or 'null'}"
    session.execute(f"create or replace table things as {everything}")
    return session.auditor.audit(promise, "things")


@pytest.mark.parametrize(
    ("type_", "kwargs"),
    [
        ("expect_column_max_to_be_between", {"column": "other", "max_value": 1}),
        ("expect_column_values_to_be_between", {"column": "other", "max_value": 1, "row_condition": None}),
    ],
)
def test_what_is_not_counted_is_left_to_the_library(session: Session, type_: str, kwargs: dict[str, Any]) -> None:
    assert counts_of(type_, kwargs) is None
    verdicts = [audit(session, f"(1, {other})", contract(type_, kwargs))[1].passed for other in (1, 2)]
    assert verdicts == [True, False]


def test_one_scan_counts_what_rows_say_by_themselves(session: Session) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("expect_column_values_to_not_be_null", {"column": "id"}),
        ("expect_column_values_to_not_be_null", {"column": "other"}),
        ("expect_column_values_to_be_in_set", {"column": "other", "value_set": [1]}),
        ("expect_table_row_count_to_equal", {"value": 1}),
    ]
    session.execute("create table things as select 1 as id, 1 as other")
    counts = [count for type_, kwargs in asked for count in (counts_of(type_, kwargs) or {}).values()]
    spy: Any = Statements(session.connection)
    assert list(measure(spy, "things", counts).values()) == [1, 0, 0, 0]
    assert len(spy.seen) == 1


def test_of_checks_that_share_a_scan_only_the_one_that_cannot_run_fails(session: Session) -> None:
    promise = contract("expect_column_values_to_be_between", {"column": "id", "min_value": 0})
    wrong = promise.expectations[0].model_copy(
        update={"name": "wrong", "type": "expect_column_values_to_not_be_null", "kwargs": {"column": "nonsense"}}
    )
    promise.expectations.append(wrong)
    _, kept, broken = audit(session, "(1, 1)", promise)
    assert kept.passed
    assert broken.observed == "the check could not run"
    assert "nonsense" in broken.quoted


class Statements:
    """A connection that remembers what it was asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.seen: list[str] = []
        self._connection = connection

    def execute(self, statement: str, parameters: Sequence[Any]) -> duckdb.DuckDBPyConnection:
        self.seen.append(statement)
        return self._connection.execute(statement, list(parameters))
