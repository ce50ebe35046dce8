"""Forecast against outcome in bins, and that the bins add up to what was served."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.scatter import BINS_SCHEMA, binned
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.no_money import without_money
from clv_pipeline_tests.helpers.served_forecasts import CUSTOMERS, CUTOFFS, HORIZONS, served, shop
from clv_pipeline_tests.helpers.sql_bench import Bench

DAY = date(2024, 1, 31)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    session = Session(duckdb.connect())
    yield Bench(session)
    session.close()


def test_customers_are_counted_by_forecast_and_outcome() -> None:
    forecast = np.array([0.0, 0.004, 0.01, 0.02, 10.0, 12.0, 19.99, 20.0])
    actual = np.array([0.0, 0.0, 0.0, 50.0, 1.0, 1.99, 2.0, 0.0])
    found = binned(DAY, 90, "spend", forecast, actual)
    assert found.schema == BINS_SCHEMA
    ends = found.select("forecast_lower", "forecast_upper", "actual_lower", "actual_upper", "customers").rows()
    assert ends == [
        (0.0, 0.01, 0.0, 0.01, 2),
        (0.01, 0.02, 0.0, 0.01, 1),
        (0.02, 0.05, 50.0, 100.0, 1),
        (10.0, 20.0, 1.0, 2.0, 2),
        (10.0, 20.0, 2.0, 5.0, 1),
        (20.0, 50.0, 0.0, 0.01, 1),
    ]
    assert found["forecast"].to_list() == pytest.approx([0.004, 0.01, 0.02, 22.0, 19.99, 20.0])
    assert found["actual"].to_list() == pytest.approx([0.0, 0.0, 50.0, 2.99, 2.0, 0.0])


def test_nobody_is_in_no_bin() -> None:
    assert binned(DAY, 90, "spend", np.array([]), np.array([])).is_empty()


@pytest.mark.parametrize("target", ["spend", "purchases"])
def test_bins_of_all_dates_add_up_to_what_was_served(bench: Bench, target: str) -> None:
    frame = shop() if target == "spend" else without_money(shop())
    bench.given_parameters(has_money=target == "spend")
    found = served(frame)
    bench.given("served_accuracy", found.accuracy.to_dicts())
    bench.given("served_bins", found.bins.to_dicts())
    rows = pl.DataFrame(bench.run("forecast_scatter"))
    assert bench.failed_checks("served_bins") == bench.failed_checks("forecast_scatter") == []
    assert set(rows["target"]) == {target}
    sizes = rows.group_by("horizon_days").agg(pl.col("customers").sum())
    assert dict(sizes.iter_rows()) == dict.fromkeys(HORIZONS, CUSTOMERS * len(CUTOFFS))


def test_forecasts_that_are_lost_break_the_contract(bench: Bench) -> None:
    bench.given_parameters()
    found = served(shop(CUTOFFS[:1]))
    bench.given("served_accuracy", found.accuracy.to_dicts())
    bench.given("served_bins", found.bins.to_dicts()[1:])
    rows = bench.run("forecast_scatter")
    assert bench.failed_checks("forecast_scatter") == ["sums_are_those_of_served_accuracy"]
    bench.given("served_bins", found.bins.to_dicts())
    rows = bench.run("forecast_scatter")
    bench.given("forecast_scatter", [row | {"forecast_upper": row["forecast_lower"]} for row in rows])
    assert bench.failed_checks("forecast_scatter") == ["bins_hold_what_they_say"]


def test_without_a_past_date_there_is_nothing_to_draw(bench: Bench) -> None:
    bench.given("served_accuracy", [])
    bench.given("served_bins", [])
    assert bench.run("forecast_scatter") == []
    assert bench.failed_checks("forecast_scatter") == []
