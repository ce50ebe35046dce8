"""What is said of a customer: the name, what is at stake, and what to do by what channel."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

AS_OF = date(2024, 3, 1)
COSTS = {"email": "0.05", "letter": "1.50", "telephone": "8.00"}
ANN: Row = {
    "segment": "At Risk",
    "silence": "overdue",
    "frequency": 4,
    "revenue": "100",
    "usual_gap_days": 36.5,
    "expected_purchases": 2.0,
    "expected_spend": 40.0,
    "clv": 15.0,
    "p_purchase": 0.4,
    "value_per_purchase": 20.0,
}
"""At her own rate she would come ten times within 365 days and bring 200; 40 are expected."""


def segments(bench: Bench, customers: dict[str, Row], *, margin: float = 0.5, has_money: bool = True) -> list[Row]:
    """segments of customers as of AS_OF who are like ann, except for what is given."""

    def given(table: str, *columns: str, **fixed: Any) -> None:
        rows = [
            {"customer_id": name, **fixed} | {column: (ANN | own)[column] for column in columns}
            for name, own in customers.items()
        ]
        bench.given(table, rows)

    bench.given_parameters(margin=margin, has_money=has_money)
    bench.given("contact_costs", [COSTS])
    bench.run("segment_advice")
    given("rfm", "frequency", "revenue", as_of=AS_OF)
    given("past_segments", "segment", cutoff=AS_OF)
    given("customer_rhythms", "silence", "usual_gap_days", cutoff=AS_OF)
    given("customer_clusters", cluster=1, cluster_name="Core")
    given("clv_forecasts", "expected_purchases", "expected_spend", "clv", "p_purchase", horizon_days=365)
    given("customer_outlook", "value_per_purchase")
    return bench.run("segments")


def test_a_customer_has_the_name_of_past_segments_as_of_today(bench: Bench) -> None:
    segments(bench, {"ann": {}, "bob": {"segment": "Loyal", "silence": "usual"}})
    earlier = [{"customer_id": name, "cutoff": date(2024, 2, 1), "segment": "Lost"} for name in ("ann", "bob")]
    today = [
        {"customer_id": name, "cutoff": AS_OF, "segment": said} for name, said in (("ann", "At Risk"), ("bob", "Loyal"))
    ]
    bench.given("past_segments", [*earlier, *today])
    assert picked(bench.run("segments"), "customer_id", "segment") == [("ann", "At Risk"), ("bob", "Loyal")]
    assert bench.failed_checks("segments") == []


def test_at_stake_is_the_margin_at_the_own_rate_beyond_what_is_expected_and_only_of_who_is_at_risk(
    bench: Bench,
) -> None:
    rows = segments(
        bench,
        {
            "ann": {},
            "better": {"expected_spend": 200.0},
            "once": {"frequency": 0, "segment": "Lost"},
            "quiet": {"silence": "usual", "segment": "Loyal"},
        },
    )
    assert picked(rows, "customer_id", "at_risk", "value_at_stake") == [
        ("ann", True, 80),
        ("better", False, 0),
        ("once", False, 0),
        # At their own rate they would bring more than is expected, but are not overdue.
        ("quiet", False, 0),
    ]
    assert bench.failed_checks("segments") == []


def test_something_at_stake_of_who_is_not_at_risk_breaks_the_contract(bench: Bench) -> None:
    [row] = segments(bench, {"quiet": {"silence": "usual", "segment": "Loyal"}})
    bench.given("segments", [row | {"value_at_stake": 80}])
    assert bench.failed_checks("segments") == ["only_who_is_at_risk_has_something_at_stake"]


def test_where_a_rule_knows_no_value_of_a_purchase_it_is_what_one_brought_so_far(bench: Bench) -> None:
    # 100 on five days: 20 each.
    rows = segments(bench, {"ann": {"value_per_purchase": None}})
    assert picked(rows, "at_risk", "value_at_stake") == [(True, 80)]


def test_without_money_purchases_say_who_is_at_risk(bench: Bench) -> None:
    none = {"revenue": None, "expected_spend": None, "clv": None, "value_per_purchase": None}
    rows = segments(bench, {"ann": none, "bob": none | {"expected_purchases": 10.0}}, has_money=False)
    columns = ("at_risk", "value_at_stake", "value_tier", "contact_channel_code", "recommended_action_code")
    assert picked(rows, *columns) == [
        (True, None, None, "email", "win_back"),
        (False, None, None, "email", "win_back"),
    ]
    assert json.loads(rows[0]["recommended_action_facts"]) == [0.4, None, None]
    assert bench.failed_checks("segments") == []


@pytest.mark.parametrize(
    ("clv", "channel", "action"),
    [
        ("0.0499", "none", "spend_nothing"),
        ("0.05", "email", "make_good"),
        ("1.4999", "email", "make_good"),
        ("1.5", "letter", "make_good"),
        ("7.9999", "letter", "make_good"),
        ("8", "telephone", "make_good"),
    ],
)
def test_the_dearest_channel_that_the_expected_margin_covers(bench: Bench, clv: str, channel: str, action: str) -> None:
    rows = segments(bench, {"ann": {"segment": "Can't Lose", "clv": clv}})
    assert picked(rows, "contact_channel_code", "recommended_action_code") == [(channel, action)]
    assert json.loads(rows[0]["recommended_action_facts"]) == [0.4, float(clv), 0.05]
    assert bench.failed_checks("segments") == []


def test_who_buys_anyway_is_only_reminded(bench: Bench) -> None:
    rows = segments(bench, {"ann": {"p_purchase": 0.5}, "bob": {"p_purchase": 0.4999}})
    assert picked(rows, "recommended_action_code") == [("remind_without_discount",), ("win_back",)]


def test_value_tiers_are_above_the_80th_percentile_above_the_median_and_the_rest(bench: Bench) -> None:
    rows = segments(bench, {f"{revenue:02}": {"revenue": revenue} for revenue in range(1, 11)})
    assert [row["value_tier"] for row in rows] == ["low"] * 5 + ["middle"] * 3 + ["high"] * 2


def test_customers_of_equal_revenue_share_a_tier(bench: Bench) -> None:
    assert {row["value_tier"] for row in segments(bench, dict.fromkeys("abcd", ANN))} == {"low"}


def test_the_cluster_is_passed_on(bench: Bench) -> None:
    segments(bench, {"ann": {}, "bob": {}})
    bench.given(
        "customer_clusters",
        [
            {"customer_id": "bob", "cluster": 2, "cluster_name": "Occasional"},
            {"customer_id": "ann", "cluster": 1, "cluster_name": "Core"},
        ],
    )
    assert picked(bench.run("segments"), "customer_id", "cluster", "cluster_name") == [
        ("ann", 1, "Core"),
        ("bob", 2, "Occasional"),
    ]


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"contact_channel_code": "telephone"}, "nobody_is_reached_by_what_costs_more_than_is_expected"),
        ({"contact_channel_code": "letter"}, "nobody_is_reached_by_what_costs_more_than_is_expected"),
        ({"recommended_action_code": "spend_nothing"}, "nothing_is_spent_only_where_no_contact_pays"),
        ({"contact_channel_code": "none"}, "nothing_is_spent_only_where_no_contact_pays"),
        ({"recommended_action_facts": None}, "every_action_and_channel_has_a_code"),
        ({"at_risk": False}, "only_who_is_at_risk_has_something_at_stake"),
        ({"at_risk": None, "value_at_stake": 0}, "only_who_is_overdue_is_at_risk"),
    ],
)
def test_advice_against_the_forecast_breaks_the_contract(bench: Bench, change: Row, broken: str) -> None:
    [row] = segments(bench, {"ann": {"clv": Decimal("1.4999")}})
    bench.given("segments", [row | change])
    assert bench.failed_checks("segments") == [broken]


@pytest.mark.parametrize("change", [{"silence": "usual"}, {"silence": "long"}, {"frequency": 0}])
def test_nobody_at_risk_without_being_overdue_by_a_rhythm_of_their_own(bench: Bench, change: Row) -> None:
    [row] = segments(bench, {"ann": {"segment": "Loyal"} | change})
    assert not row["at_risk"]
    bench.given("segments", [row | {"at_risk": True}])
    assert bench.failed_checks("segments") == ["only_who_is_overdue_is_at_risk"]


def test_a_customer_without_a_cluster_or_a_known_name_is_missed_by_the_contract(bench: Bench) -> None:
    segments(bench, {"ann": {}, "bob": {"segment": "Nobody"}})
    assert picked(bench.run("segments"), "customer_id") == [("ann",)]
    assert bench.failed_checks("segments") == ["covers_all_customers"]
    segments(bench, {"ann": {}, "bob": {}})
    bench.given("customer_clusters", [{"customer_id": "ann", "cluster": 1, "cluster_name": "Core"}])
    assert picked(bench.run("segments"), "customer_id") == [("ann",)]
    assert bench.failed_checks("segments") == ["covers_all_customers"]
