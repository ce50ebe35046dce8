"""What holds of Spark's tables whatever happens: live is what the books name, together or not at all, and nothing else.

Spark and its tables are played by a second DuckDB; with Spark itself, see acceptance/test_spark_engine.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.errors import ClusterError
from clv_pipeline.spark import session as session_on_spark
from clv_pipeline.spark.session import SessionOnSpark
from clv_pipeline.warehouse import Session, Warehouse, admit
from clv_pipeline_tests.helpers.doubled_numbers import double, doubled
from clv_pipeline_tests.helpers.spark_by_duckdb import Storage, warehouse

THINGS, OTHERS = doubled(), doubled("others")


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def opened(tmp_path: Path, storage: Storage) -> Iterator[Warehouse]:
    """A warehouse on Spark with the table `source` of five numbers."""
    made = warehouse(tmp_path / "home" / "clv.duckdb", storage)
    session = made.open("a run")
    fill(session, 5)
    yield made
    made.close()


def fill(session: Session, rows: int) -> None:
    """Let Spark hold the numbers 1 to `rows`."""
    session.execute("drop table if exists numbers")
    session.execute(f"create table numbers as select cast(unnest(range(1, {rows + 1})) as integer) as n")
    session.map_batches(doubled("source"), "select n from numbers", double)
    session.replace_live(doubled("source"))


def build(session: Session, *contracts: object, fails: Callable[[], None] = lambda: None) -> bool:
    """Stage these tables of one step from `source`, audit and promote them."""

    def stage(session: Session) -> None:
        for contract in contracts:
            session.stage_query(contract, "select n, twice from source")  # type: ignore[arg-type]
        fails()

    return admit(session, contracts, stage, reads=[], run_id="a run").admitted  # type: ignore[arg-type]


def live(session: Session, table: str) -> int:
    return len(session.read(f"select * from {table}"))


def test_duckdb_never_takes_a_table_of_spark_for_an_empty_one(opened: Warehouse) -> None:
    session = opened.open("a run")
    assert build(session, THINGS)
    assert session.count("things") == live(session, "things") == 5
    with pytest.raises(duckdb.InvalidInputException, match="the rows of this table are in the catalog"):
        session.execute("select count(*) from things")


def test_rows_that_a_worker_lost_fail_the_step_with_both_numbers(opened: Warehouse, storage: Storage) -> None:
    session = opened.open("a run")
    build(session, THINGS)
    fill(session, 7)
    storage.lost = 2
    with pytest.raises(ClusterError, match=r"things: 7 rows were written, and Spark finds 5 of them"):
        build(session, THINGS)
    with pytest.raises(ClusterError, match=r"things: 7 rows were written, and Spark finds 5 of them"):
        session.map_batches(THINGS, "select n from source", double)
    storage.lost = 0
    assert live(session, "things") == 5
    assert build(session, THINGS)
    assert live(session, "things") == 7


def test_tables_of_one_step_are_promoted_together_or_not_at_all(opened: Warehouse, storage: Storage) -> None:
    session = opened.open("a run")
    build(session, THINGS, OTHERS)
    fill(session, 7)

    def die() -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        build(session, THINGS, OTHERS, fails=die)
    assert (live(session, "things"), live(session, "others")) == (5, 5)
    assert build(session, THINGS, OTHERS)
    assert (live(session, "things"), live(session, "others")) == (7, 7)
    assert storage.shown[-2:] == ["things", "others"]


def test_what_a_killed_run_staged_is_read_by_nobody_and_goes_with_the_next_open(
    opened: Warehouse, storage: Storage
) -> None:
    session = opened.open("a run")
    build(session, THINGS)
    fill(session, 7)
    session.stage_query(THINGS, "select n, twice from source")
    opened.close()
    session = opened.open("the next run")
    assert live(session, "things") == 5
    assert "things__staged" not in session.kinds()
    assert storage.tables["things"].branch is None


def test_a_run_killed_between_the_books_and_the_catalog_is_made_good_by_the_next_open(
    opened: Warehouse, storage: Storage
) -> None:
    session = opened.open("a run")

    def unreachable(what: str, table: str) -> None:
        if (what, table) == ("show", "things"):
            raise ClusterError("Spark has stopped answering")

    storage.fails = unreachable
    with pytest.raises(ClusterError, match="stopped answering"):
        build(session, THINGS)
    storage.fails = lambda what, table: None
    opened.close()
    assert storage.tables["things"].main is None
    session = opened.open("the next run")
    assert live(session, "things") == 5
    assert storage.tables["things"].main is not None


def test_a_restored_backup_reads_the_snapshots_that_it_names(opened: Warehouse, tmp_path: Path) -> None:
    build(opened.open("a run"), THINGS)
    opened.close()
    shutil.copy(opened.path, tmp_path / "backup.duckdb")
    session = opened.open("a later run")
    fill(session, 7)
    build(session, THINGS)
    opened.close()
    shutil.copy(tmp_path / "backup.duckdb", opened.path)
    session = opened.open("after the restore")
    assert live(session, "things") == 5
    assert build(session, THINGS)


def test_others_see_what_a_restored_backup_names_once_it_was_audited(
    opened: Warehouse, storage: Storage, tmp_path: Path
) -> None:
    build(opened.open("a run"), THINGS)
    opened.close()
    before = storage.tables["things"].main
    shutil.copy(opened.path, tmp_path / "backup.duckdb")
    session = opened.open("a later run")
    fill(session, 7)
    build(session, THINGS)
    opened.close()
    assert storage.tables["things"].main != before
    shutil.copy(tmp_path / "backup.duckdb", opened.path)
    opened.open("clv audit").show_live()
    assert storage.tables["things"].main == before


def test_the_tables_of_another_warehouse_are_refused(opened: Warehouse, storage: Storage, tmp_path: Path) -> None:
    build(opened.open("a run"), THINGS)
    other = warehouse(tmp_path / "other" / "clv.duckdb", storage)
    try:
        with pytest.raises(ClusterError, match="belongs to another warehouse"):
            fill(other.open("a run"), 3)
    finally:
        other.close()
    assert live(opened.open("a run"), "things") == 5


def test_only_large_tables_of_python_go_to_spark(opened: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_on_spark, "ROWS_HERE", 3)
    monkeypatch.setattr(session_on_spark, "ROWS_AT_ONCE", 2)
    session = opened.open("a run")
    assert isinstance(session, SessionOnSpark)
    frame = pl.DataFrame({"n": [1, 2], "twice": [2.0, 4.0]}, schema_overrides={"n": pl.Int32})
    session.stage_frame(THINGS, frame)
    assert not session.is_elsewhere("things__staged")
    for first in (2, 4):
        session.append_frame(THINGS, frame.with_columns(n=pl.col("n") + first))
    assert session.is_elsewhere("things__staged")
    assert session.count("things__staged") == 6
    assert sorted(session.read("select n from things__staged")["n"]) == [1, 2, 3, 4, 5, 6]


def test_back_on_duckdb_nothing_is_lost(opened: Warehouse, storage: Storage) -> None:
    session = opened.open("a run")
    build(session, THINGS)
    session.execute("create view twins as select * from things")
    assert isinstance(session, SessionOnSpark)
    session.take_back()
    assert session.execute("select count(*), sum(twice) from twins").fetchall() == [(5, 30.0)]
    assert storage.tables == {}
