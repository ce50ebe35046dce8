"""The table of what to do: every case has one advice, and no advice costs more than is expected."""

from __future__ import annotations

from decimal import Decimal

import pytest

from clv_pipeline_tests.helpers.segments import ACTIVE, FADING, SEGMENT_OF_SCORES
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked

NAMES = set(SEGMENT_OF_SCORES.values())
NOTHING_IS_SPENT = "nothing_is_spent_only_where_nothing_is_affordable"


@pytest.fixture
def advice(bench: Bench) -> list[Row]:
    bench.given("contact_costs", [{"email": "0.05", "letter": "1.50", "telephone": "8.00"}])
    return bench.run("segment_advice")


def of(advice: list[Row], segment: str, affordable: int, *, buys_anyway: bool = False) -> Row:
    [row] = [
        row
        for row in advice
        if (row["segment"], row["affordable_channels"], row["buys_anyway"]) == (segment, affordable, buys_anyway)
    ]
    return row


def test_every_case_has_one_advice(bench: Bench, advice: list[Row]) -> None:
    cases = [(name, affordable, anyway) for name in NAMES for affordable in range(4) for anyway in (False, True)]
    assert picked(advice, "segment", "affordable_channels", "buys_anyway") == sorted(cases)
    assert bench.failed_checks("segment_advice") == []


def test_names_claim_what_the_guard_of_past_segments_takes_them_to_claim(advice: list[Row]) -> None:
    claims = dict(picked(advice, "segment", "claim"))
    assert {name for name, claim in claims.items() if claim == "active"} == ACTIVE
    assert {name for name, claim in claims.items() if claim == "fading"} == FADING


def test_each_segment_has_an_action_of_its_own_where_a_contact_pays(advice: list[Row]) -> None:
    own = {of(advice, name, 3)["recommended_action_code"] for name in NAMES}
    assert len(own) == len(NAMES)
    words = dict(picked(advice, "recommended_action_code", "recommended_action"))
    assert len(set(words.values())) == len(words)


def test_nothing_is_spent_where_nothing_is_affordable_and_only_there(advice: list[Row]) -> None:
    for row in advice:
        assert (row["recommended_action_code"] == "spend_nothing") == (row["affordable_channels"] == 0)
        assert (row["channel_code"] == "none") == (row["affordable_channels"] == 0)


def test_a_channel_is_as_personal_as_suits_the_segment_and_is_affordable(advice: list[Row]) -> None:
    for affordable, channel in enumerate(("none", "email", "letter", "telephone")):
        assert of(advice, "Can't Lose", affordable)["channel_code"] == channel
        assert of(advice, "At Risk", affordable)["channel_code"] == channel.replace("telephone", "letter")
        assert of(advice, "Lost", affordable)["channel_code"] == ("none" if affordable == 0 else "email")


def test_a_contact_costs_what_its_channel_costs(bench: Bench, advice: list[Row]) -> None:
    costs = {"none": "0", "email": "0.05", "letter": "1.50", "telephone": "8.00"}
    assert set(picked(advice, "channel_code", "cost_per_contact")) == {
        (channel, Decimal(cost)) for channel, cost in costs.items()
    }
    bench.given_parameters(has_money=False)
    assert set(picked(bench.run("segment_advice"), "cost_per_contact")) == {(None,)}


def test_who_has_gone_quiet_but_buys_anyway_is_only_reminded(advice: list[Row]) -> None:
    for name in NAMES:
        row = of(advice, name, 3, buys_anyway=True)
        if name in FADING:
            assert (row["recommended_action_code"], row["channel_code"]) == ("remind_without_discount", "email")
        else:
            assert row == of(advice, name, 3) | {"buys_anyway": True}


@pytest.mark.parametrize(
    ("case", "change", "broken"),
    [
        (("Can't Lose", 1), {"channel_code": "telephone"}, ["no_channel_costs_more_than_is_expected"]),
        (("Lost", 1), {"recommended_action_code": "spend_nothing"}, None),
        (("Lost", 0), {"recommended_action_code": "keep_in_touch"}, None),
        (("Lost", 0), {"affordable_channels": 1}, ["one_row_per_case", NOTHING_IS_SPENT]),
    ],
)
def test_advice_that_does_not_pay_breaks_the_contract(
    bench: Bench, advice: list[Row], case: tuple[str, int], change: Row, broken: list[str] | None
) -> None:
    wrong = of(advice, *case)
    bench.given("segment_advice", [row | (change if row == wrong else {}) for row in advice])
    assert bench.failed_checks("segment_advice") == (broken or [NOTHING_IS_SPENT])
