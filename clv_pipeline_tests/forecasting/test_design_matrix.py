import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from clv_pipeline.forecasting.design_matrix import CLIP, DesignMatrix, training_rows
from clv_pipeline_tests.forecasting.examples import (
    CUTOFF,
    any_customers,
    completed_windows,
    customers_frame,
    simulated,
    training_data,
)

WINDOWS = completed_windows(cutoffs=5, customers=200)
DESIGN = DesignMatrix.learn(WINDOWS)


def column(design: DesignMatrix, frame: pl.DataFrame, name: str, *, raw: bool = False) -> list[float]:
    names, values = (
        (design.names, design.raw(frame)) if raw else (design.standardised_names, design.standardised(frame))
    )
    return [float(value) for value in values[:, names.index(name)]]


def test_training_rows_are_of_one_horizon_in_an_order_of_their_own() -> None:
    shuffled = WINDOWS.sample(fraction=1.0, shuffle=True, seed=3)
    training = training_data(simulated(50), shuffled)
    rows = training_rows(training, 90)
    assert rows.equals(WINDOWS.sort("cutoff", "customer_id"))
    assert training_rows(training, 30).is_empty()
    assert training_rows(replace(training, completed_windows=pl.DataFrame()), 90).is_empty()


def test_a_sample_of_training_rows_does_not_depend_on_their_order_and_has_all_cutoffs() -> None:
    shuffled = WINDOWS.sample(fraction=1.0, shuffle=True, seed=3)
    sample = training_rows(training_data(simulated(50), WINDOWS), 90, limit=300)
    assert sample.height == 300
    assert sample.equals(training_rows(training_data(simulated(50), shuffled), 90, limit=300))
    assert sample["cutoff"].n_unique() == 5
    assert sample["customer_id"].n_unique() > 150


def test_outcomes_are_no_features() -> None:
    blind = WINDOWS.drop("actual_purchases", "actual_spend")
    np.testing.assert_array_equal(DESIGN.raw(WINDOWS), DesignMatrix.learn(blind).raw(blind))


def test_standardised_features_have_mean_0_and_scale_1_and_know_what_is_missing() -> None:
    values = DESIGN.standardised(WINDOWS)
    assert values.shape == (WINDOWS.height, len(DESIGN.standardised_names))
    complete = [i for i, name in enumerate(DESIGN.names) if not np.isnan(DESIGN.raw(WINDOWS)[:, i]).any()]
    np.testing.assert_allclose(values[:, complete].mean(axis=0), 0.0, atol=1e-9)
    assert values[:, complete].std(axis=0) == pytest.approx(1.0, abs=0.05)  # the clip takes a little
    once = (WINDOWS["frequency"] == 0).to_numpy()
    assert np.array_equal(np.array(column(DESIGN, WINDOWS, "mean_gap_days is missing")), once.astype(float))
    assert set(np.array(column(DESIGN, WINDOWS, "mean_gap_days"))[once]) == {0.0}
    assert np.isnan(np.array(column(DESIGN, WINDOWS, "mean_gap_days", raw=True))[once]).all()


def test_one_indicator_serves_all_features_that_are_missing_together() -> None:
    assert {"mean_gap_days", "idle_over_mean_gap"} <= set(DESIGN.names)
    indicators = [name for name in DESIGN.standardised_names if name.endswith(" is missing")]
    assert indicators == ["mean_gap_days is missing", "gap_deviation_days is missing"]


def test_a_customer_reads_as_computed_by_hand() -> None:
    customer = customers_frame([4], [200], [300], [25.0]).with_columns(
        purchases_90_days=pl.lit(1), purchases_180_days=pl.lit(3), gap_deviation_days=pl.lit(10.0)
    )
    design = DesignMatrix.learn(WINDOWS.with_columns(pl.col("gap_deviation_days").sqrt()))
    raw = {name: column(design, customer, name, raw=True)[0] for name in design.names}
    assert raw["spend_per_order"] == (4 * 25.0 + 20.0) / 5
    assert raw["idle_over_mean_gap"] == 100 / 50
    assert raw["idle_share_of_tenure"] == 100 / 300
    assert raw["gap_variation"] == 10.0 / 50.0
    assert raw["trend_of_purchases"] == pytest.approx(math.log(2) - math.log(3))
    first_day = (CUTOFF - timedelta(days=300)).timetuple().tm_yday
    assert raw["cohort_sine"] == pytest.approx(math.sin(2 * math.pi * first_day / 365.25))


