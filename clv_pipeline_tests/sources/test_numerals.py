"""Currency, parentheses and minus signs: DuckDB takes off a column what Python takes off a sample."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.sources.numerals import BARE, NEGATIVE, SIGNED, around, currency_of, undressed

PIECES = st.lists(st.sampled_from([*"$€()+-−1. \u00a0", "EUR", "US$", "12.50"]), max_size=7).map("".join)


@pytest.mark.parametrize(
    ("value", "currency"),
    [
        ("$12.50", "$"),
        ("-$12.50", "$"),
        ("US$ 12.50", "US$"),
        ("(12,50 €)", "€"),
        ("12.50\u00a0EUR", "EUR"),
        ("EUR 12.50-", "EUR"),
        ("12.50", None),
        ("12.50%", None),
        ("12.50 pcs", None),
        ("NAN", None),
        ("#1", None),
        ("1e400", None),
    ],
)
def test_a_currency_is_a_sign_or_a_code_beside_digits(value: str, currency: str | None) -> None:
    assert currency_of(value) == currency


@settings(max_examples=200)
@given(value=PIECES, currency=st.sampled_from(["$", "€", "EUR", "US$"]))
def test_python_and_duckdb_undress_alike(value: str, currency: str) -> None:
    (found,) = duckdb.execute(
        "SELECT regexp_replace(regexp_replace($value, $currency, $bare), $negative, $signed)",
        {"value": value, "currency": around(currency), "bare": BARE, "negative": NEGATIVE, "signed": SIGNED},
    ).fetchall()[0]
    assert found == undressed(value, currency)
