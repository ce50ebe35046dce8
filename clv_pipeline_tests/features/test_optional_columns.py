"""Demographics and events as columns: nothing is there without a source, nothing unknown is made up."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from clv_pipeline.features.optional_columns import EVENT_TYPES, OptionalColumns
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench, Row

EARLY, LATE = date(2023, 1, 31), date(2023, 6, 30)
FRAME = pl.DataFrame(
    {
        "customer_id": ["bob", "ann", "bob", "ann"],
        "cutoff": [LATE, LATE, EARLY, EARLY],
        "horizon_days": [90, 90, 30, 30],
    }
)


@pytest.fixture
def bench(session: Session) -> Bench:
    bench = Bench(session)
    bench.given("customer_attributes", [])
    bench.given("customer_events", [])
    keys = [{"customer_id": name, "cutoff": cutoff} for name in ("ann", "bob") for cutoff in (EARLY, LATE)]
    bench.given("customer_features", keys)
    return bench


def described(session: Session, frame: pl.DataFrame = FRAME, as_of: date = LATE) -> pl.DataFrame:
    """The rows of a frame, as a query gives them, with the optional columns; in their order."""
    columns = OptionalColumns.known(session, as_of)
    session.connection.register("asked", frame.with_row_index("place"))
    found = columns.named(session.read(f"{columns.added_to('select * from asked')} order by place"))
    session.connection.unregister("asked")
    return found.drop("place")


def attribute(customer: str, name: str, value: float | str) -> Row:
    kind = "category" if isinstance(value, str) else "number"
    return {"customer_id": customer, "attribute_name": name, "kind": kind, kind: value}


def events(customer: str, cutoff: date, event_type: str, recent: int, days_since: int, older: int = 0) -> Row:
    return {
        "customer_id": customer,
        "cutoff": cutoff,
        "event_type": event_type,
        "events_30_days": recent,
        "events_90_days": recent + older,
        "events_365_days": recent + older,
        "events": recent + older,
        "days_since_event": days_since,
    }


def test_without_the_sources_a_frame_stays_as_it_is(bench: Bench, session: Session) -> None:
    assert described(session).equals(FRAME)


def test_attributes_are_numbers_or_text_in_the_order_of_the_frame_and_null_where_unknown(
    bench: Bench, session: Session
) -> None:
    bench.given("customer_attributes", [attribute("ann", "age", 41.5), attribute("bob", "Home city", "Bern")])
    added = described(session).drop(FRAME.columns)
    assert added.to_dict(as_series=False) == {
        "attribute:Home city": ["Bern", None, "Bern", None],
        "attribute:age": [None, 41.5, None, 41.5],
    }
    assert added.schema == {"attribute:Home city": pl.String, "attribute:age": pl.Float64}


def test_no_event_counts_zero_once_the_type_is_recorded_and_is_unknown_before(bench: Bench, session: Session) -> None:
    bench.given("customer_events", [events("ann", LATE, "visit", recent=2, older=3, days_since=4)])
    added = described(session).drop(FRAME.columns)
    assert added.to_dict(as_series=False) == {
        "event:visit:count_30_days": [0, 2, None, None],
        "event:visit:count_90_days": [0, 5, None, None],
        "event:visit:days_since": [None, 4, None, None],
    }
    assert set(added.dtypes) == {pl.Float64}


def test_rare_types_are_counted_together(bench: Bench, session: Session) -> None:
    common = [events("ann", LATE, f"type {number:02}", recent=5, days_since=9) for number in range(EVENT_TYPES)]
    rare = [events("ann", LATE, "rare", recent=2, days_since=7), events("ann", LATE, "rarer", recent=1, days_since=3)]
    bench.given("customer_events", [*common, *rare])
    frame = described(session)
    assert len(frame.columns) - len(FRAME.columns) == 3 * (EVENT_TYPES + 1)
    assert frame.filter(customer_id="ann", cutoff=LATE).select("^event:other:.*$").row(0) == (3, 3, 3)


def test_names_may_differ_in_capitals_only_and_hold_quotes(bench: Bench, session: Session) -> None:
    bench.given("customer_events", [events("ann", LATE, "Visit", 1, 1), events("ann", LATE, "visit", 2, 2)])
    bench.given("customer_attributes", [attribute("ann", "it's", 30), attribute("ann", "It's", "x")])
    ann = described(session, FRAME.filter(customer_id="ann", cutoff=LATE)).row(0, named=True)
    assert (ann["event:Visit:days_since"], ann["event:visit:days_since"]) == (1, 2)
    assert (ann["attribute:it's"], ann["attribute:It's"]) == (30, "x")


def test_what_comes_later_changes_neither_columns_nor_values_as_of_an_earlier_day(
    bench: Bench, session: Session
) -> None:
    known = [events("ann", EARLY, f"type {number:02}", recent=2, days_since=9) for number in range(EVENT_TYPES + 2)]
    bench.given("customer_events", known)
    bench.given("customer_attributes", [attribute("ann", "age", 30)])
    early = FRAME.filter(cutoff=EARLY)
    before = described(session, early, as_of=EARLY)
    bench.given(
        "customer_events",
        known + [events("bob", LATE, name, recent=99, days_since=1) for name in ("type 21", "a type of tomorrow")],
    )
    bench.given("customer_attributes", [attribute("ann", "age", 30), attribute("newcomer", "shoe size", 44)])
    assert described(session, early, as_of=EARLY).equals(before)


def test_a_customer_gets_the_same_values_in_any_frame(bench: Bench, session: Session) -> None:
    bench.given("customer_events", [events("ann", LATE, "visit", 1, 1), events("bob", LATE, "click", 2, 2)])
    bench.given("customer_attributes", [attribute("ann", "age", 30), attribute("bob", "city", "Bern")])
    everybody = described(session)
    for name in ("ann", "bob"):
        alone = described(session, FRAME.filter(customer_id=name))
        assert alone.equals(everybody.filter(customer_id=name))
