"""What every product brought, as of as_of; nothing where products are not known."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

COUNTS = ("orders", "customers", "repeat_customers", "repeat_share")


def line(product_id: str | None, customer: str, day: int, amount: Any = 5, **more: Any) -> Row:
    return {
        "product_id": product_id,
        "customer_id": customer,
        "ordered_on": f"2024-01-{day:02}",
        "order_id": f"{customer}-{day}",
        "quantity": 1,
        "amount": amount,
    } | more


def products(bench: Bench, *lines: Row, as_of: date = date(2024, 1, 31)) -> list[Row]:
    bench.given("cleaned_transactions", lines)
    bench.given("history_span", [{"as_of": as_of}])
    return bench.run("product_performance")


def test_a_product_has_its_money_orders_customers_and_who_bought_it_again(bench: Bench) -> None:
    rows = products(
        bench,
        line("mug", "ann", 1, "7.50", quantity=2),
        line("mug", "ann", 1, "2.50"),
        line("mug", "ann", 3),
        line("mug", "bob", 2),
        line("cup", "bob", 2, 30),
        line("cup", "bob", 2, 30, order_id="second"),
    )
    assert picked(rows, "product_id", "revenue_rank", "revenue", "revenue_share", "quantity", *COUNTS) == [
        # Two orders on one day are no repeat purchase.
        ("cup", 1, 60, 0.75, 2, 2, 1, 0, 0.0),
        ("mug", 2, 20, 0.25, 5, 3, 2, 1, 0.5),
    ]
    assert picked(rows, "first_bought_on", "last_bought_on") == [
        (date(2024, 1, 2), date(2024, 1, 2)),
        (date(2024, 1, 1), date(2024, 1, 3)),
    ]
    assert bench.failed_checks("product_performance") == []


def test_equal_revenues_share_a_rank_and_nothing_after_as_of_counts(bench: Bench) -> None:
    rows = products(
        bench,
        line("mug", "ann", 1),
        line("cup", "ann", 1),
        line("jar", "ann", 1, 1),
        line("jar", "ann", 9, 99),
        as_of=date(2024, 1, 8),
    )
    assert picked(rows, "product_id", "revenue_rank", "revenue") == [("cup", 1, 5), ("jar", 3, 1), ("mug", 1, 5)]


def test_without_an_order_id_an_order_is_a_day(bench: Bench) -> None:
    [row] = products(bench, *(line("mug", "ann", day, order_id=None) for day in (1, 1, 2)))
    assert row["orders"] == 2


def test_where_products_are_not_mapped_the_table_is_empty_and_sound(bench: Bench) -> None:
    assert products(bench, line(None, "ann", 1)) == []
    assert bench.failed_checks("product_performance") == []


def test_lines_without_a_product_are_left_out(bench: Bench) -> None:
    rows = products(bench, line("mug", "ann", 1), line(None, "ann", 1, 100))
    assert picked(rows, "product_id", "revenue_share") == [("mug", 1.0)]
    assert bench.failed_checks("product_performance") == []


def test_a_netted_return_reduces_revenue_and_is_no_order(bench: Bench) -> None:
    rows = products(
        bench,
        line("mug", "ann", 1, 10),
        line("mug", "ann", 5, -4, order_id="C7", quantity=-1),
        line("jar", "bob", 1, -3, quantity=-1),
    )
    columns = ("product_id", "revenue", "quantity", *COUNTS, "last_bought_on")
    assert picked(rows, *columns) == [
        ("jar", -3, -1, 0, 0, 0, None, None),
        ("mug", 6, 0, 1, 1, 0, 0.0, date(2024, 1, 1)),
    ]
    assert rows[1]["revenue_share"] == pytest.approx(2.0)
    assert bench.failed_checks("product_performance") == []


def test_money_that_is_lost_breaks_the_contract(bench: Bench) -> None:
    rows = products(bench, line("mug", "ann", 1), line("cup", "ann", 1))
    bench.given("product_performance", [rows[0] | {"revenue": Decimal("4.99")}, rows[1]])
    assert bench.failed_checks("product_performance") == ["revenue_equals_cleaned_transactions"]
    bench.given("product_performance", [rows[0] | {"customers": 2}, rows[1] | {"repeat_customers": 3}])
    assert bench.failed_checks("product_performance") == ["counts_are_consistent"]


def names(bench: Bench, *lines: Row) -> dict[str, str | None]:
    for place, row in enumerate(lines):
        row |= {"source_id": 1, "source_line": place, "ordered_at": f"{row['ordered_on']} 12:00:00"}
    rows = products(bench, *lines, as_of=date(2024, 1, 8))
    assert bench.failed_checks("product_performance") == []
    return {row["product_id"]: row["product_name"] for row in rows}


def test_a_product_is_called_what_its_latest_purchase_calls_it(bench: Bench) -> None:
    assert names(
        bench,
        line("mug", "ann", 1, attributes='{"description":"Mug, old"}'),
        line("mug", "bob", 3, attributes='{"description":"Mug \\"new\\"","note":"gift"}'),
        # Says nothing, was returned, or lies in the future.
        line("mug", "bob", 4, attributes='{"description":""}'),
        line("mug", "bob", 5, attributes='{"description":null}'),
        line("mug", "bob", 6, -5, attributes='{"description":"Broken mug"}'),
        line("mug", "bob", 9, attributes='{"description":"Mug of tomorrow"}'),
        line("cup", "bob", 3, attributes='{"note":"description"}'),
        line("jar", "bob", 3),
    ) == {"mug": 'Mug "new"', "cup": None, "jar": None}


def test_a_product_name_goes_before_a_description(bench: Bench) -> None:
    both = '{"description":"A large blue mug","product_name":"Mug"}'
    assert names(
        bench,
        line("mug", "ann", 1, attributes=both),
        line("cup", "ann", 1, attributes='{"description":"A cup","product_name":""}'),
    ) == {"mug": "Mug", "cup": "A cup"}


def test_of_two_names_at_the_same_moment_the_order_of_rows_does_not_decide(bench: Bench) -> None:
    texts = ['{"description":"Mug"}', '{"description":"Nice mug"}']
    for order in (texts, texts[::-1]):
        assert names(bench, *(line("mug", "ann", 1, attributes=text) for text in order)) == {"mug": "Nice mug"}


def test_products_of_a_shop_without_money_have_names(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    assert names(bench, line("mug", "ann", 1, None, attributes='{"product_name":"Mug"}')) == {"mug": "Mug"}
