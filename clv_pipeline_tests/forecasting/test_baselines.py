"""The yardsticks: what customers did goes on; each says what it cannot say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given

from clv_pipeline.forecasting.baselines import BASELINES, FittedBaseline, Hiatus, HiatusRule
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.look_ahead import present_values
from clv_pipeline.forecasting.protocol import PIECES_DAYS, window_columns
from clv_pipeline.forecasting.registry import MODELS
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, customers_frame, shop, training_data

HORIZONS = [30, 90, 180]
CUSTOMERS = customers_frame([0, 4, 1], [0, 350, 10], [0, 400, 500], [0.0, 30.0, 8.0], horizons=HORIZONS)
WINDOWS = shop(1_500, seed=2).completed_windows(CUTOFF)


def fitted(name: str, customers: pl.DataFrame = CUSTOMERS, windows: pl.DataFrame | None = None) -> FittedBaseline:
    fit = MODELS[name]().fit(Ground(training_data(customers, windows)))
    assert isinstance(fit, FittedBaseline)
    return fit


def said(fit: FittedBaseline, what: str, customers: pl.DataFrame = CUSTOMERS, days: Sequence[int] = (90,)) -> Floats:
    values: Floats | None = getattr(fit.forecast(customers, days), what)
    assert values is not None
    return values


def present_value(days: float, rate: float) -> float:
    return float(present_values(np.array([days]), rate)[0])


def test_own_rate_continues_the_repeat_rate_at_mean_spend() -> None:
    fit = fitted("own_rate")
    assert said(fit, "purchases")[:, 0] == pytest.approx([0.0, 4 / 400 * 90, 1 / 500 * 90])
    mean_spend = (4 * 30.0 + 20.0) / 5
    assert said(fit, "spend")[1, 0] == pytest.approx(4 / 400 * 90 * mean_spend)
    assert said(fit, "p_purchase")[1, 0] == pytest.approx(1.0 - np.exp(-4 / 400 * 90))


def test_own_rate_of_a_customer_of_the_cutoff_day_is_zero_not_infinite() -> None:
    assert said(fitted("own_rate"), "purchases")[0, 0] == said(fitted("own_rate"), "spend")[0, 0] == 0.0


@pytest.mark.parametrize("name", ["last_window", "same_window_last_year"])
@pytest.mark.parametrize("days", HORIZONS)
def test_past_windows_are_repeated(name: str, days: int) -> None:
    paths = fitted(name).forecast(CUSTOMERS, [days], 0.1)
    assert paths.purchases is not None
    assert paths.spend is not None
    assert paths.purchases[:, 0].tolist() == CUSTOMERS[f"purchases_{name}:{days}"].to_list()
    assert paths.spend[:, 0].tolist() == CUSTOMERS[f"spend_{name}:{days}"].to_list()
    assert paths.discounted_spend is not None
    assert paths.discounted_spend == pytest.approx(paths.spend * present_value(days, 0.1))


def test_money_of_a_longer_horizon_is_discounted_from_the_shorter_one_on() -> None:
    paths = fitted("last_window").forecast(CUSTOMERS, [180, 30], 0.1)
    paths.require_coherence()
    assert paths.spend is not None
    assert paths.discounted_spend is not None
    first = paths.spend[:, 1] * present_value(30, 0.1)
    then = (paths.spend[:, 0] - paths.spend[:, 1]) * present_values(np.array([30.0, 180.0]), 0.1)[1]
    np.testing.assert_allclose(paths.discounted_spend[:, 0], first + then, rtol=1e-12)


def test_netted_returns_do_not_make_a_negative_forecast() -> None:
    returned = CUSTOMERS.with_columns(pl.lit(-12.0).alias("spend_last_window:90"))
    assert said(fitted("last_window", returned), "spend", returned)[:, 0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "tenure_days", "horizon_days", "able"),
    [
        ("last_window", 89, 90, True),
        ("last_window", 88, 90, False),
        ("same_window_last_year", 364, 90, True),
        ("same_window_last_year", 363, 90, False),
        ("same_window_last_year", 2000, 365, True),
        ("same_window_last_year", 2000, 366, False),
        ("own_rate", 0, 365, True),
        ("hiatus", 2000, 90, False),
    ],
)
def test_a_rule_says_when_history_is_too_short(name: str, tenure_days: int, horizon_days: int, able: bool) -> None:
    customers = customers_frame([0], [0], [tenure_days], [0.0], horizons=[horizon_days])
    fit = fitted(name, customers)
    assert fit.can_forecast(horizon_days) is able
    if able:
        fit.forecast(customers, [horizon_days])
    else:
        with pytest.raises(ValueError, match=f"{name}: Cannot forecast"):
            fit.forecast(customers, [horizon_days])


def test_a_rule_that_can_say_nothing_has_no_training_data_and_says_why() -> None:
    report = fitted("same_window_last_year", customers_frame([0], [0], [100], [0.0])).report
    assert report.verdict == "no_training_data"
    assert "Cannot forecast without a year of history" in report.notes
    some = fitted("last_window", customers_frame([0], [0], [100], [0.0])).report
    assert some.verdict == "ok"
    assert "Cannot forecast more days than history has." in some.notes


def test_a_rule_needs_the_windows_that_it_repeats() -> None:
    with pytest.raises(ValueError, match="customers lacks the columns purchases_last_window:45"):
        fitted("last_window").forecast(CUSTOMERS, [45])
    assert list(window_columns(45)) == [
        "purchases_last_window:45",
        "spend_last_window:45",
        "purchases_same_window_last_year:45",
        "spend_same_window_last_year:45",
    ]


def test_no_rule_says_who_is_still_a_customer_or_what_comes_next() -> None:
    customers = shop(400).customers(CUTOFF, HORIZONS)
    for name in MODELS:
        if MODELS[name].is_baseline:
            paths = fitted(name, customers, WINDOWS).forecast(customers, HORIZONS, 0.1, with_outlook=True)
            paths.require_coherence()
            assert paths.p_alive is None
            assert paths.outlook().drop("customer_id").null_count().row(0) == (400, 400, 400, 400)


def hiatus_of(windows: pl.DataFrame) -> Hiatus:
    rule = HiatusRule().rule(training_data(CUSTOMERS, windows))
    assert isinstance(rule, Hiatus)
    return rule


def with_outcomes(came: pl.Expr) -> pl.DataFrame:
    """WINDOWS in which this many purchases came within every piece that was over."""
    names = [f"actual_purchases_{days}" for days in PIECES_DAYS]
    return WINDOWS.with_columns(pl.when(pl.col(name).is_not_null()).then(came).alias(name) for name in names)


def returning(*, within: int, active: int, inactive: int) -> pl.DataFrame:
    """Windows in which 1 of `active` returns of those idle for up to `within` days, 1 of `inactive` of the others."""
    one_in = pl.when(pl.col("days_since_last") <= within).then(active).otherwise(inactive)
    return with_outcomes((pl.int_range(pl.len()) % one_in == 0).cast(pl.Int64))


def test_the_cut_that_separates_is_found_with_the_shares_on_either_side() -> None:
    rule = hiatus_of(returning(within=45, active=2, inactive=10))
    assert 35 <= rule.days <= 45
    active, inactive = rule.sides[30]["p_purchase"]
    assert active == pytest.approx(0.5, abs=0.1)
    assert inactive == pytest.approx(0.1, abs=0.05)


def test_a_cut_is_found_where_most_never_return() -> None:
    # The share classified rightly would be highest for "everybody is inactive".
    rule = hiatus_of(returning(within=60, active=4, inactive=1000))
    assert 45 <= rule.days <= 60
    active, inactive = rule.sides[30]["p_purchase"]
    assert active > 10 * inactive > 0.0


def test_who_has_been_idle_for_exactly_c_days_is_active() -> None:
    rule = hiatus_of(returning(within=45, active=2, inactive=10))
    days = [int(rule.days), int(rule.days) + 1]
    asked = CUSTOMERS.head(2).with_columns(days_since_last=pl.Series(days))
    assert rule.p_purchase(asked, 30).tolist() == pytest.approx(rule.sides[30]["p_purchase"])


def test_between_the_pieces_of_windows_means_are_interpolated() -> None:
    rule = hiatus_of(WINDOWS)
    assert rule.days > 0.0
    asked = CUSTOMERS.head(1).with_columns(days_since_last=pl.lit(0))
    month, quarter, between = (rule.purchases(asked, days)[0] for days in (30, 90, 60))
    assert between == pytest.approx(0.5 * (month + quarter))
    assert rule.purchases(asked, 15)[0] == pytest.approx(0.5 * month)
    assert rule.obstacle(365) is None
    assert rule.obstacle(366) == "Cannot forecast longer than windows that are over."


def test_shares_never_are_0_or_1() -> None:
    for value in (0, 1):
        for share in hiatus_of(with_outcomes(pl.lit(value))).sides[30]["p_purchase"]:
            assert 0.0 <= share <= 1.0
            assert abs(share - value) < 0.01


RULES = [fitted(rule.name, windows=WINDOWS) for rule in BASELINES]


@given(any_customers())
def test_rules_are_finite_for_any_customers(customers: pl.DataFrame) -> None:
    asked = customers.with_columns(
        pl.col("frequency").alias(name) if name.startswith("purchases") else pl.col("revenue").alias(name)
        for name in window_columns(90)
    )
    for rule in RULES:
        paths = rule.forecast(asked, [90], 0.1)
        paths.require_coherence()
        assert paths.frame().height == customers.height
