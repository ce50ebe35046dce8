"""What members of a campaign bought: after the start, within the horizon, as far as the days are known."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from clv_pipeline_tests.helpers.sql_bench import TODAY, Bench, Row, picked, purchase, window

START = TODAY - timedelta(days=40)


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A campaign of 90 days that started 40 days ago, with one customer in each group."""
    bench.given("history_span", [{"first_day": "2023-01-01", "last_day": TODAY, "as_of": TODAY}])
    bench.given("forecast_windows", [window(TODAY, horizon, is_complete=False) for horizon in (30, 60, 90)])
    start(bench)
    return bench


def start(bench: Bench, **changes: object) -> None:
    campaign: Row = {"campaign": "spring", "started_on": START, "horizon_days": 90}
    bench.given("campaigns", [campaign | changes])
    bench.given(
        "campaign_members",
        [
            {"campaign": "spring", "customer_id": name, "is_control": name == "bob", "stratum": 1, "segment": "Loyal"}
            for name in ("ann", "bob")
        ],
    )


def outcomes(bench: Bench, *days: Row) -> list[tuple[object, ...]]:
    """Horizon, customer, orders and margin of every row."""
    bench.given("customer_days", days)
    return picked(bench.run("campaign_outcomes"), "horizon_days", "customer_id", "orders", "margin")


def test_the_stated_horizon_is_measured_from_the_start_and_a_shorter_one_once_it_is_over(shop: Bench) -> None:
    found = outcomes(
        shop,
        purchase("ann", START + timedelta(days=1), 10, orders=2),
        purchase("ann", START + timedelta(days=30), 20),
        purchase("ann", START + timedelta(days=31), 40),
        purchase("cid", START + timedelta(days=5), 99),
    )
    # Of 60 days only 40 are known.
    assert found == [(30, "ann", 3, 30), (30, "bob", 0, 0), (90, "ann", 4, 70), (90, "bob", 0, 0)]
    assert shop.failed_checks("campaign_outcomes") == []


def test_only_days_after_the_start_and_up_to_as_of_count(shop: Bench) -> None:
    found = outcomes(
        shop,
        purchase("ann", START - timedelta(days=1), 1),
        purchase("ann", START, 2),
        purchase("ann", TODAY, 4),
        purchase("ann", TODAY + timedelta(days=1), 8),
    )
    assert found[2:] == [(90, "ann", 1, 4), (90, "bob", 0, 0)]


def test_the_last_day_of_the_horizon_counts_and_none_after_it(shop: Bench) -> None:
    start(shop, horizon_days=40)
    assert outcomes(shop, purchase("ann", TODAY, 4))[-2] == (40, "ann", 1, 4)
    start(shop, horizon_days=39)
    assert outcomes(shop, purchase("ann", TODAY, 4))[-2] == (39, "ann", 0, 0)


def test_a_campaign_that_starts_today_or_later_has_measured_no_day(shop: Bench) -> None:
    for later in (0, 5):
        start(shop, started_on=TODAY + timedelta(days=later))
        shop.given("customer_days", [purchase("ann", TODAY + timedelta(days=6), 4)])
        rows = shop.run("campaign_outcomes")
        assert picked(rows, "horizon_days", "days_measured", "orders") == [(90, 0, 0)] * 2
        assert shop.failed_checks("campaign_outcomes") == []


def test_orders_that_arrive_late_count_when_they_come(shop: Bench) -> None:
    on_time = purchase("ann", START + timedelta(days=3), 10)
    assert outcomes(shop, on_time)[0] == (30, "ann", 1, 10)
    late = purchase("bob", START + timedelta(days=2), 7)
    assert outcomes(shop, on_time, late)[1] == (30, "bob", 1, 7)


def test_margin_is_the_configured_share_and_unknown_without_money(shop: Bench) -> None:
    shop.given_parameters(margin=0.25)
    bought = purchase("ann", TODAY, "10.02")
    assert outcomes(shop, bought)[2][-1] == Decimal("2.505")
    shop.given_parameters(has_money=False)
    assert outcomes(shop, bought | {"revenue": None})[2] == (90, "ann", 1, None)


def test_a_member_who_is_not_measured_breaks_the_contract(shop: Bench) -> None:
    shop.given("customer_days", [])
    rows = shop.run("campaign_outcomes")
    shop.given("campaign_outcomes", [row for row in rows if row["customer_id"] == "ann"])
    assert shop.failed_checks("campaign_outcomes") == ["covers_all_members"]
    # Until the next run, nothing is measured of a campaign that has just started.
    shop.given("campaign_outcomes", [])
    assert shop.failed_checks("campaign_outcomes") == []
