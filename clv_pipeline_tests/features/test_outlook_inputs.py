"""What an outlook is made from: as it was known by the cutoff, returns included; and what came after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clv_pipeline.features.outlook_inputs import _CAME, _COHORTS, _PAST_TOTALS, came_after, known_by, past_totals
from clv_pipeline.forecasting.outlook import COHORT_MONTHS, WEEKS_SCHEMA
from clv_pipeline.spark.translate import translate
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, shop
from clv_pipeline_tests.helpers.sql_bench import Bench, models, purchase

WEEKS = pl.DataFrame(schema=WEEKS_SCHEMA)
TOTALS = pl.DataFrame({"horizon_days": [30], "expected_spend": [100.0]})
MAY, JUNE = date(2024, 5, 1), date(2024, 6, 1)


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session(duckdb.connect())
    yield session
    session.close()


def given(session: Session, days: list[dict[str, Any]], cutoff: date) -> None:
    bench = Bench(session)
    first = min(row["purchase_day"] for row in days)
    bench.given("history_span", [{"first_day": first, "last_day": CUTOFF, "as_of": CUTOFF}])
    bench.given("customer_days", days)
    kept = [row for row in days if row.get("superseded_on") is None]
    names = ("customer_id", "purchase_day", "revenue", "orders", "transaction_lines")
    bench.given("known_days", [{name: row[name] for name in names} for row in kept])
    known = {row["customer_id"] for row in days if row["known_from"] <= cutoff}
    bench.given("customer_features", [{"customer_id": one, "cutoff": cutoff} for one in sorted(known)])


def test_cohorts_are_those_of_the_purchase_days_up_to_the_cutoff(session: Session) -> None:
    days = shop(200)
    cutoff = CUTOFF - timedelta(days=45)
    rows = [purchase(row["customer_id"], row["day"], row["spend"]) for row in days.days.iter_rows(named=True)]
    given(session, rows, cutoff)
    cohorts = known_by(session, cutoff, TOTALS, WEEKS, "hybrid").cohorts
    assert cohorts.columns == [name for name in COHORT_MONTHS if name in cohorts.columns]
    assert_frame_equal(cohorts, days.cohort_months(cutoff), check_dtypes=False, check_column_order=False)
    last = CUTOFF + timedelta(days=60)
    assert_frame_equal(came_after(session, cutoff, last), days.came_by_month(cutoff, last), check_dtypes=False)


def test_a_return_counts_from_its_own_day_on(session: Session) -> None:
    bought, kept = purchase("ann", date(2024, 5, 10), 50), purchase("ann", date(2024, 5, 10), 20)
    rows = [bought | {"superseded_on": JUNE}, kept | {"known_from": JUNE}]
    given(session, rows, CUTOFF)
    before, after = (
        known_by(session, cutoff, TOTALS, WEEKS, "hybrid").cohorts for cutoff in (JUNE - timedelta(days=1), JUNE)
    )
    assert before["revenue"].to_list() == [50.0]
    assert after["revenue"].to_list() == [20.0]


def test_a_customer_whose_first_purchases_were_returned_is_new_when_they_buy_again(session: Session) -> None:
    gone = purchase("ann", date(2024, 5, 10), 50) | {"superseded_on": date(2024, 5, 20)}
    given(session, [gone, purchase("ann", date(2024, 6, 5), 30)], date(2024, 5, 12))
    early, late = (known_by(session, cutoff, TOTALS, WEEKS, "hybrid").cohorts for cutoff in (date(2024, 5, 12), CUTOFF))
    assert early["cohort_month"].to_list() == [MAY]
    assert late["cohort_month"].to_list() == [JUNE]
    # Who was known on a past date is known there, whatever was returned later.
    came = came_after(session, date(2024, 5, 12), CUTOFF)
    assert came.rows() == [(JUNE, 30.0, 30.0, 0)]


def test_days_after_the_day_of_the_month_are_kept_apart(session: Session) -> None:
    rows = [purchase("ann", date(2024, 5, 9), 10), purchase("bob", date(2024, 5, 10), 7)]
    given(session, rows, date(2024, 6, 9))
    [row] = known_by(session, date(2024, 6, 9), TOTALS, WEEKS, "hybrid").cohorts.to_dicts()
    assert (row["customers"], row["later_customers"]) == (2, 1)
    assert (row["revenue"], row["later_revenue"], row["first_revenue"]) == (17.0, 7.0, 17.0)


def test_totals_of_a_sample_stand_for_everybody(session: Session) -> None:
    bench = Bench(session)
    given(session, [purchase(name, MAY) for name in ("ann", "bob", "cid", "dee")], MAY)
    forecasts = [
        {"cutoff": MAY, "horizon_days": horizon, "model": model, "customer_id": name, "expected_spend": spend}
        for horizon, spend in ((30, 5), (90, 8))
        for model, name in (("hybrid", "ann"), ("hybrid", "bob"), ("own_rate", "ann"))
    ]
    bench.given("backtest_forecasts", forecasts)
    assert past_totals(session, MAY, "hybrid").rows() == [(30, 20.0), (90, 32.0)]


def test_a_shop_without_money_has_cohorts_without_any(session: Session) -> None:
    given(session, [purchase("ann", MAY, None)], CUTOFF)
    known = known_by(session, CUTOFF, TOTALS.with_columns(expected_spend=pl.lit(None, pl.Float64)), WEEKS, "hybrid")
    assert not known.has_money
    assert known.cohorts["customers"].to_list() == [1]


@pytest.mark.parametrize(
    ("query", "parameters"),
    [(_COHORTS, [MAY, MAY, 3, 3]), (_PAST_TOTALS, [MAY, "hybrid", MAY]), (_CAME, [MAY, MAY, JUNE])],
    ids=["cohorts", "past totals", "came"],
)
def test_every_query_can_be_asked_of_spark(query: str, parameters: list[Any]) -> None:
    schema = {name: {column.name: column.type for column in model.contract.columns} for name, model in models().items()}
    assert "SELECT" in translate(query, schema, parameters)
