"""What is kept from run to run: enough to judge forecasts and to see drift; bounded; a repeated run changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.contracts import Contract
from clv_pipeline.features import snapshots
from clv_pipeline.warehouse import Session, predecessors
from clv_pipeline_tests.helpers.sql_bench import Bench, models

START = date(2024, 1, 1)


class Nights:
    """Runs as of one day after another, each with one customer more."""

    def __init__(self, bench: Bench, session: Session) -> None:
        self.bench, self.session = bench, session

    def forget(self) -> None:
        """Begin as on the first night."""
        for table in ("forecast_history", "customer_snapshots", "drift"):
            self.session.execute(f"drop table if exists {table}")

    def run(self, as_of: date, spend: float = 10.0, customers: int = 2) -> None:
        ids = [f"c{number}" for number in range(customers)]
        self.bench.given("history_span", [{"as_of": as_of}])
        self.bench.given(
            "clv_forecasts",
            [
                {
                    "customer_id": customer,
                    "as_of": as_of,
                    "horizon_days": horizon,
                    "model": "bg_nbd",
                    "expected_spend": spend + number,
                    "p_purchase": 0.5,
                }
                for number, customer in enumerate(ids)
                for horizon in (30, 365)
            ],
        )
        self.bench.given("rfm", [{"customer_id": c, "as_of": as_of, "frequency": 1, "revenue": spend} for c in ids])
        self.bench.given("segments", [{"customer_id": customer, "segment": "Loyal"} for customer in ids])
        self._build("forecast_history", predecessors.stage_forecast_history)
        self._build("customer_snapshots", predecessors.stage_customer_snapshots)
        self.bench.given("drift", snapshots.drift_since_last_run(self.session).to_dicts())

    def _build(self, table: str, stage: Callable[[Session, Contract], None]) -> None:
        stage(self.session, models()[table].contract)
        self.session.replace_live(models()[table].contract)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return self.session.execute(f"from {table} order by all").fetchall()

    def kept(self, table: str, where: str = "true") -> list[date]:
        return [
            day
            for (day,) in self.session.execute(
                f"select distinct as_of from {table} where {where} order by 1"
            ).fetchall()
        ]


@pytest.fixture
def nights(bench: Bench, memory: Session) -> Nights:
    return Nights(bench, memory)


def day(number: int) -> date:
    return START + timedelta(days=number)


def test_every_forecast_and_every_customer_of_today_is_kept(nights: Nights) -> None:
    nights.run(day(0))
    assert [row[:4] + row[6:7] for row in nights.rows("forecast_history")] == [
        ("c0", day(0), 30, "bg_nbd", 10.0),
        ("c0", day(0), 365, "bg_nbd", 10.0),
        ("c1", day(0), 30, "bg_nbd", 11.0),
        ("c1", day(0), 365, "bg_nbd", 11.0),
    ]
    assert nights.kept("customer_snapshots") == [day(0)]
    assert nights.rows("drift") == []
    for table in ("forecast_history", "customer_snapshots", "drift"):
        assert nights.bench.failed_checks(table) == []


def test_of_each_month_the_first_forecast_stays_and_the_last_before_today(nights: Nights) -> None:
    for number in (3, 10, 30, 33, 40, 50):
        nights.run(day(number))
    assert nights.kept("forecast_history") == [day(3), day(33), day(40), day(50)]
    assert nights.kept("customer_snapshots") == [day(40), day(50)]


def test_a_forecast_is_kept_for_a_year_after_its_horizon_has_passed(nights: Nights) -> None:
    nights.run(day(0))
    nights.run(day(1))
    nights.run(day(395))
    assert nights.kept("forecast_history", "horizon_days = 30") == [day(0), day(1), day(395)]
    nights.run(day(396))
    assert nights.kept("forecast_history", "horizon_days = 30") == [day(395), day(396)]
    assert nights.kept("forecast_history", "horizon_days = 365") == [day(0), day(395), day(396)]


def test_a_repeated_run_replaces_its_own_rows_and_compares_with_the_same_day(nights: Nights) -> None:
    nights.run(day(0))
    nights.run(day(7), spend=20.0)
    tables = ("forecast_history", "customer_snapshots", "drift")
    before = {table: nights.rows(table) for table in tables}
    nights.run(day(7), spend=30.0)
    assert {row[6] for row in nights.rows("forecast_history") if row[1] == day(7)} == {30.0, 31.0}
    nights.run(day(7), spend=20.0)
    assert {table: nights.rows(table) for table in tables} == before


def test_a_run_as_of_an_earlier_day_loses_nothing_that_was_forecast_later(nights: Nights) -> None:
    for number in (0, 5, 40, 2):
        nights.run(day(number))
    assert nights.kept("forecast_history") == [day(0), day(2), day(5), day(40)]


def test_drift_compares_with_the_run_before(nights: Nights) -> None:
    nights.run(day(0), spend=10.0, customers=100)
    nights.run(day(7), spend=10.0, customers=100)
    assert {(row[2], row[3], row[6]) for row in nights.rows("drift")} == {(day(0), day(7), 0.0)}
    nights.run(day(8), spend=500.0, customers=100)
    drifted = {(row[0], row[1]) for row in nights.rows("drift") if row[7] == "drifted"}
    assert drifted == {("revenue", None), ("expected_spend", 30), ("expected_spend", 365)}
    assert nights.bench.failed_checks("drift") == ["nothing_has_drifted"]


def test_a_predecessor_of_an_earlier_version_is_read_as_far_as_it_goes(nights: Nights) -> None:
    nights.run(day(0))
    nights.session.execute("alter table forecast_history drop column purchase_model")
    nights.run(day(1))
    assert nights.kept("forecast_history") == [day(0), day(1)]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_often_it_runs_the_history_stays_small(nights: Nights, gaps: list[int]) -> None:
    nights.forget()
    number = 0
    for gap in gaps:
        number += gap
        nights.run(day(number), customers=1)
    months = {(kept.year, kept.month) for kept in nights.kept("forecast_history")}
    assert len(nights.kept("forecast_history")) <= len(months) + 2
    assert nights.kept("forecast_history")[-1] == day(number)
