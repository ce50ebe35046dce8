"""What is left: every raw row that was not rejected, with its day, and its amount capped where asked for."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import TODAY, Bench, Row, picked, sale


def cleaned(
    bench: Bench, rows: list[Row], rejected: list[Row] | None = None, fence: Any = None, **parameters: Any
) -> list[Row]:
    bench.given_raw(rows)
    bench.given("rejected_transactions", rejected or [])
    bench.given_parameters(**parameters)
    bench.given("outlier_fence", [{"treatment": parameters.get("outliers", "keep"), "upper_amount": fence}])
    return bench.run("cleaned_transactions")


def test_rejected_rows_are_left_out_by_file_and_line(bench: Bench) -> None:
    rows = [sale(line, source_id=file) for file in (1, 2) for line in (2, 3)]
    gone = [{"source_id": 2, "source_line": 2, "reason": "outlier"}]
    kept = cleaned(bench, rows, rejected=gone)
    assert picked(kept, "source_id", "source_line") == [(1, 2), (1, 3), (2, 3)]


def test_a_kept_row_is_as_it_came_and_has_a_day(bench: Bench) -> None:
    (row,) = cleaned(bench, [sale(2, ordered_at="2024-01-05 23:59:59", country="France", attributes="{}")])
    assert row["ordered_on"] == date(2024, 1, 5)
    assert picked([row], "customer_id", "order_id", "product_id", "quantity", "unit_price", "amount", "amount_cut") == [
        ("ann", "1001", "mug", 2, Decimal("3.5"), 7, 0)
    ]
    assert (row["country"], row["attributes"]) == ("France", "{}")
    assert bench.failed_checks("cleaned_transactions") == []


@pytest.mark.parametrize(
    ("treatment", "amount", "cut"),
    [("keep", "1234.5678", "0"), ("drop", "1234.5678", "0"), ("cap", "1000", "234.5678")],
)
def test_only_capping_takes_money_and_books_what_it_took(bench: Bench, treatment: str, amount: str, cut: str) -> None:
    (row,) = cleaned(bench, [sale(2, amount="1234.5678")], fence=1000, outliers=treatment)
    assert (row["amount"], row["amount_cut"]) == (Decimal(amount), Decimal(cut))


@pytest.mark.parametrize("amount", ["0.01", "1000"])
def test_amounts_up_to_the_fence_are_not_capped(bench: Bench, amount: str) -> None:
    (row,) = cleaned(bench, [sale(2, amount=amount)], fence=1000, outliers="cap", returns="net")
    assert (row["amount"], row["amount_cut"]) == (Decimal(amount), 0)


def test_an_unknown_fence_caps_nothing(bench: Bench) -> None:
    (row,) = cleaned(bench, [sale(2, amount="99")], fence=None, outliers="cap")
    assert (row["amount"], row["amount_cut"]) == (99, 0)


def test_amounts_without_quantity_and_price_are_enough(bench: Bench) -> None:
    (row,) = cleaned(bench, [sale(2, quantity=None, unit_price=None)])
    assert (row["quantity"], row["unit_price"], row["amount"]) == (None, None, 7)
    assert bench.failed_checks("cleaned_transactions") == []


@pytest.mark.parametrize(
    ("rows", "returns", "broken"),
    [
        ([sale(2, amount=-1)], "drop", "amount_is_positive_unless_netted"),
        ([sale(2, amount=None)], "net", "amount_not_null"),
        ([sale(2, customer_id=None)], "drop", "customer_id_not_null"),
        ([sale(2, ordered_at=None)], "drop", "ordered_on_not_null"),
        ([sale(2, ordered_at=TODAY.replace(year=TODAY.year + 1))], "drop", "no_future_days"),
        ([], "drop", "has_rows"),
    ],
)
def test_what_should_have_been_rejected_breaks_the_contract(
    bench: Bench, rows: list[Row], returns: str, broken: str
) -> None:
    cleaned(bench, rows, returns=returns)
    assert bench.failed_checks("cleaned_transactions") == [broken]


def test_a_return_counts_as_far_as_it_takes_back_purchases(bench: Bench) -> None:
    takes_back: list[Row] = [
        {"source_id": 1, "source_line": 2, "purchase_day": "2024-01-01", "amount": 2},
        {"source_id": 1, "source_line": 2, "purchase_day": "2024-01-02", "amount": 3},
        {"source_id": 1, "source_line": 2, "purchase_day": None, "amount": 4},
    ]
    bench.given("matched_returns", takes_back)
    (row,) = cleaned(bench, [sale(2, quantity=-1, amount=-9)], returns="net")
    assert (row["amount"], row["amount_cut"]) == (-5, -4)
    assert bench.failed_checks("cleaned_transactions") == []
