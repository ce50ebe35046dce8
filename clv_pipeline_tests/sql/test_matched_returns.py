"""Which purchase a return takes back: the latest money left of its order, else of its product, else of anything."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

QUICK = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def line(source_line: int, day: int, amount: Any, order_id: str | None = None, **changes: Any) -> Row:
    """A converted row of ann's on a day of January."""
    return {
        "source_id": 1,
        "source_line": source_line,
        "customer_id": "ann",
        "order_id": order_id,
        "ordered_at": f"2024-01-{day:02}",
        "amount": amount,
        "original_amount": amount,
        "rate": 1,
    } | changes


def matched(bench: Bench, lines: list[Row], **parameters: Any) -> list[Row]:
    bench.given_parameters(**{"deduplicate": False} | parameters)
    bench.given("converted_transactions", lines)
    bench.given("source_files", [{"source_id": 1, "source_file": "a.csv"}, {"source_id": 2, "source_file": "b.csv"}])
    bench.run("outlier_fence")
    bench.run("rejected_at_sight")
    return bench.run("matched_returns")


def taken(rows: list[Row]) -> list[tuple[int, int | None, Any]]:
    """Of every row: the line of the return, the day of January that is taken back, and the money."""
    return [(row["source_line"], row["purchase_day"] and row["purchase_day"].day, row["amount"]) for row in rows]


def test_a_return_belongs_to_its_order_before_its_product(bench: Bench) -> None:
    lines = [
        line(1, 1, 50, "1001", product_id="mug"),
        line(2, 5, 50, "1002", product_id="mug"),
        line(3, 9, -50, "1001", product_id="mug"),
    ]
    assert taken(matched(bench, lines)) == [(3, 1, 50)]
    assert bench.failed_checks("matched_returns") == []


def test_else_to_the_latest_earlier_purchase_of_its_product(bench: Bench) -> None:
    lines = [
        line(1, 1, 50, "1001", product_id="mug"),
        line(2, 5, 50, "1002", product_id="mug"),
        line(3, 7, 50, "1003", product_id="cup"),
        line(4, 9, -50, "C7", product_id="mug"),
        line(5, 20, 50, "1004", product_id="mug"),
    ]
    assert taken(matched(bench, lines)) == [(4, 5, 50)]


def test_else_to_the_latest_earlier_purchase_day(bench: Bench) -> None:
    lines = [line(1, 1, 50), line(2, 5, 30), line(3, 9, -20)]
    assert taken(matched(bench, lines)) == [(3, 5, 20)]


def test_a_return_goes_on_to_the_purchase_before_once_one_is_used_up(bench: Bench) -> None:
    lines = [line(1, 1, 50), line(2, 5, 30), line(3, 9, -40), line(4, 10, -5)]
    assert taken(matched(bench, lines)) == [(3, 1, 10), (3, 5, 30), (4, 1, 5)]


def test_what_exceeds_the_purchases_has_no_day(bench: Bench) -> None:
    assert taken(matched(bench, [line(1, 1, 50), line(2, 9, -80)])) == [(2, 1, 50), (2, None, 30)]
    assert bench.failed_checks("matched_returns") == []


@pytest.mark.parametrize("bought", [[], [line(2, 9, 50)], [line(2, 1, 50, customer_id="bob")]])
def test_a_return_without_an_earlier_purchase_of_the_customer_has_no_day(bench: Bench, bought: list[Row]) -> None:
    assert taken(matched(bench, [*bought, line(1, 5, -50)])) == [(1, None, 50)]


def test_a_purchase_of_the_same_moment_comes_before_its_return(bench: Bench) -> None:
    assert taken(matched(bench, [line(1, 5, -30), line(2, 5, 50)])) == [(1, 5, 30)]


def test_the_money_of_a_purchase_is_returned_once_whoever_asks_for_it(bench: Bench) -> None:
    """By order and by product: the first one gets it."""
    lines = [
        line(1, 1, 50, "1001", product_id="mug"),
        line(2, 5, -50, "C1", product_id="mug"),
        line(3, 9, -50, "1001", product_id="mug"),
    ]
    assert taken(matched(bench, lines)) == [(2, 1, 50), (3, None, 50)]


