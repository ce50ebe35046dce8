"""The table of segments against what came: its shares and intervals, and what it calls untrue."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.accuracy.shops import REAL_SHOPS
from benchmarks.generated_blocks import replace_block
from benchmarks.segments import (
    DATES,
    DOCUMENT,
    Seen,
    by_segment,
    difference,
    faults,
    segments_block,
    verdict,
    verdicts_block,
)

AS_OF = date(2024, 6, 30)
AT_RISK: dict[str, Any] = {
    "segment": "At Risk",
    "claim": "fading",
    "at_risk": True,
    "frequency": 2,
    "days_since_last": 100,
    "own_gap_days": 20.0,
    "usual_gap_days": 25.0,
    "overdue_after_days": 57,
    "p_purchase": 0.1,
    "expected_spend": 1.0,
    "bought": False,
    "spend": 0.0,
}
LOYAL = AT_RISK | {
    "segment": "Loyal",
    "claim": "active",
    "at_risk": False,
    "days_since_last": 10,
    "p_purchase": 0.8,
    "expected_spend": 30.0,
    "bought": True,
    "spend": 40.0,
}


def seen(*groups: tuple[dict[str, Any], int], shop: str = "cdnow", has_money: bool = True) -> Seen:
    """A shop with so many customers of each kind."""
    return Seen(shop, AS_OF, has_money, pl.DataFrame([row for row, number in groups for _ in range(number)]))


def test_those_at_risk_are_held_against_the_active_ones_among_customers_with_a_habit() -> None:
    few = AT_RISK | {"frequency": 1, "bought": True}
    found = verdict(seen((AT_RISK, 45), (AT_RISK | {"bought": True}, 5), (LOYAL, 40), (few, 9)).customers)
    assert (found.at_risk, found.at_risk_bought, found.active, found.active_bought) == (50, 0.1, 40, 1.0)
    assert found.order == "less often"
    assert found.lost_share == 0.0


@pytest.mark.parametrize(
    ("at_risk_bought", "order"), [(0, "less often"), (10, "no order"), (20, "more often")], ids=str
)
def test_where_customers_buy_alike_there_is_no_order(at_risk_bought: int, order: str) -> None:
    groups = (AT_RISK, 20 - at_risk_bought), (AT_RISK | {"bought": True}, at_risk_bought)
    half = (LOYAL, 10), (LOYAL | {"bought": False}, 10)
    one = seen(*groups, *half)
    assert verdict(one.customers).order == order
    assert bool(faults([one])) == (order == "more often")


def test_the_interval_of_a_difference_is_that_of_newcombe() -> None:
    # Newcombe 1998, table II, method 10 of contrast (a), 56/70 - 48/80, and (h), 10/10 - 0/10.
    assert difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference(10, 10, 0, 10) == pytest.approx((0.6075, 1.0), abs=1e-4)
    assert all(math.isnan(end) for end in difference(0, 0, 1, 2))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (AT_RISK | {"days_since_last": 20}, "customers at risk are within their own gap"),
        (LOYAL | {"days_since_last": 61}, "Loyal customers are silent for over three times their own gap"),
        (AT_RISK | {"segment": "Lost", "expected_spend": 99.0}, "Lost holds"),
    ],
)
def test_a_name_that_is_not_true_is_told(wrong: dict[str, Any], said: str) -> None:
    true = (AT_RISK, 30), (LOYAL, 30)
    assert faults([seen(*true)]) == []
    [told] = faults([seen(*true, (wrong, 2))])
    assert said in told
    assert told.startswith("cdnow as of 2024-06-30: ")


def test_lost_may_hold_more_where_nothing_else_was_promised() -> None:
    lost = AT_RISK | {"segment": "Lost", "expected_spend": 99.0}
    assert faults([seen((AT_RISK, 30), (LOYAL, 30), (lost, 2), shop="adventureworks")]) == []


def test_the_tables_say_what_was_said_and_what_came() -> None:
    one = seen((AT_RISK, 3), (LOYAL, 1), shop="donations")
    assert by_segment(one.customers)["segment"].to_list() == ["Loyal", "At Risk"]
    assert "| donations | 2024-06-30 | Loyal | 1 | 10 | 25 | 80.0% | 100.0% | 30 | 40 |" in segments_block([one])
    assert "| donations | 2024-06-30 | At Risk | 3 | 100 | 25 | 10.0% | 0.0% | 3 | 0 |" in segments_block([one])
    silent = seen((AT_RISK, 3), (LOYAL, 1), shop="grocery", has_money=False)
    assert "| 80.0% | 100.0% | – | – |" in segments_block([silent])
    assert "| grocery | 2024-06-30 | 0% of 3 | 100% of 1 |" in verdicts_block([silent])
    assert "| nobody | 100% of 1 | – | nobody to compare |" in verdicts_block([seen((LOYAL, 1))])


def test_every_shop_is_known_and_the_document_has_a_place_for_both_tables() -> None:
    assert set(DATES) <= set(REAL_SHOPS)
    text = Path(DOCUMENT).read_text(encoding="utf-8")
    for name in ("verdicts", "segments"):
        assert replace_block(text, name, "new") != text
