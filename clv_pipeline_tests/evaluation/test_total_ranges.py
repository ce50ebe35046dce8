"""The range of the total covers it as often as it says, and says how little is known."""

from __future__ import annotations

import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation.total_ranges import TOTALS_SCHEMA, TotalRange, forecast_totals

FIRST = date(2024, 1, 1)
LEVEL = 0.8


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


@pytest.mark.parametrize("level", [0.0, 1.0, 80.0])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="interval level"):
        TotalRange.learn(totals(), 90, level)


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
