"""From customers to features: what varies, tamed and bounded, row by row, whatever the batch."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from clv_pipeline.forecasting.design_matrix import CLIP, DesignMatrix
from clv_pipeline.forecasting.protocol import PIECE_OUTCOMES
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, customers_frame, shop, varied

WINDOWS = varied(shop(200).completed_windows(CUTOFF, most=5))
DESIGN = DesignMatrix.learn(WINDOWS)


def column(design: DesignMatrix, frame: pl.DataFrame, name: str, *, raw: bool = False) -> list[float]:
    names, values = (
        (design.names, design.raw(frame)) if raw else (design.standardised_names, design.standardised(frame))
    )
    return [float(value) for value in values[:, names.index(name)]]


def test_outcomes_are_no_features() -> None:
    blind = WINDOWS.drop(PIECE_OUTCOMES)
    np.testing.assert_array_equal(DESIGN.raw(WINDOWS), DesignMatrix.learn(blind).raw(blind))


def test_standardised_features_have_mean_0_and_scale_1_and_know_what_is_missing() -> None:
    values = DESIGN.standardised(WINDOWS)
    assert values.shape == (WINDOWS.height, len(DESIGN.standardised_names))
    complete = [i for i, name in enumerate(DESIGN.names) if not np.isnan(DESIGN.raw(WINDOWS)[:, i]).any()]
    # The clip takes a little.
    np.testing.assert_allclose(values[:, complete].mean(axis=0), 0.0, atol=0.01)
    assert values[:, complete].std(axis=0) == pytest.approx(1.0, abs=0.05)
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
    assert (raw["is_first"], raw["is_second"], raw["is_first_times_idle"]) == (0.0, 0.0, 0.0)
    assert raw["is_idle_beyond_45_days"] == pytest.approx(math.log(101 / 46))
    assert raw["is_idle_beyond_180_days"] == 0.0


def test_the_silence_after_a_first_and_a_second_purchase_counts_by_itself() -> None:
    asked = customers_frame([0, 1, 2], [0, 100, 100], [300, 400, 400], [0.0, 25.0, 25.0])
    for name, expected in (
        ("is_first_times_idle", [math.log(301), 0.0, 0.0]),
        ("is_second_times_idle", [0.0, math.log(301), 0.0]),
        ("is_idle_beyond_180_days", [math.log(301 / 181)] * 3),
    ):
        assert column(DESIGN, asked, name, raw=True) == pytest.approx(expected), name


def test_what_never_varies_or_repeats_another_feature_is_left_out() -> None:
    rows = WINDOWS.with_columns(purchases_90_days=pl.col("purchases_30_days"), lines_per_order=pl.lit(1.1))
    names = DesignMatrix.learn(rows).names
    assert "purchases_30_days" in names
    assert not {"purchases_90_days", "lines_per_order", "products"} & set(names)  # products = orders in the examples


def test_rare_and_unseen_countries_are_others_and_none_is_unknown() -> None:
    countries = ["Malta"] * 4 + [None] * 96 + ["France"] * 250 + ["Spain"] * 350
    design = DesignMatrix.learn(WINDOWS.head(700).with_columns(country=pl.Series(countries)))
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


def test_the_features_of_the_training_rows_are_those_that_any_rows_would_have() -> None:
    rows = varied(shop(200).customers(CUTOFF))
    learned, features = DesignMatrix.learn_and_apply(rows)
    np.testing.assert_array_equal(features, learned.standardised(rows))
