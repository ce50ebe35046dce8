"""Names of segments, today and on past days: total, disjoint, and true of the silence that they claim."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from clv_pipeline_tests.helpers.segments import ACTIVE, FADING, HABIT, SEGMENT_OF_SCORES, SILENCES, segment_of
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases, window

AS_OF = date(2024, 3, 1)
EARLIER = AS_OF - timedelta(days=30)
QUICK = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLAN = [window(AS_OF, 30, is_complete=False), window(EARLIER, 30)]


def past_segments(bench: Bench, days: list[Row], plan: list[Row] | None = None, as_of: date = AS_OF) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("purchase_day_details", [])
    bench.given("history_span", [{"as_of": as_of}])
    bench.given("forecast_windows", PLAN if plan is None else plan)
    bench.run("rfm")
    bench.run("customer_features")
    bench.run("customer_rhythms")
    return bench.run("past_segments")


@pytest.mark.parametrize("silence", SILENCES)
def test_every_cell_of_the_grid_has_one_name_for_every_silence(bench: Bench, silence: str) -> None:
    """One customer per pair of scores, so that all 25 occur: r by days since the last, f by repeats."""
    cells = [{"customer_id": f"R{r}F{f}", "cutoff": AS_OF} for r, f in SEGMENT_OF_SCORES]
    bench.given(
        "customer_features",
        [
            cell | {"days_since_last": 10 * (5 - r), "frequency": f}
            for cell, (r, f) in zip(cells, SEGMENT_OF_SCORES, strict=True)
        ],
    )
    bench.given("customer_rhythms", [cell | {"silence": silence} for cell in cells])
    assert picked(bench.run("past_segments"), "customer_id", "r_score", "f_score", "segment") == sorted(
        (f"R{r}F{f}", r, f, segment_of(r, f, silence)) for r, f in SEGMENT_OF_SCORES
    )


def test_the_grid_names_all_of_whom_the_silence_says_no_other_thing() -> None:
    """The rule leaves a name alone that claims nothing wrong."""
    for (r, f), name in SEGMENT_OF_SCORES.items():
        assert segment_of(r, f, "overdue") == name or name in ACTIVE
        assert segment_of(r, f, "usual") == name or name in FADING
        assert segment_of(r, f, "long") == segment_of(r, f, "usual") or segment_of(r, f, "usual") in HABIT


@given(days=purchases(AS_OF - timedelta(days=90), AS_OF, min_size=1))
@QUICK
def test_everybody_known_has_one_name_that_is_true_of_their_silence(bench: Bench, days: list[Row]) -> None:
    rows = past_segments(bench, days)
    for cutoff in (EARLIER, AS_OF):
        known = {day["customer_id"] for day in days if day["purchase_day"] <= cutoff}
        assert [row["customer_id"] for row in rows if row["cutoff"] == cutoff] == sorted(known)
    assert bench.failed_checks("past_segments") == []


@given(days=purchases(AS_OF - timedelta(days=90), AS_OF, min_size=1))
@QUICK
def test_a_past_segment_is_what_was_said_on_that_day(bench: Bench, days: list[Row]) -> None:
    among_others = [row for row in past_segments(bench, days) if row["cutoff"] == EARLIER]
    assert past_segments(bench, days, [window(EARLIER, 30, is_complete=False)], as_of=EARLIER) == among_others


def test_quintiles_are_of_the_customers_of_one_day_alone(bench: Bench) -> None:
    # Who is known early on is alone then, and the quietest of five today; nobody has come back in this shop.
    days = [purchase("ann", EARLIER)]
    later = [purchase(name, EARLIER + timedelta(days=5 * number + 5)) for number, name in enumerate("bcde")]
    rows = past_segments(bench, days + later)
    assert [(row["cutoff"], row["r_score"]) for row in rows if row["customer_id"] == "ann"] == [
        (EARLIER, 5),
        (AS_OF, 1),
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
        ({"segment": "Lost"}, ["names_say_what_the_silence_says"]),
        ({"segment": "Nobody"}, ["segment_is_known"]),
        ({"segment": None}, ["names_say_what_the_silence_says"]),
        ({"segment": "Champions", "silence": "overdue"}, ["names_say_what_the_silence_says"]),
        ({"segment": "Champions", "silence": "long"}, ["names_say_what_the_silence_says"]),
        ({"r_score": 4}, ["scores_of_today_are_those_of_rfm"]),
        ({"customer_id": "stranger"}, ["scores_of_today_are_those_of_rfm"]),
        ({"cutoff": EARLIER}, ["scores_of_today_are_those_of_rfm"]),
    ],
)
def test_names_that_are_not_true_and_other_scores_break_the_contract(
    bench: Bench, change: Row, broken: list[str]
) -> None:
    (row,) = past_segments(bench, [purchase("ann", AS_OF)], PLAN[:1])
    assert bench.failed_checks("past_segments") == []
    bench.given("past_segments", [row | change])
    assert bench.failed_checks("past_segments") == broken
