"""Recency, frequency and money per customer, and quintile scores that ties and row order cannot shake."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases

AS_OF = date(2024, 3, 1)
QUICK = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
HISTORY = purchases(AS_OF - timedelta(days=60), AS_OF, min_size=1)


def rfm(bench: Bench, days: list[Row]) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("history_span", [{"as_of": AS_OF}])
    return bench.run("rfm")


def test_a_customer_is_measured_from_the_first_purchase_day_to_as_of(bench: Bench) -> None:
    (row,) = rfm(
        bench,
        [
            purchase("ann", date(2024, 2, 20), "30.00", orders=2),
            purchase("ann", date(2024, 1, 1), "100.00"),
            purchase("ann", date(2024, 1, 31), "25.01"),
        ],
    )
    assert (
        row.items()
        >= {
            "first_purchase_date": date(2024, 1, 1),
            "last_purchase_date": date(2024, 2, 20),
            "days_since_last": 10,
            "tenure_days": 60,
            "recency_days": 50,
            "frequency": 2,
            "orders": 4,
            "revenue": Decimal("155.01"),
            "monetary_value": Decimal("27.505"),
            "as_of": AS_OF,
        }.items()
    )
    assert bench.failed_checks("rfm") == []


def test_one_time_buyers_have_no_recency_and_no_monetary_value(bench: Bench) -> None:
    (row,) = rfm(bench, [purchase("ann", AS_OF - timedelta(days=9), "99.99", orders=3)])
    assert picked([row], "frequency", "recency_days", "monetary_value", "orders", "revenue") == [
        (0, 0, 0, 3, Decimal("99.99"))
    ]


def test_five_different_customers_get_five_different_scores(bench: Bench) -> None:
    # Customer n bought on n + 1 days, the last one n days ago, and spent the more the smaller n.
    rows = rfm(
        bench,
        [
            purchase(f"customer {n}", AS_OF - timedelta(days=n + repeat), 100 - 10 * n)
            for n in range(5)
            for repeat in range(n + 1)
        ],
    )
    assert picked(rows, "customer_id", "r_score", "f_score") == [
        ("customer 0", 5, 1),
        ("customer 1", 4, 2),
        ("customer 2", 3, 3),
        ("customer 3", 2, 4),
        ("customer 4", 1, 5),
    ]


def test_each_quintile_of_distinct_values_holds_a_fifth_of_the_customers(bench: Bench) -> None:
    rows = rfm(bench, [purchase(f"{n:02}", AS_OF - timedelta(days=n), 20 - n) for n in range(20)])
    falling = [5] * 4 + [4] * 4 + [3] * 4 + [2] * 4 + [1] * 4
    assert [row["r_score"] for row in rows] == falling
    assert [row["m_score"] for row in rows] == falling


def test_where_nearly_everybody_buys_once_they_share_the_lowest_frequency_score(bench: Bench) -> None:
    once = [purchase(f"{n:02}", AS_OF, 10) for n in range(9)]
    twice = [purchase("loyal", AS_OF, 10), purchase("loyal", AS_OF - timedelta(days=5), 10)]
    rows = rfm(bench, once + twice)
    assert {row["customer_id"]: row["f_score"] for row in rows} == {f"{n:02}": 1 for n in range(9)} | {"loyal": 5}


@given(days=HISTORY)
@QUICK
def test_scores_follow_the_values_and_equal_values_share_a_score(bench: Bench, days: list[Row]) -> None:
    rows = rfm(bench, days)
    for score, value in [("r_score", "days_since_last"), ("f_score", "frequency"), ("m_score", "revenue")]:
        assert {row[score] for row in rows} <= {1, 2, 3, 4, 5}
        score_of_value = {(row[value], row[score]) for row in rows}
        assert len(score_of_value) == len({row[value] for row in rows})
        scores = [scored for _, scored in sorted(score_of_value, reverse=score == "r_score")]
        assert scores == sorted(scores)


@given(days=HISTORY)
@QUICK
def test_recency_and_days_since_the_last_purchase_make_up_the_tenure(bench: Bench, days: list[Row]) -> None:
    for row in rfm(bench, days):
        assert row["recency_days"] + row["days_since_last"] == row["tenure_days"]
        assert (row["frequency"] == 0) == (row["recency_days"] == 0)


@given(days=HISTORY, random=st.randoms(use_true_random=False))
@QUICK
def test_the_order_of_the_rows_does_not_matter(bench: Bench, days: list[Row], random: Random) -> None:
    shuffled = random.sample(days, len(days))
    assert rfm(bench, shuffled) == rfm(bench, days)


@given(days=HISTORY, later=purchases(AS_OF + timedelta(days=1), AS_OF + timedelta(days=400)))
@QUICK
def test_days_after_as_of_are_ignored(bench: Bench, days: list[Row], later: list[Row]) -> None:
    assert rfm(bench, days + later) == rfm(bench, days)


def test_who_first_bought_after_as_of_is_no_customer_yet(bench: Bench) -> None:
    rows = rfm(bench, [purchase("ann", AS_OF), purchase("bob", AS_OF + timedelta(days=1))])
    assert picked(rows, "customer_id", "days_since_last") == [("ann", 0)]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"revenue": 11}, "revenue_equals_known_days"),
        ({"tenure_days": 3}, "time_is_consistent"),
        ({"frequency": 1}, "time_is_consistent"),
        ({"f_score": 6}, "scores_between_1_and_5"),
        ({"r_score": 0}, "scores_between_1_and_5"),
    ],
)
def test_measures_that_contradict_each_other_break_the_contract(
    bench: Bench, change: dict[str, Any], broken: str
) -> None:
    (row,) = rfm(bench, [purchase("ann", AS_OF, 10)])
    bench.given("rfm", [row | change])
    assert bench.failed_checks("rfm") == [broken]
