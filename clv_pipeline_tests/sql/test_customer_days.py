"""Purchase days: all of a customer's lines on one calendar day, where they sum to more than nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

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


def taken_back(purchase_day: str, returned_on: str, amount: Any) -> Row:
    return {"customer_id": "ann", "purchase_day": purchase_day, "returned_on": returned_on, "amount": amount}


def versions(rows: list[Row]) -> list[tuple[str, str, str | None]]:
    """The day, since when it is known so, and until when."""
    return [
        (str(day), str(known_from), superseded_on and str(superseded_on))
        for day, known_from, superseded_on in picked(rows, "purchase_day", "known_from", "superseded_on")
    ]


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


def test_a_return_of_the_same_day_reduces_the_day_from_the_start(bench: Bench) -> None:
    bench.given("matched_returns", [taken_back("2024-01-05", "2024-01-05", 4)])
    rows = days(bench, line("10", quantity=2), line("-4", "C1003", quantity=-1))
    assert picked(rows, "revenue", "returned", "orders", "quantity") == [(6, 4, 1, 2)]
    assert versions(rows) == [("2024-01-05", "2024-01-05", None)]


def test_a_return_of_a_later_day_gives_the_day_a_new_version(bench: Bench) -> None:
    later = [taken_back("2024-01-05", "2024-01-09", 3), taken_back("2024-01-05", "2024-01-07", 4)]
    bench.given("matched_returns", later)
    rows = days(bench, line("10"), line("10", ordered_on="2024-01-06"))
    assert versions(rows) == [
        ("2024-01-05", "2024-01-05", "2024-01-07"),
        ("2024-01-05", "2024-01-07", "2024-01-09"),
        ("2024-01-05", "2024-01-09", None),
        ("2024-01-06", "2024-01-06", None),
    ]
    assert picked(rows, "revenue", "returned") == [(10, 0), (6, 4), (3, 7), (10, 0)]
    assert bench.failed_checks("customer_days") == []


@pytest.mark.parametrize(
    ("returned_on", "left"), [("2024-01-05", []), ("2024-01-07", [("2024-01-05", "2024-01-05", "2024-01-07")])]
)
def test_a_day_whose_purchases_were_all_returned_is_no_purchase_day_from_then_on(
    bench: Bench, returned_on: str, left: list[tuple[str, str, str]]
) -> None:
    bench.given("matched_returns", [taken_back("2024-01-05", returned_on, 10)])
    assert versions(days(bench, line("10"))) == left


def test_units_are_unknown_where_quantity_is_not_mapped(bench: Bench) -> None:
    (row,) = days(bench, line("1"), line("2"))
    assert (row["quantity"], row["revenue"]) == (None, 3)


@pytest.mark.parametrize(
    ("second", "broken"),
    [
        ({"purchase_day": "2024-01-05", "revenue": 1}, "one_version_of_a_day_at_a_time one_row_per_version"),
        ({"purchase_day": "2024-01-06", "revenue": 0}, "revenue_is_positive"),
        ({"purchase_day": "2024-01-06", "revenue": None}, "revenue_not_null"),
    ],
)
def test_a_second_row_a_day_and_days_without_revenue_break_the_contract(bench: Bench, second: Row, broken: str) -> None:
    first = {"customer_id": "ann", "purchase_day": "2024-01-05", "known_from": "2024-01-05", "revenue": 1}
    bench.given("customer_days", [first, {"customer_id": "ann", "known_from": second["purchase_day"]} | second])
    assert bench.failed_checks("customer_days") == broken.split()
