"""The fence lies at exp(Q3 + 3 × IQR) of the logarithms of readable positive amounts with a customer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clv_pipeline_tests.helpers.sql_bench import Bench, Row

# Logarithms 0, 1, 2, 3, 4 (times ln 2): Q1 = 1, Q3 = 3, so the fence is 2 ** (3 + 3 × 2).
POWERS_OF_TWO = ["1", "2", "4", "8", "16"]


def lines(amounts: Sequence[str | None], **columns: str | None) -> list[Row]:
    return [{"customer_id": "ann", "ordered_at": "2020-01-01", "amount": amount} | columns for amount in amounts]


def fence(bench: Bench, rows: list[Row], outliers: str) -> Row:
    bench.given_raw(rows)
    bench.given_parameters(outliers=outliers)
    (row,) = bench.run("outlier_fence")
    return row


@pytest.mark.parametrize("treatment", ["cap", "drop"])
def test_the_fence_is_three_interquartile_ranges_above_the_upper_quartile_of_the_logs(
    bench: Bench, treatment: str
) -> None:
    row = fence(bench, lines(POWERS_OF_TWO), treatment)
    assert row["treatment"] == treatment
    assert float(row["upper_amount"]) == pytest.approx(512)
    assert bench.failed_checks("outlier_fence") == []


def test_there_is_no_fence_where_outliers_are_kept(bench: Bench) -> None:
    row = fence(bench, lines(POWERS_OF_TWO), "keep")
    assert row == {"treatment": "keep", "upper_amount": None}
    assert bench.failed_checks("outlier_fence") == []


def test_returns_free_lines_unreadable_amounts_and_lines_without_customer_do_not_move_the_fence(
    bench: Bench,
) -> None:
    noise = lines(["-7000", "0", None]) + lines(["9000", "9000"], customer_id=None)
    row = fence(bench, lines(POWERS_OF_TWO) + noise, "cap")
    assert float(row["upper_amount"]) == pytest.approx(512)


def test_the_fence_scales_with_the_currency(bench: Bench) -> None:
    in_pence = [str(100 * int(amount)) for amount in POWERS_OF_TWO]
    row = fence(bench, lines(in_pence), "cap")
    assert float(row["upper_amount"]) == pytest.approx(51200)


def test_equal_amounts_put_the_fence_on_that_amount(bench: Bench) -> None:
    row = fence(bench, lines(["12.5"] * 4), "drop")
    assert row["upper_amount"] == 12.5


def test_amounts_spread_over_many_orders_of_magnitude_put_the_fence_out_of_reach(bench: Bench) -> None:
    row = fence(bench, lines(["0.01", "0.01", "1000000", "1000000"]), "drop")
    assert row["upper_amount"] > 10**13
    assert bench.failed_checks("outlier_fence") == []


def test_a_fence_that_is_needed_and_cannot_be_known_breaks_the_contract(bench: Bench) -> None:
    assert fence(bench, lines(["-1"]), "drop")["upper_amount"] is None
    assert bench.failed_checks("outlier_fence") == ["fence_is_known_where_needed"]
