from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.evaluation.drift import DRIFT_SCHEMA, drift, level_of, population_stability_index

BEFORE, NOW = date(2024, 5, 31), date(2024, 6, 30)
values = st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.5, 100.0]), min_size=1, max_size=300).map(np.array)


def test_the_index_is_that_of_its_definition() -> None:
    # 250 values in five bins of 50, and below all of them none; later 100 of 250 are in the lowest bin.
    reference = np.arange(250.0)
    current = np.concatenate([np.arange(50.0), np.arange(50.0), np.arange(100.0, 250.0)])
    expected = np.array([0.5, 50.5, 50.5, 50.5, 50.5, 50.5]) / 253.0
    actual = np.array([0.5, 100.5, 0.5, 50.5, 50.5, 50.5]) / 253.0
    by_hand = ((actual - expected) * np.log(actual / expected)).sum()
    assert population_stability_index(reference, current) == pytest.approx(by_hand, rel=1e-12)


@given(values)
def test_what_has_not_changed_has_not_drifted(some: np.ndarray) -> None:
    assert population_stability_index(some, np.flip(some)) == 0.0


@given(values, values)
def test_the_index_is_finite_and_never_negative(reference: np.ndarray, current: np.ndarray) -> None:
    index = population_stability_index(reference, current)
    assert np.isfinite(index)
    assert index >= 0.0


def test_a_constant_that_falls_or_rises_has_drifted() -> None:
    constant = np.full(500, 5.0)
    for other in (4.0, 6.0):
        assert level_of(population_stability_index(constant, np.full(500, other))) == "drifted"


def test_most_values_being_equal_does_not_hide_a_shift_of_them() -> None:
    mostly_zero = np.where(np.arange(1_000) < 900, 0.0, 1.0)
    fewer_zeros = np.where(np.arange(1_000) < 600, 0.0, 1.0)
    assert population_stability_index(mostly_zero, fewer_zeros) > 0.25


@pytest.mark.parametrize("customers", [100, 250, 1_000])
def test_chance_alone_is_not_drift_in_a_small_shop(customers: int) -> None:
    rng = np.random.default_rng(7)
    samples = rng.exponential(size=(20, 2, customers))
    indices = [population_stability_index(reference, current) for reference, current in samples]
    assert np.mean([level_of(index) == "drifted" for index in indices]) <= 0.05


def test_nobody_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="one of them is empty"):
        population_stability_index(np.array([]), np.ones(3))


@pytest.mark.parametrize(("index", "level"), [(0.1, "stable"), (0.11, "noted"), (0.25, "noted"), (0.26, "drifted")])
def test_levels_begin_above_their_limits(index: float, level: str) -> None:
    assert level_of(index) == level


def snapshot(as_of: date, *spend: float | None) -> pl.DataFrame:
    of_all = {"as_of": [as_of] * len(spend), "customers": [9 * len(spend)] * len(spend)}
    return pl.DataFrame({**of_all, "spend": spend, "visits": [1.0] * len(spend)})


def test_every_measure_is_compared_and_nulls_are_left_out() -> None:
    table = drift(snapshot(BEFORE, 1.0, 2.0, None), snapshot(NOW, 1.0, 2.0), ["spend", "visits"], 90)
    assert table.schema == DRIFT_SCHEMA
    assert table.rows() == [
        ("spend", 90, BEFORE, NOW, 27, 18, 0.0, "stable"),
        ("visits", 90, BEFORE, NOW, 27, 18, pytest.approx(0.0, abs=0.1), "stable"),
    ]


def test_without_an_earlier_run_there_is_nothing_to_compare() -> None:
    assert drift(snapshot(BEFORE).cast({"spend": pl.Float64}), snapshot(NOW, 1.0), ["spend"], None).is_empty()
