"""Tables that Spark writes: none is taken for whole that is not, and none of another warehouse is ever swept.

Spark's part is played by DuckDB, which writes the same files; that Spark itself counts the rows that it writes and
finds is in acceptance/test_spark_engine.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.errors import ClusterError
from clv_pipeline.spark.session import SessionOnSpark
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.doubled_numbers import double, doubled


def answer(query: str) -> pl.DataFrame:
    """What Spark would answer; DuckDB has other quotes."""
    found = duckdb.sql(query.replace("`", '"'))
    assert found is not None
    rows: pl.DataFrame = found.pl()
    return rows


class Workers:
    """A cluster whose rows are made by DuckDB, of which only the first `shared` reach the folder that is shared."""

    def __init__(self, shared: int | None = None, seen: int | None = None) -> None:
        self.shared = shared
        self.seen = seen

    def _write(self, rows: pl.DataFrame, folder: Path) -> int:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"part-{len(list(folder.iterdir()))}.parquet"
        rows.head(rows.height if self.shared is None else self.shared).write_parquet(part)
        return rows.height

    def write(self, query: str, folder: Path) -> int:
        return self._write(answer(query), folder)

    def write_mapped(
        self, query: str, function: Callable[[pl.DataFrame], pl.DataFrame], schema: Any, _: str, folder: Path
    ) -> int:
        rows = function(answer(query)).select(schema.names)
        return self._write(pl.DataFrame(rows.to_arrow().cast(schema)), folder)

    def count_parquet(self, folder: Path) -> int:
        return self.seen if self.seen is not None else pl.read_parquet(folder / "*.parquet").height

    def close(self) -> None:
        """As of a cluster."""


def warehouse(path: Path, tables: Path, cluster: Any = None) -> Warehouse:
    spark: Any = cluster or Workers()

    def new_session(connection: duckdb.DuckDBPyConnection) -> SessionOnSpark:
        return SessionOnSpark(connection, spark, tables, marts=[])

    return Warehouse(path, [path.parent, tables], new_session=new_session)


def numbers(first: int, last: int) -> str:
    return f"(values {', '.join(f'({n})' for n in range(first, last + 1))}) as s(n)"


def build(path: Path, tables: Path, cluster: Any = None, rows: int = 5) -> None:
    """Open the warehouse and build the table `things` in it."""
    opened = warehouse(path, tables, cluster)
    try:
        session = opened.open("a run")
        session.stage_query(doubled(), f"select cast(n as integer) as n, n * 2.0 as twice from {numbers(1, rows)}")
        session.replace_live(doubled())
        session.drop_staged([doubled()])
    finally:
        opened.close()


def rows_of(path: Path, tables: Path) -> int:
    opened = warehouse(path, tables)
    try:
        return opened.open("a look").count("things")
    finally:
        opened.close()


def contents(folder: Path) -> set[Path]:
    return set(folder.rglob("*.parquet"))


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        (Workers(shared=3), r"things: 5 rows were written to .*, and this process reads 3 of them back; .*mount it"),
        (Workers(shared=0), r"things: 5 rows were written to .*, and this process reads 0 of them back"),
        (Workers(seen=4), r"things: 5 rows were written to .*, and Spark reads 4 of them back"),
    ],
)
def test_a_worker_without_the_shared_folder_fails_the_step_with_both_numbers(
    tmp_path: Path, cluster: Workers, told: str
) -> None:
    build(tmp_path / "home" / "clv.duckdb", tmp_path / "tables", rows=7)
    with pytest.raises(ClusterError, match=told):
        build(tmp_path / "home" / "clv.duckdb", tmp_path / "tables", cluster)
    assert rows_of(tmp_path / "home" / "clv.duckdb", tmp_path / "tables") == 7


def test_mapped_batches_and_loaded_rows_are_counted_too(tmp_path: Path) -> None:
    cluster = Workers()
    opened = warehouse(tmp_path / "home" / "clv.duckdb", tmp_path / "tables", cluster)
    try:
        session = opened.open("a run")
        for first in (1, 3):
            session.map_batches(doubled(), f"select n from {numbers(first, first + 1)}", double)
        assert session.count("things__staged") == 4
        cluster.shared = 1
        with pytest.raises(ClusterError, match=r"things: 6 rows were written to .* reads 5 of them"):
            session.map_batches(doubled(), f"select n from {numbers(5, 6)}", double)
        cluster.seen = 1
        loaded = doubled("loaded")
        session.execute("create table loaded__added as select 1 as n, 2.0 as twice union all select 2, 4.0")
        with pytest.raises(ClusterError, match=r"loaded: 2 rows were written to .* Spark reads 1 of them"):
            session.stage_added(loaded)
    finally:
        opened.close()


def test_a_warehouse_from_before_there_were_ids_gets_one_on_its_next_run(tmp_path: Path) -> None:
    path, tables = tmp_path / "home" / "clv.duckdb", tmp_path / "tables"
    build(path, tables)
    with duckdb.connect(str(path)) as earlier:
        earlier.execute("drop table gate.owner_of_tables")
    (tables / "owner.txt").write_text(str(path))
    build(path, tables, rows=6)
    assert rows_of(path, tables) == 6
    kept, _, written = (tables / "owner.txt").read_text().partition("\n")
    assert written.strip() == str(path)
    with duckdb.connect(str(path)) as now:
        assert now.execute("select id from gate.owner_of_tables").fetchall() == [(kept,)]


def test_the_tables_of_another_container_at_the_same_path_are_not_swept(tmp_path: Path) -> None:
    path, tables = tmp_path / "home" / "clv.duckdb", tmp_path / "tables"
    build(path, tables)
    path.rename(tmp_path / "first.duckdb")
    before = contents(tables)
    for owner in ((tables / "owner.txt").read_text(), str(path), None):
        if owner is None:
            (tables / "owner.txt").unlink()
        else:
            (tables / "owner.txt").write_text(owner)
        with pytest.raises(ClusterError, match=r"holds (the )?tables .*storage\.spark\.tables"):
            build(path, tables)
        assert contents(tables) == before
        path.unlink()


def test_a_copy_of_a_warehouse_does_not_sweep_the_tables_of_its_original(tmp_path: Path) -> None:
    path, tables = tmp_path / "home" / "clv.duckdb", tmp_path / "tables"
    build(path, tables)
    shutil.copytree(path.parent, tmp_path / "copy")
    build(path, tables, rows=6)
    with pytest.raises(ClusterError, match=r"of which .*copy/clv\.duckdb is a copy"):
        build(tmp_path / "copy" / "clv.duckdb", tables)
    assert rows_of(path, tables) == 6


def test_a_warehouse_that_was_moved_keeps_its_tables(tmp_path: Path) -> None:
    path, tables = tmp_path / "home" / "clv.duckdb", tmp_path / "tables"
    build(path, tables)
    path.parent.rename(tmp_path / "moved")
    assert rows_of(tmp_path / "moved" / "clv.duckdb", tables) == 5
    assert (tables / "owner.txt").read_text().split("\n")[1] == str(tmp_path / "moved" / "clv.duckdb")


def test_half_of_a_backup_is_told_and_sweeps_nothing(tmp_path: Path) -> None:
    path, tables = tmp_path / "home" / "clv.duckdb", tmp_path / "tables"
    build(path, tables)
    shutil.copy(path, tmp_path / "backup.duckdb")
    shutil.copytree(tables, tmp_path / "backup")
    build(path, tables, rows=6)
    newer = contents(tables)
    shutil.copy(tmp_path / "backup.duckdb", path)
    with pytest.raises(ClusterError, match=r"1 tables of .* are not there, such as things/.* from the same backup"):
        rows_of(path, tables)
    assert contents(tables) == newer
    shutil.rmtree(tables)
    shutil.copytree(tmp_path / "backup", tables)
    assert rows_of(path, tables) == 5