def test_a_capped_purchase_is_returned_as_far_as_it_counts(bench: Bench) -> None:
    bench.given_parameters(outliers="cap", deduplicate=False)
    bench.given("converted_transactions", [line(1, 1, 5000), line(2, 9, -5000)])
    bench.given("source_files", [{"source_id": 1, "source_file": "a.csv"}])
    bench.given("outlier_fence", [{"treatment": "cap", "upper_amount": 1000}])
    bench.run("rejected_at_sight")
    assert taken(bench.run("matched_returns")) == [(2, 1, 1000), (2, None, 4000)]


def test_where_returns_are_dropped_there_is_nothing_to_match(bench: Bench) -> None:
    assert matched(bench, [line(1, 1, 50), line(2, 9, -50)], returns="drop") == []


def test_which_file_came_first_changes_nothing(bench: Bench) -> None:
    first, second = line(1, 5, -30, product_id="mug"), line(1, 5, -30, source_id=2)
    bought = line(9, 1, 50, product_id="mug")
    one = matched(bench, [bought, first, second])
    other = matched(bench, [second, first, bought])
    assert one == other
    assert picked(one, "source_id", "amount") == [(1, 20), (1, 10), (2, 30)]


LINES = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from([-30, -20, -5, 5, 10, 20, 40]),
        st.sampled_from([None, "1001", "1002"]),
        st.sampled_from([None, "mug", "cup"]),
        st.sampled_from(["ann", "bob"]),
    ),
    max_size=14,
).map(
    lambda drawn: [
        line(place, day, amount, order_id, product_id=product, customer_id=customer)
        for place, (day, amount, order_id, product, customer) in enumerate(drawn, start=1)
    ]
)


def by_hand(lines: list[Row]) -> dict[tuple[int, int | None], int]:
    """The same, one line after the other: every pool is a stack of purchases."""
    stacks: dict[tuple[str, str, Any], list[list[int]]] = defaultdict(list)
    seen: set[tuple[str, str, Any]] = set()
    left: dict[int, int] = {}
    day_of: dict[int, int] = {}
    found: dict[tuple[int, int | None], int] = defaultdict(int)

    def place(row: Row) -> tuple[Any, ...]:
        said = row["order_id"] or "", row["product_id"] or "", row["amount"]
        return row["ordered_at"], row["amount"] < 0, *said, row["source_line"]

    for row in sorted(lines, key=place):
        number, amount = row["source_line"], row["amount"]
        pools = [(row["customer_id"], "order", row["order_id"]), (row["customer_id"], "product", row["product_id"])]
        own = [pool for pool in pools if pool[2] is not None]
        anything = (row["customer_id"], "customer", "")
        if amount > 0:
            left[number], day_of[number] = amount, int(row["ordered_at"][-2:])
            for pool in [*own, anything]:
                stacks[pool].append([number, amount])
                seen.add(pool)
            continue
        stack = stacks[next((pool for pool in own if pool in seen), anything)]
        wanted = -amount
        unmatched = wanted
        while wanted and stack:
            top = stack[-1]
            portion = min(wanted, top[1])
            granted = min(portion, left[top[0]])
            left[top[0]] -= granted
            unmatched -= granted
            if granted:
                found[number, day_of[top[0]]] += granted
            wanted -= portion
            top[1] -= portion
            if not top[1]:
                stack.pop()
        if unmatched:
            found[number, None] += unmatched
    return dict(found)


@given(lines=LINES)
@QUICK
def test_it_is_what_one_finds_line_by_line_with_stacks(bench: Bench, lines: list[Row]) -> None:
    rows = taken(matched(bench, lines))
    assert {(number, day): amount for number, day, amount in rows} == by_hand(lines)
    assert bench.failed_checks("matched_returns") == []


@given(lines=LINES, day=st.integers(1, 12))
@QUICK
def test_what_comes_later_changes_nothing_of_what_was_known(bench: Bench, lines: list[Row], day: int) -> None:
    until = f"2024-01-{day:02}"
    whole = [row for row in matched(bench, lines) if str(row["returned_on"]) <= until]
    known = matched(bench, [row for row in lines if row["ordered_at"] <= until])
    assert whole == known
