"""What is told of a campaign: its figures, and its verdict in words and fields."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from clv_pipeline.campaigns.results import Campaign, planned, result, results_frame
from clv_pipeline.campaigns.verdict import verdict_in_words
from clv_pipeline_tests.helpers.campaign_members import SPRING, members


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
