"""What a process says ahead: its own formulas on the clock, and money at its present value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.buy_till_you_die import ProcessFit
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.look_ahead import NODES_DAYS, Ahead, distinct, look_ahead, present_values
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.season import SEASON_VARIANCES, Clock, ordinal
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, HISTORY_DAYS, any_customers, customers_frame, shop

NOW = ordinal(CUTOFF)
EVEN = np.ones(7)
NO_SEASON = np.zeros(len(SEASON_VARIANCES))
CALENDAR = Clock.of(NOW - 20_000, NOW, NO_SEASON, EVEN)
PARETO = ProcessFit(ParetoNbd(), {"r": 0.55, "alpha": 10.6, "s": 0.6, "beta": 11.7}, {}, 0.0, "ok", "")
BG = ProcessFit(BgNbd(), {"r": 0.24, "alpha": 4.4, "a": 0.8, "b": 2.4}, {}, 0.0, "ok", "")
CUSTOMERS = shop(300).customers(CUTOFF)
every_process = pytest.mark.parametrize("fit", [PARETO, BG], ids=["pareto_nbd", "bg_nbd"])


def ahead(
    fit: ProcessFit,
    customers: pl.DataFrame,
    days: Sequence[int],
    rate: float = 0.0,
    clock: Clock = CALENDAR,
    reactivation: float = 0.0,
) -> Ahead:
    return look_ahead(fit, clock, customers, NOW, days, rate).reactivated(reactivation)


@every_process
def test_on_the_calendar_it_is_what_the_process_says(fit: ProcessFit) -> None:
    x, t_x, T = (floats(CUSTOMERS, name) for name in ("frequency", "recency_days", "tenure_days"))
    expected, at_least_one = fit.path_if_alive(x, t_x, T, np.array([30.0, 365.0]))
    found = ahead(fit, CUSTOMERS, [30, 365])
    np.testing.assert_allclose(found.alive, fit.alive(x, t_x, T), rtol=1e-9)
    np.testing.assert_allclose(found.purchases, found.alive[:, None] * expected, rtol=1e-9)
    np.testing.assert_allclose(1.0 - np.exp(-found.hazard), at_least_one, rtol=1e-9)
    assert found.clock == pytest.approx([30.0, 365.0])


@every_process
def test_customers_who_are_alike_to_the_process_are_told_alike_and_each_alone_the_same(fit: ProcessFit) -> None:
    twice = pl.concat([CUSTOMERS, CUSTOMERS.reverse()])
    found = ahead(fit, twice, [90, 365], 0.1)
    for said in (found.alive, found.purchases, found.discounted, found.hazard):
        assert np.array_equal(said[:300], said[300:][::-1])
    alone = ahead(fit, CUSTOMERS.slice(17, 1), [90, 365], 0.1)
    assert np.array_equal(alone.purchases[0], found.purchases[17])
    assert np.array_equal(alone.discounted[0], found.discounted[17])


def test_some_of_those_who_were_given_up_are_still_there() -> None:
    plain, back = ahead(PARETO, CUSTOMERS, [90]), ahead(PARETO, CUSTOMERS, [90], reactivation=0.1)
    np.testing.assert_allclose(back.alive, plain.alive + 0.1 * (1.0 - plain.alive), rtol=1e-12)
    np.testing.assert_allclose(back.purchases[:, 0] / back.alive, plain.purchases[:, 0] / plain.alive, rtol=1e-9)


def test_a_season_ahead_brings_more_to_all() -> None:
    season = NO_SEASON.copy()
    season[-12 + CUTOFF.month] = 0.5  # the month after the cutoff
    clock = Clock.of(NOW - HISTORY_DAYS, NOW, season, EVEN)
    plain, busy = (ahead(PARETO, CUSTOMERS, [31, 365], clock=each) for each in (CALENDAR, clock))
    assert busy.clock[0] == pytest.approx(31.0 * np.exp(0.5) / (1.0 + 31.0 / 365.25 * (np.exp(0.5) - 1.0)), rel=0.01)
    assert (busy.purchases[:, 0] > 1.2 * plain.purchases[:, 0]).all()
    # A year ahead is a year, whatever its months are like.
    assert busy.purchases[:, 1].sum() == pytest.approx(plain.purchases[:, 1].sum(), rel=0.05)


@every_process
def test_discounting_weighs_each_part_of_the_expected_purchases(fit: ProcessFit) -> None:
    daily = ahead(fit, CUSTOMERS, list(range(1, 366))).purchases
    steps = np.diff(daily, axis=1, prepend=0.0)
    present = 1.1 ** (-(np.arange(365) + 0.5) / 365.25)
    found = ahead(fit, CUSTOMERS, [30, 90, 365], 0.1)
    for place, day in enumerate((30, 90, 365)):
        np.testing.assert_allclose(found.discounted[:, place], steps[:, :day] @ present[:day], rtol=2e-4)
    undiscounted = ahead(fit, CUSTOMERS, [30, 90, 365])
    np.testing.assert_allclose(undiscounted.discounted, undiscounted.purchases, rtol=1e-12)


@given(any_customers(), st.lists(st.integers(1, 3_650), min_size=1, max_size=5, unique=True), st.integers(0, 4))
def test_a_day_says_the_same_whichever_others_are_asked_for(
    customers: pl.DataFrame, days: list[int], which: int
) -> None:
    days.sort()
    place = which % len(days)
    together, alone = ahead(PARETO, customers, days, 0.1), ahead(PARETO, customers, days[place : place + 1], 0.1)
    for name in ("purchases", "discounted", "hazard"):
        np.testing.assert_allclose(getattr(alone, name)[:, 0], getattr(together, name)[:, place], rtol=1e-12)
    assert alone.discounted_days[0] == pytest.approx(together.discounted_days[place], rel=1e-12)


@given(any_customers(), st.lists(st.integers(1, 36_525), min_size=2, max_size=6, unique=True), st.floats(0.0, 1.0))
def test_what_is_said_only_grows_with_time_and_money_later_is_worth_less(
    customers: pl.DataFrame, days: list[int], rate: float
) -> None:
    found = ahead(PARETO, customers, sorted(days), rate)
    for said in (found.purchases, found.discounted, found.hazard):
        assert np.isfinite(said).all()
        # 1e-7: where thousands were bought within a day, the quadrature keeps about 7 digits.
        assert (np.diff(said, axis=1, prepend=0.0) >= -1e-7 * (1.0 + said)).all()
    assert (found.discounted <= found.purchases * (1.0 + 1e-9)).all()
    assert (found.discounted_days <= np.sort(days) * (1.0 + 1e-9)).all()


def present_value(days: float, rate: float) -> float:
    """Present value of one unit of money a day, flowing evenly until a day."""
    if rate == 0.0:
        return days
    force = np.log1p(rate) / 365.25
    return float(-np.expm1(-force * days) / force)


@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.1, 2.0])
def test_present_values_are_means_over_their_stretches(rate: float) -> None:
    ends: Floats = np.array(NODES_DAYS, dtype=np.float64)
    summed = np.cumsum(present_values(ends, rate) * np.diff(ends, prepend=0.0))
    assert summed == pytest.approx([present_value(day, rate) for day in ends], rel=1e-6)
    by_day = ahead(PARETO, customers_frame([1], [5], [9], [1.0]), [30, 365, 3_652], rate).discounted_days
    assert by_day == pytest.approx([present_value(day, rate) for day in (30, 365, 3_652)], rel=1e-6)


def test_distinct_rows_are_found_and_every_row_knows_its_own() -> None:
    left, right = pl.Series([2, 1, 2, 2, 0]), pl.Series([5, 5, 5, 7, 12])
    first, row = distinct(left, right)
    assert len(first) == 4
    assert left.gather(first).gather(row).equals(left)
    assert right.gather(first).gather(row).equals(right)
    none = pl.Series(dtype=pl.Int64)
    assert [len(part) for part in distinct(none, none)] == [0, 0]
