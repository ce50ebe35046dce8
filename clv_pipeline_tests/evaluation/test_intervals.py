from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation.intervals import (
    MISS_LIMIT,
    SpendIntervals,
    TotalInterval,
    add_intervals,
    forecast_totals,
    interval_metrics,
    with_probability_of,
)
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA

FIRST = date(2024, 1, 1)


def shop(n: int, seed: int, quiet: float = 0.5, season: float = 1.0, cutoff: date = FIRST) -> pl.DataFrame:
    """Forecasts with outcomes: a share of customers who are quiet, heavy-tailed gamma spend of those who buy."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(n) < quiet, rng.beta(1.0, 12.0, n), rng.beta(3.0, 1.5, n))
    if_bought = rng.lognormal(3.0, 1.2, n)
    spent = season * if_bought * rng.gamma(2.0, 0.5, n) * (rng.random(n) < p)
    return pl.DataFrame(
        {
            "cutoff": cutoff,
            "horizon_days": 90,
            "model": "m",
            "customer_id": [f"c{i}" for i in range(n)],
            "expected_spend": p * if_bought,
            "p_purchase": p,
            "actual_spend": spent,
        }
    )


def learned(frame: pl.DataFrame, level: float = 0.8, customers: pl.DataFrame | None = None) -> SpendIntervals:
    """Intervals for customers like those of the past, or for others."""
    intervals = SpendIntervals.learn(frame, frame if customers is None else customers, level)
    assert intervals is not None
    return intervals


def covered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(covered=pl.col("actual_spend").is_between("spend_lower", "spend_upper"))


@pytest.mark.parametrize("quiet", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_cover_new_customers_as_often_as_they_say(quiet: float, level: float) -> None:
    fresh = covered(add_intervals(shop(20_000, 2, quiet), learned(shop(20_000, 1, quiet), level)))
    assert fresh["covered"].mean() == pytest.approx(level, abs=0.03)


def test_customers_who_have_become_quieter_are_still_covered_as_often_as_stated() -> None:
    lively, quieter = shop(20_000, 1, quiet=0.1), shop(20_000, 2, quiet=0.4)
    unaware = covered(add_intervals(quieter, learned(lively)))
    aware = covered(add_intervals(quieter, learned(lively, customers=quieter)))
    assert unaware["covered"].sum() > 0.84 * 20_000
    assert aware["covered"].mean() == pytest.approx(0.8, abs=0.02)


def test_where_nearly_nobody_buys_more_are_covered_and_buyers_are_not_given_up() -> None:
    intervals = learned(shop(20_000, 1, quiet=0.95))
    fresh = covered(add_intervals(shop(20_000, 2, quiet=0.95), intervals))
    assert fresh["covered"].sum() > 0.85 * 20_000
    assert intervals.nominal_level == pytest.approx(1.0 - MISS_LIMIT * 0.2)
    likely = fresh.filter(pl.col("p_purchase") > 0.4)
    assert (likely["spend_upper"] > 0.0).all()
    assert likely["covered"].sum() > 0.58 * likely.height


def test_the_quiet_get_nothing_to_nothing_and_the_sure_a_range_above_nothing() -> None:
    customers = pl.DataFrame({"expected_spend": [0.5, 20.0, 90.0], "p_purchase": [0.02, 0.6, 0.99]})
    rows = add_intervals(customers, learned(shop(20_000, 1))).select("spend_lower", "spend_upper").rows()
    assert rows[0] == (0.0, 0.0)
    assert rows[1] == (0.0, pytest.approx(22.0, rel=0.3))
    assert rows[2] == (pytest.approx(35.0, rel=0.4), pytest.approx(220.0, rel=0.3))


def test_intervals_cover_small_and_large_buyers_alike() -> None:
    frame = covered(add_intervals(shop(40_000, 2, quiet=0.0), learned(shop(40_000, 1, quiet=0.0))))
    tenth = (pl.col("expected_spend").rank() * 10 / 40_001).floor()
    by_size = frame.group_by(tenth).agg(pl.col("covered").mean())
    assert by_size["covered"].is_between(0.72, 0.88).all()


def test_a_larger_forecast_has_a_wider_interval() -> None:
    customers = pl.DataFrame({"expected_spend": [500.0, 5_000.0], "p_purchase": [0.9, 0.9]})
    added = add_intervals(customers, learned(shop(5_000, 1)))
    widths = added["spend_upper"] - added["spend_lower"]
    assert widths[1] == pytest.approx(10 * widths[0], rel=0.3)


def test_rows_and_their_order_do_not_matter_and_a_customer_is_judged_alone() -> None:
    past, fresh = shop(2_000, 1), shop(300, 2)
    together = add_intervals(fresh, learned(past))
    assert add_intervals(fresh.reverse(), learned(past)).reverse().equals(together)
    batches = [add_intervals(fresh.slice(first, 7), learned(past)) for first in range(0, 300, 7)]
    assert pl.concat(batches).equals(together)


def test_without_enough_buyers_there_is_no_interval() -> None:
    assert SpendIntervals.learn(shop(25, 1), shop(25, 1), 0.8) is None
    nothing_spent = shop(2_000, 1).with_columns(actual_spend=pl.lit(0.0))
    assert SpendIntervals.learn(nothing_spent, nothing_spent, 0.8) is None
    assert SpendIntervals.learn(shop(2_000, 1), shop(2_000, 1).clear(), 0.8) is None
    added = add_intervals(shop(3, 1), None)
    assert added.select("spend_lower", "spend_upper", "interval_level").null_count().row(0) == (3, 3, 3)


def test_a_model_that_forecast_nothing_learns_from_the_outcomes() -> None:
    silent = shop(5_000, 1).with_columns(expected_spend=pl.lit(0.0))
    assert covered(add_intervals(silent, learned(silent)))["covered"].mean() == pytest.approx(0.8, abs=0.03)


@given(st.integers(0, 1000), st.floats(0.0, 1.0), st.floats(0.05, 0.99), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=40)
def test_intervals_are_ordered_finite_and_not_negative(seed: int, quiet: float, level: float, sure: float) -> None:
    past = pl.concat([shop(400, seed, quiet), shop(60, seed, 0.0)], how="vertical")
    # Some customers are said to be certain, rightly or not, and some forecasts are equal.
    fresh = shop(300, seed + 1, quiet).with_columns(
        p_purchase=pl.when(pl.int_range(pl.len()) % 3 == 0).then(sure).otherwise("p_purchase"),
        expected_spend=pl.col("expected_spend") // 10 * 10,
    )
    added = add_intervals(fresh, learned(past, level))
    assert (added["spend_lower"] >= 0.0).all()
    assert (added["spend_lower"] <= added["spend_upper"]).all()
    assert added["spend_upper"].is_finite().all()


@pytest.mark.parametrize("level", [0.0, 1.0, 80.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="interval level"):
        SpendIntervals.learn(shop(10, 1), shop(10, 1), level)
    with pytest.raises(ValueError, match="interval level"):
        TotalInterval.learn(shop(10, 1), 10, level)


def seasons(*factors: float, n: int = 400, seed: int = 1) -> pl.DataFrame:
    """Windows one behind the other, in each of which everybody spends so many times what was forecast."""
    return pl.concat(
        shop(n, seed + k, quiet=0.3, season=factor, cutoff=FIRST + timedelta(days=90 * k))
        for k, factor in enumerate(factors)
    )


def served(window: pl.DataFrame) -> pl.DataFrame:
    """What is served of one horizon, added up."""
    return window.group_by("horizon_days", "model").agg(
        pl.col("expected_spend").sum(), customers=pl.len(), as_of=pl.lit(FIRST)
    )


def test_the_interval_of_the_total_covers_it_as_often_as_it_says_when_seasons_change() -> None:
    rng, held = np.random.default_rng(5), 0
    for trial in range(200):
        *before, now = np.exp(rng.normal(0.0, 0.4, 4))
        past, window = seasons(*before, n=300, seed=4 * trial), shop(300, 1_000_000 + trial, quiet=0.3, season=now)
        total = forecast_totals(served(window), {90: past}, 0.8).row(0, named=True)
        held += total["spend_lower"] <= window["actual_spend"].sum() <= total["spend_upper"]
    assert held / 200 == pytest.approx(0.8, abs=0.08)


def test_perfect_past_totals_leave_the_scatter_of_customers() -> None:
    past = seasons(1.0, 1.0, 1.0, n=2_000)
    ratio = pl.col("actual_spend").sum() / pl.col("expected_spend").sum()
    exact = past.with_columns(pl.col("expected_spend") * ratio.over("cutoff"))
    few, many = (TotalInterval.learn(exact, customers, 0.8) for customers in (100, 10_000))
    assert few.upper_factor is not None
    assert many.upper_factor is not None
    assert 1.0 < many.upper_factor < few.upper_factor
    assert np.log(few.upper_factor) == pytest.approx(10 * np.log(many.upper_factor))


def test_one_past_total_gives_a_wide_interval_and_says_so_and_none_gives_none() -> None:
    one, three = (TotalInterval.learn(seasons(*[1.2] * k, n=2_000), 2_000, 0.8) for k in (1, 3))
    assert one.upper_factor is not None
    assert three.upper_factor is not None
    assert one.upper_factor > three.upper_factor
    assert "One past error says little" in one.notes
    assert "One past" not in three.notes
    none = forecast_totals(served(shop(10, 1)), {90: shop(10, 1).clear()}, 0.8)
    assert none.select("spend_lower", "spend_upper", "interval_level", "cutoffs").row(0) == (None, None, None, 0)
    assert "no past total" in none["notes"][0]


def test_intervals_are_judged_forward_on_windows_that_had_not_ended_when_they_were_learned() -> None:
    frame = seasons(1.0, 1.0, 1.0, n=3_000)
    found = interval_metrics(frame, 0.8)
    assert found.schema == METRICS_SCHEMA
    coverage = found.filter(metric="interval_coverage").sort("cutoff")["value"]
    assert coverage[0] is None
    assert coverage[1:].is_between(0.77, 0.83).all()
    assert found.filter(metric="total_covered").sort("cutoff")["value"].to_list() == [None, 1.0, 1.0]
    # What came in the last window changes nothing that was said of the windows before.
    last = pl.col("cutoff") == pl.col("cutoff").max()
    poisoned = frame.with_columns(actual_spend=pl.when(last).then(1e6).otherwise("actual_spend"))
    earlier = pl.col("cutoff") < frame["cutoff"].max()
    assert interval_metrics(poisoned, 0.8).filter(earlier).equals(found.filter(earlier))
    # Windows that overlap know nothing of each other.
    overlapping = frame.with_columns(cutoff=pl.lit(FIRST) + (pl.col("cutoff") - pl.lit(FIRST)) / 2)
    assert interval_metrics(overlapping.filter(pl.col("cutoff") < date(2024, 3, 1)), 0.8)["value"].null_count() == 8


def test_the_interval_score_is_the_width_plus_the_misses_times_two_over_their_share() -> None:
    frame = seasons(1.0, 1.0, n=3_000)
    window = frame.filter(pl.col("cutoff") > FIRST)
    intervals = learned(frame.filter(pl.col("cutoff") == FIRST), customers=window)
    lower, upper = intervals.bounds(window.sort("customer_id"))
    spent = window.sort("customer_id")["actual_spend"].to_numpy()
    missed = np.where(spent > upper, spent - upper, 0.0) + np.where(spent < lower, lower - spent, 0.0)
    found = interval_metrics(frame, 0.8).filter(pl.col("cutoff") > FIRST)
    values = dict(found.select("metric", "value").iter_rows())
    assert values["interval_width"] == pytest.approx((upper - lower).mean())
    assert values["interval_score"] == pytest.approx((upper - lower + 10.0 * missed).mean())


def test_spend_is_joined_with_the_probability_of_the_model_that_serves_it() -> None:
    spend = shop(5, 1).with_columns(p_purchase=pl.lit(None, pl.Float64))
    purchase = shop(5, 2).with_columns(model=pl.lit("classifier"), expected_spend=pl.lit(None, pl.Float64))
    joined = with_probability_of(pl.concat([spend, purchase.reverse()]), "classifier")
    assert joined["model"].unique().to_list() == ["m"]
    assert joined["p_purchase"].to_list() == purchase["p_purchase"].to_list()
    assert with_probability_of(spend, "classifier").is_empty()
