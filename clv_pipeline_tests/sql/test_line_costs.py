"""What lines cost the shop: through cleaning and returns to the margin of the shop and of every customer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, sale


def known(bench: Bench, *lines: Row, **parameters: Any) -> list[Row]:
    """The purchase days of lines, everything that is between them built."""
    bench.given_parameters(**{"has_costs": True, "deduplicate": False} | parameters)
    bench.given_raw(lines)
    bench.run("outlier_fence")
    bench.run("rejected_transactions")
    bench.run("cleaned_transactions")
    assert "costs_go_with_amounts" not in bench.failed_checks("cleaned_transactions")
    bench.run("customer_days")
    assert bench.failed_checks("customer_days") in ([], ["customers_are_somebody"])
    bench.given("history_span", [{"as_of": "2024-06-30"}])
    return bench.run("known_days")


def margins(bench: Bench, *lines: Row, **parameters: Any) -> tuple[Row, dict[str, Row]]:
    """The margin of the shop, and of every customer."""
    known(bench, *lines, **parameters)
    [shop] = bench.run("shop_margin")
    return shop, {row["customer_id"]: row for row in bench.run("customer_margins")}


def bought(line: int, amount: Any, cost: Any, customer: str = "ann", day: int = 5, **changes: Any) -> Row:
    order = {"order_id": f"o{line}", "ordered_at": f"2024-01-{day:02}", "quantity": None, "unit_price": None}
    return sale(line, customer_id=customer, amount=amount, cost=cost, **order) | changes


def test_a_day_has_the_cost_of_its_lines(bench: Bench) -> None:
    [day] = known(bench, bought(1, 10, 4), bought(2, 5, 3))
    assert picked([day], "revenue", "cost", "costed_revenue") == [(15, 7, 15)]
    assert bench.failed_checks("known_days") == []


def test_a_line_without_a_cost_is_counted_and_has_the_share_of_the_others(bench: Bench) -> None:
    shop, of = margins(bench, bought(1, 60, 15), bought(2, 40, 15, "bob"), bought(3, 50, None, "bob"))
    assert (shop["lines_without_cost"], shop["transaction_lines"], shop["margin"]) == (1, 3, 0.7)
    assert shop["margin_source"] == "cost per line"
    assert of["bob"]["realised_margin"] == 25 + 35
    assert bench.failed_checks("shop_margin") == ["nearly_all_costs_are_known"]
    assert bench.failed_checks("customer_margins") == []


def test_a_cost_below_zero_is_no_cost(bench: Bench) -> None:
    shop, _ = margins(bench, bought(1, 60, 15), bought(2, 40, -5))
    assert (shop["lines_without_cost"], shop["costed_revenue"]) == (1, 60)


def test_where_most_costs_are_missing_the_shop_has_no_margin(bench: Bench) -> None:
    margins(bench, bought(1, 10, 4), bought(2, 50, None))
    assert "most_costs_are_known" in bench.failed_checks("shop_margin")


def test_lines_that_cost_more_than_they_bring_are_a_wrong_mapping(bench: Bench) -> None:
    margins(bench, bought(1, 10, 40), bought(2, 50, 60))
    assert bench.failed_checks("shop_margin") == ["sales_bring_more_than_they_cost"]


def test_what_comes_back_takes_its_cost_with_it_in_proportion(bench: Bench) -> None:
    lines = [
        bought(1, 90, 30, order_id="a"),
        bought(2, 10, 9, order_id="b"),
        bought(3, -45, None, day=9, order_id="a"),
    ]
    [day] = known(bench, *lines)
    assert picked([day], "revenue", "cost", "costed_revenue") == [(55, 24, 55)]
    assert bench.failed_checks("known_days") == []


def test_thirds_that_come_back_one_by_one_leave_no_cost_behind(bench: Bench) -> None:
    back = [bought(line, "-3.3333", None, day=line + 5, order_id="a") for line in (2, 3)]
    lines = [bought(1, "9.9999", 10, order_id="a"), *back, bought(4, 5, 1, order_id="b")]
    [day] = known(bench, *lines, bought(5, "-3.3333", None, day=20, order_id="a"))
    assert picked([day], "revenue", "cost") == [(5, 1)]
    assert bench.failed_checks("known_days") == []


def test_the_cost_of_a_return_itself_is_not_read(bench: Bench) -> None:
    [day] = known(bench, bought(1, 90, 30, order_id="a"), bought(2, -30, 7, day=9, order_id="a"))
    assert day["cost"] == 20


def test_what_capping_takes_off_a_line_it_takes_off_its_cost(bench: Bench) -> None:
    lines = [bought(line, 10 + line % 3, 5, day=1 + line % 20) for line in range(1, 30)]
    known(bench, *lines, bought(99, 100_000, 50_000, "bob"), outliers="cap")
    [shop] = bench.run("shop_margin")
    [bob] = [row for row in bench.run("customer_margins") if row["customer_id"] == "bob"]
    assert 0 < bob["realised_margin"] < 100
    assert shop["margin"] > 0.5


def test_costs_are_converted_like_amounts(bench: Bench) -> None:
    bench.given_currency("EUR", [("USD", "2024-01-01", "0.5")])
    [day] = known(bench, bought(1, 10, 4, currency="USD"))
    assert picked([day], "revenue", "cost") == [(5, 2)]


def test_customers_who_differ_no_more_than_their_purchases_have_the_margin_of_the_shop(bench: Bench) -> None:
    costs = [(10, 2), (10, 8), (10, 2), (10, 8)]
    lines = [
        bought(10 * who + n, amount, cost, f"c{who}", day=n + 1)
        for who in range(3)
        for n, (amount, cost) in enumerate(costs)
    ]
    shop, of = margins(bench, *lines)
    assert shop["credibility_revenue"] is None
    assert {row["margin"] for row in of.values()} == {0.5}


def test_customers_who_keep_to_their_margin_keep_it_the_more_the_more_they_bought(bench: Bench) -> None:
    lines = [bought(n, 100, 20 + n % 2, "ann", day=n + 1) for n in range(20)]
    lines += [bought(50 + n, 100, 80 - n % 2, "bob", day=n + 1) for n in range(20)]
    lines += [bought(90, 10, 8, "cid")]
    shop, of = margins(bench, *lines)
    assert of["ann"]["margin"] == pytest.approx(0.795, abs=0.002)
    assert of["bob"]["margin"] == pytest.approx(0.205, abs=0.002)
    assert of["cid"]["credibility"] < of["bob"]["credibility"]
    assert 0.2 < of["cid"]["margin"] < shop["margin"]
    assert bench.failed_checks("customer_margins") == []


def test_whoever_brought_a_loss_is_expected_to_bring_nothing(bench: Bench) -> None:
    lines = [bought(n, 100, 20, "ann", day=n + 1) for n in range(5)]
    lines += [bought(50 + n, 100, 180 + n, "bob", day=n + 1) for n in range(5)]
    lines += [bought(80 + n, 100, 30, "cid", day=n + 1) for n in range(9)]
    _, of = margins(bench, *lines)
    assert of["bob"]["margin"] == 0
    assert of["bob"]["realised_margin"] == Decimal(-410)


def test_without_costs_the_margin_is_the_configured_one(bench: Bench) -> None:
    shop, of = margins(bench, bought(1, 10, None), has_costs=False, margin=0.4)
    assert (shop["margin"], shop["margin_source"], shop["lines_without_cost"]) == (0.4, "forecast.margin", None)
    assert of == {}
    assert bench.failed_checks("shop_margin") == []
    assert bench.failed_checks("customer_margins") == []
