"""What every country brought, as of as_of; nothing where countries are not known."""

from __future__ import annotations

from datetime import date

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase

DAY, LATER, FUTURE = date(2024, 1, 5), date(2024, 2, 5), date(2024, 3, 5)


def countries(bench: Bench, *visits: tuple[Row, str | None]) -> list[Row]:
    bench.given("customer_days", [day for day, _ in visits])
    details = [
        {"customer_id": day["customer_id"], "purchase_day": day["purchase_day"], "country": country, "new_products": 1}
        for day, country in visits
    ]
    bench.given("purchase_day_details", details)
    bench.given("history_span", [{"as_of": LATER}])
    return bench.run("country_performance")


def test_a_country_has_its_money_orders_customers_and_who_came_back(bench: Bench) -> None:
    rows = countries(
        bench,
        (purchase("ann", DAY, 10, orders=2), "France"),
        (purchase("ann", LATER, 10), "France"),
        (purchase("bob", DAY, "55.50"), "France"),
        (purchase("bob", LATER, "24.50"), "Spain"),
        (purchase("bob", FUTURE, 999), "Spain"),
        (purchase("cid", DAY, 999), None),
    )
    columns = ("revenue_rank", "revenue", "revenue_share", "orders", "customers", "repeat_customers", "repeat_share")
    assert picked(rows, "country", *columns) == [
        ("France", 1, 75.5, 0.755, 4, 2, 1, 0.5),
        ("Spain", 2, 24.5, 0.245, 1, 1, 0, 0.0),
    ]
    assert bench.failed_checks("country_performance") == []


def test_where_countries_are_not_mapped_the_table_is_empty_and_sound(bench: Bench) -> None:
    assert countries(bench, (purchase("ann", DAY), None)) == []
    assert bench.failed_checks("country_performance") == []


def test_money_that_is_lost_breaks_the_contract(bench: Bench) -> None:
    rows = countries(bench, (purchase("ann", DAY), "France"), (purchase("bob", DAY), "Spain"))
    bench.given("country_performance", rows[:1])
    assert bench.failed_checks("country_performance") == ["revenue_equals_known_days"]
    bench.given("country_performance", [row | {"customers": 2} for row in rows])
    assert bench.failed_checks("country_performance") == ["counts_are_consistent"]
