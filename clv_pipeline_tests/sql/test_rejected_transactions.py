"""Every raw row that does not count is rejected once, for the first reason that applies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clv_pipeline_tests.helpers.sql_bench import TODAY, Bench, Row, picked, sale

TOMORROW = TODAY + timedelta(days=1)

# What is wrong with a line, in the order in which reasons take precedence. A zero quantity is no return.
FAULTS: list[tuple[str, Row]] = [
    ("unreadable line", {"source_text": "unreadable line: expected 8 fields, found 9"}),
    ("not selected", {"source_text": "not selected"}),
    ("no customer", {"customer_id": None}),
    ("unparsable date", {"ordered_at": None}),
    ("unparsable number", {"amount": None}),
    ("future date", {"ordered_at": TOMORROW}),
    ("non-positive quantity", {"quantity": 0}),
    ("cancellation", {"quantity": -1, "order_id": "C1001"}),
    ("non-positive quantity", {"quantity": -1}),
    ("non-positive price", {"unit_price": 0}),
    ("non-positive amount", {"amount": 0}),
    ("excluded product", {"product_id": "POST"}),
    ("outlier", {"amount": "1000.01"}),
]


def rejections(bench: Bench, rows: list[Row], fence: Any = None, **parameters: Any) -> dict[int, str]:
    """The rejected lines with their reasons."""
    bench.given_raw(rows)
    bench.given_parameters(**parameters)
    bench.given("outlier_fence", [{"treatment": parameters.get("outliers", "keep"), "upper_amount": fence}])
    rejected = bench.run("rejected_transactions")
    assert len({(row["source_id"], row["source_line"]) for row in rejected}) == len(rejected)
    return dict(picked(rejected, "source_line", "reason"))


@pytest.mark.parametrize("place", range(len(FAULTS)), ids=[reason for reason, _ in FAULTS])
def test_of_several_faults_the_first_in_order_is_the_reason(bench: Bench, place: int) -> None:
    faults: Row = {}
    for _, fault in reversed(FAULTS[place:]):
        faults |= fault
    reasons = rejections(
        bench,
        # The second of two equal lines is a duplicate too, which is the last reason of all.
        [sale(2), sale(3, **faults), sale(4, **faults)],
        fence=1000,
        outliers="drop",
        returns="drop",
        exclude_products=["POST", "M"],
    )
    assert reasons == {3: FAULTS[place][0], 4: FAULTS[place][0]}


@pytest.mark.parametrize(("reason", "fault"), FAULTS, ids=[reason for reason, _ in FAULTS])
def test_one_fault_alone_is_enough(bench: Bench, reason: str, fault: Row) -> None:
    rows = [sale(2), sale(3, **fault)]
    reasons = rejections(bench, rows, fence=1000, outliers="drop", returns="drop", exclude_products=["POST", "M"])
    assert reasons == {3: reason}


def test_nothing_is_rejected_from_a_clean_file(bench: Bench) -> None:
    assert rejections(bench, [sale(2), sale(3, product_id="cup")]) == {}
    assert bench.failed_checks("rejected_transactions") == []


def test_a_rejected_row_is_shown_as_it_came(bench: Bench) -> None:
    told = {
        "source_text": 'unreadable line: ann,"mug [bad quote]',
        "country": "France",
        "attributes": '{"shop": 1}',
    }
    rejections(bench, [sale(2), sale(3, **told)])
    (row,) = bench.run("rejected_transactions")
    assert row.items() >= told.items()
    assert picked([row], "source_file", "customer_id", "order_id", "product_id", "quantity", "amount") == [
        ("jan.csv", "ann", "1001", "mug", 2, 7)
    ]


def test_the_reasons_are_the_ones_that_the_contract_names(bench: Bench) -> None:
    faulty = [sale(line, **fault) for line, (_, fault) in enumerate(FAULTS, start=100)]
    clean = [sale(line, product_id=f"mug {line}") for line in range(2, 100)]
    duplicate = [sale(200, product_id="mug 2")]
    reasons = rejections(
        bench, clean + faulty + duplicate, fence=1000, outliers="drop", returns="drop", exclude_products=["POST"]
    )
    assert set(reasons.values()) == {reason for reason, _ in FAULTS} | {"exact duplicate"}
    assert bench.failed_checks("rejected_transactions") == []


@pytest.mark.parametrize(
    "unreadable", [{"source_text": "unreadable line: cut off"}, {"ordered_at": None}, {"amount": None}]
)
def test_more_than_one_unreadable_line_in_twenty_breaks_the_contract(bench: Bench, unreadable: Row) -> None:
    clean = [sale(line, product_id=f"mug {line}") for line in range(2, 20)]
    rejections(bench, [*clean, sale(20, **unreadable)])
    assert bench.failed_checks("rejected_transactions") == ["few_unreadable_lines"]
    rejections(bench, [*clean, sale(20, **unreadable), sale(21)])
    assert bench.failed_checks("rejected_transactions") == []


def test_losing_every_row_breaks_the_contract(bench: Bench) -> None:
    rejections(bench, [sale(2, unit_price=0), sale(3, unit_price=0), sale(4, source_text="not selected")])
    failed = [result for result in bench.checks("rejected_transactions") if not result.passed]
    assert [result.check for result in failed] == ["some_rows_are_kept", "most_rows_are_kept"]
    for result in failed:
        assert result.observed.endswith("non-positive price in 2 rows; not selected in 1 rows")


class TestReturns:
    """Returns are lines of negative quantity, or of negative amount where no quantity is mapped."""

    RETURNED = sale(3, order_id="1002", quantity=-1, amount="-3.50")
    CANCELLED = sale(4, order_id="C1003", quantity=-2, amount="-7.00")
    RETURNED_ELSEWHERE = sale(6, order_id="10C2", quantity=-1, amount="-3.50")
    CREDITED = sale(5, order_id="1004", quantity=None, unit_price=None, amount="-4.00")

    EVERY_KIND = (RETURNED, CANCELLED, CREDITED, RETURNED_ELSEWHERE)

    def test_dropped_returns_say_whether_an_order_was_cancelled(self, bench: Bench) -> None:
        assert rejections(bench, [sale(2), *self.EVERY_KIND], returns="drop") == {
            3: "non-positive quantity",
            4: "cancellation",
            5: "non-positive amount",
            6: "non-positive quantity",
        }

    def test_netted_returns_are_kept_as_long_as_there_is_something_to_take_back(self, bench: Bench) -> None:
        assert rejections(bench, [sale(2), *self.EVERY_KIND], returns="net") == {
            4: "return without purchase",
            6: "return without purchase",
        }

    def test_money_of_returns_that_mostly_find_no_purchase_is_warned_of(self, bench: Bench) -> None:
        rejections(bench, [sale(2), *self.EVERY_KIND], returns="net")
        assert "returns_have_a_purchase" in bench.failed_checks("rejected_transactions")
        rejections(bench, [sale(2), self.RETURNED, self.CREDITED], returns="net")
        assert "returns_have_a_purchase" not in bench.failed_checks("rejected_transactions")

    @pytest.mark.parametrize("nothing", [{"quantity": 0}, {"unit_price": 0}, {"unit_price": -1}, {"amount": 0}])
    def test_lines_of_nothing_are_rejected_even_where_returns_are_netted(self, bench: Bench, nothing: Row) -> None:
        assert set(rejections(bench, [sale(2), sale(3, **nothing)], returns="net")) == {3}


class TestDuplicates:
    """Equal lines are one line, whichever file they stand in, unless deduplication is off."""

    def test_the_first_by_name_and_line_is_kept_whenever_the_files_arrived(self, bench: Bench) -> None:
        bench.given_parameters()
        bench.given("outlier_fence", [{"treatment": "keep"}])
        bench.given_raw([sale(2, source_id=2), sale(12, source_id=1), sale(9, source_id=1)])
        rejected = bench.run("rejected_transactions")
        assert picked(rejected, "source_file", "source_line") == [("jan.csv", 9), ("jan.csv", 12)]
        assert {row["reason"] for row in rejected} == {"exact duplicate"}

    def test_lines_are_compared_as_numbers(self, bench: Bench) -> None:
        assert rejections(bench, [sale(9), sale(10)]) == {10: "exact duplicate"}

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("customer_id", "bob"),
            ("order_id", "1002"),
            ("order_id", None),
            ("ordered_at", "2024-01-05 10:30:01"),
            ("product_id", "cup"),
            ("quantity", 3),
            ("unit_price", "3.51"),
            ("amount", "7.01"),
            ("country", "France"),
            ("attributes", '{"shop": "north"}'),
        ],
    )
    def test_lines_that_differ_in_anything_mapped_are_both_kept(self, bench: Bench, column: str, value: Any) -> None:
        assert rejections(bench, [sale(2), sale(3, **{column: value})]) == {}

    def test_columns_that_are_not_mapped_are_equal(self, bench: Bench) -> None:
        unmapped = {"order_id": None, "product_id": None, "quantity": None, "unit_price": None}
        assert rejections(bench, [sale(2, **unmapped), sale(3, **unmapped)]) == {3: "exact duplicate"}

    def test_they_are_kept_where_deduplication_is_off(self, bench: Bench) -> None:
        assert rejections(bench, [sale(2), sale(3)], deduplicate=False) == {}


class TestOutliers:
    @pytest.mark.parametrize(("treatment", "expected"), [("keep", {}), ("cap", {}), ("drop", {4: "outlier"})])
    def test_lines_above_the_fence_are_rejected_only_where_outliers_are_dropped(
        self, bench: Bench, treatment: str, expected: dict[int, str]
    ) -> None:
        rows = [sale(2), sale(3, amount="1000.00"), sale(4, amount="1000.0001")]
        assert rejections(bench, rows, fence=1000, outliers=treatment) == expected

    def test_an_unknown_fence_rejects_nothing(self, bench: Bench) -> None:
        assert rejections(bench, [sale(2)], fence=None, outliers="drop") == {}


class TestDates:
    @pytest.mark.parametrize(
        ("ordered_at", "expected"),
        [(f"{TODAY} 23:59:59", {}), (f"{TOMORROW} 00:00:00", {2: "future date"})],
    )
    def test_the_future_begins_tomorrow_at_midnight(
        self, bench: Bench, ordered_at: str, expected: dict[int, str]
    ) -> None:
        assert rejections(bench, [sale(2, ordered_at=ordered_at)]) == expected


class TestProducts:
    def test_only_the_excluded_products_are_rejected_by_their_whole_name(self, bench: Bench) -> None:
        rows = [sale(line, product_id=product) for line, product in enumerate(["POST", "POSTER", "post", None])]
        assert rejections(bench, rows, exclude_products=["POST"]) == {0: "excluded product"}


def test_a_source_with_amounts_only_is_judged_by_its_amounts(bench: Bench) -> None:
    amounts = ["7.00", "0", "-1", None]
    rows = [sale(line, quantity=None, unit_price=None, amount=amount) for line, amount in enumerate(amounts, start=2)]
    assert rejections(bench, rows, returns="drop") == {
        3: "non-positive amount",
        4: "non-positive amount",
        5: "unparsable number",
    }


def test_rows_of_ids_that_stand_for_nobody_have_a_reason_of_their_own(bench: Bench) -> None:
    rows = [sale(2, customer_id="0"), sale(3, customer_id="guest", amount=None), sale(4, customer_id="10")]
    assert rejections(bench, rows, anonymous_ids=["0", "guest"]) == {2: "anonymous customer", 3: "anonymous customer"}
    assert rejections(bench, rows) == {3: "unparsable number"}
