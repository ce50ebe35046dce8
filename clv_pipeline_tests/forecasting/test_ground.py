"""What families share as of a cutoff: learned once, on the shop's clock."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.families import ParetoNbdPath
from clv_pipeline.forecasting.ground import Ground, clocked, one_thread
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.season import ordinal
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, HISTORY_DAYS, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

GROUND = Ground(shop(400, season=0.6).training(CUTOFF, most_windows=0))


def closed_on_sundays() -> Ground:
    """The same shop, whose customers come the day before instead."""
    sunday = pl.col("day").dt.weekday() == 7
    days = shop(400).days.with_columns(day=pl.when(sunday).then(pl.col("day").dt.offset_by("-1d")).otherwise("day"))
    return Ground(PurchaseDays.of(days).training(CUTOFF, most_windows=0))


def test_what_is_shared_is_learned_once() -> None:
    learned: list[str] = []
    for _ in range(2):
        assert GROUND.once("mine", lambda: learned.append("mine") or 7) == 7  # type: ignore[func-returns-value]
    assert learned == ["mine"]
    assert GROUND.process(ParetoNbd()) is GROUND.process(ParetoNbd())
    assert GROUND.cohorts is GROUND.cohorts


def test_the_clock_begins_with_history_and_runs_fast_in_season() -> None:
    clock = GROUND.clock
    first = ordinal(CUTOFF) - GROUND.training.history_days + 1
    assert clock.at(first - 1) == 0.0
    assert GROUND.training.history_days <= HISTORY_DAYS + 1
    november, may = (
        float(clock.at(ordinal(CUTOFF) + end) - clock.at(ordinal(CUTOFF) + end - 30)) for end in (160, 340)
    )
    assert november > 2.0 * may


def test_histories_on_the_clock_are_those_on_the_calendar_but_for_their_times() -> None:
    counts, on_clock = GROUND.training.customer_counts, GROUND.clocked_counts
    assert on_clock.select("frequency", "customers").equals(counts.select("frequency", "customers"))
    assert (on_clock["recency_days"] <= on_clock["tenure_days"] + 1e-9).all()
    assert ((on_clock["recency_days"] > 0.0) == (counts["recency_days"] > 0)).all()
    assert on_clock["tenure_days"].max() == pytest.approx(HISTORY_DAYS, rel=0.1)


def test_a_customer_of_the_cutoff_day_has_been_watched_for_no_time() -> None:
    now = pl.DataFrame({"frequency": [0], "recency_days": [0], "tenure_days": [0]})
    assert [times.tolist() for times in clocked(GROUND.clock, now, GROUND.cutoff)] == [[0.0]] * 3


def test_totals_are_those_of_the_cohorts() -> None:
    assert GROUND.totals([30, 90]).tolist() == [GROUND.cohorts.purchases(days) for days in (30, 90)]


def test_nobody_is_expected_on_a_day_on_which_the_shop_is_closed() -> None:
    ground = closed_on_sundays()
    customers = ground.training.current_customers
    days = list(range(1, 15))
    path = ParetoNbdPath().fit(ground).forecast(customers, days).purchases
    assert path is not None
    each = np.diff(path.sum(axis=0), prepend=0.0)
    is_sunday = np.array([(CUTOFF + timedelta(days=day)).weekday() == 6 for day in days])
    assert each[is_sunday].max() < 0.25 * each[~is_sunday].min()


def test_libraries_are_kept_to_one_thread() -> None:
    from threadpoolctl import threadpool_info

    with one_thread():
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
