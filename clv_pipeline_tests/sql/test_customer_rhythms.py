"""A customer's rhythm: their own gaps and one of the shop's, and since when a silence is longer than usual."""

from __future__ import annotations

import math
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases, window

AS_OF = date(2024, 3, 1)
EARLIER = AS_OF - timedelta(days=30)
PLAN = [window(AS_OF, 30, is_complete=False), window(EARLIER, 30)]


def rhythms(bench: Bench, days: list[Row], plan: list[Row] | None = None) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("purchase_day_details", [])
    bench.given("history_span", [{"as_of": AS_OF}])
    bench.given("forecast_windows", PLAN if plan is None else plan)
    bench.run("customer_features")
    return bench.run("customer_rhythms")


def bought(customer: str, *days_before: int) -> list[Row]:
    """Purchases so many days before as_of."""
    return [purchase(customer, AS_OF - timedelta(days=days)) for days in days_before]


def of_today(rows: list[Row]) -> dict[str, Row]:
    return {row["customer_id"]: row for row in rows if row["cutoff"] == AS_OF}


def test_the_usual_gap_is_of_own_gaps_and_one_of_the_shop(bench: Bench) -> None:
    # Mean gaps are 10 (twice) and 40, so the shop's is 25, each customer counting once.
    days = [*bought("ann", 30, 20, 10), *bought("bob", 50, 10), *bought("cid", 5)]
    rows = of_today(rhythms(bench, days))
    assert rows["ann"]["usual_gap_days"] == pytest.approx((25 + 10 + 10) / 3)
    assert rows["bob"]["usual_gap_days"] == pytest.approx((25 + 40) / 2)
    assert rows["cid"]["usual_gap_days"] == pytest.approx(25)
    assert [row["overdue_after_days"] for row in rows.values()] == [
        math.floor(math.log(10) * gap) for gap in (15, 32.5, 25)
    ]
    assert bench.failed_checks("customer_rhythms") == []


def test_overdue_begins_on_the_day_after_the_longest_usual_silence(bench: Bench) -> None:
    # The shop's gap is 10 days, and everybody's is: nine in ten gaps are at most 23 days.
    days = [*bought("ann", 33, 23), *bought("bob", 34, 24), *bought("cid", 54, 44)]
    rows = rhythms(bench, days, PLAN[:1])
    assert picked(rows, "customer_id", "overdue_after_days", "silence", "overdue_since") == [
        ("ann", 23, "usual", None),
        ("bob", 23, "overdue", AS_OF),
        ("cid", 23, "overdue", AS_OF - timedelta(days=20)),
    ]


def test_a_silence_of_over_three_own_gaps_is_long_where_the_shop_is_slower(bench: Bench) -> None:
    # Bob's gap of 100 days makes that of the shop 50.5, and that of ann, who bought on two days in a row, 25.75.
    days = [*bought("bob", 150, 50), *bought("ann", 4, 3), *bought("eve", 5, 4)]
    rows = of_today(rhythms(bench, days, PLAN[:1]))
    assert {name: row["silence"] for name, row in rows.items()} == {"ann": "usual", "bob": "usual", "eve": "long"}


def test_where_nobody_bought_twice_no_rhythm_is_known_and_nobody_is_overdue(bench: Bench) -> None:
    rows = rhythms(bench, [*bought("ann", 900), *bought("bob", 1)], PLAN[:1])
    assert (
        picked(rows, "usual_gap_days", "overdue_after_days", "overdue_since", "silence")
        == [(None, None, None, "usual")] * 2
    )
    assert bench.failed_checks("customer_rhythms") == []


def test_cutoffs_that_describe_a_sample_have_no_rhythms(bench: Bench) -> None:
    training = EARLIER - timedelta(days=30)
    rows = rhythms(bench, bought("ann", 100, 90), [*PLAN, window(training, 30, is_sampled=True)])
    assert picked(rows, "cutoff") == [(EARLIER,), (AS_OF,)]


@given(
    past=purchases(AS_OF - timedelta(days=90), EARLIER, min_size=1),
    future=purchases(EARLIER + timedelta(days=1), AS_OF),
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_day_after_a_cutoff_changes_its_rhythms(bench: Bench, past: list[Row], future: list[Row]) -> None:
    def then(days: list[Row]) -> list[Row]:
        return [row for row in rhythms(bench, days) if row["cutoff"] == EARLIER]

    assert then(past + future) == then(past)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"silence": "quiet"}, ["silence_is_known"]),
        ({"silence": "overdue"}, ["overdue_has_a_day"]),
        ({"overdue_since": AS_OF}, ["overdue_has_a_day"]),
        ({"usual_gap_days": 0}, ["overdue_has_a_day"]),
        ({"customer_id": "stranger"}, ["all_customers_of_today_have_one"]),
    ],
)
def test_a_rhythm_that_cannot_be_breaks_the_contract(bench: Bench, change: Row, broken: list[str]) -> None:
    [row] = rhythms(bench, bought("ann", 20, 10), PLAN[:1])
    assert bench.failed_checks("customer_rhythms") == []
    bench.given("customer_rhythms", [row | change])
    assert bench.failed_checks("customer_rhythms") == broken
