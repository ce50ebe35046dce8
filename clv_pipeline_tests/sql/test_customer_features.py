"""What is known of a customer as of a cutoff: all days up to it, and nothing that came later."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.forecasting.protocol import PAST_DAYS, YEAR_AGO_DAYS
from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, purchase, purchases, window

CUTOFF = date(2023, 6, 30)
AFTER = date(2023, 7, 30)
QUICK = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
PAST = purchases(CUTOFF - timedelta(days=500), CUTOFF)
FUTURE = purchases(CUTOFF + timedelta(days=1), CUTOFF + timedelta(days=300))


def features(bench: Bench, days: list[Row], *cutoffs: date, details: Sequence[Row] = ()) -> list[Row]:
    bench.given("customer_days", days)
    bench.given("purchase_day_details", details)
    bench.given("forecast_windows", [window(cutoff, 90) for cutoff in cutoffs])
    return bench.run("customer_features")


def detail(customer: str, day: date, new_products: int | None = None, country: str | None = None) -> Row:
    return {"customer_id": customer, "purchase_day": day, "new_products": new_products, "country": country}


def test_the_same_customer_is_described_as_of_every_cutoff(bench: Bench) -> None:
    days = [
        purchase("ann", date(2023, 1, 1), "100.00"),
        purchase("ann", date(2023, 3, 2), "30.00", orders=2),
        purchase("ann", date(2023, 5, 1), "25.01"),
    ]
    rows = features(bench, days, date(2023, 6, 30), date(2023, 3, 31), date(2023, 1, 1))
    assert picked(rows, "cutoff", "frequency", "orders", "revenue", "monetary_value") == [
        (date(2023, 1, 1), 0, 1, 100, 0),
        (date(2023, 3, 31), 1, 3, 130, 30),
        (date(2023, 6, 30), 2, 4, Decimal("155.01"), Decimal("27.505")),
    ]
    assert picked(rows, "recency_days", "tenure_days", "days_since_last") == [
        (0, 0, 0),
        (60, 89, 29),
        (120, 180, 60),
    ]
    assert picked(rows, "first_purchase_date", "last_purchase_date") == [
        (date(2023, 1, 1), date(2023, 1, 1)),
        (date(2023, 1, 1), date(2023, 3, 2)),
        (date(2023, 1, 1), date(2023, 5, 1)),
    ]
    assert bench.failed_checks("customer_features") == []


def test_the_cutoff_is_the_last_day_of_history(bench: Bench) -> None:
    rows = features(bench, [purchase("ann", CUTOFF), purchase("bob", CUTOFF + timedelta(days=1))], CUTOFF)
    assert picked(rows, "customer_id", "days_since_last") == [("ann", 0)]


def test_a_cutoff_of_several_horizons_gives_one_row_per_customer(bench: Bench) -> None:
    bench.given("customer_days", [purchase("ann", CUTOFF, 10), purchase("ann", date(2023, 1, 1), 5)])
    bench.given("purchase_day_details", [])
    bench.given("forecast_windows", [window(CUTOFF, horizon) for horizon in (30, 90, 365)])
    rows = bench.run("customer_features")
    assert picked(rows, "customer_id", "cutoff", "frequency", "revenue") == [("ann", CUTOFF, 1, 15)]


# Days from the cutoff, and which of the windows of 30, 90, 180 and 365 days they lie in.
@pytest.mark.parametrize(
    ("offset", "inside"),
    [
        (0, [1, 1, 1, 1]),
        (-29, [1, 1, 1, 1]),
        (-30, [0, 1, 1, 1]),
        (-89, [0, 1, 1, 1]),
        (-90, [0, 0, 1, 1]),
        (-179, [0, 0, 1, 1]),
        (-180, [0, 0, 0, 1]),
        (-364, [0, 0, 0, 1]),
        (-365, [0, 0, 0, 0]),
    ],
)
def test_a_past_window_leaves_out_the_day_it_starts_at_and_ends_on_the_cutoff(
    bench: Bench, offset: int, inside: list[int]
) -> None:
    (row,) = features(bench, [purchase("ann", CUTOFF + timedelta(days=offset), 7)], CUTOFF)
    assert [row[f"purchases_{days}_days"] for days in PAST_DAYS] == inside
    assert [row[f"spend_{days}_days"] for days in PAST_DAYS] == [7 * count for count in inside]


# Days from the cutoff, and which of the windows of 30, 90 and 180 days a year ago they lie in.
@pytest.mark.parametrize(
    ("offset", "inside"),
    [
        (1, [0, 0, 0]),
        (0, [0, 0, 0]),
        (-184, [0, 0, 0]),
        (-185, [0, 0, 1]),
        (-274, [0, 0, 1]),
        (-275, [0, 1, 1]),
        (-334, [0, 1, 1]),
        (-335, [1, 1, 1]),
        (-364, [1, 1, 1]),
        (-365, [0, 0, 0]),
    ],
)
def test_a_window_a_year_ago_begins_365_days_before_the_cutoff_and_ends_long_before_it(
    bench: Bench, offset: int, inside: list[int]
) -> None:
    days = [purchase("ann", CUTOFF - timedelta(days=900)), purchase("ann", CUTOFF + timedelta(days=offset))]
    (row,) = features(bench, days, CUTOFF)
    assert [row[f"purchases_{days}_days_year_ago"] for days in YEAR_AGO_DAYS] == inside


def test_how_spend_varies_is_the_last_the_largest_and_the_sums_of_logarithms_and_of_their_squares(
    bench: Bench,
) -> None:
    spent = {date(2023, 1, 1): Decimal(20), date(2023, 3, 1): Decimal(300), date(2023, 5, 1): Decimal("0.5")}
    rows = features(bench, [purchase("ann", day, money) for day, money in reversed(spent.items())], *spent)
    assert picked(rows, "last_spend", "largest_spend") == [(20, 20), (300, 300), (Decimal("0.5"), 300)]
    logarithms = [math.log(float(money)) for money in spent.values()]
    for number, row in enumerate(rows, start=1):
        assert row["log_spend"] == pytest.approx(sum(logarithms[:number]), abs=1e-8)
        assert row["squared_log_spend"] == pytest.approx(sum(log**2 for log in logarithms[:number]), abs=1e-8)


def test_a_day_of_next_to_nothing_counts_as_a_cent_in_logarithms(bench: Bench) -> None:
    (row,) = features(bench, [purchase("ann", CUTOFF, "0.0001")], CUTOFF)
    assert (row["log_spend"], row["last_spend"]) == (pytest.approx(math.log(0.01)), Decimal("0.0001"))


def test_regularity_is_the_mean_and_the_sample_deviation_of_the_gaps(bench: Bench) -> None:
    days = [date(2023, 1, 1) + timedelta(days=offset) for offset in (0, 10, 14, 30)]
    cutoffs = days
    rows = features(bench, [purchase("ann", day) for day in reversed(days)], *cutoffs)
    assert picked(rows, "mean_gap_days") == [(None,), (10,), (7,), (10,)]
    deviations = [row["gap_deviation_days"] for row in rows]
    assert deviations[:2] == [None, None]
    assert deviations[2:] == pytest.approx([statistics.stdev([10, 4]), statistics.stdev([10, 4, 16])])


def test_breadth_counts_lines_per_order_and_products_up_to_the_cutoff(bench: Bench) -> None:
    early, late = date(2023, 1, 1), date(2023, 6, 1)
    days = [purchase("ann", early, orders=2, lines=3), purchase("ann", late, lines=5), purchase("bob", early)]
    details = [detail("ann", early, new_products=2), detail("ann", late, new_products=4)]
    rows = features(bench, days, early, CUTOFF, details=details)
    assert picked(rows, "customer_id", "lines_per_order", "products") == [
        ("ann", 1.5, 2),
        ("ann", 8 / 3, 6),
        ("bob", 1, None),
        ("bob", 1, None),
    ]


def test_the_country_is_the_last_one_known_by_the_cutoff(bench: Bench) -> None:
    days = [date(2023, 1, 1), date(2023, 2, 1), date(2023, 3, 1), date(2023, 4, 1)]
    countries = [None, "Spain", None, "France"]
    details = [detail("ann", day, 1, country) for day, country in zip(days, countries, strict=True)]
    rows = features(bench, [purchase("ann", day) for day in days], *days, details=details)
    assert picked(rows, "country") == [(None,), ("Spain",), ("Spain",), ("France",)]


def described(days: list[Row]) -> list[Row]:
    """Details of every purchase day that follow from its revenue."""
    return [
        detail(row["customer_id"], row["purchase_day"], int(row["revenue"]), f"country {row['orders']}") for row in days
    ]


@given(past=PAST, future=FUTURE, other_future=FUTURE)
@QUICK
def test_no_day_after_a_cutoff_changes_what_was_known_as_of_it(
    bench: Bench, past: list[Row], future: list[Row], other_future: list[Row]
) -> None:
    cutoffs = [CUTOFF - timedelta(days=100), CUTOFF, CUTOFF + timedelta(days=150)]

    def known_by_the_cutoff(days: list[Row]) -> list[Row]:
        return [row for row in features(bench, days, *cutoffs, details=described(days)) if row["cutoff"] <= CUTOFF]

    assert known_by_the_cutoff(past + future) == known_by_the_cutoff(past + other_future)


@given(past=PAST, shuffled=st.randoms(use_true_random=False))
@QUICK
def test_the_order_of_rows_does_not_matter(bench: Bench, past: list[Row], shuffled: Random) -> None:
    in_another_order = shuffled.sample(past, len(past))
    before = features(bench, past, CUTOFF, details=described(past))
    assert features(bench, in_another_order, CUTOFF, details=described(in_another_order)) == before


def test_a_cutoff_for_training_only_describes_a_sample_that_no_later_customer_changes(bench: Bench) -> None:
    early = [purchase(f"c{i}", CUTOFF - timedelta(days=i % 50)) for i in range(15_000)]
    late = [purchase(f"d{i}", AFTER) for i in range(7_000)]
    forecast = [window(CUTOFF, 30, is_sampled=True), window(AFTER, 30)]

    def at(cutoff: date, days: list[Row]) -> list[Row]:
        bench.given("customer_days", days)
        bench.given("purchase_day_details", [])
        bench.given("forecast_windows", forecast)
        return [row for row in bench.run("customer_features") if row["cutoff"] == cutoff]

    sampled = at(CUTOFF, early + late)
    # Of 15,000 customers each is drawn with probability 2/3: 10,000, give or take four standard deviations of 58.
    assert abs(len(sampled) - 10_000) < 4 * 58
    assert at(CUTOFF, early) == sampled
    everybody = at(AFTER, early + late)
    assert len(everybody) == 22_000
    drawn = {row["customer_id"] for row in everybody if row["in_sample"]}
    assert abs(len(drawn) - 10_000) < 4 * 74
    # Chances shrink as customers come, so who is drawn later was drawn before.
    assert {customer for customer in drawn if customer.startswith("c")} < {row["customer_id"] for row in sampled}


def test_a_shop_of_fewer_customers_than_the_sample_is_described_whole(bench: Bench) -> None:
    bench.given("customer_days", [purchase(f"c{i}", CUTOFF) for i in range(200)])
    bench.given("purchase_day_details", [])
    bench.given("forecast_windows", [window(CUTOFF, 30, is_sampled=True)])
    rows = bench.run("customer_features")
    assert len(rows) == 200
    assert all(row["in_sample"] for row in rows)


@given(past=PAST, future=FUTURE)
@QUICK
def test_as_of_today_features_and_rfm_say_the_same(bench: Bench, past: list[Row], future: list[Row]) -> None:
    bench.given("history_span", [{"as_of": CUTOFF}])
    described = features(bench, past + future, CUTOFF)
    measured = bench.run("rfm")
    shared = [
        "customer_id",
        "first_purchase_date",
        "last_purchase_date",
        "days_since_last",
        "tenure_days",
        "recency_days",
        "frequency",
        "orders",
        "revenue",
        "monetary_value",
    ]
    assert picked(described, *shared) == picked(measured, *shared)


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        ([{"last_purchase_date": CUTOFF + timedelta(days=1)}], "history_ends_at_the_cutoff"),
        ([{"last_purchase_date": CUTOFF}] * 2, "one_row_per_customer_and_cutoff"),
    ],
)
def test_knowledge_of_the_future_and_doubled_rows_break_the_contract(
    bench: Bench, rows: list[Row], broken: str
) -> None:
    bench.given("customer_features", [{"customer_id": "ann", "cutoff": CUTOFF} | row for row in rows])
    assert bench.failed_checks("customer_features") == [broken]
