"""What the next plan learns of campaigns: the uplift of every segment, with the error that it has."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from clv_pipeline.campaigns.results import result
from clv_pipeline.campaigns.segment_uplifts import Finished, horizon_to_plan, segment_uplifts
from clv_pipeline_tests.helpers.campaign_members import SPRING, members


def test_the_plan_learns_from_campaigns_of_the_horizon_of_the_one_that_ended_last() -> None:
    finished = [
        Finished("old", date(2023, 1, 1), 90),
        Finished("long", date(2023, 1, 1), 365),
        Finished("new", date(2023, 12, 1), 30),
    ]
    assert horizon_to_plan(finished, [30, 90, 365]) == 365
    assert horizon_to_plan(finished[:1], [30, 90, 365]) == 90
    assert horizon_to_plan([], [30, 90, 365]) == 365


def by_segment(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["segment"]: row for row in frame.iter_rows(named=True)}


def test_without_a_campaign_every_segment_has_the_assumed_uplift_and_says_so() -> None:
    uplifts = by_segment(segment_uplifts([], 365, 0.075, ["Loyal", "Lost"]))
    assert set(uplifts) == {"Loyal", "Lost"}
    lost = uplifts["Lost"]
    assert (lost["uplift"], lost["basis_code"], lost["campaigns"], lost["measured_weight"]) == (
        pytest.approx(0.075),
        "assumed_uplift",
        0,
        pytest.approx(0.0),
    )
    assert lost["basis"] == "ASSUMPTION, not a measurement: a contact raises the expected margin by 7.5%"
    assert segment_uplifts([], 365, None, ["Loyal"]).is_empty()


def test_segments_that_answer_differently_are_learned_apart_and_an_unknown_one_gets_the_whole() -> None:
    frame = members(40_000, segments={"Loyal": 0.0, "At Risk": 0.6})
    uplifts = by_segment(segment_uplifts([frame], 90, 0.1, ["Loyal", "At Risk", "Lost"]))
    assert uplifts["Loyal"]["uplift"] == pytest.approx(0.0, abs=0.06)
    assert uplifts["At Risk"]["uplift"] == pytest.approx(0.6, abs=0.08)
    lost = uplifts["Lost"]
    assert lost["uplift"] == pytest.approx(0.3, abs=0.06)
    assert lost["measured_uplift"] is None
    assert (lost["basis_code"], lost["campaigns"], lost["horizon_days"]) == ("measured_uplift", 1, 90)
    assert 0.9 < lost["measured_weight"] < 1.0
    assert lost["basis"].startswith("measured in 1 campaign: a contact raises the margin of 90 days by 2")


def test_several_campaigns_are_known_better_than_one_and_a_tiny_one_hardly_moves_the_assumption() -> None:
    frames = [members(4_000, 0.3, seed) for seed in range(3)]
    one, three = (by_segment(segment_uplifts(frames[:number], 90, 0.1, ["Loyal"]))["Loyal"] for number in (1, 3))
    assert three["uplift_deviation"] < 0.7 * one["uplift_deviation"]
    tiny = by_segment(segment_uplifts([members(30, 0.3)], 90, 0.05, ["Loyal"]))["Loyal"]
    assert tiny["uplift"] == pytest.approx(0.05, abs=0.02)
    assert tiny["measured_weight"] < 0.2


def test_a_surprising_uplift_of_a_small_campaign_has_the_error_of_its_interval() -> None:
    frame = members(200, 1.5)
    row = result(SPRING, 90, 90, frame, has_money=True)
    width = (row["uplift_upper"] - row["uplift_lower"]) / (2 * norm.ppf(0.975))
    assert row["uplift_deviation"] == pytest.approx(width, rel=0.3)
    learned = by_segment(segment_uplifts([frame], 90, 0.1, ["Loyal"]))["Loyal"]
    assert learned["whole_deviation"] == pytest.approx(row["uplift_deviation"])
    assert learned["measured_weight"] == pytest.approx(0.1**2 / (0.1**2 + row["uplift_deviation"] ** 2))


def test_what_is_learned_holds_the_true_uplift_as_often_as_its_error_says() -> None:
    """Uplifts that are as the assumption says, each measured by a campaign: the mean has no pull of its own."""
    rng = np.random.default_rng(1)
    truths = rng.normal(0.4, 0.4, 150).clip(-0.9)
    learned = [
        by_segment(segment_uplifts([members(400, float(true), seed)], 90, 0.4, ["Loyal"]))["Loyal"]
        for seed, true in enumerate(truths)
    ]
    off = np.array(
        [(row["uplift"] - true) / row["uplift_deviation"] for row, true in zip(learned, truths, strict=True)]
    )
    # Three binomial deviations of 1.8 %.
    assert np.mean(np.abs(off) < norm.ppf(0.975)) > 0.95 - 0.054


def test_a_campaign_that_cannot_be_compared_leaves_the_assumption() -> None:
    nobody = members().filter(~pl.col("is_control"))
    assert by_segment(segment_uplifts([nobody], 90, 0.1, ["Loyal"]))["Loyal"]["basis_code"] == "assumed_uplift"
