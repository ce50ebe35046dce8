"""Rates that change, night after night: only the days they concern are built again, as if all had been."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Admission, Warehouse
from clv_pipeline_tests.helpers.nights import night

FIRST, TODAY = date(2024, 1, 1), date(2024, 3, 1)
COLUMNS = {"customer_id": "who", "ordered_at": "day", "amount": "money", "currency": "code"}
MONEY = (
    "select source_line, amount, original_amount, currency from cleaned_transactions order by 1",
    "select * from row_ledger order by all",
    "select * from currency_ledger order by all",
    "select * from customer_days order by all",
    "select source_line, reason, amount from rejected_transactions order by 1",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A shop of 50 days with a row in euros and one in dollars on each, and two rates of the dollar."""
    days = [FIRST + timedelta(day) for day in range(50)]
    lines = [
        f"{who},{day},{10 + n}.33,{code}" for n, day in enumerate(days) for who, code in (("a", "EUR"), ("b", "usd"))
    ]
    (tmp_path / "shop.csv").write_text("\n".join(["who,day,money,code", *lines]) + "\n", encoding="utf-8")
    write_rates(tmp_path, "2024-01-05,USD,0.9", "2024-02-15,USD,0.8")
    currency = {"report_in": "EUR", "rates": {"path": str(tmp_path / "rates.csv")}}
    source = {"transactions": {"path": str(tmp_path / "shop.csv"), "columns": COLUMNS}}
    home = {"home": str(tmp_path / "home")}
    return Settings.from_mapping({"source": source, "currency": currency, "storage": home})


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    found = Pipeline.of(settings).warehouse
    yield found
    found.close()


def write_rates(folder: Path, *lines: str) -> None:
    (folder / "rates.csv").write_text("\n".join(["day,currency,rate", *lines]) + "\n", encoding="utf-8")


def read(warehouse: Warehouse) -> list[Any]:
    return [warehouse.open("test").execute(query).fetchall() for query in MONEY]


def built(admissions: dict[str, Admission]) -> set[str]:
    return {table for table, admission in admissions.items() if admission.kept_since is None and admission.changed}


def test_a_changed_rate_rebuilds_its_days_as_a_full_build_would(
    tmp_path: Path, settings: Settings, warehouse: Warehouse
) -> None:
    night(warehouse, settings, today=TODAY)
    before = read(warehouse)
    write_rates(tmp_path, "2024-01-05,USD,0.9", "2024-02-15,USD,0.75", "2024-02-17,USD,0.7")
    second = night(warehouse, settings, today=TODAY)
    after = read(warehouse)
    assert after != before
    assert "raw_transactions" not in built(second)
    assert {"currency_settings", "daily_rates", "converted_transactions", "customer_days"} <= built(second)
    days = "select distinct day from gate.changed_days where table_name = 'daily_rates' and day is not null order by 1"
    assert warehouse.open("test").execute(days).fetchall() == [(date(2024, 2, day),) for day in range(15, 20)]
    night(warehouse, settings, today=TODAY, refresh=Refresh(full=True))
    assert read(warehouse) == after


def test_a_rate_that_no_row_needs_builds_nothing(tmp_path: Path, settings: Settings, warehouse: Warehouse) -> None:
    night(warehouse, settings, today=TODAY)
    write_rates(tmp_path, "2024-01-05,USD,0.9", "2024-02-15,USD,0.8", "2024-02-25,USD,0.1", "2024-01-05,CHF,1.1")
    second = night(warehouse, settings, today=TODAY)
    assert not {"currency_settings", "daily_rates", "converted_transactions", "row_ledger"} & built(second)


def test_rows_before_the_first_rate_are_rejected_until_there_is_one(
    tmp_path: Path, settings: Settings, warehouse: Warehouse
) -> None:
    night(warehouse, settings, today=TODAY)
    early = "select count(*) from rejected_transactions where reason = 'no rate'"
    assert warehouse.open("test").execute(early).fetchall() == [(4,)]
    write_rates(tmp_path, "2023-12-31,USD,1", "2024-01-05,USD,0.9", "2024-02-15,USD,0.8")
    night(warehouse, settings, today=TODAY)
    assert warehouse.open("test").execute(early).fetchall() == [(0,)]
    told = warehouse.open("test").execute("select sum(original_amount) from currency_ledger where currency = 'USD'")
    assert (
        told.fetchall()
        == warehouse.open("test").execute("select sum(amount) from raw_transactions where currency = 'USD'").fetchall()
    )
