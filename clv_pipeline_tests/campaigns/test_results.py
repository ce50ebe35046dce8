"""What is told of a campaign: its figures, its verdict in words and fields, and what the next plan learns of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from clv_pipeline.campaigns.results import (
    Campaign,
    Finished,
    horizon_to_plan,
    planned,
    result,
    results_frame,
    segment_uplifts,
    verdict_in_words,
)

SPRING = Campaign("spring", date(2024, 3, 1), 90, assumed_uplift=0.1, cost_per_contact=2.0)


def members(
    customers: int = 4_000, uplift: float = 0.0, seed: int = 0, segments: dict[str, float] | None = None
) -> pl.DataFrame:
    """Members of a campaign, half of them left out, and what came of them; `segments` have uplifts of their own."""
    rng = np.random.default_rng(seed)
    effects = segments or {"Loyal": uplift}
    names = rng.choice(list(effects), customers)
    is_control = np.arange(customers) % 2 == 0
    effect = np.where(is_control, 0.0, [effects[name] for name in names])
    expected = rng.gamma(2.0, 0.5, customers)
    orders = rng.poisson(expected * (1.0 + effect))
    return pl.DataFrame(
        {
            "is_control": is_control,
            "stratum": pl.Series(names).rank("dense"),
            "segment": names,
            "expected_purchases": expected,
            "expected_margin": 20.0 * expected,
            "expected_deviation": 20.0 * np.sqrt(expected),
            "orders": orders,
            "margin": 20.0 * orders,
        }
    )


def told(days: int, frame: pl.DataFrame, campaign: Campaign = SPRING, has_money: bool = True) -> dict[str, Any]:
    return result(campaign, campaign.horizon_days, days, frame, has_money=has_money)


def test_a_large_uplift_is_found_with_what_it_brought_cost_and_earned() -> None:
    frame = members(uplift=0.5)
    row = told(90, frame)
    audience = frame.filter(~pl.col("is_control"))["margin"]
    assert (row["verdict_code"], row["is_over"], row["contacts"], row["controls"]) == ("uplift_found", True, 2000, 2000)
    assert row["uplift_lower"] < 0.5 < row["uplift_upper"]
    assert row["interval_level"] == 0.95
    assert row["margin_per_contact"] == pytest.approx(audience.mean())
    # Both groups were expected to bring much the same, so little is taken off.
    assert row["added_margin"] == pytest.approx(audience.sum() * row["uplift"] / (1 + row["uplift"]), rel=0.05)
    assert row["added_margin_lower"] < row["added_margin"] < row["added_margin_upper"]
    assert (row["cost"], row["profit"]) == (4000.0, pytest.approx(row["added_margin"] - 4000.0))
    assert row["verdict"].startswith(
        f"an uplift of margin of {row['uplift']:.1%} was found within 90 days: the uplift is between"
    )


def test_a_contact_that_drives_customers_away_is_a_loss() -> None:
    row = told(90, members(uplift=-0.5))
    assert row["verdict_code"] == "loss_found"
    assert row["uplift_upper"] < 0
    assert row["profit"] < -row["cost"]
    assert "a loss of margin of" in row["verdict"]


def test_contacts_after_which_nobody_buys_cost_what_would_have_come() -> None:
    frame = members(400).with_columns(
        orders=pl.when("is_control").then("orders").otherwise(0),
        margin=pl.when("is_control").then("margin").otherwise(0.0),
    )
    row = told(90, frame)
    would_have_come = float(frame.filter("is_control")["margin"].sum())
    assert (row["uplift"], row["verdict_code"]) == (-1.0, "loss_found")
    assert row["added_margin"] == pytest.approx(-would_have_come, rel=0.2)
    assert row["added_margin_lower"] is None


def test_before_its_end_it_is_not_yet_and_afterwards_never_told_from_none_with_the_size_that_is_needed() -> None:
    frame = members(20_000)
    early, late = told(30, frame), told(90, frame)
    assert (early["verdict_code"], late["verdict_code"]) == ("not_yet", "not_found")
    assert early["verdict"].startswith(
        "not distinguishable from none after 30 of 90 days: the verdict comes after May 30, 2024"
    )
    assert "within 90 days, and never will be" in late["verdict"]
    assert late["verdict"].endswith(f"; finding 10.0% takes {late['customers_needed']:,} customers")


def test_there_is_one_look_however_large_the_uplift_is() -> None:
    frame = members(uplift=2.0)
    for days in (1, 45, 89):
        row = told(days, frame)
        assert row["uplift"] == pytest.approx(2.0, abs=0.3)
        assert (row["uplift_lower"], row["uplift_upper"], row["interval_level"], row["profit_lower"]) == (None,) * 4
        assert not row["verdict_code"].endswith("_found")
    assert told(90, frame)["verdict_code"] == told(400, frame)["verdict_code"] == "uplift_found"


def test_a_shorter_horizon_shows_how_it_came_about_and_has_no_verdict() -> None:
    row = result(SPRING, 30, 90, members(uplift=2.0), has_money=True)
    assert (row["verdict_code"], row["is_stated"], row["is_over"], row["days_measured"]) == (
        "on_the_way",
        False,
        True,
        30,
    )
    assert row["uplift"] == pytest.approx(2.0, abs=0.3)
    assert row["uplift_lower"] is None
    assert row["verdict"] == "the first 30 days: how it came about, no verdict"


def test_a_campaign_that_is_too_small_for_what_is_hoped_says_so_from_the_first_day() -> None:
    row = told(1, members(200))
    assert row["verdict_code"] == "too_small"
    assert row["detectable_uplift"] > 0.1
    assert row["customers_needed"] == pytest.approx(200 * (row["detectable_uplift"] / 0.1) ** 2, abs=1)
    found = f"an uplift of {row['detectable_uplift']:.1%} is found in 8 of 10 campaigns"
    assert f"; with as many customers as these {found}, and a smaller one mostly stays unseen; " in row["verdict"]
    assert "never" not in row["verdict"]


def test_a_smaller_uplift_than_the_detectable_one_is_sometimes_found() -> None:
    """So it must not be said that it never is."""
    rows = [told(90, members(300, uplift=0.2, seed=seed)) for seed in range(60)]
    below = [row for row in rows if row["detectable_uplift"] > 0.2]
    assert len(below) > 50
    assert any(row["verdict_code"] == "uplift_found" for row in below)


def test_the_size_that_is_planned_finds_the_uplift_four_times_in_five() -> None:
    size = planned(members(200), 0.5, has_money=True)
    assert size.customers_needed is not None
    found = [told(90, members(size.customers_needed, uplift=0.5, seed=seed))["verdict_code"] for seed in range(100)]
    # Three binomial deviations of 4 % each, and forecasts know the variance without the uplift only.
    assert 0.65 < found.count("uplift_found") / 100 < 0.93


def test_without_a_known_day_nothing_is_measured() -> None:
    row = told(0, members())
    assert (row["verdict_code"], row["uplift"], row["profit"]) == ("not_started", None, None)
    assert row["verdict"] == "nothing is measured yet: no day after March 1, 2024 is known"


def test_a_shop_without_money_compares_orders_and_a_contact_of_unknown_cost_has_no_profit() -> None:
    frame = members(uplift=0.5).with_columns(margin=pl.lit(None, pl.Float64), expected_margin=pl.lit(None, pl.Float64))
    row = told(90, frame, has_money=False)
    assert (row["measure"], row["verdict_code"], row["added_margin"]) == ("orders", "uplift_found", None)
    assert "uplift of orders" in row["verdict"]
    free = told(90, members(uplift=0.5), replace(SPRING, cost_per_contact=None))
    assert (free["cost"], free["profit"]) == (None, None)
    assert free["added_margin"] > 0


def test_where_only_one_group_is_left_nothing_is_compared() -> None:
    row = told(90, members().filter(~pl.col("is_control")))
    assert (row["verdict_code"], row["uplift"], row["controls"], row["orders_per_control"]) == (
        "one_group",
        None,
        0,
        None,
    )


def test_a_campaign_in_which_nobody_bought_has_a_row_without_an_uplift() -> None:
    row = told(90, members().with_columns(orders=pl.lit(0), margin=pl.lit(0.0)))
    assert (row["verdict_code"], row["uplift"], row["uplift_lower"]) == ("not_found", None, None)
    assert "not known at all" in row["verdict"]


@pytest.mark.parametrize(("days", "uplift"), [(0, 0.0), (1, 0.0), (90, 0.0), (90, 0.5), (90, -0.5)])
def test_the_sentence_can_be_made_from_code_and_fields_alone(days: int, uplift: float) -> None:
    row = told(days, members(400, uplift))
    assert verdict_in_words(row["verdict_code"], json.loads(row["verdict_facts"])) == row["verdict"]
    assert results_frame([row]).height == 1


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
    row = told(90, frame)
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
