"""`columns.cost`: what a line cost the shop is read as money is, and no line is lost for want of it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.errors import ConfigError
from clv_pipeline_tests.helpers.shop_files import load, transactions, write

COLUMNS = {"customer_id": "who", "ordered_at": "day", "amount": "paid", "cost": "cost"}


def test_a_cost_is_read_as_an_amount_is(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "who;day;paid;cost\nann;2024-01-01;1.234,50;€ 800,25\nbob;2024-01-02;5,00;2,5\n")
    assert load(tmp_path, COLUMNS, path="a.csv").column("cost") == [Decimal("800.25"), Decimal("2.5")]


def test_a_blank_cost_is_no_fault_and_one_that_cannot_be_read_keeps_its_text(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "who,day,paid,cost\nann,2024-01-01,10.00,\nbob,2024-01-02,5.00,tbd\ncid,2024-01-03,1,.5\n")
    loaded = load(tmp_path, COLUMNS, path="a.csv")
    assert loaded.column("cost") == [None, None, Decimal("0.5")]
    assert loaded.column("amount") == [10, 5, 1]
    blank, unread, fine = loaded.column("source_text")
    assert blank is None
    assert fine is None
    assert json.loads(unread)["cost"] == "tbd"


def test_a_cost_per_unit_becomes_one_per_line_in_the_mapping(tmp_path: Path) -> None:
    write(tmp_path, "a.csv", "who,day,n,price,each\nann,2024-01-01,3,10.00,2.50\n")
    columns: dict[str, Any] = {"customer_id": "who", "ordered_at": "day", "quantity": "n", "unit_price": "price"}
    columns["cost"] = {"sql": '"each" * "n"'}
    loaded = load(tmp_path, columns, path="a.csv")
    assert (loaded.column("cost"), loaded.column("amount")) == ([Decimal("7.5")], [30])


def test_a_shop_without_money_has_no_costs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`amount` is missing"):
        transactions({"customer_id": "who", "ordered_at": "day", "cost": "cost"}, path="a.csv")
