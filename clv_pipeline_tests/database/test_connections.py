"""Sums are right on every connection that the pipeline opens, whatever DuckDB believes about their bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.database.connections import open_read_only, open_scratch

SHOP = (
    "create table visits as select 'group ' || (number % 3) as name, 20000 as visitors, 90 as days"
    " from range(12) as numbers (number)",
    "create table horizons as select 90 as days",
)
SUMS = (
    "select name, sum(visitors) as total from visits"
    " where days = (select min(days) from horizons) group by name order by name"
)
LARGE = f"select name from ({SUMS}) where total > 30000"


@pytest.fixture(params=["scratch", "read only"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    database = tmp_path / "shop.duckdb"
    with open_scratch(database, []) as scratch:
        for statement in SHOP:
            scratch.execute(statement)
        if request.param == "scratch":
            yield scratch
            return
    with open_read_only(database) as reader:
        yield reader


def test_sums_of_a_join_with_one_row_are_those_of_all_rows(opened: duckdb.DuckDBPyConnection) -> None:
    assert opened.execute(SUMS).fetchall() == [("group 0", 80_000), ("group 1", 80_000), ("group 2", 80_000)]
    assert len(opened.execute(LARGE).fetchall()) == 3


def test_a_duckdb_with_its_own_settings_is_wrong_about_them() -> None:
    """Once this fails, DuckDB is right again and RESTRICTED can do without the setting."""
    with duckdb.connect() as careless:
        for statement in SHOP:
            careless.execute(statement)
        assert careless.execute(SUMS).fetchall() != [("group 0", 80_000), ("group 1", 80_000), ("group 2", 80_000)]
        assert careless.execute(LARGE).fetchall() == []
