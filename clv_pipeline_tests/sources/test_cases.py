"""Small files of the kinds that shops have and that were once read wrong: refused, asked about, or read right."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from clv_pipeline_tests.helpers.commands import clv
from clv_pipeline_tests.helpers.shared_files import CASES

pytestmark = [
    pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the repository"),
    pytest.mark.usefixtures("own_folder"),
]


def init(name: str) -> str:
    made = clv("init", str(CASES / name))
    assert made.exit_code == 0, made.output
    return made.output


def answer(folder: Path, **answers: str) -> None:
    """Write the answers in place of the questions."""
    text = (folder / "clv.yaml").read_text(encoding="utf-8")
    for key, value in answers.items():
        text = re.sub(rf'( {key}:) "[?].*"', rf"\1 {value}", text)
    (folder / "clv.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["mature_seasonal_shape.csv", "returns.csv", "shopify_shape.csv", "intl_shop.csv.gz"])
def test_a_plain_file_loads_by_what_init_writes(name: str) -> None:
    assert "?" not in init(name)
    checked = clv("check")
    assert (checked.exit_code, "clv run would accept these records" in checked.output) == (0, True), checked.output


def test_a_file_without_a_header_keeps_its_first_record(tmp_path: Path) -> None:
    init("no_header_shape.txt")
    assert clv("check").exit_code == 1
    answer(tmp_path, customer_id="column_1", amount="column_2")
    checked = clv("check")
    assert (checked.exit_code, "900 rows, 120 customers" in checked.output) == (0, True), checked.output


def test_a_capped_price_and_an_unknown_status_are_asked_about(tmp_path: Path) -> None:
    said = init("status_and_capped_price_shape.csv")
    assert "? SALES is not QUANTITYORDERED × PRICEEACH in 295 of 500 rows, in sum +393,916.19" in said
    assert "? which rows count? STATUS 'Disputed' may be revenue or not" in said
    assert clv("check").exit_code == 1
    answer(tmp_path, amount="SALES", where="'\"STATUS\" not in (''Cancelled'')'")
    checked = clv("check")
    assert checked.exit_code == 0, checked.output
    lines = (CASES / "status_and_capped_price_shape.csv").read_text().splitlines()[1:]
    cancelled = sum(",Cancelled," in line for line in lines)
    assert f"{cancelled}  rows that where does not select" in checked.output
    assert Decimal(0) < cancelled < len(lines)


@pytest.mark.parametrize("name", ["mixed_currency_shape.csv", "symbols_shape.csv"])
def test_several_currencies_are_not_summed(name: str) -> None:
    init(name)
    checked = clv("check")
    assert checked.exit_code == 1
    assert "currenc" in checked.output


def test_purchases_without_money_are_purchases() -> None:
    assert "?" not in init("no_money_shape.csv")
    checked = clv("check")
    assert checked.exit_code == 0, checked.output
