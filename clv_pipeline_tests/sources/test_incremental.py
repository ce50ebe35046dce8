"""A query that is asked only for its newest days."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.config.source import TransactionSource
from clv_pipeline.errors import ConfigError, SourceError
from clv_pipeline.sources import Load, LoadedFile, load_changes

COLUMNS = {"customer_id": "who", "ordered_at": "at", "amount": "paid"}


def source(url: str = "sqlite:///shop.db", **changes: Any) -> TransactionSource:
    given = {"url": url, "query": "select * from orders", "columns": COLUMNS, "lookback_days": 2}
    return TransactionSource.model_validate({**given, **changes})


def fill(folder: Path, *orders: tuple[str, str, float]) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.execute("drop table if exists orders")
        shop.execute("create table orders (who text, at text, paid real)")
        shop.executemany("insert into orders values (?, ?, ?)", orders)
        shop.commit()


def load(
    con: duckdb.DuckDBPyConnection, folder: Path, known: Sequence[LoadedFile] = (), **changes: Any
) -> tuple[Load, list[tuple[Any, ...]]]:
    found = load_changes(con, "new", source(**changes), folder, folder / "work", live="live", known=known)
    return found, con.execute("select customer_id, cast(ordered_at as date), source_line from new").fetchall()


FIRST_NIGHT = [("ann", "2024-03-01 10:00:00", 1.5), ("bob", "2024-03-05 10:00:00", 2.5)]


@pytest.fixture
def con(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """The first night's rows are in the table `live`."""
    con = duckdb.connect()
    fill(tmp_path, *FIRST_NIGHT)
    found, _ = load(con, tmp_path)
    assert found.is_whole
    con.execute("alter table new rename to live")
    return con


def known(con: duckdb.DuckDBPyConnection, folder: Path) -> list[LoadedFile]:
    return load(con, folder)[0].files


def test_only_the_newest_days_are_asked_for_and_replaced(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    before = known(con, tmp_path)
    fill(tmp_path, *FIRST_NIGHT, ("cid", "2024-03-06", 1.0), ("dee", "2024-03-02", 1.0))
    found, rows = load(con, tmp_path, before)
    assert rows == [("bob", date(2024, 3, 5), 2), ("cid", date(2024, 3, 6), 3)]
    assert not found.is_whole
    assert [(part.source_id, part.since) for part in found.replaced] == [(1, date(2024, 3, 3))]
    assert [file.rows for file in found.files] == [3]


def test_a_query_that_gives_the_same_again_changes_nothing(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    found, rows = load(con, tmp_path, known(con, tmp_path))
    assert rows == []
    assert found.replaced == []
    assert not found.is_whole


def test_a_duckdb_file_is_asked_like_any_database(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute('create table orders (who varchar, "at" timestamp, paid decimal(9,2))')
        shop.executemany("insert into orders values (?, ?, ?)", [list(order) for order in FIRST_NIGHT])
    before = load(con, tmp_path, url="duckdb:///shop.duckdb")[0].files
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as shop:
        shop.execute("insert into orders values ('cid', '2024-03-06 09:00:00', 3)")
    _, rows = load(con, tmp_path, before, url="duckdb:///shop.duckdb")
    assert [row[0] for row in rows] == ["bob", "cid"]


def test_without_a_lookback_everything_is_read(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    found, rows = load(con, tmp_path, known(con, tmp_path), lookback_days=None)
    assert found.is_whole
    assert len(rows) == 2


def test_a_column_that_does_not_compare_as_a_date_is_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    before = known(con, tmp_path)
    fill(tmp_path, ("ann", "3000 BC, once", 1.0), *FIRST_NIGHT)
    with pytest.raises(SourceError, match="does not compare as a date"):
        load(con, tmp_path, before)


def test_a_lookback_of_files_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match="lookback_days goes with url and query"):
        Settings.from_mapping({"source": {"transactions": {"path": "x.csv", "columns": COLUMNS, "lookback_days": 2}}})
