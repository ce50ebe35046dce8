import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation.intervals import INTERVALS_SCHEMA, add_intervals, learn_intervals


def shop(n: int, seed: int, inactive: float, model: str = "m") -> pl.DataFrame:
    """Forecasts with outcomes: heavy-tailed expectations, a share of customers who spend nothing."""
    rng = np.random.default_rng(seed)
    expected = rng.lognormal(3.0, 1.5, n)
    spent = expected * rng.gamma(2.0, 0.5 / (1.0 - inactive), n) * (rng.random(n) >= inactive)
    return pl.DataFrame(
        {"model": [model] * n, "horizon_days": [90] * n, "expected_spend": expected, "actual_spend": spent}
    )


def covered(frame: pl.DataFrame) -> pl.Series:
    inside = pl.col("actual_spend").is_between("spend_lower", "spend_upper")
    return frame.select(inside.alias("covered"))["covered"]


@pytest.mark.parametrize("inactive", [0.0, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.95])
def test_intervals_cover_new_customers_as_often_as_they_say(inactive: float, level: float) -> None:
    learned = learn_intervals(shop(20_000, 1, inactive), level=level)
    fresh = covered(add_intervals(shop(20_000, 2, inactive), learned))
    # Where more than the level spend nothing, no interval can cover less than those.
    assert fresh.mean() == pytest.approx(max(level, inactive), abs=0.015)


def test_intervals_cover_small_and_large_customers_alike() -> None:
    learned = learn_intervals(shop(20_000, 1, 0.3))
    fresh = add_intervals(shop(20_000, 2, 0.3), learned)
    fresh = fresh.with_columns(covered(fresh), tenth=pl.col("expected_spend").rank() * 10 // 20_001)
    by_size = fresh.group_by("tenth").agg(pl.col("covered").mean())
    assert by_size["covered"].is_between(0.75, 0.85).all()


def test_a_larger_forecast_in_a_bin_has_a_wider_interval() -> None:
    learned = learn_intervals(shop(5000, 1, 0.0))
    top = learned["forecast_from"].max()
    assert isinstance(top, float)
    two = pl.DataFrame({"model": ["m"] * 2, "horizon_days": [90] * 2, "expected_spend": [2 * top, 20 * top]})
    widths = add_intervals(two, learned).select(pl.col("spend_upper") - pl.col("spend_lower")).to_series()
    assert widths[1] == pytest.approx(10 * widths[0], rel=0.2)


def test_equal_forecasts_share_a_bin_and_no_bin_is_too_small() -> None:
    tied = shop(1000, 1, 0.3).with_columns(expected_spend=pl.col("expected_spend").clip(20.0, 60.0))
    learned = learn_intervals(tied, bin_customers=100)
    assert learned["customers"].sum() == 1000
    assert (learned["customers"] >= 100).all()
    assert learned["forecast_from"].is_unique().all()
    assert learned["forecast_from"].is_sorted()


def test_unknown_models_and_horizons_get_null_and_rows_keep_their_order() -> None:
    learned = learn_intervals(pl.concat([shop(500, 1, 0.3), shop(99, 2, 0.3, "too few")]))
    assert learned.schema == INTERVALS_SCHEMA
    new = shop(6, 3, 0.3).with_columns(
        model=pl.Series(["m", "too few", "m", "unheard of", "m", "m"]),
        horizon_days=pl.Series([90, 90, 30, 90, 90, 90]),
    )
    added = add_intervals(new, learned)
    assert added.select(new.columns).equals(new)
    assert added["spend_upper"].is_null().to_list() == [False, True, True, True, False, False]
    assert added["interval_level"].to_list() == [0.8, None, None, None, 0.8, 0.8]


def test_no_backtest_at_all_gives_only_nulls() -> None:
    learned = learn_intervals(shop(1, 1, 0.0).clear())
    added = add_intervals(shop(3, 1, 0.0), learned)
    assert added["spend_lower"].null_count() == added["spend_upper"].null_count() == 3


def test_a_model_that_forecast_nothing_learns_from_the_outcomes() -> None:
    silent = shop(1000, 1, 0.3).with_columns(expected_spend=pl.lit(0.0))
    added = add_intervals(silent, learn_intervals(silent))
    assert covered(added).mean() == pytest.approx(0.8, abs=0.01)


def test_bins_survive_a_round_trip_through_a_file(tmp_path: object) -> None:
    learned = learn_intervals(shop(2000, 1, 0.3))
    path = f"{tmp_path}/intervals.parquet"
    learned.write_parquet(path)
    fresh = shop(50, 2, 0.3)
    assert add_intervals(fresh, pl.read_parquet(path)).equals(add_intervals(fresh, learned))


@given(st.integers(0, 1000), st.floats(0.0, 0.95), st.floats(0.05, 0.95), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_intervals_are_ordered_finite_and_not_negative(seed: int, inactive: float, level: float, bins: int) -> None:
    learned = learn_intervals(shop(300, seed, inactive), level=level, bins=bins, bin_customers=10)
    added = add_intervals(shop(300, seed + 1, inactive), learned)
    assert (added["spend_lower"] >= 0.0).all()
    assert (added["spend_lower"] <= added["spend_upper"]).all()
    assert added["spend_upper"].is_finite().all()


@pytest.mark.parametrize("level", [0.0, 1.0, 80.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="interval level"):
        learn_intervals(shop(10, 1, 0.0), level=level)
