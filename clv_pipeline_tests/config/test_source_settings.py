"""What a source may say of itself, and what is told where it says too little or contradicts itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from clv_pipeline_tests.config.files import MINIMAL, error_of, load


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"customerid": "a", "ordered_at": "b", "amount": "c"}, "`customer_id` is missing; did you mean 'customerid'?"),
        ({"customer_id": "a", "ordered_at": "b", "quantity": "c"}, "`unit_price` is missing"),
        ({"customer_id": "a", "ordered_at": "b", "unit_price": "c"}, "`quantity` is missing"),
        ({"customer_id": "a", "ordered_at": "b", "Amount": "c"}, "`amount` is missing; did you mean 'Amount'?"),
        ({"customer_id": "a", "ordered_at": "b", "amout": "c"}, "`amount` is missing; did you mean 'amout'?"),
        ({"customer_id": "a", "amount": "c"}, "`ordered_at` is missing"),
        ({"customer_id": "a", "ordered_at": "b", "amount": " "}, "`amount` maps to an empty name"),
        (
            {"customer_id": "a", "ordered_at": "b", "amount": "c", "source_line": "d"},
            "`source_line` is filled by the loader",
        ),
    ],
)
def test_a_mapping_that_does_not_suffice_is_told(tmp_path: Path, columns: dict[str, str], told: str) -> None:
    error = error_of(tmp_path, yaml.safe_dump({"source": {"transactions": {"path": "x", "columns": columns}}}))
    assert "source.transactions.columns: " in error
    assert told in error


@pytest.mark.parametrize(
    ("money", "has_money"),
    [
        ({"amount": "c"}, True),
        ({"amount": "c", "quantity": "d"}, True),
        ({"quantity": "c", "unit_price": "d"}, True),
        ({}, False),
        ({"discount": "c", "channel": "d"}, False),
    ],
)
def test_a_shop_may_have_no_money(tmp_path: Path, money: dict[str, str], has_money: bool) -> None:
    columns = {"customer_id": "a", "ordered_at": "b", **money}
    settings = load(tmp_path, yaml.safe_dump({"source": {"transactions": {"path": "x", "columns": columns}}}))
    assert settings.source.transactions.has_money is has_money
    assert settings.parameters[-1] == {"has_money": has_money, "has_costs": False}


def test_columns_that_are_not_ours_are_attributes(tmp_path: Path) -> None:
    source = load(tmp_path, MINIMAL.replace("amount: Total", "amount: Total, country: C, channel: Ch")).source
    assert source.transactions.attributes == {"channel": "Ch"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("url: sqlite:///x.db", "url and query go together"),
        ("path: x\n    url: sqlite:///x.db\n    query: SELECT 1", "found both"),
        ("query: SELECT 1", "found neither"),
        ("path: ''", "found an empty one"),
        ("path: []", "found neither"),
        ("path: x\n    format: {delimiter: '::'}", "format.delimiter: should be one character, tab or whitespace"),
        ("path: x\n    format: {encoding: klingon}", "format.encoding: should be an encoding"),
        ("path: x\n    format: {date_formats: [iso]}", "format.date_formats: should be strptime formats"),
        ("path: x\n    format: {decimal: ',', thousands: ','}", "should be different characters"),
        ("path: x\n    format: {sheet: a}", "format.sheet: unknown key; did you mean 'sheets'?"),
    ],
)
def test_a_source_that_contradicts_itself_is_told(tmp_path: Path, lines: str, told: str) -> None:
    assert told in error_of(tmp_path, MINIMAL.replace("path: orders/*.csv", lines))


def test_demographics_and_events_are_optional_blocks_of_the_source(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL).source.customers is None
    assert load(tmp_path, MINIMAL).source.events is None
    source = load(
        tmp_path,
        MINIMAL + "  customers: {path: people.csv, columns: {customer_id: id, age: Age}}\n"
        "  events: {url: 'sqlite:///log.db', query: SELECT 1, columns: {customer_id: id, occurred_at: t}}\n",
    ).source
    assert source.customers is not None
    assert source.events is not None
    assert (source.customers.path, source.customers.attributes) == (["people.csv"], {"age": "Age"})
    assert (source.events.url, source.events.format.encoding) == ("sqlite:///log.db", None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "customers: {path: x, columns: {age: Age}}",
            "source.customers.columns: should map customer_id: `customer_id` is",
        ),
        ("customers: {path: x, colums: {}}", "source.customers.colums: unknown key; did you mean 'columns'?"),
        ("customers: {path: x, columns: {}, format: {delimeter: ;}}", "did you mean 'delimiter'?"),
        (
            "events: {path: x, columns: {customer_id: id, occured_at: t}}",
            "`occurred_at` is missing; did you mean 'occured_at'?",
        ),
        (
            "events: {path: x, columns: {customer_id: id, occurred_at: t, page: p}}",
            "`page` is not one of customer_id, occurred_at, event",
        ),
        ("event: {path: x}", "source.event: unknown key; did you mean 'events'?"),
    ],
)
def test_mistakes_in_the_optional_sources_are_told(tmp_path: Path, line: str, told: str) -> None:
    assert told in error_of(tmp_path, f"{MINIMAL}  {line}\n")


def test_a_path_with_a_query_may_be_a_database_url(tmp_path: Path) -> None:
    source = load(tmp_path, MINIMAL.replace("orders/*.csv", "sqlite:///shop.db\n    query: SELECT 1")).source
    assert (source.transactions.url, source.transactions.path) == ("sqlite:///shop.db", [])
