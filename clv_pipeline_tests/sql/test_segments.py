"""The R × F grid is total and disjoint: every customer is in exactly one segment, with one action."""

from __future__ import annotations

import pytest

from clv_pipeline_tests.helpers.segments import SEGMENT_OF_SCORES
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked


def segments(bench: Bench, customers: list[Row]) -> list[Row]:
    bench.given("rfm", customers)
    bench.given(
        "customer_clusters",
        [{"customer_id": row["customer_id"], "cluster": 1, "cluster_name": "Core"} for row in customers],
    )
    return bench.run("segments")


def one_customer_per_cell() -> list[Row]:
    return [
        {"customer_id": f"R{r}F{f}", "r_score": r, "f_score": f, "revenue": 1, "as_of": "2024-03-01"}
        for r, f in SEGMENT_OF_SCORES
    ]


def test_all_25_cells_have_their_segment_and_each_customer_exactly_one(bench: Bench) -> None:
    rows = segments(bench, one_customer_per_cell())
    assert picked(rows, "customer_id", "segment") == sorted(
        (f"R{r}F{f}", segment) for (r, f), segment in SEGMENT_OF_SCORES.items()
    )
    assert bench.failed_checks("segments") == []


def test_only_those_who_used_to_buy_often_are_at_risk(bench: Bench) -> None:
    rows = segments(bench, one_customer_per_cell())
    assert {row["segment"] for row in rows if row["at_risk"]} == {"At Risk", "Can't Lose"}
    assert {row["segment"] for row in rows if not row["at_risk"]}.isdisjoint({"At Risk", "Can't Lose"})


def test_every_segment_has_one_recommended_action_of_its_own(bench: Bench) -> None:
    advice = set(picked(segments(bench, one_customer_per_cell()), "segment", "recommended_action"))
    assert len(advice) == len(set(SEGMENT_OF_SCORES.values())) == 11
    assert len({action for _, action in advice}) == 11


def test_value_tiers_are_above_the_80th_percentile_above_the_median_and_the_rest(bench: Bench) -> None:
    customers = [
        {"customer_id": f"{revenue:02}", "r_score": 3, "f_score": 3, "revenue": revenue} for revenue in range(1, 11)
    ]
    rows = segments(bench, customers)
    assert [row["value_tier"] for row in rows] == ["low"] * 5 + ["middle"] * 3 + ["high"] * 2


def test_customers_of_equal_revenue_share_a_tier(bench: Bench) -> None:
    customers = [{"customer_id": name, "r_score": 3, "f_score": 3, "revenue": 7} for name in "abcd"]
    assert {row["value_tier"] for row in segments(bench, customers)} == {"low"}


def test_the_cluster_is_passed_on(bench: Bench) -> None:
    bench.given("rfm", [{"customer_id": name, "r_score": 3, "f_score": 3, "revenue": 7} for name in ("ann", "bob")])
    bench.given(
        "customer_clusters",
        [
            {"customer_id": "bob", "cluster": 2, "cluster_name": "Occasional"},
            {"customer_id": "ann", "cluster": 1, "cluster_name": "Core"},
        ],
    )
    assert picked(bench.run("segments"), "customer_id", "cluster", "cluster_name") == [
        ("ann", 1, "Core"),
        ("bob", 2, "Occasional"),
    ]


@pytest.mark.parametrize("scores", [{"r_score": 0, "f_score": 3}, {"r_score": 3, "f_score": 6}])
def test_scores_outside_the_grid_are_caught_by_the_contract(bench: Bench, scores: Row) -> None:
    customers = one_customer_per_cell()
    segments(bench, [*customers, customers[0] | {"customer_id": "stray"} | scores])
    assert bench.failed_checks("segments") == ["covers_all_customers"]


def test_a_customer_without_cluster_is_caught_by_the_contract(bench: Bench) -> None:
    segments(bench, one_customer_per_cell())
    bench.given("customer_clusters", [{"customer_id": "R5F5", "cluster": 1, "cluster_name": "Core"}])
    assert picked(bench.run("segments"), "customer_id") == [("R5F5",)]
    assert bench.failed_checks("segments") == ["covers_all_customers"]
