"""Daily volumes: what every recent calendar day brought, the days that brought nothing included."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, sale


def volumes(bench: Bench, *rows: Row, **cleaning: Any) -> list[Row]:
    bench.given_raw(rows)
    bench.given_parameters(**cleaning)
    for model in ("outlier_fence", "rejected_transactions", "cleaned_transactions"):
        bench.run(model)
    found = bench.run("daily_volumes")
    assert bench.failed_checks("daily_volumes") == []
    return found


def test_a_day_is_described_by_its_rows_money_people_and_hours(bench: Bench) -> None:
    (day,) = volumes(
        bench,
        sale(2, ordered_at="2024-01-05 09:30:00", customer_id="ann", product_id="mug", amount=3),
        sale(3, ordered_at="2024-01-05 12:00:00", customer_id="ann", product_id="cup", amount=5),
        sale(4, ordered_at="2024-01-05 17:45:59", customer_id="bob", product_id="tea", amount=100),
    )
    assert day == {
        "ordered_on": date(2024, 1, 5),
        "arrived_rows": 3,
        "kept_rows": 3,
        "forgotten_rows": 0,
        "customers": 2,
        "revenue": 108,
        "line_amount": 5,
        "without_customer": 0,
        "rejected": 0,
        "first_hour": 9.5,
        "last_hour": 17.75,
    }


def test_rows_without_customer_and_other_rejects_are_told_apart(bench: Bench) -> None:
    (day,) = volumes(
        bench,
        *(sale(line, customer_id=None) for line in range(2, 4)),
        *(sale(line, quantity=-1, product_id=f"P{line}") for line in range(4, 6)),
        *(sale(line, product_id=f"P{line}") for line in range(6, 12)),
        returns="drop",
    )
    assert (day["arrived_rows"], day["kept_rows"]) == (10, 6)
    assert day["without_customer"] == pytest.approx(0.2)
    assert day["rejected"] == pytest.approx(2 / 8)


def test_days_without_rows_stand_between_days_with_rows(bench: Bench) -> None:
    days = volumes(bench, sale(2, ordered_at="2024-01-05 10:00:00"), sale(3, ordered_at="2024-01-08 10:00:00"))
    assert picked(days, "ordered_on", "kept_rows", "revenue", "line_amount", "last_hour") == [
        (date(2024, 1, 5), 1, 7, 7, 10),
        (date(2024, 1, 6), 0, 0, None, None),
        (date(2024, 1, 7), 0, 0, None, None),
        (date(2024, 1, 8), 1, 7, 7, 10),
    ]


def test_a_day_of_which_nothing_is_kept_says_so(bench: Bench) -> None:
    days = volumes(
        bench,
        sale(2, ordered_at="2024-01-05 10:00:00"),
        sale(3, ordered_at="2024-01-06 10:00:00", customer_id=None),
        sale(4, ordered_at="2024-01-07 10:00:00"),
    )
    assert picked(days, "arrived_rows", "kept_rows", "without_customer", "rejected") == [
        (1, 1, 0, 0),
        (1, 0, 1, None),
        (1, 1, 0, 0),
    ]


def test_future_and_unreadable_days_are_no_history(bench: Bench) -> None:
    days = volumes(
        bench,
        sale(2),
        sale(3, ordered_at="2199-01-01 10:00:00"),
        sale(4, ordered_at=None),
    )
    assert picked(days, "ordered_on", "arrived_rows") == [(date(2024, 1, 5), 1)]


def test_only_the_last_21_weeks_are_described(bench: Bench) -> None:
    newest = date(2024, 6, 1)
    days = volumes(
        bench,
        *(sale(2 + ago, ordered_at=newest - timedelta(days=ago), order_id=str(ago)) for ago in range(0, 300, 7)),
    )
    assert len(days) == 147
    assert days[-1]["ordered_on"] == newest
    assert sum(row["kept_rows"] for row in days) == 21


def test_money_is_counted_as_cleaned(bench: Bench) -> None:
    rows = [sale(line, amount=1 + line % 2, product_id=f"P{line}") for line in range(2, 40)]
    (day,) = volumes(bench, *rows, sale(40, amount=100_000), outliers="cap")
    assert day["kept_rows"] == 39
    assert day["revenue"] < Decimal(1_000)


def test_no_history_has_no_days(bench: Bench) -> None:
    assert volumes(bench, sale(2, ordered_at=None)) == []


def test_the_last_day_is_the_last_that_something_arrived_for_kept_or_not(bench: Bench) -> None:
    days = volumes(
        bench, sale(2, ordered_at="2024-01-05 10:00:00"), sale(3, ordered_at="2024-01-06 10:00:00", amount=None)
    )
    assert picked(days, "ordered_on", "arrived_rows", "kept_rows") == [
        (date(2024, 1, 5), 1, 1),
        (date(2024, 1, 6), 1, 0),
    ]


@pytest.mark.parametrize(
    ("second", "broken"),
    [
        ({"ordered_on": "2024-01-05"}, {"one_row_per_day", "no_day_is_left_out"}),
        ({"ordered_on": "2024-01-07"}, {"no_day_is_left_out"}),
        ({"ordered_on": "2024-01-06", "rejected": 1.5}, {"shares_are_shares"}),
    ],
)
def test_doubled_and_skipped_days_break_the_contract(bench: Bench, second: Row, broken: set[str]) -> None:
    bench.given("daily_volumes", [{"ordered_on": "2024-01-05", "rejected": 0}, second])
    assert set(bench.failed_checks("daily_volumes")) == broken


def daily(first: date, days: int, every: int = 1, **changes: Any) -> list[Row]:
    """A sale on every so-manieth of so many days."""
    dates = [first + timedelta(days=ago) for ago in range(0, days, every)]
    return [sale(2 + line, ordered_at=f"{day} 10:00:00", **changes) for line, day in enumerate(dates)]


LONE = date(2024, 3, 1)


@pytest.mark.parametrize("days", [3, 60, 90])
def test_a_lone_day_far_behind_all_others_does_not_end_the_history(bench: Bench, days: int) -> None:
    real = daily(date(2011, 1, 1), days)
    found = volumes(bench, *real, sale(500, ordered_at=f"{LONE} 10:00:00"))
    assert picked(found, "ordered_on") == picked(volumes(bench, *real), "ordered_on")


def test_a_second_day_near_it_confirms_it(bench: Bench) -> None:
    after = LONE + timedelta(days=29)
    lone = [sale(500 + n, ordered_at=f"{day} 10:00:00") for n, day in enumerate((LONE, after))]
    assert volumes(bench, *daily(date(2011, 1, 1), 60), *lone)[-1]["ordered_on"] == after


def test_two_lone_days_far_from_each_other_confirm_nothing(bench: Bench) -> None:
    lone = [sale(500, ordered_at="2021-03-01 10:00:00"), sale(501, ordered_at=f"{LONE} 10:00:00")]
    assert volumes(bench, *daily(date(2011, 1, 1), 60), *lone)[-1]["ordered_on"] == date(2011, 3, 1)


@pytest.mark.parametrize(
    ("every", "pause"),
    [
        (1, 30),  # a holiday of a month
        (7, 70),
        (30, 300),  # a small shop
    ],
)
def test_how_far_is_far_depends_on_the_usual_pause(bench: Bench, every: int, pause: int) -> None:
    real = daily(date(2022, 1, 1), 10 * every, every)
    last = date(2022, 1, 1) + timedelta(days=9 * every)
    for days, ends in ((pause, last + timedelta(days=pause)), (pause + 1, last)):
        late = sale(500, ordered_at=f"{last + timedelta(days=days)} 10:00:00")
        assert volumes(bench, *real, late)[-1]["ordered_on"] == ends


def test_a_rejected_row_confirms_nothing(bench: Bench) -> None:
    nobody = sale(501, ordered_at=f"{LONE + timedelta(days=1)} 10:00:00", customer_id=None)
    found = volumes(bench, *daily(date(2011, 1, 1), 60), sale(500, ordered_at=f"{LONE} 10:00:00"), nobody)
    assert found[-1]["ordered_on"] == date(2011, 3, 1)
