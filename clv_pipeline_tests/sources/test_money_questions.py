"""What `clv check` asks about money: totals that differ from quantity × unit price, and amounts that may be cents."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.config.source import TransactionSource
from clv_pipeline.sources.load import load_records
from clv_pipeline.sources.money_questions import MoneyQuestions, StatedTotal, money_questions
from clv_pipeline.sources.synonyms import sounds_like_cents
from clv_pipeline_tests.helpers.shared_files import CASES

PRICED = {"customer_id": "who", "ordered_at": "day", "quantity": "qty", "unit_price": "price"}
LINES = "who,day,qty,price,SALES\nann,2024-01-01,2,100,231.50\nbob,2024-01-02,1,3.00,3.00\nann,2024-01-03,,5,5\n"


def asked(tmp_path: Path, columns: dict[str, str], text: str, name: str = "shop.csv") -> MoneyQuestions:
    (tmp_path / name).write_text(text, encoding="utf-8")
    source = TransactionSource(path=[name], columns=columns)
    with duckdb.connect() as con:
        load_records(con, "raw", source, tmp_path, tmp_path / "work")
        return money_questions(con, "raw", source, tmp_path, tmp_path / "work")


def test_an_unmapped_total_that_differs_is_asked_about_with_lines_and_sum(tmp_path: Path) -> None:
    found = asked(tmp_path, PRICED, LINES)
    assert found.stated_total == StatedTotal("SALES", is_taken=False, lines=2, differing=1, difference=Decimal("31.5"))


def test_a_mapped_total_beside_quantity_and_price_is_asked_about_too(tmp_path: Path) -> None:
    found = asked(tmp_path, {**PRICED, "amount": "SALES"}, LINES)
    assert found.stated_total == StatedTotal("SALES", is_taken=True, lines=2, differing=1, difference=Decimal("31.5"))


@pytest.mark.parametrize("heading", ["SALES", "note", "Line Total"])
def test_a_total_that_agrees_or_is_no_number_is_not_asked_about(tmp_path: Path, heading: str) -> None:
    text = f"who,day,qty,price,{heading}\nann,2024-01-01,2,100,200.00\nbob,2024-01-02,1,3.00,3.01\n"
    assert asked(tmp_path, PRICED, text) == MoneyQuestions()
    assert asked(tmp_path, PRICED, text.replace("200.00", "many").replace("3.01", "few")) == MoneyQuestions()


def test_a_total_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    text = "who,day,qty,price,Total\nann,2024-01-01,2,100,1.234\nbob,2024-01-02,1,3,5.678\n"
    total = asked(tmp_path, PRICED, text).stated_total
    assert total is not None
    assert "numbers may have a decimal or a thousands separator" in str(total.problem)


@pytest.mark.parametrize(
    ("name", "is_cents"),
    [
        *(("amount_cents", True), ("amountInCents", True), ("Price (pence)", True), ("minor_units", True)),
        *(("amount", False), ("percent", False), ("center", False), ("minority", False)),
    ],
)
def test_names_that_sound_like_cents(name: str, is_cents: bool) -> None:
    assert sounds_like_cents(name) is is_cents


@pytest.mark.parametrize(
    ("amount", "currency", "is_asked"), [("1250", "usd", True), ("12.50", "usd", False), ("1250", "USD", False)]
)
def test_whole_amounts_beside_a_lower_case_currency_in_json_may_be_cents(
    tmp_path: Path, amount: str, currency: str, is_asked: bool
) -> None:
    line = f'{{"who": "ann", "day": "2024-01-01", "amount": {amount}, "currency": "{currency}"}}\n'
    columns = {"customer_id": "who", "ordered_at": "day", "amount": "amount", "currency": "currency"}
    assert asked(tmp_path, columns, line, "pay.jsonl").may_be_cents == (("amount",) if is_asked else ())


def test_the_shape_with_capped_prices_is_asked_about(tmp_path: Path) -> None:
    case = CASES / "status_and_capped_price_shape.csv"
    if not case.exists():
        pytest.skip("the made-up files of known shapes are not on this machine")
    columns = {"customer_id": "CUSTOMERNAME", "order_id": "ORDERNUMBER", "ordered_at": "ORDERDATE"}
    columns |= {"quantity": "QUANTITYORDERED", "unit_price": "PRICEEACH"}
    total = asked(tmp_path, columns, case.read_text(encoding="utf-8")).stated_total
    assert total is not None
    assert (total.column, total.problem) == ("SALES", None)
    assert total.differing > 0
    assert total.difference > 0
