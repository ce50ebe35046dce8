"""New customers by month: which method forecasts them, and what is said where history is too short."""

from __future__ import annotations

import numpy as np
import pytest

from clv_pipeline.forecasting.acquisition import (
    METHODS,
    MOST_ORIGINS,
    SETTLING_MONTHS,
    expect_new_customers,
    settled,
)
from clv_pipeline.forecasting.frames import Floats

CODES = {"chosen_by_backtest", "yardstick_stands", "too_short_for_choice", "too_short", "none_new"}


def seasonal(months: int, level: float = 200.0, size: float = 0.8, noise: float = 0.0, growth: float = 0.0) -> Floats:
    """New customers of a shop with a season; the first month is January."""
    month = np.arange(months)
    shocks = noise * np.random.default_rng(7).standard_normal(months)
    logs = size * np.sin(2.0 * np.pi * month / 12.0) + growth * month + shocks
    return np.asarray(np.round(level * np.exp(logs)), dtype=np.float64)


def test_where_nobody_was_new_for_a_year_nobody_new_is_expected() -> None:
    found = expect_new_customers(np.array([7_800.0, 8_500.0, 7_200.0, *[0.0] * 12]), 6)
    assert (found.method, found.code) == ("none_new", "none_new")
    assert not found.expected.any()


def test_a_steady_shop_goes_on_as_it_was() -> None:
    found = expect_new_customers(np.random.default_rng(1).poisson(100.0, 40).astype(np.float64), 12)
    assert found.method == "ets_level"
    assert found.code == "chosen_by_backtest"
    assert found.expected == pytest.approx(100.0, rel=0.1)
    assert found.facts["ratios"]["ets_level"] < 0.9


def test_a_season_of_three_years_is_forecast_with_its_season() -> None:
    found = expect_new_customers(seasonal(36, noise=0.15), 12)
    assert found.method == "ets_season"
    assert np.abs(np.log(found.expected / seasonal(48)[36:])).mean() < 0.15


def test_a_shop_that_grows_with_a_season_is_forecast_at_its_new_level() -> None:
    truth = seasonal(36, growth=0.03)
    found = expect_new_customers(truth[:24], 12)
    assert found.method == "scaled_last_year"
    assert np.abs(np.log(found.expected / truth[24:])).mean() < 0.05


def test_what_only_equals_last_year_does_not_replace_it() -> None:
    found = expect_new_customers(np.tile(seasonal(12), 3), 12)
    assert (found.method, found.code) == ("seasonal_naive", "yardstick_stands")
    assert found.expected.tolist() == seasonal(12).tolist()


@pytest.mark.parametrize(
    ("months", "method", "code"),
    [
        (0, "recent_mean", "too_short"),
        (1, "recent_mean", "too_short"),
        (9, "recent_mean", "too_short"),
        (10, "ets_level", "too_short_for_choice"),
        (15, "ets_level", "too_short_for_choice"),
    ],
)
def test_a_history_too_short_for_a_season_or_a_choice_says_so(months: int, method: str, code: str) -> None:
    found = expect_new_customers(seasonal(months), 12)
    assert (found.method, found.code) == (method, code)
    assert found.facts["months"] == months
    assert "season" not in METHODS["recent_mean"]


def test_without_any_whole_month_nobody_is_expected() -> None:
    assert expect_new_customers(np.zeros(0), 3).expected.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("counts", [np.full(30, 5.0), np.array([0.0, 1e9] * 15), np.arange(30.0), np.eye(30)[29]])
def test_whatever_came_the_forecast_is_finite_and_not_negative(counts: Floats) -> None:
    found = expect_new_customers(counts, 13)
    assert found.expected.shape == (13,)
    assert np.isfinite(found.expected).all()
    assert (found.expected >= 0.0).all()
    assert found.method in METHODS
    assert found.code in CODES
    assert found.facts["origins"] <= MOST_ORIGINS


def test_the_first_months_of_history_are_left_out_where_others_remain() -> None:
    assert settled(np.arange(6.0)).tolist() == [3.0, 4.0, 5.0]
    assert len(settled(np.arange(5.0))) == 5
    assert SETTLING_MONTHS == 3


def test_a_method_is_chosen_from_what_was_known_alone() -> None:
    counts = seasonal(40, noise=0.2)
    assert expect_new_customers(counts[:30], 6).facts == expect_new_customers(counts[:30].copy(), 6).facts
    before = expect_new_customers(counts[:30], 6).expected.tolist()
    counts[30:] = 0.0
    assert expect_new_customers(counts[:30], 6).expected.tolist() == before
