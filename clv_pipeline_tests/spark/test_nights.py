"""Nights on Spark's tables: the same rows as on DuckDB, and the same steps built anew for the same days.

Spark and its tables are played by a second DuckDB; with Spark itself, acceptance/test_spark_engine.py spends nights.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.nights import RECIPE
from clv_pipeline_tests.helpers.order_folder import CONTENT, FIRST, Shop, line, shops
from clv_pipeline_tests.helpers.spark_by_duckdb import Storage, warehouse


@dataclass
class Both:
    """The same files on both engines."""

    shop: Shop
    there: Warehouse

    def run(self, recipe: str = RECIPE, **asked: Any) -> tuple[set[str], set[str]]:
        """The steps that were built on DuckDB, and on Spark."""
        here = self.shop.run(recipe=recipe, **asked)
        there = self.shop.run(self.there, recipe=recipe, **asked)
        assert {name: a.rows for name, a in there.items()} == {name: a.rows for name, a in here.items()}
        return tuple(  # type: ignore[return-value]
            {name for name, admission in steps.items() if admission.changed} for steps in (here, there)
        )

    def require_same_rows(self) -> None:
        here = self.shop.session
        there = self.there.open("test")
        for query in CONTENT.values():
            select = query if query.startswith("select") else f"select * {query}"
            assert sorted(there.ask(select), key=repr) == sorted(here.ask(select), key=repr)


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def both(tmp_path: Path, storage: Storage) -> Iterator[Both]:
    with shops() as shop:
        for day in range(12):
            lines = [line("ann", day), line("bob", day, "4.25"), line(f"c{day % 7}", day), line("", day)]
            shop.write(f"{FIRST + timedelta(days=day)}.csv", *lines)
        there = warehouse(tmp_path / "home" / "clv.duckdb", storage, shop.folder)
        yield Both(shop, there)
        there.close()


def test_a_night_with_news_builds_the_same_steps_and_days_as_duckdb(both: Both, storage: Storage) -> None:
    here, there = both.run()
    assert here == there
    both.require_same_rows()

    here, there = both.run()
    assert here == there
    assert "raw_transactions" not in there

    both.shop.write("new.csv", line("ann", 13), line("zoe", 13))
    here, there = both.run()
    assert here == there
    assert "customer_days" in there
    both.require_same_rows()
    # One new day: the snapshot before, and what was added; no table of days is written anew.
    days = storage.tables["customer_days"]
    assert days.main in days.added


def test_a_file_that_was_only_touched_builds_what_duckdb_builds(both: Both) -> None:
    both.run()
    touched = min(both.shop.orders.iterdir())
    os.utime(touched, (touched.stat().st_atime, touched.stat().st_mtime + 60))
    here, there = both.run()
    assert here == there
    both.require_same_rows()


def test_a_file_that_changed_replaces_its_rows_and_days(both: Both) -> None:
    both.run()
    name = f"{FIRST + timedelta(days=3)}.csv"
    both.shop.write(name, line("ann", 3, "9.75"), line("new", 4))
    here, there = both.run()
    assert here == there
    both.require_same_rows()
    (both.shop.orders / name).unlink()
    here, there = both.run(recipe="another")
    assert here == there
    both.require_same_rows()
