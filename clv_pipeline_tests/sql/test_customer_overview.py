"""One wide row per customer: its columns are of the longest horizon, its words tell the others and the drivers."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.sql.harness import Bench, Row, picked

AS_OF = date(2024, 6, 30)
# customer: (days since last, frequency, revenue, monetary value, spend of the last 365 days)
CUSTOMERS = {
    "ann": (3, 9, "500.50", "40.25", "300"),
    "bob": (30, 2, "90.00", "30.00", "60"),
    "cid": (300, 0, "12.00", "0", "0"),
}
DRIVERS = [("recent_activity", 0.4, "up"), ("days_since_last", 0.3, "down"), ("spend_per_purchase", 0.1, "up")]


def driver(feature: str, importance: float | None, direction: str, horizon: int = 365) -> Row:
    return {"horizon_days": horizon, "feature": feature, "importance": importance, "direction": direction}


def forecast(customer: str, horizon: int, **changes: Any) -> Row:
    return {
        "customer_id": customer,
        "horizon_days": horizon,
        "model": "bg_nbd",
        "expected_spend": 12.345,
        "spend_lower": 0.0,
        "spend_upper": 40.5,
        "interval_level": 0.8,
        "p_purchase": 0.234,
        "clv": 6.5,
        "clv_rank": 1,
    } | changes


def overview(
    bench: Bench, *, drivers: list[Row] | None = None, forecasts: list[Row] | None = None, **features: Any
) -> list[Row]:
    """The overview of CUSTOMERS; `features` are further ones of ann."""
    bench.given(
        "rfm",
        [
            {"customer_id": customer, "as_of": AS_OF, "days_since_last": days, "frequency": frequency}
            | {"revenue": revenue, "monetary_value": value}
            for customer, (days, frequency, revenue, value, _) in CUSTOMERS.items()
        ],
    )
    bench.given("segments", [{"customer_id": customer, "segment": f"of {customer}"} for customer in CUSTOMERS])
    today = [
        {"customer_id": customer, "cutoff": AS_OF, "spend_365_days": spend, "country": "France"}
        | (features if customer == "ann" else {})
        for customer, (*_, spend) in CUSTOMERS.items()
    ]
    earlier = [row | {"cutoff": date(2024, 1, 1), "spend_365_days": 999, "country": "Spain"} for row in today]
    bench.given("customer_features", [*today, *earlier])
    bench.given("clv_drivers", [driver(*stated) for stated in DRIVERS] if drivers is None else drivers)
    bench.given("clv_forecasts", forecasts or [forecast(customer, h) for customer in CUSTOMERS for h in (365, 30)])
    return bench.run("customer_overview")


def words(rows: list[Row]) -> dict[str, list[str] | None]:
    return {row["customer_id"]: row["drivers_in_words"] and row["drivers_in_words"].split("; ") for row in rows}


def test_every_customer_has_one_row_with_what_is_known_today(bench: Bench) -> None:
    rows = overview(bench)
    assert picked(rows, "customer_id", "segment", "revenue", "country") == [
        ("ann", "of ann", Decimal("500.5"), "France"),
        ("bob", "of bob", 90, "France"),
        ("cid", "of cid", 12, "France"),
    ]
    assert bench.failed_checks("customer_overview") == []


def test_the_forecast_columns_are_of_the_longest_horizon_and_words_tell_all(bench: Bench) -> None:
    forecasts = [forecast("ann", 30), forecast("ann", 90, spend_lower=None, spend_upper=None, p_purchase=1.0)]
    forecasts += [forecast(customer, 365, expected_spend=100.0, clv=50.5) for customer in CUSTOMERS]
    ann, bob, _ = overview(bench, forecasts=forecasts)
    assert (ann["horizon_days"], ann["expected_spend"], ann["clv"]) == (365, 100, Decimal("50.5"))
    assert ann["forecasts_in_words"] == (
        "30 days: spends 12.35 (0.00 to 40.50), buys with 23 %; 90 days: spends 12.35, buys with 100 %;"
        " 365 days: spends 100.00 (0.00 to 40.50), buys with 23 %"
    )
    assert bob["forecasts_in_words"] == "365 days: spends 100.00 (0.00 to 40.50), buys with 23 %"
    assert bench.failed_checks("customer_overview") == []


def test_drivers_are_told_where_a_customer_differs_from_the_median_one_most_important_first(bench: Bench) -> None:
    assert words(overview(bench)) == {
        "ann": [
            "more expected: spend in the last 365 days 300 (median 60)",
            "more expected: days since the last purchase 3 (median 30)",
            "more expected: spend per purchase 40.25 (median 30)",
        ],
        "bob": None,
        "cid": [
            "less expected: spend in the last 365 days 0 (median 60)",
            "less expected: days since the last purchase 300 (median 30)",
            # Who came once has no repeat purchases: what the first one brought.
            "less expected: spend per purchase 12 (median 30)",
        ],
    }


@pytest.mark.parametrize(
    "useless",
    [
        driver("frequency", 0.9, "mixed"),
        driver("frequency", 0.0, "up"),
        driver("frequency", None, "up"),
        driver("frequency", 0.9, "up", horizon=30),
        driver("country", 0.9, "up"),
    ],
    ids=["no direction", "not important", "not measured", "of another horizon", "no number"],
)
def test_a_driver_that_says_nothing_of_a_customer_is_not_told(bench: Bench, useless: Row) -> None:
    assert words(overview(bench, drivers=[useless])) == {"ann": None, "bob": None, "cid": None}


def test_three_drivers_are_told_and_equal_ones_by_name(bench: Bench) -> None:
    names = ("frequency", "spend_per_purchase", "recent_activity", "days_since_last")
    told = words(overview(bench, drivers=[driver(name, 0.5, "up") for name in names]))["cid"]
    assert told is not None
    assert [text.split(": ")[1].split(" 300 ")[0].split(" 0 ")[0] for text in told] == [
        "days since the last purchase",
        "repeat purchases",
        "spend in the last 365 days",
    ]


def test_what_is_not_known_of_a_customer_is_not_told(bench: Bench) -> None:
    stated = [driver("basket_size", 0.5, "up"), driver("product_breadth", 0.4, "up")]
    rows = overview(bench, drivers=stated, lines_per_order=2.5)
    # The only known value is the median.
    assert words(rows) == {"ann": None, "bob": None, "cid": None}


def test_without_a_model_review_there_are_no_drivers(bench: Bench) -> None:
    assert words(overview(bench, drivers=[])) == {"ann": None, "bob": None, "cid": None}
    assert bench.failed_checks("customer_overview") == []


def test_a_customer_without_features_is_missed_by_the_contract(bench: Bench) -> None:
    overview(bench)
    bench.given("customer_features", [{"customer_id": "ann", "cutoff": AS_OF}])
    bench.run("customer_overview")
    assert bench.failed_checks("customer_overview") == ["covers_all_customers", "sums_equal_clv_forecasts"]
