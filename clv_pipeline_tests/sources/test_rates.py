"""Rates of currencies: from clv.yaml, or from a file whose errors name the line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clv_pipeline.config.currency import Currency
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.rates import read_rates


def rates(tmp_path: Path, text: str | bytes, report_in: str = "EUR") -> list[tuple[Any, ...]]:
    (tmp_path / "rates.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    currency = Currency(report_in=report_in, rates={"path": "rates.csv"})
    with duckdb.connect() as con:
        frame = read_rates(con, currency, tmp_path)
    return [(code, day, Decimal(rate)) for code, day, rate in frame.rows()]


def test_rates_of_the_settings_hold_on_all_days() -> None:
    with duckdb.connect() as con:
        frame = read_rates(
            con, Currency.model_validate({"report_in": "eur", "rates": {"usd": 0.92, "JPY": "0.0061"}}), Path()
        )
    assert frame.rows() == [("USD", date(1900, 1, 1), "0.92"), ("JPY", date(1900, 1, 1), "0.0061")]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    "text", ["Day,Currency,Rate\n2024-01-31, usd ,0.92\n", "rate;day;note;currency\n0.92;2024-01-31;x;USD\n"]
)
def test_columns_of_the_file_are_found_by_name_in_any_order(tmp_path: Path, text: str, bom: bytes) -> None:
    assert rates(tmp_path, bom + text.encode()) == [("USD", date(2024, 1, 31), Decimal("0.92"))]


def test_small_rates_keep_their_digits_and_the_reporting_currency_may_be_listed_with_1(tmp_path: Path) -> None:
    text = "day,currency,rate\n2024-01-01,VND,0.000038471\n2024-01-01,EUR,1.0\n"
    assert rates(tmp_path, text) == [("VND", date(2024, 1, 1), Decimal("0.000038471"))]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("31.01.2024,USD,0.92", "line 3: its day should be like 2024-01-31"),
        ("2024-01-02,,0.92", "line 3: its currency is empty"),
        ("2024-01-02,USD,", "line 3: its rate should be a number above 0, with a decimal point"),
        ("2024-01-02,USD,0", "line 3: its rate should be a number above 0"),
        ("2024-01-02,USD,-1", "line 3: its rate should be a number above 0"),
        ('2024-01-02,USD,"0,92"', "line 3: its rate should be a number above 0, with a decimal point"),
        ("2024-01-02,USD,nan", "line 3: its rate should be a number above 0"),
        ("2024-01-02,USD,10000000", "line 3: its rate should be a number above 0"),
        ("2024-01-02,EUR,1.1", "line 3: the rate of the currency that is reported in should be 1"),
        ("2024-01-01,usd,0.9", "line 3: its currency has two rates on that day"),
    ],
)
def test_a_line_that_is_no_rate_is_named_by_file_and_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        rates(tmp_path, f"day,currency,rate\n2024-01-01,USD,0.92\n{line}\n")
    assert f"rates.csv: {told}" in caught.value.what


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("day,currency\n2024-01-01,USD\n", "rates.csv: its header has no column rate"),
        ("day,currency,rate\n", "rates.csv: holds no rate"),
        ("", "rates.csv: its header has no column day and no column currency and no column rate"),
    ],
)
def test_a_file_that_holds_no_rates_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        rates(tmp_path, text)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with duckdb.connect() as con, pytest.raises(SourceError, match=r"nowhere.csv: there is no such file"):
        read_rates(con, Currency(report_in="EUR", rates={"path": "nowhere.csv"}), tmp_path)
