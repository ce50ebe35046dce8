"""The data dictionary says of every table what its contract says, and is up to date."""

from __future__ import annotations

import re

import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts import Column, Contract, Expectation
from clv_pipeline.contracts.dictionary import DictionaryEntry, as_markdown
from clv_pipeline.orchestration.dictionary import DOCUMENT, data_dictionary
from clv_pipeline.pipeline import Pipeline

NUMBERS = ("INTEGER", "BIGINT", "DOUBLE", "DECIMAL")


@pytest.fixture(scope="module")
def entries() -> list[DictionaryEntry]:
    return data_dictionary(Pipeline.of(Settings.load()))


def test_the_document_is_up_to_date(entries: list[DictionaryEntry]) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == as_markdown(entries), "`make dictionary` writes it anew"


def test_published_tables_come_first_and_none_is_left_out(entries: list[DictionaryEntry]) -> None:
    published, internal = as_markdown(entries).split("## Internal tables\n")
    for part, is_published in ((published, True), (internal, False)):
        expected = sorted(entry.contract.table for entry in entries if entry.contract.published is is_published)
        assert re.findall(r"^### (.*)$", part, flags=re.MULTILINE) == expected


def test_what_tables_are_built_from_comes_from_the_graph(entries: list[DictionaryEntry]) -> None:
    built_from = {entry.contract.table: entry.built_from for entry in entries}
    assert built_from["rfm"] == ["history_span", "known_days"]
    assert built_from["drift"] == ["customer_snapshots", "forecast_history", "history_span"]
    assert built_from["customer_days"] == ["cleaned_transactions", "matched_returns"], "volume_gates is only waited for"
    assert "rfm" in built_from["publication"]


def test_only_numbers_have_a_unit_and_every_number_has_one(entries: list[DictionaryEntry]) -> None:
    wrong = [
        f"{entry.contract.table}.{column.name}"
        for entry in entries
        for column in entry.contract.columns
        if column.type.startswith(NUMBERS) is (column.unit is None)
    ]
    assert wrong == [], "state `unit` in the contract: one of UNITS in clv_pipeline/contracts/contract.py"


def test_a_table_is_described_whole_and_as_it_is_worded() -> None:
    unique = "expect_column_values_to_be_unique"
    contract = Contract(
        table="things",
        layer="insights",
        description="Things of <kind> a|b.",
        grain="one row per thing",
        key=["id"],
        published=True,
        waits_for=["gates"],
        columns=[
            Column(name="id", type="INTEGER", unit="label", description="The thing."),
            Column(
                name="price", type="DECIMAL(18,4)", unit="currency", description="Its price; NULL when it has none."
            ),
        ],
        expectations=[
            Expectation(name="ids", type=unique, kwargs={"column": "id"}, description="Things have ids."),
            Expectation(
                name="cheap", type=unique, kwargs={"column": "id"}, severity="warning", description="Things are cheap."
            ),
        ],
    )
    lineage = {"id": [("raw", "id")], "price": [("raw", "a"), ("raw", "b"), ("rates", "c")]}
    text = as_markdown([DictionaryEntry(contract, ["rates", "raw"], lineage)])
    for line in (
        r"Things of \<kind> a\|b.",
        "- Grain: one row per thing",
        "- Key: id",
        "- Built from: rates, raw",
        "- Waits for the checks of: gates",
        "| id | INTEGER | label |  | The thing. | raw: id |",
        "| price | DECIMAL(18,4) | currency | may be | Its price; NULL when it has none. | raw: a, b; rates: c |",
        "| ids | error | Things have ids. |",
        "| cheap | warning | Things are cheap. |",
    ):
        assert line in text.splitlines()
