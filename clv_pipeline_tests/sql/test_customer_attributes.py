"""Demographics: typed by their values, one value per buyer, nothing where nothing is known."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase


def record(line: int, customer: str | None, source_id: int = 1, /, **attributes: Any) -> Row:
    return {
        "source_id": source_id,
        "source_line": line,
        "customer_id": customer,
        "attributes": json.dumps(attributes),
    }


def attributes(bench: Bench, records: list[Row], buyers: tuple[str, ...] = ("ann", "bob")) -> list[Row]:
    bench.given("raw_customers", records)
    bench.given("customer_days", [purchase(name, date(2023, day, day)) for name in buyers for day in (1, 2)])
    return bench.run("customer_attributes")


def values(rows: list[Row]) -> list[tuple[Any, ...]]:
    return picked(rows, "customer_id", "attribute_name", "kind", "number", "category")


def test_an_attribute_is_a_number_or_a_category_by_its_values(bench: Bench) -> None:
    rows = attributes(
        bench, [record(2, "ann", age="41.5", city="Bern", plan="7"), record(3, "bob", age=30, city="8001", plan="b")]
    )
    assert values(rows) == [
        ("ann", "age", "number", 41.5, None),
        ("ann", "city", "category", None, "Bern"),
        ("ann", "plan", "category", None, "7"),
        ("bob", "age", "number", 30.0, None),
        ("bob", "city", "category", None, "8001"),
        ("bob", "plan", "category", None, "b"),
    ]
    assert bench.failed_checks("customer_attributes") == []


@pytest.mark.parametrize(("words", "kind"), [(1, "number"), (2, "category")])
def test_one_value_in_twenty_may_be_no_number(bench: Bench, words: int, kind: str) -> None:
    listed = [record(line, f"c{line:02}", age="old" if line < words else line) for line in range(20)]
    rows = attributes(bench, listed, buyers=tuple(f"c{line:02}" for line in range(20)))
    assert {row["kind"] for row in rows} == {kind}
    assert len(rows) == (20 if kind == "category" else 19)


@pytest.mark.parametrize("missing", [None, "", "NaN", "null", "None", "N/A"])
def test_what_is_missing_has_no_row_and_does_not_make_a_category(bench: Bench, missing: str | None) -> None:
    rows = attributes(bench, [record(2, "ann", age=missing), record(3, "bob", age=30)])
    assert values(rows) == [("bob", "age", "number", 30.0, None)]


@pytest.mark.parametrize("endless", ["inf", "-Infinity", "1e400"])
def test_infinity_is_no_number(bench: Bench, endless: str) -> None:
    rows = attributes(bench, [record(2, "ann", age=endless), record(3, "bob", age=30)])
    assert values(rows) == [("ann", "age", "category", None, endless), ("bob", "age", "category", None, "30")]


def test_the_last_record_of_a_customer_counts_as_a_whole(bench: Bench) -> None:
    rows = attributes(
        bench,
        [
            record(9, "ann", age=40, city="Bern"),
            record(2, "ann", 2, age=41, city=None),
            record(3, "bob", age=1),
            record(4, "bob", age=2),
        ],
    )
    assert values(rows) == [("ann", "age", "number", 41.0, None), ("bob", "age", "number", 2.0, None)]
    assert bench.failed_checks("raw_customers") == ["customers_are_listed_once"]


def test_kinds_are_judged_on_everybody_but_only_buyers_are_described(bench: Bench) -> None:
    listed = [record(2, "ann", plan="1"), record(3, "a visitor", plan="gold"), record(4, None, plan="gold")]
    rows = attributes(bench, listed)
    assert values(rows) == [("ann", "plan", "category", None, "1")]


def test_names_may_hold_any_character(bench: Bench) -> None:
    odd = 'a "quoted" $.name/~with, everything'
    rows = attributes(bench, [record(2, "ann", **{odd: "x's"})])
    assert picked(rows, "attribute_name", "category") == [(odd, "x's")]


def test_without_demographics_there_is_an_empty_table_that_keeps_its_promises(bench: Bench) -> None:
    assert attributes(bench, []) == []
    assert bench.failed_checks("raw_customers") == []
    assert bench.failed_checks("customer_attributes") == []


def test_demographics_of_strangers_are_told(bench: Bench) -> None:
    strangers = [record(line, f"stranger {line}", age=line) for line in range(30)]
    attributes(bench, [*strangers, record(31, "ann", age=1)])
    assert bench.failed_checks("customer_attributes") == ["demographics_are_of_buyers"]
    attributes(bench, strangers)
    assert bench.failed_checks("customer_attributes") == ["demographics_are_of_buyers"]


def test_a_category_of_its_own_for_everybody_is_told(bench: Bench) -> None:
    names = tuple(f"customer {number}" for number in range(100))
    attributes(bench, [record(line, name, email=f"{name}@shop") for line, name in enumerate(names)], buyers=names)
    assert bench.failed_checks("customer_attributes") == ["categories_repeat"]


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([{"kind": "text"}], "kind_is_known"),
        ([{"kind": "number"}] * 2, "one_row_per_customer_and_attribute"),
    ],
)
def test_unknown_kinds_and_doubled_rows_break_the_contract(bench: Bench, rows: list[Row], broken: str) -> None:
    bench.given("raw_customers", [])
    bench.given("customer_attributes", [{"customer_id": "ann", "attribute_name": "age"} | row for row in rows])
    assert bench.failed_checks("customer_attributes") == [broken]
