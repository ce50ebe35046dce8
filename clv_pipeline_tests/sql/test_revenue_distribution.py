"""How concentrated revenue is: slices of the customers, the best first, rounded up to whole customers."""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked


def distribution(bench: Bench, revenues: list[Decimal]) -> list[Row]:
    bench.given("rfm", [{"customer_id": f"c{i:03}", "revenue": revenue} for i, revenue in enumerate(revenues)])
    return bench.run("revenue_distribution")


def of_kind(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def test_forty_customers_of_whom_one_brings_most(bench: Bench) -> None:
    rows = distribution(bench, [Decimal(61), *[Decimal(1)] * 39])
    columns = ("slice", "customers", "revenue", "revenue_share", "lowest_revenue", "highest_revenue")
    assert picked(of_kind(rows, "top"), *columns) == [
        ("top 1 %", 1, 61, 0.61, 61, 61),
        ("top 5 %", 2, 62, 0.62, 1, 61),
        ("top 10 %", 4, 64, 0.64, 1, 61),
        ("top 20 %", 8, 68, 0.68, 1, 61),
    ]
    deciles = of_kind(rows, "decile")
    assert picked(deciles, "customers", "revenue") == [(4, 64), *[(4, 4)] * 9]
    assert picked(deciles, "from_percent", "to_percent") == [(p, p + 10) for p in range(0, 100, 10)]
    assert bench.failed_checks("revenue_distribution") == []


def test_with_three_customers_there_are_ten_deciles_most_of_them_empty(bench: Bench) -> None:
    rows = distribution(bench, [Decimal(5), Decimal(3), Decimal(2)])
    filled = [row for row in of_kind(rows, "decile") if row["customers"]]
    assert picked(filled, "slice", "revenue") == [("decile 1", 5), ("decile 4", 3), ("decile 7", 2)]
    assert len(of_kind(rows, "decile")) == 10
    assert picked(of_kind(rows, "top"), "customers", "revenue_share") == [(1, 0.5)] * 4
    assert bench.failed_checks("revenue_distribution") == []


@given(cents=st.lists(st.integers(1, 50), min_size=1, max_size=60), random=st.randoms(use_true_random=False))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_deciles_add_up_and_shares_do_not_depend_on_who_comes_first(
    bench: Bench, cents: list[int], random: Random
) -> None:
    revenues = [Decimal(value) / 100 for value in cents]
    rows = distribution(bench, revenues)
    deciles = of_kind(rows, "decile")
    assert sum(row["customers"] for row in deciles) == len(revenues)
    assert sum(row["revenue"] for row in deciles) == sum(revenues)
    assert sum(row["revenue_share"] for row in deciles) == pytest.approx(1)
    best = sorted(revenues, reverse=True)
    for row in of_kind(rows, "top"):
        assert row["revenue"] == sum(best[: ceil(len(best) * row["to_percent"] / 100)])
    random.shuffle(revenues)
    assert distribution(bench, revenues) == rows


def test_the_tables_of_one_grain_are_what_the_old_one_says(bench: Bench) -> None:
    rows = distribution(bench, [Decimal(61), *[Decimal(1)] * 39])
    measures = ("customers", "revenue", "revenue_share", "lowest_revenue", "highest_revenue")
    tenths, best = bench.run("revenue_deciles"), bench.run("revenue_concentration")
    assert picked(tenths, *measures) == picked(of_kind(rows, "decile"), *measures)
    assert picked(best, "top_percent", *measures) == picked(of_kind(rows, "top"), "to_percent", *measures)
    assert bench.failed_checks("revenue_deciles") == bench.failed_checks("revenue_concentration") == []


def test_revenue_that_is_lost_breaks_the_contract(bench: Bench) -> None:
    distribution(bench, [Decimal(5), Decimal(3), Decimal(2)])
    bench.given("revenue_deciles", [row | {"revenue": 2} for row in bench.run("revenue_deciles")])
    assert bench.failed_checks("revenue_deciles") == ["deciles_add_up"]
    best = bench.run("revenue_concentration")
    bench.given("revenue_concentration", [row | {"revenue_share": 1 / row["top_percent"]} for row in best])
    assert bench.failed_checks("revenue_concentration") == ["shares_grow_with_the_slice"]
