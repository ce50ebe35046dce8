"""The settings in the how-tos of sources load files of the shape that they are about, as they are written."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import yaml

from clv_pipeline.config.settings import Settings
from clv_pipeline.sources import load_records
from clv_pipeline.sources.expressions import parsed
from clv_pipeline.sources.rates import read_rates
from clv_pipeline_tests.helpers.how_tos import HOW_TOS, blocks
from clv_pipeline_tests.helpers.shop_files import write


def settings_of(name: str) -> list[dict[str, Any]]:
    """The settings that a how-to shows, one mapping a block."""
    return [yaml.safe_load(block) for block in blocks(name, "yaml")]


def rows_of(folder: Path, written: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The customer, day, amount, currency and text of what could not be read, of the rows of a whole clv.yaml."""
    source = Settings.from_mapping(written, config_file=folder / "clv.yaml").source.transactions
    with duckdb.connect() as con:
        load_records(con, "raw", source, folder, folder / "work")
        found = "select customer_id, cast(ordered_at as date)::text, amount, currency, source_text from raw"
        return con.execute(f"{found} order by source_id, source_line").fetchall()


def test_prepare_rows(tmp_path: Path) -> None:
    whole, without_header, encoding = settings_of("prepare-rows.md")
    write(
        tmp_path,
        "orders.csv",
        "Order,Email,Created at,Status,Cancelled at,Cents,Refunded\n"
        "#1,Ann@Example.com,2025-01-01 09:00,paid,,1250,\n#1,,,paid,,250,1\n#2,bob@x.org,2025-01-02,open,,900,\n",
    )
    assert rows_of(tmp_path, whole) == [
        ("ann@example.com", "2025-01-01", Decimal("12.5"), None, None),
        ("ann@example.com", "2025-01-01", Decimal("1.5"), None, None),
        ("bob@x.org", "2025-01-02", Decimal(9), None, "not selected"),
    ]
    write(tmp_path, "a.txt", "310,1250,2025-01-01\n")
    assert rows_of(tmp_path, {"source": {"transactions": {"path": "a.txt", **without_header}}}) == [
        ("310", "2025-01-01", Decimal("12.5"), None, None)
    ]
    write(tmp_path, "b.csv", "customer,day,amount\nJiří,2025-01-01,3\n", "windows-1250")
    columns = {"customer_id": "customer", "ordered_at": "day", "amount": "amount"}
    [read] = rows_of(tmp_path, {"source": {"transactions": {"path": "b.csv", "columns": columns, **encoding}}})
    assert read[0] == "Jiří"


def test_the_example_of_values_that_are_stated_once(tmp_path: Path) -> None:
    text = (HOW_TOS / "prepare-rows.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```\n(Order,.*?)```", text, flags=re.DOTALL)
    [fill_down] = re.findall(r"With `fill_down: (\{.*?\})`", text)
    write(tmp_path, "items.csv", example)
    columns = {"customer_id": "Email", "ordered_at": "Created at"}
    source = {"path": "items.csv", "columns": columns, "fill_down": yaml.safe_load(fill_down)}
    assert [row[:2] for row in rows_of(tmp_path, {"source": {"transactions": source}})] == [
        ("ann@example.com", "2025-01-01")
    ] * 2


def test_every_function_that_is_listed_is_allowed() -> None:
    text = (HOW_TOS / "prepare-rows.md").read_text(encoding="utf-8")
    listed = re.findall("`([a-z_0-9]+)`", text.partition("Functions of text: ")[2].partition("Conditions:")[0])
    arguments = {
        **dict.fromkeys(("replace", "regexp_replace"), "\"a\", 'x', 'y'"),
        **dict.fromkeys(("substring", "split_part"), "\"a\", ',', 1"),
        **dict.fromkeys(("lpad", "rpad"), "\"a\", 3, '*'"),
        **dict.fromkeys(("left", "right"), '"a", 1'),
        **dict.fromkeys(("concat", "concat_ws"), '\'-\', "a", "b"'),
        **dict.fromkeys(("starts_with", "ends_with", "contains", "regexp_matches", "regexp_full_match"), "\"a\", 'x'"),
        **dict.fromkeys(("regexp_extract", "strptime", "try_strptime"), "\"a\", 'x'"),
    }
    assert len(listed) > 20
    for name in listed:
        call = f"{name}({arguments.get(name, 'a')})"
        assert "a" in parsed("k", call).columns


def test_currencies(tmp_path: Path) -> None:
    named, column, changing, signs = sorted(settings_of("currencies.md"), key=_kind)
    assert Settings.from_mapping({"source": column["source"], **named}).currency.report_in == "JPY"
    write(tmp_path, "shop.csv", "customer_id,order_id,order_date,amount,currency\n1,1,2024-01-05,10.00,usd\n")
    assert rows_of(tmp_path, column) == [("1", "2024-01-05", Decimal(10), "USD", None)]
    text = '1,1,2024-01-05,$16.61\n2,2,2024-01-06,"€1,018.48"\n3,3,2024-01-07,¥ 500.0\n4,4,2024-01-08,-€5.00\n'
    write(tmp_path, "shop.csv", f"customer_id,order_id,order_date,amount\n{text}")
    assert [row[2:4] for row in rows_of(tmp_path, signs)] == [
        (Decimal("16.61"), "USD"),
        (Decimal("1018.48"), "EUR"),
        (Decimal(500), None),
        (Decimal(-5), "EUR"),
    ]
    assert signs["currency"] == {"report_in": "EUR", "rates": {"USD": 0.92}}
    [rates] = blocks("currencies.md", "csv")
    write(tmp_path, "rates.csv", rates)
    currency = Settings.from_mapping({"source": column["source"], **changing}).currency
    with duckdb.connect() as con:
        assert read_rates(con, currency, tmp_path).height == 3


def _kind(written: dict[str, Any]) -> int:
    """Which block of the how-to of currencies it is: 0 without a source, 1 a column, 2 rates of days, 3 signs."""
    columns = written.get("source", {}).get("transactions", {}).get("columns", {})
    if not columns:
        return 2 if "path" in written["currency"].get("rates", {}) else 0
    return 3 if isinstance(columns["currency"], dict) else 1


def test_a_column_of_currencies_that_are_no_codes(tmp_path: Path) -> None:
    text = (HOW_TOS / "currencies.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"`(\{report_in: EUR, rates: \{€.*?\}\})`", text)
    columns = {"customer_id": "c", "ordered_at": "d", "amount": "a", "currency": "m"}
    source = {"transactions": {"path": "x.csv", "columns": columns}}
    stated = Settings.from_mapping({"source": source, "currency": yaml.safe_load(shown)}).currency.stated
    assert stated == {"€": Decimal(1), "US DOLLAR": Decimal("0.92")}


def test_a_shop_without_money(tmp_path: Path) -> None:
    [written] = settings_of("shop-without-money.md")
    write(tmp_path, "purchases.csv", "cust,date\n7,2024-01-05\n7,2024-01-05\n")
    assert rows_of(tmp_path, written) == [("7", "2024-01-05", None, None, None)] * 2
