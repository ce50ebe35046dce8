"""What models are trained on and asked about, read from the tables that SQL builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import plan_windows
from clv_pipeline.forecasting.protocol import CUSTOMER_COLUMNS, DAILY_COLUMNS
from clv_pipeline.warehouse import Session, model_inputs
from clv_pipeline_tests.sql.harness import Bench, Row, purchase

FIRST, AS_OF = date(2023, 1, 1), date(2023, 12, 31)
CUTOFF = AS_OF - timedelta(days=60)

HORIZONS = [30, 90]


def shop() -> list[Row]:
    """Thirty customers who buy every few days for a year and beyond."""
    days = range(0, 400, 5)
    return [
        purchase(f"c{i}", FIRST + timedelta(days=day + i), revenue=i + 1)
        for i in range(30)
        for day in days
        if (day + i * i) % 7 < 2
    ]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session(duckdb.connect())
    build(Bench(session), shop())
    yield session
    session.close()


def build(bench: Bench, days: list[Row]) -> None:
    plan = plan_windows(FIRST, AS_OF, HORIZONS, folds=2)
    bench.given("customer_days", days)
    for absent in ("purchase_day_details", "customer_attributes", "customer_events"):
        bench.given(absent, [])
    bench.given("forecast_windows", plan.to_dicts())
    for table in ("customer_features", "customer_windows", "customer_outcomes"):
        bench.run(table)


def test_a_customers_frame_has_the_agreed_columns_and_numbers(session: Session) -> None:
    frame = model_inputs.customers(session, AS_OF, 90)
    assert set(CUSTOMER_COLUMNS) <= set(frame.columns)
    assert frame["customer_id"].is_sorted()
    assert not any(dtype.is_decimal() for dtype in frame.dtypes)
    assert (frame["spend_90_days"] == frame["spend_last_window"]).all()
    assert (frame["purchases_90_days"] == frame["purchases_last_window"]).all()


def test_windows_to_learn_from_are_over_by_the_cutoff_and_as_many_as_the_plan_has(session: Session) -> None:
    windows = model_inputs.training_data(session, CUTOFF, HORIZONS).completed_windows
    ends = windows.select(pl.col("cutoff") + pl.duration(days="horizon_days")).to_series()
    assert ends.max() == CUTOFF
    planned = session.read(
        "select count(*) from forecast_windows where is_complete and outcome_ends <= ?", [CUTOFF]
    ).item()
    assert windows.select("cutoff", "horizon_days").n_unique() == planned


def test_rows_to_learn_from_are_bounded_the_latest_windows_first(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = model_inputs.training_data(session, AS_OF, HORIZONS).completed_windows
    monkeypatch.setattr(model_inputs, "WINDOW_ROWS", 70)
    bounded = model_inputs.training_data(session, AS_OF, HORIZONS).completed_windows
    assert bounded.group_by("horizon_days").len()["len"].to_list() == [70, 70]
    for horizon in (30, 90):
        kept, all_ = (frame.filter(pl.col("horizon_days") == horizon) for frame in (bounded, everything))
        latest = all_["cutoff"].unique().sort(descending=True)[:2]
        whole = all_.filter(pl.col("cutoff").is_in(latest.implode()))
        assert kept.filter(pl.col("cutoff").is_in(latest.implode())).equals(whole)


def test_daily_totals_add_up_what_all_customers_did_up_to_the_cutoff(session: Session) -> None:
    totals = model_inputs.training_data(session, CUTOFF, HORIZONS).daily_totals
    assert totals.columns == list(DAILY_COLUMNS)
    bought = [row for row in shop() if row["purchase_day"] <= CUTOFF]
    assert totals["day"].to_list() == sorted({row["purchase_day"] for row in bought})
    assert totals["purchases"].sum() == len(bought)
    assert totals["spend"].sum() == sum(row["revenue"] for row in bought)
    assert totals["new_customers"].sum() == len({row["customer_id"] for row in bought})
    first_days = [min(row["purchase_day"] for row in bought if row["customer_id"] == f"c{i}") for i in range(30)]
    of_first_days = totals.filter(pl.col("day").is_in(first_days))
    assert (of_first_days["new_customers"] > 0).all()
    assert of_first_days["new_customers"].sum() == 30


def test_nothing_after_a_cutoff_changes_what_is_learned_or_asked_as_of_it(session: Session) -> None:
    def known(session: Session) -> list[pl.DataFrame]:
        training = model_inputs.training_data(session, CUTOFF, HORIZONS)
        return [
            training.customer_counts,
            training.repeat_spend,
            training.completed_windows,
            training.daily_totals,
            model_inputs.customers(session, CUTOFF, 30),
        ]

    poisoned = [
        row | {"revenue": row["revenue"] * 9} if row["purchase_day"] > CUTOFF else row
        for row in reversed(shop())
        if row["purchase_day"] <= CUTOFF or row["customer_id"] != "c3"
    ]
    newcomers = [purchase(f"new{i}", CUTOFF + timedelta(days=1 + i % 9)) for i in range(50)]
    other = Session(duckdb.connect())
    build(Bench(other), poisoned + newcomers)
    for before, after in zip(known(session), known(other), strict=True):
        assert before.equals(after)
    other.close()


def test_of_many_customers_those_with_the_smallest_md5_are_described(session: Session) -> None:
    everybody = model_inputs.customers(session, CUTOFF, 30)
    some = model_inputs.customers(session, CUTOFF, 30, most=7)
    smallest = sorted(
        everybody["customer_id"], key=lambda name: hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    )[:7]
    assert some["customer_id"].to_list() == sorted(smallest)
    assert some.equals(everybody.filter(pl.col("customer_id").is_in(smallest)))
