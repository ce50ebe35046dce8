import polars as pl
import pytest

from clv_pipeline.forecasting.hiatus import HiatusRule
from clv_pipeline_tests.forecasting.examples import completed_windows, simulated

WINDOWS = completed_windows(cutoffs=2, customers=300)


def returning(*, within: int, active: int, inactive: int) -> pl.DataFrame:
    """WINDOWS in which 1 of `active` returns of those idle for up to `within` days, 1 of `inactive` of the others."""
    one_in = pl.when(pl.col("days_since_last") <= within).then(active).otherwise(inactive)
    return WINDOWS.with_columns(actual_purchases=(pl.int_range(pl.len()) % one_in == 0).cast(pl.Int64))


def test_the_cut_that_separates_is_found_with_the_shares_on_either_side() -> None:
    rows = returning(within=45, active=2, inactive=10)
    rule = HiatusRule().learn(rows)
    assert 35 <= rule.days <= 45
    assert rule.p_active == pytest.approx(0.5, abs=0.1)
    assert rule.p_inactive == pytest.approx(0.1, abs=0.05)


def test_a_cut_is_found_where_most_never_return() -> None:
    # The share classified rightly would be highest for "everybody is inactive".
    rule = HiatusRule().learn(returning(within=60, active=4, inactive=1000))
    assert 45 <= rule.days <= 60
    assert rule.p_active > 10 * rule.p_inactive > 0.0


def test_who_has_been_idle_for_exactly_c_days_is_active() -> None:
    rule = HiatusRule().learn(returning(within=45, active=2, inactive=10))
    days = [int(rule.days), int(rule.days) + 1]
    asked = simulated(2).with_columns(days_since_last=pl.Series(days))
    predicted = rule.predict(asked).p_purchase
    assert predicted is not None
    assert predicted.tolist() == [rule.p_active, rule.p_inactive]


def test_shares_never_are_0_or_1() -> None:
    rule = HiatusRule().learn(WINDOWS.with_columns(actual_purchases=pl.lit(0)))
    assert 0.0 < rule.p_inactive < 0.01
    assert rule.obstacle == "Nobody bought in the training windows."
