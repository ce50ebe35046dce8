"""Retention by month of first purchase: everybody is in one cohort, and months that are not over are marked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases

JANUARY, FEBRUARY, MARCH = date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)


def cohorts(bench: Bench, days: list[Row], as_of: date) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("history_span", [{"as_of": as_of}])
    return bench.run("cohorts")


DAYS = [
    purchase("ann", date(2024, 1, 31), 10),
    purchase("bob", date(2024, 1, 2), 20),
    purchase("bob", date(2024, 1, 9), 5),
    purchase("cid", date(2024, 2, 29), 8),
    purchase("ann", date(2024, 3, 1), "0.50"),
    purchase("ann", date(2024, 3, 31), 100),
]


def test_a_cohort_is_followed_month_by_month_up_to_as_of(bench: Bench) -> None:
    rows = cohorts(bench, DAYS, as_of=date(2024, 3, 30))
    columns = ("age_months", "activity_month", "customers", "active_customers", "retention", "revenue", "is_complete")
    assert picked(rows, "cohort_month", *columns) == [
        (JANUARY, 0, JANUARY, 2, 2, 1.0, 35, True),
        (JANUARY, 1, FEBRUARY, 2, 0, 0.0, 0, True),
        (JANUARY, 2, MARCH, 2, 1, 0.5, Decimal("0.5"), False),
        (FEBRUARY, 0, FEBRUARY, 1, 1, 1.0, 8, True),
        (FEBRUARY, 1, MARCH, 1, 0, 0.0, 0, False),
    ]
    assert picked(rows, "cumulative_revenue", "cumulative_revenue_per_customer") == [
        (35, Decimal("17.5")),
        (35, Decimal("17.5")),
        (Decimal("35.5"), Decimal("17.75")),
        (8, 8),
        (8, 8),
    ]
    assert bench.failed_checks("cohorts") == []


def test_a_month_is_complete_on_its_last_day(bench: Bench) -> None:
    rows = cohorts(bench, DAYS, as_of=date(2024, 3, 31))
    assert all(row["is_complete"] for row in rows)
    assert rows[2]["revenue"] == Decimal("100.5")


FIRST, LAST = date(2023, 11, 15), date(2024, 4, 20)


@given(days=purchases(FIRST, LAST, min_size=1), as_of=st.dates(FIRST, LAST))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_cohorts_have_spent_in_the_end_is_what_their_customers_have(
    bench: Bench, days: list[Row], as_of: date
) -> None:
    as_of = max(as_of, min(row["purchase_day"] for row in days))
    history = [row for row in days if row["purchase_day"] <= as_of]
    rows = cohorts(bench, days, as_of)
    this_month = as_of.replace(day=1)
    newest = [row for row in rows if row["activity_month"] == this_month]
    # Every cohort reaches the month of as_of, so the newest cumulative revenues are all there is.
    assert {row["cohort_month"] for row in newest} == {row["cohort_month"] for row in rows}
    assert sum(row["cumulative_revenue"] for row in newest) == sum(row["revenue"] for row in history)
    assert sum(row["customers"] for row in newest) == len({row["customer_id"] for row in history})
    for row in rows:
        buyers = {d["customer_id"] for d in history if d["purchase_day"].replace(day=1) == row["activity_month"]}
        joined = {
            customer
            for customer in buyers
            if min(d["purchase_day"] for d in history if d["customer_id"] == customer).replace(day=1)
            == row["cohort_month"]
        }
        assert row["active_customers"] == len(joined)


def test_a_cohort_that_lost_its_customers_breaks_the_contract(bench: Bench) -> None:
    rows = cohorts(bench, DAYS, as_of=LAST)
    bench.given("cohorts", [row for row in rows if row["cohort_month"] == JANUARY])
    assert bench.failed_checks("cohorts") == ["everybody_is_in_a_cohort"]
    bench.given("cohorts", [row | {"active_customers": 1} for row in rows])
    assert bench.failed_checks("cohorts") == ["everybody_buys_at_age_0"]
