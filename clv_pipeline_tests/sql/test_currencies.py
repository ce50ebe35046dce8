"""Money in several currencies: which one is reported in, which rate a row gets, and the books in both."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked, sale

USD = [("USD", "2024-01-02", "0.9"), ("USD", "2024-01-10", "0.8")]
LEDGERS = ("row_ledger", "currency_ledger")


def clean(bench: Bench, raw: list[Row], **parameters: Any) -> dict[str, list[Row]]:
    """Take the rows through the whole of cleaning, and hold both ledgers against their contracts."""
    bench.given_raw(raw)
    bench.given_parameters(**parameters)
    names = ("currencies", "outlier_fence", "rejected_transactions", "cleaned_transactions", *LEDGERS)
    tables = {name: bench.run(name) for name in names}
    # Files without rows are not booked.
    assert [bench.failed_checks(name) for name in LEDGERS] == [[], []]
    return tables


def test_a_row_gets_the_latest_rate_at_or_before_its_day_and_the_books_keep_both_moneys(bench: Bench) -> None:
    bench.given_currency("EUR", USD)
    days = ("2024-01-01", "2024-01-02", "2024-01-09 23:59:59", "2024-01-10")
    raw = [sale(line, ordered_at=day, currency="USD", amount="10.00") for line, day in enumerate(days, start=2)]
    raw += [sale(6, currency="EUR", amount="1"), sale(7, currency=None, amount="100")]
    tables = clean(bench, raw)
    assert picked(tables["cleaned_transactions"], "source_line", "amount", "original_amount", "currency") == [
        (3, 9, 10, "USD"),
        (4, 9, 10, "USD"),
        (5, 8, 10, "USD"),
        (6, 1, 1, "EUR"),
    ]
    assert picked(tables["rejected_transactions"], "source_line", "reason", "amount", "original_amount") == [
        (2, "no rate", None, 10),
        (7, "no currency", None, 100),
    ]
    assert picked(tables["currency_ledger"], "currency", "outcome", "rows", "original_amount", "amount") == [
        ("EUR", "kept", 1, 1, 1),
        ("USD", "kept", 3, 30, 26),
        ("USD", "no rate", 1, 10, 0),
        ("not stated", "no currency", 1, 100, 0),
    ]
    assert bench.failed_checks("rejected_transactions") == ["money_has_a_currency"]
    assert bench.failed_checks("daily_rates") == ["days_have_a_rate"]
    assert bench.failed_checks("currencies") == []


@pytest.mark.parametrize(
    ("report_in", "rates", "seen", "blocked"),
    [
        ("EUR", USD, ["EUR", "USD"], False),
        ("EUR", [], ["EUR", "USD"], True),
        ("EUR", USD, ["EUR", "USD", "JPY"], True),
        ("CHF", USD, ["USD"], False),
        ("EUR", [], ["EUR"], False),
    ],
)
def test_a_currency_without_any_rate_breaks_the_contract(
    bench: Bench, report_in: str, rates: list[tuple[str, str, str]], seen: list[str], blocked: bool
) -> None:
    bench.given_currency(report_in, rates)
    bench.given_raw([sale(line, currency=currency) for line, currency in enumerate(seen, start=2)])
    found = bench.run("currencies")
    assert [row["currency"] for row in found if row["is_reporting"]] == [report_in]
    assert bench.failed_checks("currencies") == (["every_currency_can_be_converted"] if blocked else [])


def test_without_report_in_the_only_currency_is_reported_in_and_several_are_listed_with_rows_and_sums(
    bench: Bench,
) -> None:
    bench.given("currency_settings", [{"is_mapped": True}])
    bench.given("currency_rates", [])
    bench.given_raw([sale(2, currency="GBP"), sale(3, currency="GBP", amount="2.50")])
    assert picked(bench.run("currencies"), "currency", "is_reporting", "rows", "amount") == [
        ("GBP", True, 2, Decimal("9.50"))
    ]
    bench.given_raw([sale(2, currency="GBP"), sale(3, currency="USD"), sale(4, currency="ann@example.com")])
    bench.run("currencies")
    (check,) = (result for result in bench.checks("currencies") if not result.passed)
    assert check.observed.endswith(
        "GBP (no rate) in 1 rows, sum 7.00; USD (no rate) in 1 rows, sum 7.00;"
        " text that is no code (no rate) in 1 rows, sum 7.00"
    )
    assert "ann@" not in check.told


@pytest.mark.parametrize(("signs", "known"), [(["€", "€", "€"], ["€"]), (["€", "$", "€"], []), ([None] * 3, [])])
def test_the_sign_beside_all_amounts_is_the_currency_where_no_column_states_one(
    bench: Bench, signs: list[str | None], known: list[str]
) -> None:
    bench.given_raw([])
    bench.given_currency()
    bench.given("source_files", [{"source_id": id_, "currency": sign} for id_, sign in enumerate(signs, start=1)])
    assert [row["currency"] for row in bench.run("currencies")] == known


def test_rows_that_differ_in_currency_are_no_duplicates(bench: Bench) -> None:
    bench.given_currency("EUR", [("USD", "1900-01-01", "1")])
    raw = [sale(2, currency="EUR"), sale(3, currency="USD"), sale(4, currency="USD")]
    assert picked(clean(bench, raw)["rejected_transactions"], "source_line", "reason") == [(4, "exact duplicate")]


def test_money_too_large_once_converted_is_an_unparsable_number(bench: Bench) -> None:
    bench.given_currency("VND", [("EUR", "1900-01-01", "27000")])
    raw = [sale(2, currency="EUR", amount="99999999999999"), sale(3, currency="EUR")]
    assert picked(clean(bench, raw)["rejected_transactions"], "source_line", "reason") == [(2, "unparsable number")]


AMOUNTS = st.decimals(min_value="-999999", max_value="999999", places=4)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["EUR", "USD", "JPY", None]), st.integers(0, 12), AMOUNTS, st.sampled_from(["ann", "bob", None])
    ),
    min_size=1,
    max_size=12,
)
RATES = st.dictionaries(
    st.tuples(st.sampled_from(["USD", "JPY"]), st.integers(0, 12)),
    st.decimals(min_value="0.000001", max_value="200", places=12),
    max_size=6,
)
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FIRST = date(2024, 1, 1)


def raw_of(rows: list[tuple[Any, ...]]) -> list[Row]:
    return [
        sale(line, currency=currency, ordered_at=FIRST + timedelta(days), amount=amount, customer_id=customer)
        for line, (currency, days, amount, customer) in enumerate(rows, start=2)
    ]


@QUICK
@given(rows=ROWS, rates=RATES)
def test_every_amount_is_converted_to_the_penny_and_no_money_of_any_currency_gets_lost(
    bench: Bench, rows: list[tuple[Any, ...]], rates: dict[tuple[str, int], Decimal]
) -> None:
    stated = [(code, str(FIRST + timedelta(days)), str(rate)) for (code, days), rate in rates.items()]
    bench.given_currency("EUR", stated)
    tables = clean(bench, raw_of(rows), deduplicate=False, returns="net")
    kept = {row["source_line"]: row["amount"] + row["amount_cut"] for row in tables["cleaned_transactions"]}
    for line, (currency, days, amount, _) in enumerate(rows, start=2):
        if line in kept:
            past = {day: rate for (code, day), rate in rates.items() if code == currency and day <= days}
            rate = Decimal(1) if currency == "EUR" else past[max(past)]
            assert kept[line] == (amount * rate).quantize(Decimal("0.0001"), ROUND_HALF_UP)


@QUICK
@given(rows=ROWS, seed=st.randoms(use_true_random=False))
def test_one_constant_currency_or_rates_of_1_change_nothing_and_neither_does_the_order_of_rows_and_files(
    bench: Bench, rows: list[tuple[Any, ...]], seed: Any
) -> None:
    def outcome(currencies: list[str | None], shuffled: bool = False) -> Any:
        raw = [row | {"currency": code} for row, code in zip(raw_of(rows), currencies, strict=True)]
        if shuffled:
            seed.shuffle(raw)
            # Of equal rows the first one is kept, so they stay in one file.
            raw = [row | {"source_line": line, "source_id": 1} for line, row in enumerate(raw, start=2)]
        tables = clean(bench, raw)
        kept = sorted(picked(tables["cleaned_transactions"], "customer_id", "ordered_on", "amount"), key=str)
        return kept, picked(tables["row_ledger"], "source_file", "outcome", "rows", "amount", "amount_cut")

    bench.given_currency()
    plain = outcome([None] * len(rows))
    bench.given_currency("EUR")
    assert outcome(["EUR"] * len(rows)) == plain
    bench.given_currency("CHF", [("EUR", "1900-01-01", "1")])
    assert outcome(["EUR"] * len(rows)) == plain
    assert outcome(["EUR"] * len(rows), shuffled=True) == plain
