"""Engagement as of every cutoff: counted in whole days up to it, and blind to what comes after."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

CUTOFF = date(2023, 6, 30)


def event(customer: str | None, when: Any, type_: str | None = "visit", line: int = 2) -> Row:
    return {"source_id": 1, "source_line": line, "customer_id": customer, "occurred_at": when, "event": type_}


def counted(bench: Bench, events: list[Row], cutoffs: tuple[date, ...] = (CUTOFF,)) -> list[Row]:
    customers = [{"customer_id": name, "cutoff": cutoff} for name in ("ann", "bob") for cutoff in cutoffs]
    bench.given("customer_features", customers)
    bench.given("raw_events", events)
    return bench.run("customer_events")


# Days from the cutoff: events in the last 30, 90 and 365 days, and at all.
BOUNDARIES = {
    1: None,
    0: (1, 1, 1, 1),
    -29: (1, 1, 1, 1),
    -30: (0, 1, 1, 1),
    -89: (0, 1, 1, 1),
    -90: (0, 0, 1, 1),
    -364: (0, 0, 1, 1),
    -365: (0, 0, 0, 1),
}


@pytest.mark.parametrize("offset", BOUNDARIES)
@pytest.mark.parametrize("clock", ["00:00:00", "23:59:59"])
def test_windows_hold_whole_days_and_end_with_the_cutoff(bench: Bench, offset: int, clock: str) -> None:
    rows = counted(bench, [event("ann", f"{CUTOFF + timedelta(days=offset)} {clock}")])
    expected = BOUNDARIES[offset]
    found = picked(rows, "events_30_days", "events_90_days", "events_365_days", "events", "days_since_event")
    assert found == ([] if expected is None else [(*expected, -offset)])


def test_types_are_counted_apart_and_without_a_type_together(bench: Bench) -> None:
    days = (CUTOFF, CUTOFF, CUTOFF - timedelta(days=3))
    rows = counted(
        bench,
        [event("ann", day) for day in days]
        + [event("ann", CUTOFF - timedelta(days=50), "click"), event("bob", CUTOFF, None)],
    )
    assert picked(rows, "customer_id", "event_type", "events_30_days", "events", "days_since_event") == [
        ("ann", "click", 0, 1, 50),
        ("ann", "visit", 3, 3, 0),
        ("bob", "event", 1, 1, 0),
    ]
    assert bench.failed_checks("customer_events") == []


def test_events_without_customer_or_date_and_of_strangers_are_left_out_and_told(bench: Bench) -> None:
    rows = counted(bench, [event(None, CUTOFF), event("ann", None), event("stranger", CUTOFF), event("bob", CUTOFF)])
    assert picked(rows, "customer_id") == [("bob",)]
    assert bench.failed_checks("raw_events") == ["every_event_has_a_customer", "every_event_has_a_date"]


def test_without_events_there_is_an_empty_table_that_keeps_its_promises(bench: Bench) -> None:
    assert counted(bench, []) == []
    assert bench.failed_checks("raw_events") == []
    assert bench.failed_checks("customer_events") == []


def test_events_of_strangers_and_pages_as_types_are_told(bench: Bench) -> None:
    counted(bench, [event(f"stranger {number}", CUTOFF, f"/page/{number}") for number in range(201)])
    assert bench.failed_checks("customer_events") == ["events_are_of_buyers"]
    assert bench.failed_checks("raw_events") == ["events_are_types"]


def test_negative_days_and_doubled_rows_break_the_contract(bench: Bench) -> None:
    key = {"customer_id": "ann", "cutoff": CUTOFF, "event_type": "visit"}
    bench.given("raw_events", [])
    bench.given("customer_events", [key | {"days_since_event": 1}] * 2)
    assert bench.failed_checks("customer_events") == ["one_row_per_customer_cutoff_and_event"]
    bench.given("customer_events", [key | {"days_since_event": -1}])
    assert bench.failed_checks("customer_events") == ["history_ends_at_the_cutoff"]


def events_between(first: date, last: date) -> st.SearchStrategy[list[Row]]:
    one = st.builds(event, st.sampled_from(["ann", "bob"]), st.dates(first, last), st.sampled_from(["visit", "click"]))
    return st.lists(one, max_size=15)


FUTURE = events_between(CUTOFF + timedelta(days=1), CUTOFF + timedelta(days=200))


@given(past=events_between(CUTOFF - timedelta(days=500), CUTOFF), future=FUTURE, other_future=FUTURE, data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_neither_later_events_nor_the_order_of_rows_change_what_was_known(
    bench: Bench, past: list[Row], future: list[Row], other_future: list[Row], data: st.DataObject
) -> None:
    cutoffs = (CUTOFF - timedelta(days=90), CUTOFF, CUTOFF + timedelta(days=90))

    def known_by_the_cutoff(events: list[Row]) -> list[Row]:
        return [row for row in counted(bench, events, cutoffs) if row["cutoff"] <= CUTOFF]

    shuffled = data.draw(st.permutations(past + other_future))
    assert known_by_the_cutoff(past + future) == known_by_the_cutoff(shuffled)