def test_who_came_after_the_window_of_last_year_stayed_away_from_it_for_no_reason() -> None:
    window = pl.lit(2.0) + pl.col("tenure_days") % 3
    rows = WINDOWS.with_columns(spend_same_window_last_year=window)
    new = (rows["tenure_days"] < 365 - 90).to_numpy()
    values = np.array(column(DesignMatrix.learn(rows), rows, "spend_same_window_last_year", raw=True))
    assert np.array_equal(np.isnan(values), new)


def test_what_never_varies_or_repeats_another_feature_is_left_out() -> None:
    rows = WINDOWS.with_columns(purchases_90_days=pl.col("purchases_last_window"), lines_per_order=pl.lit(1.1))
    names = DesignMatrix.learn(rows).names
    assert "purchases_last_window" in names
    assert not {"purchases_90_days", "lines_per_order", "products"} & set(names)  # products = orders in the examples


def test_rare_and_unseen_countries_are_others_and_none_is_unknown() -> None:
    countries = ["Malta"] * 4 + [None] * 96 + ["France"] * 400 + ["Spain"] * 500
    design = DesignMatrix.learn(WINDOWS.with_columns(country=pl.Series(countries)))
    asked = WINDOWS.head(5).with_columns(country=pl.Series(["France", "Spain", "Malta", "Narnia", None]))
    flags = {name: column(design, asked, name, raw=True) for name in design.names if name.startswith("country=")}
    assert flags == {
        "country=Spain": [0.0, 1.0, 0.0, 0.0, 0.0],
        "country=France": [1.0, 0.0, 0.0, 0.0, 0.0],
        "country=unknown": [0.0, 0.0, 0.0, 0.0, 1.0],
        "country=other": [0.0, 0.0, 1.0, 1.0, 0.0],
    }


def test_attributes_and_events_are_features_where_they_exist() -> None:
    number = pl.int_range(pl.len())
    rows = WINDOWS.with_columns(
        pl.when(number % 4 > 0).then(20.0 + number % 50).alias("attribute:age"),
        pl.when(number % 2 > 0).then(pl.lit("web")).otherwise(pl.lit("shop")).alias("attribute:channel"),
        (number % 9).cast(pl.Float64).alias("event:newsletter:count_90_days"),
    )
    design = DesignMatrix.learn(rows)
    expected = {"attribute:age", "attribute:channel=web", "attribute:channel=shop", "event:newsletter:count_90_days"}
    assert expected <= set(design.names)
    assert "attribute:age is missing" in design.standardised_names
    with pytest.raises(ValueError, match="customers lacks the columns attribute:age"):
        design.raw(rows.drop("attribute:age"))


@pytest.mark.parametrize(("cutoffs", "known"), [(4, True), (3, False)])
def test_the_season_is_a_feature_once_that_of_the_next_window_was_seen(cutoffs: int, known: bool) -> None:
    names = DesignMatrix.learn(completed_windows(cutoffs, customers=50)).names
    assert ("season_sine" in names) is known


@settings(max_examples=30)
@given(any_customers())
def test_any_customer_becomes_finite_bounded_numbers_whatever_the_batch(customers: pl.DataFrame) -> None:
    values = DESIGN.standardised(customers)
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= CLIP
    alone = [DESIGN.standardised(customers.slice(row, 1)) for row in range(customers.height)]
    np.testing.assert_array_equal(np.vstack(alone), values)


def test_identical_customers_have_no_features() -> None:
    rows = pl.concat([customers_frame([1], [5], [40], [9.0], cutoff=date(2024, 1, 1))] * 30)
    design = DesignMatrix.learn(rows)
    assert design.names == ()
    assert design.standardised(rows).shape == design.raw(rows).shape == (30, 0)
