"""Ranges hold what they state in every class of customers, hold the mean, and say how little is known."""

from __future__ import annotations

import json
import pickle
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation.ranges import (
    CLASS_EDGES,
    FORECAST_COLUMNS,
    PAST_COLUMNS,
    TOTALS_SCHEMA,
    SpendRanges,
    TotalRange,
    forecast_totals,
    running_bounds,
)

FIRST = date(2024, 1, 1)
LEVEL = 0.8
NOTHING_PAST = pl.DataFrame(
    schema={
        **dict.fromkeys(PAST_COLUMNS, pl.Float64),
        "horizon_days": pl.Int64,
        "frequency": pl.Int64,
        "cutoff": pl.Date,
    }
)


def window(
    n: int,
    seed: int,
    *,
    cutoff: date = FIRST,
    horizon: int = 30,
    scale: float = 0.8,
    season: float = 1.0,
    likelier: float = 1.0,
) -> pl.DataFrame:
    """Forecasts with what came: as often as said (times `likelier`), lognormal with the mean that was forecast (times
    `season`), and of this scale."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 0.7, n).clip(1e-3, 0.999)
    if_bought = rng.lognormal(3.0, 1.0, n)
    bought = rng.random(n) < p * likelier
    spent = season * if_bought * np.exp(rng.normal(-0.5 * scale**2, scale, n))
    return pl.DataFrame(
        {
            "horizon_days": horizon,
            "cutoff": cutoff,
            "customer_id": [f"c{i}" for i in range(n)],
            "frequency": rng.poisson(3.0 * p),
            "expected_purchases": -np.log1p(-p),
            "expected_spend": p * if_bought,
            "p_purchase": p,
            "actual_spend": np.where(bought, spent, 0.0),
        }
    )


def windows(count: int, n: int, horizons: tuple[int, ...] = (30,), scale: float = 0.8) -> pl.DataFrame:
    """Monthly windows of one shop."""
    return pl.concat(
        window(n, 100 * k + horizon, cutoff=FIRST + timedelta(days=30 * k), horizon=horizon, scale=scale)
        for k in range(count)
        for horizon in horizons
    )


def covered_by_class(ranges: SpendRanges, fresh: pl.DataFrame) -> pl.DataFrame:
    lower, upper = ranges.bounds(fresh)
    spent = fresh["actual_spend"].to_numpy()
    return (
        fresh.select(
            of_class=np.searchsorted(CLASS_EDGES, fresh["p_purchase"].to_numpy()),
            covered=(lower <= spent) & (spent <= upper),
        )
        .group_by("of_class")
        .agg(pl.col("covered").mean(), customers=pl.len())
        .sort("of_class")
    )


FIRST_CLASS_OF_BUYERS = CLASS_EDGES.index(0.2) + 1


@pytest.mark.parametrize("scale", [0.25, 0.8, 1.6])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_every_class_is_covered_as_stated_though_the_scale_is_not_the_supposed_one(scale: float, level: float) -> None:
    ranges = SpendRanges.learn(windows(12, 4_000, scale=scale), level)
    found = covered_by_class(ranges, window(60_000, 9, scale=scale))
    # Where most likely nothing comes, 0 alone is held too often; a range that holds the mean cannot do with less.
    lively = found.filter(pl.col("of_class") > int(np.searchsorted(CLASS_EDGES, 1.1 - level)))
    assert len(lively) >= 8
    assert lively["covered"].is_between(level - 0.04, level + 0.06).all()
    assert (found["covered"] > level - 0.04).all()


def test_classes_are_covered_as_stated_though_more_buy_than_was_said() -> None:
    past = pl.concat(window(4_000, k, cutoff=FIRST + timedelta(days=30 * k), likelier=1.4) for k in range(12))
    ranges = SpendRanges.learn(past, LEVEL)
    found = covered_by_class(ranges, window(60_000, 99, likelier=1.4)).filter(pl.col("of_class") <= 11)
    assert found["covered"].is_between(0.77, 1.0).all()
    assert found.filter(pl.col("of_class") >= FIRST_CLASS_OF_BUYERS)["covered"].is_between(0.77, 0.87).all()


def test_a_range_that_states_little_still_holds_the_mean_and_never_less_than_stated() -> None:
    found = covered_by_class(SpendRanges.learn(windows(12, 4_000), 0.5), window(60_000, 9))
    assert (found["covered"] > 0.46).all()
    assert found.filter(pl.col("of_class") > CLASS_EDGES.index(0.8))["covered"].is_between(0.46, 0.56).all()


def test_a_body_that_is_not_lognormal_is_set_right_for_the_best_tenth_and_the_best_of_all() -> None:
    def shop(n: int, seed: int, cutoff: date = FIRST) -> pl.DataFrame:
        frame, rng = window(n, seed, cutoff=cutoff), np.random.default_rng(seed)
        spent = frame["expected_spend"] / frame["p_purchase"] * rng.gamma(0.7, 1.0 / 0.7, n)
        return frame.with_columns(actual_spend=pl.when(pl.col("actual_spend") > 0.0).then(spent).otherwise(0.0))

    past = pl.concat(shop(4_000, k, FIRST + timedelta(days=30 * k)) for k in range(12))
    fresh = shop(60_000, 99)
    lower, upper = SpendRanges.learn(past, LEVEL).bounds(fresh)
    held = fresh.select("expected_spend", held=pl.col("actual_spend").is_between(pl.Series(lower), pl.Series(upper)))
    best = held.sort("expected_spend", descending=True)["held"]
    assert best[:6_000].mean() == pytest.approx(LEVEL, abs=0.04)
    assert best[:600].mean() == pytest.approx(LEVEL, abs=0.06)


def test_without_a_past_ranges_are_those_of_a_stated_default_and_a_little_wider_than_stated() -> None:
    ranges = SpendRanges.learn(NOTHING_PAST, LEVEL)
    found = covered_by_class(ranges, window(60_000, 1, scale=0.75))
    assert found.filter(pl.col("of_class") >= FIRST_CLASS_OF_BUYERS)["covered"].is_between(0.78, 0.95).all()
    sure = pl.DataFrame([(30, 4, 3.0, 300.0, 0.97)], schema=FORECAST_COLUMNS, orient="row")
    (lower,), (upper,) = ranges.bounds(sure)
    assert lower < 60.0
    assert upper > 600.0


def test_the_part_that_is_left_out_grows_with_the_windows_that_were_seen() -> None:
    shares = [float(SpendRanges.learn(windows(k, 2_000), LEVEL).upper_shares[0, :13].mean()) for k in (1, 3, 12)]
    assert shares[0] > shares[1] > shares[2]
    assert SpendRanges.learn(NOTHING_PAST, LEVEL).upper_shares[0, 0] == pytest.approx(0.84)
    # A window of half a year, a month after the one before, is little of a window.
    long = SpendRanges.learn(windows(3, 2_000, (180,)), LEVEL)
    assert long.upper_shares[0, :13].mean() > shares[1]


def test_a_horizon_of_which_nothing_is_over_has_the_body_and_the_classes_of_the_others() -> None:
    past = windows(6, 4_000, (30, 90), scale=0.3)
    ranges = SpendRanges.learn(past, LEVEL)
    unknown = window(40_000, 9, horizon=365, scale=0.3)
    found = covered_by_class(ranges, unknown).filter(pl.col("of_class") >= FIRST_CLASS_OF_BUYERS)
    assert found["covered"].is_between(0.76, 0.92).all()
    known_lower, known_upper = ranges.bounds(unknown.with_columns(horizon_days=30))
    lower, upper = ranges.bounds(unknown)
    assert (upper - lower).mean() > (known_upper - known_lower).mean()


def test_most_likely_nothing_comes_of_the_quiet_and_the_range_holds_their_mean() -> None:
    quiet = pl.DataFrame(
        {"horizon_days": 30, "frequency": 0, "expected_purchases": 0.06, "expected_spend": 3.0, "p_purchase": 0.05}
    )
    lower, upper = SpendRanges.learn(windows(6, 2_000), LEVEL).bounds(quiet)
    assert (lower[0], upper[0]) == (0.0, 3.0)


def test_the_sure_have_a_range_above_nothing_and_others_begin_at_nothing() -> None:
    fresh = window(20_000, 9)
    lower, _ = SpendRanges.learn(windows(6, 4_000), LEVEL).bounds(fresh)
    p = fresh["p_purchase"].to_numpy()
    assert (lower[p <= 0.9] == 0.0).all()
    assert (lower[p > 0.98] > 0.0).all()


def test_one_absurd_order_moves_nobody_elses_range() -> None:
    past = windows(1, 300)
    buyer = past["actual_spend"].arg_max()
    assert buyer is not None
    absurd = past.with_columns(
        actual_spend=pl.when(pl.int_range(pl.len()) == buyer).then(1e9).otherwise("actual_spend")
    )
    fresh = window(500, 9)
    for plain, moved in zip(
        SpendRanges.learn(past, LEVEL).bounds(fresh), SpendRanges.learn(absurd, LEVEL).bounds(fresh), strict=True
    ):
        assert moved == pytest.approx(plain, rel=0.05)


def test_the_order_of_rows_does_not_matter_and_a_customer_is_judged_alone() -> None:
    past, fresh = windows(4, 500, (30, 90, 365)), window(300, 2)
    ranges = SpendRanges.learn(past, LEVEL)
    whole = np.array(ranges.bounds(fresh))
    shuffled = SpendRanges.learn(past.sample(fraction=1.0, shuffle=True, seed=1), LEVEL)
    assert np.array(shuffled.bounds(fresh)) == pytest.approx(whole, rel=1e-9)
    batches = [np.array(ranges.bounds(fresh.slice(first, 7))) for first in range(0, 300, 7)]
    assert (np.concatenate(batches, axis=1) == whole).all()
    assert (np.array(ranges.bounds(fresh.reverse()))[:, ::-1] == whole).all()


def test_rows_without_an_outcome_teach_nothing() -> None:
    past = windows(3, 500)
    unknown = window(500, 77, cutoff=FIRST + timedelta(days=90)).with_columns(actual_spend=pl.lit(None, pl.Float64))
    fresh = window(100, 2)
    plain, more = (SpendRanges.learn(rows, LEVEL).bounds(fresh) for rows in (past, pl.concat([past, unknown])))
    assert (np.array(plain) == np.array(more)).all()


def test_ranges_travel_to_where_customers_are_scored() -> None:
    ranges, fresh = SpendRanges.learn(windows(2, 500), LEVEL), window(100, 2)
    packed = pickle.dumps(ranges)
    assert len(packed) < 10_000
    assert (np.array(pickle.loads(packed).bounds(fresh)) == np.array(ranges.bounds(fresh))).all()  # noqa: S301


def test_a_rule_that_knows_no_probability_has_ranges_too() -> None:
    rule = windows(3, 800).with_columns(p_purchase=pl.lit(None, pl.Float64))
    fresh = window(2_000, 9).with_columns(p_purchase=pl.lit(None, pl.Float64))
    lower, upper = SpendRanges.learn(rule, LEVEL).bounds(fresh)
    spent = fresh["actual_spend"].to_numpy()
    assert ((lower <= spent) & (spent <= upper)).mean() > 0.75


def test_nobody_in_a_shop_may_have_bought() -> None:
    silent = windows(3, 500).with_columns(actual_spend=pl.lit(0.0))
    fresh = window(500, 9)
    lower, upper = SpendRanges.learn(silent, LEVEL).bounds(fresh)
    before_lower, before_upper = SpendRanges.learn(NOTHING_PAST, LEVEL).bounds(fresh)
    assert (lower <= before_lower).all()
    assert (upper <= before_upper).all()
    assert upper.sum() < 0.8 * before_upper.sum()


def test_the_variance_of_a_customer_is_that_of_what_comes() -> None:
    p, if_bought = 0.4, 50.0
    n = 200_000
    rng = np.random.default_rng(1)
    spent = np.where(rng.random(n) < p, if_bought * np.exp(rng.normal(-0.32, 0.8, n)), 0.0)
    forecast = {"horizon_days": 30, "frequency": 1, "expected_purchases": 0.51, "expected_spend": p * if_bought}
    past = pl.DataFrame({**forecast, "p_purchase": p, "cutoff": FIRST, "actual_spend": spent}).with_columns(
        cutoff=FIRST + pl.duration(days=30 * (pl.int_range(pl.len()) % 50))
    )
    variance = SpendRanges.learn(past, LEVEL).variances(past[:1])[0]
    assert variance == pytest.approx(spent.var(), rel=0.1)


absurd_numbers = st.one_of(
    st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 1e9, 1e300, 1.7e308, float("inf")]), st.floats(0.0, 1e6), st.none()
)
absurd_customers = st.lists(
    st.tuples(
        st.sampled_from([1, 30, 90, 3650]),
        st.integers(0, 100_000),
        absurd_numbers,
        absurd_numbers,
        st.one_of(st.sampled_from([0.0, 1e-12, 0.2, 0.9, 1.0]), st.floats(0.0, 1.0), st.none()),
    ),
    min_size=1,
    max_size=20,
)
SCHEMA = dict(zip(FORECAST_COLUMNS, (pl.Int64, pl.Int64, pl.Float64, pl.Float64, pl.Float64), strict=True))


@given(
    absurd_customers,
    st.lists(st.one_of(st.just(0.0), st.floats(1e-300, 1e300)), min_size=20, max_size=20),
    st.integers(0, 5),
    st.floats(0.02, 0.98),
)
@settings(max_examples=150, deadline=None)
def test_whatever_was_forecast_and_came_ranges_are_finite_and_hold_the_mean(
    customers: list[tuple[int, int, float | None, float | None, float | None]],
    outcomes: list[float],
    cutoffs: int,
    level: float,
) -> None:
    frame = pl.DataFrame(customers, schema=SCHEMA, orient="row")
    past = frame.with_columns(
        actual_spend=pl.Series(outcomes[: frame.height], dtype=pl.Float64),
        cutoff=FIRST + pl.duration(days=pl.int_range(pl.len()) % max(cutoffs, 1)),
    )
    ranges = SpendRanges.learn(past if cutoffs else NOTHING_PAST, level)
    lower, upper = ranges.bounds(frame)
    spend = np.nan_to_num(frame["expected_spend"].to_numpy().astype(np.float64), nan=0.0)
    assert np.isfinite(lower).all()
    assert np.isfinite(upper).all()
    assert (lower >= 0.0).all()
    assert (lower <= spend).all()
    assert (spend <= upper).all()
    assert np.isfinite(ranges.variances(frame)).all()


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9)), min_size=3, max_size=3),
        min_size=1,
        max_size=10,
    )
)
def test_ranges_over_longer_horizons_do_not_fall_and_hold_the_mean(
    steps: list[list[tuple[float, float, float]]],
) -> None:
    numbers = np.array(steps)
    mean = np.cumsum(numbers[..., 0], axis=1)
    lower, upper = running_bounds(np.maximum(mean - numbers[..., 1], 0.0), mean + numbers[..., 2])
    for ends in (lower, upper):
        assert (np.diff(ends, axis=1) >= 0.0).all()
    assert (lower <= mean).all()
    assert (mean <= upper).all()


@pytest.mark.parametrize("level", [0.0, 1.0, 80.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="interval level"):
        SpendRanges.learn(windows(1, 10), level)
    with pytest.raises(ValueError, match="interval level"):
        TotalRange.learn(totals(), 90, level)


def test_a_past_that_lacks_a_column_is_refused() -> None:
    with pytest.raises(ValueError, match="past forecasts lacks the columns frequency"):
        SpendRanges.learn(windows(1, 10).drop("frequency"), LEVEL)


def totals(*errors: float, horizon: int = 30, step: int = 30) -> pl.DataFrame:
    """Past totals of which so much came, as log of the ratio to the forecast."""
    return pl.DataFrame(
        {
            "cutoff": [FIRST + timedelta(days=step * k) for k in range(len(errors))],
            "horizon_days": [horizon] * len(errors),
            "expected_spend": [1_000.0] * len(errors),
            "actual_spend": [1_000.0 * np.exp(error) for error in errors],
        },
        schema_overrides={
            "cutoff": pl.Date,
            "horizon_days": pl.Int64,
            "expected_spend": pl.Float64,
            "actual_spend": pl.Float64,
        },
    )


@pytest.mark.parametrize(("deviation", "windows_seen"), [(0.1, 4), (0.25, 2), (0.4, 12)])
def test_the_range_of_the_total_covers_it_as_often_as_it_says_or_more_when_seasons_change(
    deviation: float, windows_seen: int
) -> None:
    rng = np.random.default_rng(5)
    held = []
    for _ in range(400):
        *before, now = rng.normal(0.0, deviation, windows_seen + 1)
        found = TotalRange.learn(totals(*before), 30, LEVEL)
        held.append(found.lower_factor <= np.exp(now) <= found.upper_factor)
    # What is supposed before anything was seen is careful: more where seasons are mild, less where they are wild.
    assert 0.76 <= np.mean(held) <= 0.99


def test_one_lucky_total_promises_nothing_and_an_unlucky_one_is_not_absurd() -> None:
    lucky, usual, unlucky = (TotalRange.learn(totals(error), 30, LEVEL) for error in (0.0, 0.25, 0.7))
    assert 1.3 < lucky.upper_factor < usual.upper_factor < unlucky.upper_factor < 3.0
    assert lucky.code == "one_past_total"
    assert "One past error says little" in lucky.notes
    many = TotalRange.learn(totals(*[0.0] * 12), 30, LEVEL)
    assert 1.05 < many.upper_factor < 1.15
    assert many.code == "past_totals"


def test_without_a_past_total_there_is_a_wide_range_that_says_so() -> None:
    found = TotalRange.learn(totals(), 30, LEVEL)
    assert (found.code, found.cutoffs, found.facts["learned_from_days"]) == ("no_past_total", 0, None)
    assert found.upper_factor == pytest.approx(2.16, abs=0.01)
    assert found.lower_factor == pytest.approx(1 / found.upper_factor)
    assert "no past total" in found.notes


def test_a_horizon_without_past_totals_borrows_those_of_the_next_shorter_one_and_is_wider() -> None:
    past = pl.concat([totals(*[0.1, -0.1] * 4, horizon=h) for h in (30, 90)])
    short, borrowed = (TotalRange.learn(past, h, LEVEL) for h in (90, 360))
    assert borrowed.code == "other_horizon"
    assert (borrowed.cutoffs, borrowed.facts["learned_from_days"]) == (8, 90)
    assert borrowed.upper_factor > short.upper_factor
    assert "over 90 days" in borrowed.notes
    assert "None over 360 days" in borrowed.notes
    longer = TotalRange.learn(past, 7, LEVEL)
    assert (longer.code, longer.facts["learned_from_days"]) == ("other_horizon", 30)


def test_windows_that_overlap_are_fewer_than_they_are() -> None:
    errors = [0.1, -0.1] * 6
    side_by_side, overlapping = (TotalRange.learn(totals(*errors, horizon=h), h, LEVEL) for h in (30, 360))
    assert (side_by_side.facts["independent"], overlapping.facts["independent"]) == (12.0, 1.0)
    assert overlapping.upper_factor > side_by_side.upper_factor


def test_the_customers_own_scatter_is_the_least_that_a_total_is_unsure_of() -> None:
    past = totals(*[0.0] * 12)
    few, many = (TotalRange.learn(past, 30, LEVEL, variance) for variance in (0.2, 1e-6))
    assert few.upper_factor > many.upper_factor
    assert few.facts["own_scatter"] == pytest.approx(0.427, abs=1e-3)
    assert "Customers' own scatter alone makes ±42.7%" in few.notes
    remembered = TotalRange.learn(past.with_columns(variance=pl.lit(0.2)), 30, LEVEL)
    assert remembered.upper_factor == few.upper_factor


def test_errors_are_told_one_by_one_where_they_are_few() -> None:
    few = TotalRange.learn(totals(np.log(0.5), np.log(1.25)), 30, LEVEL)
    assert few.facts["errors"] == [1.0, -0.2]
    assert few.notes.startswith("From 2 past totals, forecast with errors of +100%, −20%")
    many = TotalRange.learn(totals(*[np.log(0.5), np.log(1.25)] * 3), 30, LEVEL)
    assert many.notes.startswith("From 6 past totals, forecast with errors from −20% to +100%")


@given(
    st.lists(st.tuples(st.floats(0.0, 1e300), st.floats(0.0, 1e300), st.sampled_from([30, 90])), max_size=6),
    st.one_of(st.none(), st.floats(0.0, 1e300)),
    st.floats(0.01, 0.99),
)
@settings(deadline=None)
def test_whatever_came_the_range_of_the_total_is_finite_and_around_it(
    past: list[tuple[float, float, int]], variance: float | None, level: float
) -> None:
    frame = totals(*[0.0] * len(past)).with_columns(
        expected_spend=pl.Series([row[0] for row in past], dtype=pl.Float64),
        actual_spend=pl.Series([row[1] for row in past], dtype=pl.Float64),
        horizon_days=pl.Series([row[2] for row in past], dtype=pl.Int64),
    )
    found = TotalRange.learn(frame, 90, level, variance)
    assert 0.0 <= found.lower_factor <= 1.0 <= found.upper_factor < float("inf")


def served(**columns: list[float]) -> pl.DataFrame:
    """What is served of three horizons, added up."""
    return pl.DataFrame(
        {
            "horizon_days": [90, 30, 365],
            "as_of": FIRST,
            "model": "hybrid",
            "expected_purchases": [30.0, 10.0, 90.0],
            "expected_spend": [3_000.0, 1_000.0, 3_500.0],
            **columns,
        }
    )


def test_totals_are_told_per_horizon_in_ranges_that_do_not_fall() -> None:
    # The year ahead was well known, the quarter was not.
    past = pl.concat([totals(*[0.6, -0.6] * 6, horizon=90), totals(*[0.0] * 40, horizon=365)])
    found = forecast_totals(served(), past, LEVEL)
    assert found.schema == TOTALS_SCHEMA
    assert found["horizon_days"].to_list() == [30, 90, 365]
    assert found.null_count().sum_horizontal().item() == 0
    for ends in ("expected_spend", "spend_lower", "spend_upper"):
        assert (found[ends].diff().drop_nulls() >= 0.0).all()
    assert found.select(pl.col("expected_spend").is_between("spend_lower", "spend_upper"))["expected_spend"].all()
    assert found["spend_upper"][2] == found["spend_upper"][1] > 3_500.0
    assert found["notes_code"].to_list() == ["other_horizon", "past_totals", "past_totals"]
    assert [json.loads(facts)["horizon_days"] for facts in found["notes_facts"]] == [30, 90, 365]


def test_what_todays_customers_scatter_is_told_of_their_total() -> None:
    plain, scattered = (
        forecast_totals(frame, totals(0.1), LEVEL)["spend_upper"] for frame in (served(), served(variance=[0.5] * 3))
    )
    assert (scattered > plain).all()


def test_a_total_of_nothing_is_nothing() -> None:
    found = forecast_totals(served(expected_spend=[0.0, 0.0, 0.0]), totals(), LEVEL)
    assert found.select("spend_lower", "spend_upper", "interval_level").row(0) == (0.0, 0.0, LEVEL)
