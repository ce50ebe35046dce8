"""What orders are worth, how large they are, when they come, and how long customers wait between them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase

MONDAY, AS_OF = date(2024, 1, 1), date(2024, 3, 31)
TABLES = ("order_values", "order_sizes", "order_hours")
QUICK = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


def line(amount: Any, day: date = MONDAY, time: str = "00:00:00", customer: str = "ann", order: Any = "1") -> Row:
    return {
        "customer_id": customer,
        "ordered_on": day,
        "ordered_at": f"{day} {time}",
        "order_id": order,
        "amount": amount,
    }


def orders(bench: Bench, lines: list[Row], returns: list[Row] | None = None) -> dict[str, list[Row]]:
    """Every table of orders from lines and matched returns; their promises hold."""
    for place, row in enumerate(lines):
        row |= {"source_id": 1, "source_line": place}
    bench.given("cleaned_transactions", lines)
    bench.given("matched_returns", returns or [])
    bench.given("history_span", [{"first_day": MONDAY, "as_of": AS_OF}])
    bench.run("customer_days")
    rows = {table: bench.run(table) for table in TABLES}
    broken = {table: failed for table in ("order_profile", *TABLES) if (failed := bench.failed_checks(table))}
    assert not broken, broken
    return rows


def filled(rows: list[Row], *columns: str) -> list[tuple[Any, ...]]:
    return picked((row for row in rows if row["orders"]), *columns)


def test_orders_are_counted_by_value_from_one_to_two_to_five_to_ten(bench: Bench) -> None:
    lines = [line(amount, order=str(amount)) for amount in (10, "19.99", 20, "49.99", 50, "99.99", "0.5")]
    rows = orders(bench, [*lines, line(4, order="two"), line(5, order="two")])["order_values"]
    assert filled(rows, "bin_lower", "bin_upper", "orders", "revenue") == [
        (Decimal("0.5"), 1, 1, Decimal("0.5")),
        (5, 10, 1, 9),
        (10, 20, 2, Decimal("29.99")),
        (20, 50, 2, Decimal("69.99")),
        (50, 100, 2, Decimal("149.99")),
    ]
    # Empty bins between the ends are there, and join without a gap.
    assert picked(rows, "bin_lower")[1:] == picked(rows, "bin_upper")[:-1]
    assert picked(rows, "orders")[1:3] == [(0,), (0,)]


# Beyond, a double no longer holds the last decimal.
@given(digits=st.integers(-4, 11), step=st.sampled_from([1, 2, 5]), below=st.booleans())
@QUICK
def test_an_order_on_the_edge_is_in_the_bin_that_begins_there(
    bench: Bench, digits: int, step: int, below: bool
) -> None:
    edge = step * Decimal(10) ** digits
    amount = max(edge - below * Decimal("0.0001"), Decimal("0.0001"))
    [row] = orders(bench, [line(amount)])["order_values"]
    assert row["bin_lower"] <= amount < row["bin_upper"]
    assert (row["bin_lower"] == edge) == (amount == edge)


def test_what_came_back_is_taken_off_the_orders_of_its_day_in_proportion(bench: Bench) -> None:
    lines = [line(30, order="a"), line(10, order="b"), line(-20, MONDAY + timedelta(days=3), order="a")]
    lines += [line(7, MONDAY + timedelta(days=1), order="c"), line(-7, MONDAY + timedelta(days=4), order="c")]
    returns = [
        {"customer_id": "ann", "returned_on": MONDAY + timedelta(days=3), "purchase_day": MONDAY, "amount": 20},
        {
            "customer_id": "ann",
            "returned_on": MONDAY + timedelta(days=4),
            "purchase_day": MONDAY + timedelta(days=1),
            "amount": 7,
        },
    ]
    rows = orders(bench, lines, returns)["order_values"]
    assert filled(rows, "bin_lower", "orders", "revenue") == [(5, 1, 5), (10, 1, 15)]


def test_orders_are_counted_by_their_lines(bench: Bench) -> None:
    lines = [line(1, order="one"), *(line(1, order="eleven") for _ in range(11)), *(line(1, order="x") for _ in "123")]
    rows = orders(bench, lines)["order_sizes"]
    assert filled(rows, "bin_lower_lines", "bin_upper_lines", "orders") == [(1, 1, 1), (3, 3, 1), (11, 20, 1)]
    assert len(rows) == 11
    many = orders(bench, [line(1) for _ in range(501)])["order_sizes"]
    assert filled(many, "bin_lower_lines", "bin_upper_lines") == [(501, None)]


def test_an_order_comes_at_the_hour_of_its_first_line(bench: Bench) -> None:
    sunday = MONDAY + timedelta(days=6)
    lines = [line(3, time="09:59:59"), line(4, time="10:00:00"), line(5, sunday, "23:15:00", "bob")]
    lines += [line(6, MONDAY + timedelta(days=7), "00:00:00", "cid"), line(1, MONDAY + timedelta(days=7), "08:00:00")]
    assert picked(orders(bench, lines)["order_hours"], "day_of_week", "hour_of_day", "orders", "revenue") == [
        (1, 0, 1, 6),
        (1, 8, 1, 1),
        (1, 9, 1, 7),
        (7, 23, 1, 5),
    ]


def test_where_the_source_has_only_days_there_are_no_hours(bench: Bench) -> None:
    rows = orders(bench, [line(3), line(4, customer="bob"), line(5, MONDAY - timedelta(days=1), customer="bob")])
    assert picked(rows["order_hours"], "day_of_week", "hour_of_day", "orders") == [(1, None, 2), (7, None, 1)]


def test_weekdays_are_right_before_1970(bench: Bench) -> None:
    assert picked(orders(bench, [line(3, date(1969, 7, 20))])["order_hours"], "day_of_week") == [(7,)]


def test_without_money_orders_have_sizes_and_hours_and_no_value(bench: Bench) -> None:
    bench.given_parameters(has_money=False)
    rows = orders(bench, [line(None), line(None, customer="bob")])
    assert rows["order_values"] == []
    assert filled(rows["order_sizes"], "bin_lower_lines", "orders") == [(1, 2)]
    assert picked(rows["order_hours"], "day_of_week", "orders", "revenue") == [(1, 2, None)]


def test_without_an_order_id_an_order_is_a_day_and_nothing_after_as_of_counts(bench: Bench) -> None:
    lines = [line(3, order=None), line(4, order=None), line(9, AS_OF + timedelta(days=1))]
    assert filled(orders(bench, lines)["order_values"], "bin_lower", "orders", "revenue") == [(5, 1, 7)]


def test_orders_that_are_lost_break_the_contracts(bench: Bench) -> None:
    rows = orders(bench, [line(3), line(40, customer="bob"), line(50, MONDAY + timedelta(days=1))])
    bench.given("order_profile", bench.run("order_profile")[1:])
    assert bench.failed_checks("order_profile") == ["orders_are_those_of_known_days"]
    bench.run("order_profile")
    bench.given("order_values", [row for row in rows["order_values"] if row["bin_lower"] != 20])
    assert bench.failed_checks("order_values") == ["nothing_is_lost"]
    bench.given("order_values", [row | {"bin_lower": row["bin_lower"] * 2} for row in rows["order_values"]])
    assert bench.failed_checks("order_values") == ["orders_are_worth_what_their_bin_says"]
    bench.given("order_sizes", rows["order_sizes"][1:])
    assert bench.failed_checks("order_sizes") == ["nothing_is_lost"]
    bench.given("order_hours", rows["order_hours"][1:])
    assert bench.failed_checks("order_hours") == ["nothing_is_lost"]


def gaps(bench: Bench, *visits: Row) -> list[Row]:
    bench.given("customer_days", visits)
    bench.given("history_span", [{"as_of": AS_OF}])
    customers = {visit["customer_id"] for visit in visits if visit["purchase_day"] <= AS_OF}
    bench.given("rfm", [{"customer_id": customer} for customer in customers])
    return bench.run("order_gaps")


def test_a_gap_lies_between_two_consecutive_purchase_days_of_a_customer(bench: Bench) -> None:
    days = [0, 1, 4, 18]
    visits = [purchase("ann", MONDAY + timedelta(days=day)) for day in days]
    rows = gaps(bench, *visits, purchase("bob", MONDAY), purchase("ann", AS_OF + timedelta(days=9)))
    assert picked(rows, "bin_lower_days", "bin_upper_days", "gaps") == [(1, 1, 1), (2, 3, 1), (4, 7, 0), (8, 14, 1)]
    assert bench.failed_checks("order_gaps") == []
    bench.given("order_gaps", rows[:1])
    assert bench.failed_checks("order_gaps") == ["every_purchase_but_the_first_ends_a_gap"]


def test_gaps_of_years_are_one_open_bin(bench: Bench) -> None:
    rows = gaps(bench, purchase("ann", date(2020, 1, 1)), purchase("ann", date(2024, 1, 1)))
    assert picked(rows, "bin_lower_days", "bin_upper_days", "gaps")[-1] == (731, None, 1)
    assert len(rows) == 11


@pytest.mark.parametrize("visits", [(), (purchase("ann", MONDAY),)])
def test_where_nobody_bought_twice_there_are_no_gaps(bench: Bench, visits: tuple[Row, ...]) -> None:
    assert gaps(bench, *visits) == []
    assert bench.failed_checks("order_gaps") == []
