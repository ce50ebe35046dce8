"""Days, weeks and months of sales: each adds up to history, and nobody is counted twice in a period."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from operator import itemgetter
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases

WEDNESDAY = date(2024, 1, 31)
TABLES = {"day": "sales_by_day", "week": "sales_by_week", "month": "sales_by_month"}
COUNTS = ("customers", "new_customers", "returning_customers")


def trends(bench: Bench, days: list[Row], as_of: date, period: str | None = None) -> list[Row]:
    bench.given("customer_days", days)
    first_day = min(row["purchase_day"] for row in days)
    bench.given("history_span", [{"first_day": first_day, "as_of": as_of}])
    return [row for row in bench.run("sales_trends") if period in (None, row["period"])]


def shop() -> list[Row]:
    """ann comes back in the same week, in another month; bob in the week after."""
    return [
        purchase("ann", WEDNESDAY, "10.50", orders=2),
        purchase("bob", WEDNESDAY, 5),
        purchase("ann", WEDNESDAY + timedelta(days=2), 4),
        purchase("bob", WEDNESDAY + timedelta(days=7), 1),
        purchase("cid", WEDNESDAY + timedelta(days=7), 2),
    ]


def test_days_without_sales_are_there_and_nothing_after_as_of(bench: Bench) -> None:
    rows = trends(bench, shop(), as_of=WEDNESDAY + timedelta(days=3), period="day")
    assert picked(rows, "period_start", "revenue", "orders", *COUNTS, "is_partial") == [
        (date(2024, 1, 31), Decimal("15.50"), 3, 2, 2, 0, False),
        (date(2024, 2, 1), 0, 0, 0, 0, 0, False),
        (date(2024, 2, 2), 4, 1, 1, 0, 1, False),
        (date(2024, 2, 3), 0, 0, 0, 0, 0, False),
    ]
    assert bench.failed_checks("sales_trends") == []


def test_a_week_begins_on_monday_and_counts_a_customer_once(bench: Bench) -> None:
    rows = trends(bench, shop(), as_of=date(2024, 2, 11), period="week")
    assert picked(rows, "period_start", "period_end", "revenue", "orders", *COUNTS, "is_partial") == [
        # ann came twice; her first purchase of all is in this week, so she is new to it and not returning.
        (date(2024, 1, 29), date(2024, 2, 4), Decimal("19.50"), 4, 2, 2, 0, True),
        (date(2024, 2, 5), date(2024, 2, 11), 3, 2, 2, 1, 1, False),
    ]


def test_a_month_that_is_not_over_is_partial_until_its_last_day(bench: Bench) -> None:
    for as_of, partial in ((date(2024, 2, 28), True), (date(2024, 2, 29), False)):
        rows = trends(bench, shop(), as_of, period="month")
        assert picked(rows, "period_start", "revenue", *COUNTS, "is_partial") == [
            (date(2024, 1, 1), Decimal("15.50"), 2, 2, 0, True),
            (date(2024, 2, 1), 7, 3, 1, 2, partial),
        ]


FIRST, LAST = date(2023, 12, 20), date(2024, 3, 10)


@given(days=purchases(FIRST, LAST, min_size=1), as_of=st.dates(FIRST, LAST), random=st.randoms(use_true_random=False))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_period_is_as_counted_by_hand(bench: Bench, days: list[Row], as_of: date, random: Random) -> None:
    as_of = max(as_of, min(row["purchase_day"] for row in days))
    history = [row for row in days if row["purchase_day"] <= as_of]
    first: dict[str, date] = {}
    for day in sorted(history, key=itemgetter("purchase_day")):
        first.setdefault(day["customer_id"], day["purchase_day"])
    rows = trends(bench, days, as_of)
    for row in rows:
        within = [d for d in history if row["period_start"] <= d["purchase_day"] <= row["period_end"]]
        buyers = {d["customer_id"] for d in within}
        assert row["revenue"] == sum(d["revenue"] for d in within)
        assert row["orders"] == sum(d["orders"] for d in within)
        assert row["customers"] == len(buyers)
        assert row["returning_customers"] == sum(first[customer] < row["period_start"] for customer in buyers)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row["period"]] += row["revenue"]
    assert set(totals.values()) == {sum(d["revenue"] for d in history)}
    random.shuffle(days)
    assert trends(bench, days, as_of) == rows


def test_the_tables_of_one_grain_are_what_the_old_one_says(bench: Bench) -> None:
    rows = trends(bench, shop(), as_of=date(2024, 2, 11))
    measures = ("revenue", "orders", *COUNTS)
    for period, table in TABLES.items():
        alone = bench.run(table)
        assert picked(alone, f"calendar_{period}", *measures) == picked(
            [row for row in rows if row["period"] == period], "period_start", *measures
        )
        # Every row counts once: a plain sum is all of history.
        assert sum(row["revenue"] for row in alone) == Decimal("22.50")
        assert bench.failed_checks(table) == []


def test_a_missing_period_and_a_lost_customer_break_the_contract(bench: Bench) -> None:
    trends(bench, shop(), as_of=date(2024, 3, 11))
    for period, table in TABLES.items():
        rows = bench.run(table)
        bench.given(table, rows[:1] + rows[2:])
        assert f"no_{period}_is_left_out" in bench.failed_checks(table)
        bench.given(table, [row | {"new_customers": 0} for row in rows])
        assert bench.failed_checks(table) == ["customers_are_new_or_returning", f"{period}s_add_up_to_history"]
