"""The control group: drawn within strata, the same for the same seed, and with the same chance for everybody."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clv_pipeline.campaigns.draw import CLASSES, LEAST_OF_EACH, draw, least_customers

SEGMENTS = ("Champions", "Loyal", "Lost")


def customers(count: int, segments: tuple[str, ...] = SEGMENTS, seed: int = 0) -> pl.DataFrame:
    """Customers of segments at random, expected to bring little or much."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "customer_id": [f"c{number}" for number in range(count)],
            "segment": rng.choice(segments, count).tolist(),
            "expected": rng.gamma(0.5, 20.0, count),
        }
    )


def test_the_same_seed_and_name_draw_the_same_customers_whatever_their_order() -> None:
    shop = customers(500)
    first = draw(shop, 0.1, "spring", 0)
    assert first.equals(draw(shop.sample(fraction=1.0, shuffle=True, seed=1), 0.1, "spring", 0))
    for other in (draw(shop, 0.1, "spring", 1), draw(shop, 0.1, "summer", 0)):
        assert not first.equals(other)
    assert first["customer_id"].is_sorted()


@given(
    st.integers(0, 2_000),
    st.integers(1, 12),
    st.sampled_from([0.02, 0.05, 0.1, 0.3, 0.5]),
    st.integers(0, 5),
)
def test_every_stratum_has_enough_of_either_group_and_the_total_is_the_share(
    count: int, segments: int, holdout: float, seed: int
) -> None:
    count += least_customers(holdout)
    # The first segments are large, the last ones tiny.
    rng = np.random.default_rng(seed)
    names = [f"s{number}" for number in np.minimum(rng.geometric(0.4, count), segments)]
    drawn = draw(customers(count, seed=seed).with_columns(pl.Series("segment", names)), holdout, "x", seed)
    assert drawn.height == count
    assert abs(int(drawn["is_control"].sum()) - holdout * count) < 1.0
    for stratum in drawn.partition_by("stratum"):
        controls = int(stratum["is_control"].sum())
        assert LEAST_OF_EACH <= controls <= stratum.height - LEAST_OF_EACH
        assert abs(controls - holdout * stratum.height) < 1.0


def test_a_stratum_is_of_one_segment_and_of_similar_expectations() -> None:
    shop = customers(2_000)
    placed = draw(shop, 0.1, "x", 0).join(shop, on="customer_id")
    strata = placed.group_by("stratum").agg(
        pl.col("segment").n_unique().alias("segments"),
        pl.col("segment").first(),
        pl.col("expected").min().alias("lowest"),
        pl.col("expected").max().alias("highest"),
    )
    assert strata["segments"].max() == 1
    for of_segment in strata.sort("lowest").partition_by("segment"):
        assert of_segment.height == CLASSES
        assert (of_segment["highest"].shift(1).drop_nulls() <= of_segment["lowest"][1:]).all()


def test_segments_that_are_too_small_share_a_stratum() -> None:
    names = ["big"] * 100 + ["tiny"] * 15 + ["few"] * 9
    drawn = draw(customers(124).with_columns(pl.Series("segment", names)), 0.1, "x", 0)
    segments = pl.DataFrame({"customer_id": [f"c{number}" for number in range(124)], "segment": names})
    of_small = drawn.join(segments.filter(pl.col("segment") != "big"), on="customer_id")
    assert of_small["stratum"].n_unique() == 1
    assert drawn.filter(stratum=of_small["stratum"][0]).height == 24


def test_everybody_has_the_same_chance_also_in_a_small_stratum() -> None:
    shop = customers(130).with_columns(pl.Series("segment", ["big"] * 103 + ["small"] * 27))
    left_out = np.mean([draw(shop, 0.1, "x", seed)["is_control"].to_numpy() for seed in range(2_000)], axis=0)
    # A binomial standard deviation of 0.0067 each; the largest of 130 stays within four of them.
    assert np.abs(left_out - 0.1).max() < 0.028
    assert abs(left_out.mean() - 0.1) < 1e-3


def test_too_few_customers_and_an_impossible_share_are_refused() -> None:
    assert [least_customers(holdout) for holdout in (0.5, 0.3, 0.1, 0.05)] == [4, 7, 20, 40]
    with pytest.raises(ValueError, match="at least 20 customers; found 19"):
        draw(customers(19), 0.1, "x", 0)
    for holdout in (0.0, 0.51, -0.1):
        with pytest.raises(ValueError, match="holdout"):
            draw(customers(100), holdout, "x", 0)
