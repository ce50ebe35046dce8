"""What segments said on past days: what rfm and segments would have made of the days up to then."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from clv_pipeline_tests.helpers.segments import SEGMENT_OF_SCORES
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases, window

AS_OF = date(2024, 3, 1)
EARLIER = AS_OF - timedelta(days=30)
QUICK = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLAN = [window(AS_OF, 30, is_complete=False), window(EARLIER, 30)]


def past_segments(bench: Bench, days: list[Row], plan: list[Row] | None = None) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("purchase_day_details", [])
    bench.given("forecast_windows", PLAN if plan is None else plan)
    bench.run("customer_features")
    return bench.run("past_segments")


def segments_of(bench: Bench, days: list[Row], as_of: date) -> list[Row]:
    """What segments says on a day."""
    bench.given("customer_days", days)
    bench.given("history_span", [{"as_of": as_of}])
    customers = bench.run("rfm")
    bench.given(
        "customer_clusters",
        [{"customer_id": row["customer_id"], "cluster": 1, "cluster_name": "Core"} for row in customers],
    )
    return bench.run("segments")


@given(days=purchases(AS_OF - timedelta(days=90), AS_OF, min_size=1))
@QUICK
def test_a_past_segment_is_what_segments_said_on_that_day(bench: Bench, days: list[Row]) -> None:
    rows = past_segments(bench, days)
    for cutoff in (EARLIER, AS_OF):
        then = segments_of(bench, days, cutoff)
        assert picked((row for row in rows if row["cutoff"] == cutoff), "customer_id", "segment") == picked(
            then, "customer_id", "segment"
        )
    assert bench.failed_checks("past_segments") == []


def test_every_cell_of_the_grid_has_the_name_that_it_has_in_segments(bench: Bench) -> None:
    """Five customers per score and column, so that all 25 pairs occur: r by days since the last, f by repeats."""
    bench.given("forecast_windows", PLAN[:1])
    bench.given(
        "customer_features",
        [
            {
                "customer_id": f"R{r}F{f}",
                "cutoff": AS_OF,
                "first_purchase_date": AS_OF,
                "days_since_last": 10 * (5 - r),
                "frequency": f,
            }
            for r, f in SEGMENT_OF_SCORES
        ],
    )
    assert picked(bench.run("past_segments"), "customer_id", "segment") == sorted(
        (f"R{r}F{f}", segment) for (r, f), segment in SEGMENT_OF_SCORES.items()
    )


def test_quintiles_are_of_the_customers_of_one_day_alone(bench: Bench) -> None:
    # Who is known early on is alone then, and the quietest of five today.
    days = [purchase("ann", EARLIER)]
    later = [purchase(name, EARLIER + timedelta(days=5 * number + 5)) for number, name in enumerate("bcde")]
    rows = past_segments(bench, days + later)
    assert [(row["cutoff"], row["segment"]) for row in rows if row["customer_id"] == "ann"] == [
        (EARLIER, "New Customers"),
        (AS_OF, "Lost"),
    ]


def test_cutoffs_for_training_only_have_no_segments_unless_another_horizon_is_evaluated_there(bench: Bench) -> None:
    training = EARLIER - timedelta(days=30)
    plan = [
        *PLAN,
        window(EARLIER, 90, is_sampled=True, is_served=False),
        window(training, 30, is_sampled=True),
    ]
    rows = past_segments(bench, [purchase("ann", training)], plan)
    assert picked(rows, "cutoff") == [(EARLIER,), (AS_OF,)]


@given(
    past=purchases(AS_OF - timedelta(days=90), EARLIER, min_size=1),
    future=purchases(EARLIER + timedelta(days=1), AS_OF),
)
@QUICK
def test_no_day_after_a_cutoff_changes_its_segments(bench: Bench, past: list[Row], future: list[Row]) -> None:
    def then(days: list[Row]) -> list[Row]:
        return [row for row in past_segments(bench, days) if row["cutoff"] == EARLIER]

    assert then(past + future) == then(past)


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"segment": "Lost"}, ["today_they_are_those_of_segments"]),
        ({"segment": "Nobody"}, ["segment_is_known", "today_they_are_those_of_segments"]),
        ({"customer_id": "stranger"}, ["today_they_are_those_of_segments"]),
        ({"cutoff": EARLIER}, ["today_they_are_those_of_segments"]),
    ],
)
def test_segments_that_differ_from_those_of_today_break_the_contract(
    bench: Bench, change: Row, broken: list[str]
) -> None:
    days = [purchase("ann", AS_OF)]
    (row,) = past_segments(bench, days)
    segments_of(bench, days, AS_OF)
    bench.given("past_segments", [row])
    assert bench.failed_checks("past_segments") == []
    bench.given("past_segments", [row | change])
    assert bench.failed_checks("past_segments") == broken
