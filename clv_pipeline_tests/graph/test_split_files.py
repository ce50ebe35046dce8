"""The same rows in one file or spread over several, in euros or in many currencies: the same shop comes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.bare_steps import STEPS
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.nights import night
from clv_pipeline_tests.helpers.order_folder import no_audit

FIRST, TODAY = date(2024, 3, 1), date(2024, 6, 30)
COLUMNS = ("who", "nr", "day", "money", "code", "state")
MAPPED = {"customer_id": "who", "order_id": "nr", "ordered_at": "day", "amount": "money"}
BOOKS = STEPS[: STEPS.index(("currency_ledger",)) + 1]
COMPARED = (
    "select * exclude (source_id, source_line) from cleaned_transactions",
    "select * exclude (source_id, source_file, source_line) from rejected_transactions",
    "select * from customer_days",
    'select outcome, sum("rows"), sum(amount) from row_ledger where "rows" > 0 group by outcome',
    'select currency, outcome, sum("rows"), sum(original_amount), sum(amount) from currency_ledger group by all',
    "select * from currencies",
)

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", " cid ", ""]),
        st.sampled_from(["1", "2", "C3"]),
        st.sampled_from([*(str(FIRST + timedelta(days)) for days in (0, 1, 9)), "never", "2030-01-01"]),
        st.sampled_from(["12.50", "0", "-3.125", "1,250.00", "x", ""]),
        st.sampled_from(["EUR", "usd", "JPY", ""]),
        st.sampled_from(["paid", "void"]),
    ),
    min_size=2,
    max_size=14,
)
RATES = st.dictionaries(
    st.tuples(st.sampled_from(["USD", "JPY"]), st.integers(-3, 9)), st.decimals("0.01", "200", places=6), max_size=4
)


def shop_of(
    parts: Sequence[Sequence[tuple[str, ...]]], rates: dict[tuple[str, int], Any] | None, cleaning: dict[str, Any]
) -> list[list[tuple[Any, ...]]]:
    """The tables of a shop whose rows come in these parts, a file each; without rates, no currency is mapped."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number, rows in enumerate(parts):
            # Every file has its columns in another order, so that no two files are copies of each other.
            order = [(position + number) % len(COLUMNS) for position in range(len(COLUMNS))]
            lines = [[row[position] for position in order] for row in (COLUMNS, *rows)]
            text = "".join(",".join(f'"{field}"' for field in fields) + "\n" for fields in lines)
            (folder / f"part{number}.csv").write_text(text, encoding="utf-8")
        columns = MAPPED | ({"currency": "code"} if rates is not None else {})
        source = {
            "path": "part*.csv",
            "columns": columns,
            "where": "\"state\" = 'paid'",
            # A few rows may not tell how they are written.
            "format": {"decimal": ".", "date_formats": ["%Y-%m-%d"]},
        }
        block: dict[str, Any] = {"source": {"transactions": source}, "cleaning": cleaning}
        if rates is not None:
            stated = "".join(f"{FIRST + timedelta(days)},{code},{rate}\n" for (code, days), rate in rates.items())
            (folder / "rates.csv").write_text(f"day,currency,rate\n1999-01-01,CHF,1\n{stated}", encoding="utf-8")
            block["currency"] = {"report_in": "EUR", "rates": {"path": "rates.csv"}}
        with closing(Warehouse(folder / "home" / "clv.duckdb", [folder])) as warehouse:
            session = warehouse.open("test")
            session.auditor.audit = no_audit  # type: ignore[method-assign,assignment]
            found = Settings.from_mapping(block, config_file=folder / "clv.yaml")
            night(warehouse, found, today=TODAY, steps=BOOKS)
            return [sorted(session.execute(query).fetchall(), key=repr) for query in COMPARED]


SHOPS = given(
    rows=ROWS,
    places=st.lists(st.integers(0, 2), min_size=14, max_size=14),
    rates=st.none() | RATES,
    returns=st.sampled_from(["net", "drop"]),
    deduplicate=st.booleans(),
)
BUDGET = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@settings(BUDGET, max_examples=6)
@SHOPS
def test_rows_spread_over_files_give_the_same_shop_as_one_file(**shop: Any) -> None:
    is_the_same_shop(**shop)


@pytest.mark.acceptance
@pytest.mark.nightly
@settings(BUDGET, max_examples=60)
@SHOPS
def test_rows_of_many_shops_spread_over_files_give_the_same_shop_as_one_file(**shop: Any) -> None:
    is_the_same_shop(**shop)


def is_the_same_shop(
    rows: list[tuple[str, ...]],
    places: list[int],
    rates: dict[tuple[str, int], Any] | None,
    returns: str,
    deduplicate: bool,
) -> None:
    cleaning = {"returns": returns, "deduplicate": deduplicate}
    parts = [[row for row, place in zip(rows, places, strict=False) if place == number] for number in range(3)]
    assert shop_of(parts, rates, cleaning) == shop_of([rows], rates, cleaning)
