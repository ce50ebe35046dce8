"""What models are trained on and asked about, read from the tables that SQL builds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta

import duckdb
import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import plan_windows
from clv_pipeline.features import model_inputs
from clv_pipeline.features.optional_columns import OptionalColumns
from clv_pipeline.forecasting.protocol import (
    COHORT_COLUMNS,
    CUSTOMER_COLUMNS,
    DAILY_COLUMNS,
    PIECE_OUTCOMES,
    PIECES_DAYS,
    window_columns,
)
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, purchase

FIRST, AS_OF = date(2022, 1, 1), date(2023, 12, 31)
CUTOFF = AS_OF - timedelta(days=60)

HORIZONS = [60, 90]


def shop() -> list[Row]:
    """Thirty customers who buy every few days for two years and beyond."""
    days = range(0, 760, 5)
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


@pytest.fixture
def other() -> Iterator[Session]:
    """The tables once more, to be changed."""
    session = Session(duckdb.connect())
    build(Bench(session), shop())
    yield session
    session.close()


def build(bench: Bench, days: list[Row]) -> None:
    plan = plan_windows(FIRST, AS_OF, HORIZONS, origins=3)
    bench.given("customer_days", days)
    for absent in ("purchase_day_details", "customer_attributes", "customer_events"):
        bench.given(absent, [])
    bench.given("forecast_windows", plan.to_dicts())
    for table in ("cohort_days", "customer_features", "customer_windows", "customer_outcomes"):
        bench.run(table)


def smallest_md5(names: pl.Series, most: int) -> list[str]:
    return sorted(names, key=lambda name: hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())[:most]


def test_a_customers_frame_has_the_agreed_columns_and_numbers(session: Session) -> None:
    frame = model_inputs.customers(session, AS_OF)
    assert set(frame.columns) == CUSTOMER_COLUMNS.keys()
    assert frame["customer_id"].is_sorted()
    assert frame["customer_id"].n_unique() == frame.height == 30
    assert not any(dtype.is_decimal() for dtype in frame.dtypes)


def test_past_windows_stand_beside_a_customer_where_they_are_asked_for(session: Session) -> None:
    frame = model_inputs.customers(session, AS_OF, horizons=HORIZONS)
    assert set(frame.columns) == CUSTOMER_COLUMNS.keys() | {c for h in HORIZONS for c in window_columns(h)}
    assert frame.select(*CUSTOMER_COLUMNS).equals(model_inputs.customers(session, AS_OF).select(*CUSTOMER_COLUMNS))
    assert not any(dtype.is_decimal() for dtype in frame.dtypes)
    assert (frame["spend_90_days"] == frame["spend_last_window:90"]).all()
    assert (frame["purchases_90_days"] == frame["purchases_last_window:90"]).all()
    assert (frame["purchases_90_days_year_ago"] == frame["purchases_same_window_last_year:90"]).all()


def test_a_window_that_is_not_planned_from_a_cutoff_is_unknown_and_nobody_is_lost(session: Session) -> None:
    frame = model_inputs.customers(session, CUTOFF, horizons=[60, 365])
    assert frame.height == 30
    assert frame["purchases_last_window:60"].null_count() == 0
    assert frame["purchases_last_window:365"].null_count() == 30


def test_serving_reads_the_frames_that_models_are_fitted_and_tried_on(session: Session) -> None:
    columns = OptionalColumns.known(session, AS_OF)
    for horizons in ([], HORIZONS):
        query, parameters = model_inputs.customers_query(AS_OF, columns, horizons)
        served = columns.named(session.read(query, parameters)).sort("customer_id")
        assert served.equals(model_inputs.customers(session, AS_OF, horizons=horizons))
    current = model_inputs.training_data(session, AS_OF).current_customers
    assert current.equals(model_inputs.customers(session, AS_OF))


def test_customers_that_were_read_already_are_those_whose_totals_are_learned(session: Session) -> None:
    tried = model_inputs.customers(session, CUTOFF, horizons=HORIZONS, most=model_inputs.CURRENT_SAMPLE)
    training = model_inputs.training_data(session, CUTOFF, tried)
    assert training.current_customers is tried
    read = model_inputs.training_data(session, CUTOFF)
    assert tried.select(read.current_customers.columns).equals(read.current_customers)
    assert training.completed_windows.equals(read.completed_windows)


def test_a_customer_of_an_earlier_cutoff_has_one_row_with_what_came_of_the_pieces_that_are_over(
    session: Session,
) -> None:
    windows = model_inputs.training_data(session, CUTOFF).completed_windows
    assert set(windows.columns) == CUSTOMER_COLUMNS.keys() | PIECE_OUTCOMES.keys()
    assert not windows.select("customer_id", "cutoff").is_duplicated().any()
    assert windows["cutoff"].max() == CUTOFF - timedelta(days=30)
    for piece in PIECES_DAYS:
        over = windows.filter(pl.col("cutoff") + pl.duration(days=piece) <= CUTOFF)
        assert over.height > 0
        for outcome in ("purchases", "spend"):
            assert windows.filter(pl.col(f"actual_{outcome}_{piece}").is_not_null()).equals(over)
    bought = pl.DataFrame(shop()).filter(customer_id="c7")["purchase_day"]
    for cutoff, purchases in windows.filter(customer_id="c7").select("cutoff", "actual_purchases_90").iter_rows():
        if purchases is not None:
            assert purchases == bought.is_between(cutoff, cutoff + timedelta(days=90), closed="right").sum()


def test_the_latest_of_the_planned_cutoffs_are_learned_from(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = session.read(
        "select cutoff from forecast_windows where horizon_days = 30 and outcome_ends <= ? order by cutoff", [CUTOFF]
    )["cutoff"]
    assert planned.len() > model_inputs.WINDOW_CUTOFFS
    windows = model_inputs.training_data(session, CUTOFF).completed_windows
    assert windows["cutoff"].unique().sort().equals(planned[-model_inputs.WINDOW_CUTOFFS :])
    monkeypatch.setattr(model_inputs, "WINDOW_CUTOFFS", 2)
    assert model_inputs.training_data(session, CUTOFF).completed_windows["cutoff"].n_unique() == 2


def test_rows_to_learn_from_are_bounded_and_spread_evenly_over_the_cutoffs(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = model_inputs.training_data(session, AS_OF).completed_windows
    monkeypatch.setattr(model_inputs, "WINDOW_ROWS", 70)
    bounded = model_inputs.training_data(session, AS_OF).completed_windows
    assert bounded.height == 70
    for (cutoff,), kept in bounded.group_by("cutoff"):
        of_cutoff = everything.filter(cutoff=cutoff)
        # 13 cutoffs: five rows each, and one more of some.
        assert kept.height in (5, 6)
        drawn = smallest_md5(of_cutoff["customer_id"], kept.height)
        assert kept.equals(of_cutoff.filter(pl.col("customer_id").is_in(drawn)))


def test_what_few_customers_leave_free_goes_to_other_cutoffs(other: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    latest = AS_OF - timedelta(days=30)
    other.execute("delete from customer_features where cutoff = ? and customer_id <> 'c1'", [latest])
    monkeypatch.setattr(model_inputs, "WINDOW_CUTOFFS", 2)
    monkeypatch.setattr(model_inputs, "WINDOW_ROWS", 21)
    windows = model_inputs.training_data(other, AS_OF).completed_windows
    assert windows["cutoff"].value_counts(sort=True)["count"].to_list() == [20, 1]


def test_only_customers_in_the_sample_are_learned_from(other: Session) -> None:
    other.execute("update customer_features set in_sample = customer_id < 'c2'")
    learned = model_inputs.training_data(other, AS_OF).completed_windows["customer_id"].unique()
    assert sorted(learned) == sorted(name for name in (f"c{i}" for i in range(30)) if name < "c2")
    assert model_inputs.customers(other, AS_OF).height == 30


def test_a_young_shop_has_no_windows_to_learn_from_but_all_columns(session: Session) -> None:
    windows = model_inputs.training_data(session, FIRST + timedelta(days=40)).completed_windows
    assert windows.is_empty()
    assert set(windows.columns) == CUSTOMER_COLUMNS.keys() | PIECE_OUTCOMES.keys()


def test_daily_totals_add_up_what_all_customers_did_up_to_the_cutoff(session: Session) -> None:
    totals = model_inputs.training_data(session, CUTOFF).daily_totals
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


def test_cohort_days_are_all_repeats_up_to_the_cutoff(session: Session) -> None:
    training = model_inputs.training_data(session, CUTOFF)
    assert training.cohort_days.columns == list(COHORT_COLUMNS)
    assert (training.cohort_days["day"] <= CUTOFF).all()
    frequencies = training.customer_counts["frequency"] * training.customer_counts["customers"]
    assert training.cohort_days["repeats"].sum() == frequencies.sum()


def test_nothing_after_a_cutoff_changes_what_is_learned_or_asked_as_of_it(session: Session) -> None:
    def known(session: Session) -> list[pl.DataFrame]:
        training = model_inputs.training_data(session, CUTOFF)
        return [
            training.customer_counts,
            training.repeat_spend,
            training.completed_windows,
            training.daily_totals,
            training.cohort_days,
            training.current_customers,
            model_inputs.customers(session, CUTOFF, horizons=[60]),
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


def test_of_many_customers_those_with_the_smallest_md5_are_described_and_held_against_what_came(
    session: Session,
) -> None:
    everybody = model_inputs.customers(session, CUTOFF, horizons=[60])
    some = model_inputs.customers(session, CUTOFF, horizons=[60], most=7)
    drawn = smallest_md5(everybody["customer_id"], 7)
    assert some["customer_id"].to_list() == sorted(drawn)
    assert some.equals(everybody.filter(pl.col("customer_id").is_in(drawn)))
    came = model_inputs.outcomes(session, CUTOFF, 60, most=7)
    assert came["customer_id"].to_list() == sorted(drawn)
    assert came.equals(model_inputs.outcomes(session, CUTOFF, 60).filter(pl.col("customer_id").is_in(drawn)))


def test_what_demographics_say_of_a_customer_stands_in_every_frame(other: Session) -> None:
    age = {"customer_id": "c1", "attribute_name": "age", "kind": "number", "number": 41}
    Bench(other).given("customer_attributes", [age])
    training = model_inputs.training_data(other, CUTOFF)
    windows = model_inputs.customers(other, CUTOFF, horizons=[60], most=30)
    for frame in (training.completed_windows, training.current_customers, windows):
        known = frame.filter(pl.col("attribute:age").is_not_null())
        assert set(known["customer_id"]) == {"c1"}
        assert (known["attribute:age"] == 41).all()
