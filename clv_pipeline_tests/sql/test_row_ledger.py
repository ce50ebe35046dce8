"""The books of cleaning: no row and no penny of any source file gets lost, whatever the settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import FILES, Bench, Row, picked, sale

BOTH_BALANCES = ["kept_and_rejected_equal_raw", "every_record_of_every_file_is_booked"]


def test_outcomes_are_booked_per_file_with_rows_and_money(bench: Bench) -> None:
    bench.given_raw([])
    bench.given(
        "cleaned_transactions",
        [
            {"source_id": 2, "source_line": 2, "amount": "10.10", "amount_cut": "0"},
            {"source_id": 2, "source_line": 3, "amount": "100", "amount_cut": "23.45"},
            {"source_id": 1, "source_line": 2, "amount": "-1", "amount_cut": "0"},
        ],
    )
    bench.given(
        "rejected_transactions",
        [
            {"source_id": 1, "source_line": 3, "reason": "unparsable number"},
            {"source_id": 1, "source_line": 4, "reason": "outlier", "amount": "0.07"},
            {"source_id": 1, "source_line": 5, "reason": "outlier", "amount": "0.03"},
        ],
    )
    assert picked(bench.run("row_ledger"), "source_file", "outcome", "rows", "amount", "amount_cut") == [
        ("feb.csv", "kept", 2, Decimal("110.10"), Decimal("23.45")),
        ("jan.csv", "kept", 1, -1, 0),
        ("jan.csv", "outlier", 2, Decimal("0.10"), 0),
        ("jan.csv", "unparsable number", 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("raw", "broken"),
    [
        ([sale(2), sale(2, source_id=2), sale(3, amount=None)], BOTH_BALANCES),
        ([sale(2), sale(2, source_id=2), sale(2, source_id=3)], BOTH_BALANCES),
        ([sale(2)], BOTH_BALANCES),
        ([sale(2), sale(2, source_id=2, amount="7.0001")], ["kept_and_rejected_equal_raw"]),
    ],
    ids=["a lost row", "a lost file", "an invented file", "lost money"],
)
def test_books_that_do_not_balance_break_the_contract(bench: Bench, raw: list[Row], broken: list[str]) -> None:
    bench.given_raw([sale(2), sale(2, source_id=2)])
    clean(bench, deduplicate=False)
    assert bench.failed_checks("row_ledger") == []
    bench.given_raw(raw)
    assert bench.failed_checks("row_ledger") == broken


def clean(bench: Bench, **parameters: Any) -> list[Row]:
    """Take raw_transactions through the whole of cleaning; returns the ledger."""
    bench.given_parameters(**parameters)
    for model in ("outlier_fence", "rejected_transactions", "cleaned_transactions"):
        bench.run(model)
    return bench.run("row_ledger")


def cents(lowest: int, highest: int) -> st.SearchStrategy[Decimal]:
    return st.integers(lowest, highest).map(lambda amount: Decimal(amount) / 100)


RAW_LINES = st.lists(
    st.fixed_dictionaries(
        {
            "source_id": st.sampled_from([*FILES]),
            "customer_id": st.sampled_from(["ann", "ann", "bob", None]),
            "order_id": st.sampled_from(["1001", "C1002", None]),
            "ordered_at": st.sampled_from(["2024-01-05 10:30:00", "2024-02-29 00:00:00", "2031-01-01", None]),
            "product_id": st.sampled_from(["mug", "cup", "POST", None]),
            "quantity": st.sampled_from([1, 1, 3, -2, 0, None]),
            "unit_price": st.sampled_from(["2.50", "2.50", "0", "-1", None]),
            "amount": st.one_of(st.just(Decimal("2.50")), cents(-1000, 100_000), cents(10**8, 10**13), st.none()),
            "source_text": st.sampled_from([None, None, None, "unreadable line: cut off"]),
        }
    ),
    min_size=1,
    max_size=30,
)


EVERY_COMBINATION = [
    {"returns": returns, "outliers": outliers, "deduplicate": deduplicate, "exclude_products": excluded}
    for returns, outliers, deduplicate, excluded in product(
        ["drop", "net"], ["keep", "cap", "drop"], [True, False], [[], ["POST", "M"]]
    )
]


@pytest.mark.parametrize("parameters", EVERY_COMBINATION, ids=lambda combination: str([*combination.values()]))
@given(lines=RAW_LINES)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kept_and_rejected_are_raw_in_rows_and_in_money(bench: Bench, parameters: Row, lines: list[Row]) -> None:
    raw = [line | {"source_line": number} for number, line in enumerate(lines, start=2)]
    bench.given_raw(raw)
    ledger = clean(bench, **parameters)
    assert balances((row["source_file"], row["rows"], row["amount"] + row["amount_cut"]) for row in ledger) == balances(
        (FILES[row["source_id"]], 1, row["amount"] or Decimal(0)) for row in raw
    )


def balances(entries: Iterable[tuple[str, int, Decimal]]) -> dict[str, tuple[int, Decimal]]:
    """Rows and money per file."""
    totals: dict[str, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for source_file, rows, money in entries:
        booked_rows, booked_money = totals[source_file]
        totals[source_file] = (booked_rows + rows, booked_money + money)
    return totals
