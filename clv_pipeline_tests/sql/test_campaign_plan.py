"""Whom to contact first if the assumed uplift held: the best first, within the budget, nobody at a loss."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.campaigns.segment_uplifts import segment_uplifts
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

CAMPAIGN = {"budget": 10, "cost_per_contact": 2, "assumed_uplift": "0.1"}


def plan(
    bench: Bench,
    margins: dict[str, Decimal | int | str],
    campaign: Row | None = CAMPAIGN,
    uplift: Row | None = None,
    segments: dict[str, str] | None = None,
) -> list[Row]:
    """Plan for customers with these margins, all Loyal unless `segments` says otherwise.

    `uplift` is what is known of all segments instead of the assumption.
    """
    of = {c: (segments or {}).get(c, "Loyal") for c in margins}
    known = [{"customer_id": c, "clv": m, "horizon_days": 365} for c, m in margins.items()]
    bench.given(
        "customer_overview",
        [row | {"recommended_action_code": "reward", "segment": of[str(row["customer_id"])]} for row in known],
    )
    bench.given("clv_forecasts", [*known, *({**row, "horizon_days": 30, "clv": 1} for row in known)])
    bench.given("campaign_settings", [campaign] if campaign else [])
    assumed = (campaign or CAMPAIGN)["assumed_uplift"]
    frame = segment_uplifts([], 365, float(str(assumed)), sorted({*of.values(), "Lost"})) if campaign else None
    bench.given("segment_uplifts", [] if frame is None else [row | (uplift or {}) for row in frame.to_dicts()])
    return bench.run("campaign_plan")


def test_the_best_are_contacted_first_and_nobody_who_brings_less_than_a_contact_costs(bench: Bench) -> None:
    rows = plan(bench, {"ann": "19.99", "bob": 50, "cid": 20, "dee": 100, "eve": 0})
    columns = ("expected_return", "break_even_uplift", "cumulative_cost", "cumulative_return")
    assert picked(rows, "contact_order", "customer_id", "expected_margin", *columns) == [
        (1, "dee", 100, 10, 0.02, 2, 10),
        (2, "bob", 50, 5, 0.04, 4, 15),
        # Just as much as it costs: cid is the last who is contacted, ann is a cent short.
        (3, "cid", 20, 2, 0.1, 6, 17),
    ]
    assert picked(rows, "cumulative_break_even_uplift") == [(0.02,), (pytest.approx(4 / 150),), (6 / 170,)]
    assert bench.failed_checks("campaign_plan") == []


def test_the_budget_ends_the_list_and_equal_customers_come_by_their_id(bench: Bench) -> None:
    rows = plan(bench, dict.fromkeys(("cid", "ann", "bob", "dee"), 30), CAMPAIGN | {"budget": "5.99"})
    assert picked(rows, "customer_id", "cumulative_cost") == [("ann", 2), ("bob", 4)]
    assert bench.failed_checks("campaign_plan") == []


def test_every_row_says_that_it_rests_on_an_assumption(bench: Bench) -> None:
    rows = plan(bench, {"ann": 50, "bob": 60}, CAMPAIGN | {"assumed_uplift": "0.075"})
    assert set(picked(rows, "basis", "assumed_uplift")) == {
        ("ASSUMPTION, not a measurement: a contact raises the expected margin by 7.5%", Decimal("0.075"))
    }


def test_what_is_said_in_words_has_a_code(bench: Bench) -> None:
    assert picked(plan(bench, {"ann": 50}), "recommended_action_code", "basis_code") == [("reward", "assumed_uplift")]


def test_a_margin_that_is_not_the_forecast_breaks_the_contract(bench: Bench) -> None:
    [row] = plan(bench, {"ann": 100})
    bench.given("campaign_plan", [row | {"expected_margin": "100.0001"}])
    assert bench.failed_checks("campaign_plan") == ["margins_are_those_of_clv_forecasts"]
    bench.given("campaign_plan", [row | {"horizon_days": 30, "expected_margin": 1}])
    assert bench.failed_checks("campaign_plan") == ["margins_are_those_of_clv_forecasts"]


def test_without_a_campaign_there_is_no_plan_and_nothing_to_complain_of(bench: Bench) -> None:
    assert plan(bench, {"ann": 100}, campaign=None) == []
    assert bench.failed_checks("campaign_plan") == []
    assert bench.failed_checks("campaign_settings") == []


@pytest.mark.parametrize("changes", [{"budget": "1.99"}, {"cost_per_contact": 10, "assumed_uplift": "0.01"}])
def test_a_campaign_that_contacts_nobody_is_a_warning(bench: Bench, changes: Row) -> None:
    assert plan(bench, {"ann": 100}, CAMPAIGN | changes) == []
    [warning] = [result for result in bench.checks("campaign_plan") if not result.passed]
    assert (warning.check, warning.severity) == ("a_configured_campaign_contacts_somebody", "warning")


def test_overspending_and_a_contact_at_a_loss_break_the_contract(bench: Bench) -> None:
    [row] = plan(bench, {"ann": 100})
    bench.given("campaign_plan", [row | {"cumulative_cost": "10.01"}])
    assert bench.failed_checks("campaign_plan") == ["cost_stays_within_the_budget"]
    bench.given("campaign_plan", [row | {"break_even_uplift": 0.11}])
    assert bench.failed_checks("campaign_plan") == ["every_contact_pays_if_the_uplift_holds"]


MEASURED = {"uplift": "0.25", "basis_code": "measured_uplift", "campaigns": 1, "horizon_days": 30, "basis": "measured"}


def test_a_measured_uplift_replaces_the_assumed_one_with_its_horizon_and_says_so(bench: Bench) -> None:
    # Within 30 days a margin of 1 is expected of each.
    rows = plan(bench, {"ann": 50, "bob": 60}, CAMPAIGN | {"cost_per_contact": "0.20"}, MEASURED)
    told = ("customer_id", "horizon_days", "expected_margin", "uplift", "expected_return", "basis_code", "basis")
    assert picked(rows, *told) == [
        ("ann", 30, 1, Decimal("0.25"), Decimal("0.25"), "measured_uplift", "measured"),
        ("bob", 30, 1, Decimal("0.25"), Decimal("0.25"), "measured_uplift", "measured"),
    ]
    assert bench.failed_checks("campaign_plan") == []


def test_a_segment_that_answers_comes_before_one_that_is_worth_more(bench: Bench) -> None:
    plan(bench, {"ann": 50, "bob": 60}, segments={"ann": "Lost"})
    uplifts = segment_uplifts([], 365, 0.1, ["Lost", "Loyal"]).to_dicts()
    bench.given("segment_uplifts", [row | {"uplift": {"Lost": 0.2, "Loyal": 0.05}[row["segment"]]} for row in uplifts])
    assert picked(bench.run("campaign_plan"), "customer_id", "expected_return") == [("ann", 10), ("bob", 3)]


def test_nobody_is_contacted_where_contacts_were_measured_to_do_harm(bench: Bench) -> None:
    assert plan(bench, {"ann": 50, "bob": 60}, uplift=MEASURED | {"uplift": "-0.1", "horizon_days": 365}) == []


def test_an_uplift_that_is_not_the_segments_breaks_the_contract(bench: Bench) -> None:
    [row] = plan(bench, {"ann": 100})
    bench.given("campaign_plan", [row | {"uplift": "0.2"}])
    assert bench.failed_checks("campaign_plan") == ["uplifts_are_those_of_the_segment"]


money = st.integers(0, 5_000).map(lambda cents: Decimal(cents) / 100)


@given(margins=st.lists(money, max_size=20), budget=st.integers(1, 3_000), cost=st.integers(1, 500))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_affordable_contact_that_pays_is_forgotten(
    bench: Bench, margins: list[Decimal], budget: int, cost: int
) -> None:
    campaign: Row = {"budget": Decimal(budget) / 100, "cost_per_contact": Decimal(cost) / 100, "assumed_uplift": "0.1"}
    rows = plan(bench, {f"c{i:02}": margin for i, margin in enumerate(margins)}, campaign)
    paying = sorted((margin for margin in margins if margin / 10 >= campaign["cost_per_contact"]), reverse=True)
    assert [row["expected_margin"] for row in rows] == paying[: budget // cost]
    if rows:
        assert rows[-1]["cumulative_cost"] == len(rows) * campaign["cost_per_contact"] <= campaign["budget"]
        assert rows[-1]["cumulative_return"] == sum(row["expected_return"] for row in rows)
