"""Products bought for the first time, and the country, of a purchase day."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked


def line(day: int, product_id: str | None = "mug", country: str | None = None, **changes: Any) -> Row:
    return {
        "customer_id": "ann",
        "ordered_on": f"2024-01-{day:02}",
        "ordered_at": f"2024-01-{day:02} 10:00:00",
        "product_id": product_id,
        "country": country,
        "amount": 5,
    } | changes


def details(bench: Bench, *lines: Row) -> list[Row]:
    bench.given("cleaned_transactions", lines)
    bench.run("customer_days")
    return bench.run("purchase_day_details")


def test_a_product_is_new_on_the_first_day_only(bench: Bench) -> None:
    rows = details(bench, line(1), line(1), line(1, "cup"), line(2), line(3, "cup"), line(3, "jar"))
    assert [(row["purchase_day"].day, row["new_products"]) for row in rows] == [(1, 2), (3, 1)]
    assert bench.failed_checks("purchase_day_details") == []


def test_a_product_is_new_to_every_customer_by_itself(bench: Bench) -> None:
    rows = details(bench, line(1), line(2, customer_id="bob"))
    assert picked(rows, "customer_id", "new_products") == [("ann", 1), ("bob", 1)]


def test_where_neither_products_nor_countries_are_mapped_there_is_nothing(bench: Bench) -> None:
    assert details(bench, line(1, None), line(2, None)) == []


def test_a_returned_product_and_a_day_that_is_returned_whole_bring_no_product(bench: Bench) -> None:
    whole_day = {"customer_id": "ann", "purchase_day": "2024-01-02", "returned_on": "2024-01-02", "amount": 5}
    bench.given("matched_returns", [whole_day])
    rows = details(bench, line(1, "jar", amount=-1), line(1), line(2, "cup"), line(2, "cup", amount=-5), line(3, "cup"))
    assert [(row["purchase_day"].day, row["new_products"]) for row in rows] == [(1, 1), (3, 1)]


@pytest.mark.parametrize(
    ("lines", "country"),
    [
        ([line(1, country="France"), line(1, country="Spain", ordered_at="2024-01-01 09:00:00")], "France"),
        ([line(1, country="France"), line(1, country="Spain")], "Spain"),
        ([line(1, country="France"), line(1, country=None, ordered_at="2024-01-01 23:00:00")], "France"),
    ],
    ids=["the latest", "of two at once the later in the alphabet", "known beats unknown"],
)
def test_the_country_of_a_day_is_that_of_its_latest_line(bench: Bench, lines: list[Row], country: str) -> None:
    for ordered in (lines, lines[::-1]):
        assert picked(details(bench, *ordered), "country") == [(country,)]


LINES = st.lists(
    st.builds(
        lambda customer, day, product, country, amount: line(
            day, product, country, customer_id=customer, amount=amount
        ),
        st.sampled_from(["ann", "bob"]),
        st.integers(1, 9),
        st.sampled_from(["mug", "cup", "jar", None]),
        st.sampled_from(["France", "Spain", None]),
        st.integers(-5, 9),
    ),
    max_size=25,
)


@given(lines=LINES, day=st.integers(1, 9), shuffled=st.randoms(use_true_random=False))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_day_says_depends_on_no_later_line_and_on_no_order_of_lines(
    bench: Bench, lines: list[Row], day: int, shuffled: Any
) -> None:
    by_then = [row for row in lines if int(row["ordered_on"][-2:]) <= day]
    described = [row for row in details(bench, *lines) if row["purchase_day"].day <= day]
    shuffled.shuffle(by_then)
    assert details(bench, *by_then) == described


def test_a_doubled_day_breaks_the_contract(bench: Bench) -> None:
    bench.given("purchase_day_details", [{"customer_id": "ann", "purchase_day": "2024-01-01"}] * 2)
    assert bench.failed_checks("purchase_day_details") == ["one_row_per_customer_and_day"]
