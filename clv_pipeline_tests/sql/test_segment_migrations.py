"""From which segment to which: everybody is counted once, and what is compared are the last two runs."""

from __future__ import annotations

from datetime import date

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

BEFORE, TODAY = date(2024, 5, 31), date(2024, 6, 30)


def snapshot(as_of: date, **segments: str) -> list[Row]:
    return [{"customer_id": customer, "as_of": as_of, "segment": segment} for customer, segment in segments.items()]


def migrations(bench: Bench, snapshots: list[Row], today: date = TODAY) -> list[Row]:
    bench.given("customer_snapshots", snapshots)
    bench.given("segments", [{"customer_id": row["customer_id"]} for row in snapshots if row["as_of"] == today])
    bench.given("history_span", [{"as_of": today}])
    return bench.run("segment_migrations")


def test_everybody_is_counted_on_the_way_they_went(bench: Bench) -> None:
    before = snapshot(BEFORE, ann="Loyal", bob="Loyal", cid="Loyal", dee="Lost", gone="Lost")
    rows = migrations(bench, before + snapshot(TODAY, ann="Loyal", bob="Loyal", cid="At Risk", dee="Lost", eve="Lost"))
    columns = ("from_segment", "to_segment", "customers", "share_of_segment", "has_changed")
    assert picked(rows, *columns) == [
        ("Lost", "Lost", 1, 0.5, False),
        ("Lost", "no longer a customer", 1, 0.5, False),
        ("Loyal", "At Risk", 1, pytest.approx(1 / 3), True),
        ("Loyal", "Loyal", 2, pytest.approx(2 / 3), False),
        ("not yet a customer", "Lost", 1, 1.0, False),
    ]
    assert set(picked(rows, "previous_as_of", "as_of")) == {(BEFORE, TODAY)}
    assert bench.failed_checks("segment_migrations") == []


def test_many_changes_are_a_warning(bench: Bench) -> None:
    migrations(bench, snapshot(BEFORE, ann="Loyal", bob="Loyal") + snapshot(TODAY, ann="Lost", bob="At Risk"))
    assert bench.failed_checks("segment_migrations") == ["most_customers_keep_their_segment"]


def test_the_first_run_has_nothing_to_compare_with(bench: Bench) -> None:
    assert migrations(bench, snapshot(TODAY, ann="Loyal")) == []
    assert bench.failed_checks("segment_migrations") == []


def test_a_run_as_of_an_earlier_day_does_not_look_ahead(bench: Bench) -> None:
    assert migrations(bench, snapshot(BEFORE, ann="Loyal") + snapshot(TODAY, ann="Lost"), today=BEFORE) == []
