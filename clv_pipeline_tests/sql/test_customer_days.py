"""Purchase days: all of a customer's lines on one calendar day, where they sum to more than nothing."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked


def line(amount: Any, order_id: str | None = "1001", **changes: Any) -> Row:
    return {
        "customer_id": "ann",
        "ordered_on": "2024-01-05",
        "order_id": order_id,
        "amount": amount,
    } | changes


def days(bench: Bench, *lines: Row) -> list[Row]:
    bench.given("cleaned_transactions", lines)
    return bench.run("customer_days")


def test_lines_of_one_day_are_added_up(bench: Bench) -> None:
    rows = days(bench, line("1.10", quantity=1), line("2.20", quantity="0.5"), line("3.30", "1002", quantity=4))
    assert picked(rows, "orders", "transaction_lines", "quantity", "revenue") == [
        (2, 3, Decimal("5.5"), Decimal("6.6"))
    ]
    assert bench.failed_checks("customer_days") == []


def test_every_customer_has_days_of_their_own(bench: Bench) -> None:
    rows = days(bench, line(1), line(2, ordered_on="2024-01-06"), line(4, customer_id="bob"))
    assert [(row["customer_id"], str(row["purchase_day"]), row["revenue"]) for row in rows] == [
        ("ann", "2024-01-05", 1),
        ("ann", "2024-01-06", 2),
        ("bob", "2024-01-05", 4),
    ]


@pytest.mark.parametrize(
    ("order_ids", "orders"),
    [
        (["1001", "1001"], 1),
        (["1001", "1002"], 2),
        ([None, None, None], 1),
        (["1001", None, None], 2),
    ],
)
def test_lines_without_order_id_are_one_order_a_day(bench: Bench, order_ids: list[str | None], orders: int) -> None:
    (row,) = days(bench, *(line(1, order_id) for order_id in order_ids))
    assert row["orders"] == orders


def test_an_order_that_spans_midnight_counts_on_both_days(bench: Bench) -> None:
    rows = days(bench, line(1), line(1, ordered_on="2024-01-06"))
    assert picked(rows, "orders") == [(1,), (1,)]


def test_a_return_reduces_the_spend_of_its_own_day_only(bench: Bench) -> None:
    rows = days(
        bench,
        line("10", quantity=2),
        line("10", quantity=2, ordered_on="2024-01-06"),
        line("-4", "C1003", quantity=-1, ordered_on="2024-01-06"),
    )
    assert picked(rows, "revenue", "quantity") == [(10, 2), (6, 1)]


@pytest.mark.parametrize("returned", ["-10", "-10.0001", "-999"])
def test_a_day_that_returns_outweigh_is_no_purchase_day(bench: Bench, returned: str) -> None:
    rows = days(bench, line("10"), line(returned, "C1002"), line("5", ordered_on="2024-01-09"))
    assert [str(row["purchase_day"]) for row in rows] == ["2024-01-09"]


def test_units_are_unknown_where_quantity_is_not_mapped(bench: Bench) -> None:
    (row,) = days(bench, line("1"), line("2"))
    assert (row["quantity"], row["revenue"]) == (None, 3)


@given(
    lines=st.lists(
        st.builds(
            lambda customer, day, cents: line(Decimal(cents) / 100, customer_id=customer, ordered_on=f"2024-01-0{day}"),
            st.sampled_from(["ann", "bob"]),
            st.integers(1, 3),
            st.integers(-300, 500),
        ),
        max_size=20,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_purchase_days_are_the_days_whose_lines_sum_to_more_than_nothing(bench: Bench, lines: list[Row]) -> None:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for sold in lines:
        sums[sold["customer_id"], sold["ordered_on"]] += sold["amount"]
    rows = days(bench, *lines)
    assert {(row["customer_id"], str(row["purchase_day"])): row["revenue"] for row in rows} == {
        day: revenue for day, revenue in sums.items() if revenue > 0
    }


@pytest.mark.parametrize(
    ("second", "broken"),
    [
        ({"purchase_day": "2024-01-05", "revenue": 1}, "one_row_per_customer_and_day"),
        ({"purchase_day": "2024-01-06", "revenue": 0}, "revenue_is_positive"),
        ({"purchase_day": "2024-01-06", "revenue": None}, "revenue_not_null"),
    ],
)
def test_a_second_row_a_day_and_days_without_revenue_break_the_contract(bench: Bench, second: Row, broken: str) -> None:
    first = {"customer_id": "ann", "purchase_day": "2024-01-05", "revenue": 1}
    bench.given("customer_days", [first, {"customer_id": "ann"} | second])
    assert bench.failed_checks("customer_days") == [broken]
