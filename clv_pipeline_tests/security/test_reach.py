"""SQL reaches the folders of the sources, the warehouse and the publication; no statement can widen that."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.database.connections import open_read_only, open_scratch
from clv_pipeline.errors import SourceError
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.sources import list_files
from clv_pipeline_tests.helpers.shop_files import load, transactions, write

CSV = "customer,date,amount\n1,2010-05-01,1\n"
FORBIDDEN = [
    "from read_csv('/etc/passwd')",
    "from read_text('{outside}')",
    "from glob('/*')",
    "attach '{outside}' as other",
    "copy (select 1) to '{outside}'",
    "export database '{outside}'",
    "from read_csv('https://localhost:1/a.csv')",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "set allowed_directories = ['/']",
    "set lock_configuration = false",
    "from a_frame_in_this_scope",
]


def refusals(connection: duckdb.DuckDBPyConnection, outside: Path) -> list[str]:
    """Those of the forbidden statements that were carried out."""
    a_frame_in_this_scope = pl.DataFrame({"a": [1]})
    done = []
    for statement in FORBIDDEN:
        try:
            connection.execute(statement.format(outside=outside)).fetchall()
        except duckdb.Error:
            continue
        done.append(statement)
    assert len(a_frame_in_this_scope) == 1
    return done


def test_the_warehouse_reaches_sources_and_publications_and_nothing_else(
    tmp_path: Path, shop_settings: Callable[..., Settings]
) -> None:
    settings = shop_settings()
    warehouse = Pipeline.of(settings).warehouse
    inside, outside = write(tmp_path, "orders/a.csv", CSV), write(tmp_path, "orders2/a.csv", CSV)
    try:
        connection = warehouse.open("test").connection
        assert connection.execute("from read_csv(?)", [str(inside)]).fetchall()
        settings.published_dir.mkdir(parents=True)
        connection.execute("copy (select 1) to ? (format parquet)", [str(settings.published_dir / "a.parquet")])
        assert refusals(connection, outside) == []
        assert refusals(connection.cursor(), outside) == []
    finally:
        warehouse.close()
    assert outside.read_text() == CSV


def test_sorting_more_than_fits_still_spills(tmp_path: Path, shop_settings: Callable[..., Settings]) -> None:
    warehouse = Pipeline.of(shop_settings()).warehouse
    try:
        [(folder,)] = warehouse.open("test").execute("select current_setting('temp_directory')").fetchall()
        [(reached,)] = warehouse.open("test").execute("select current_setting('allowed_directories')").fetchall()
    finally:
        warehouse.close()
    assert any(Path(folder).is_relative_to(path) for path in reached)


@pytest.mark.parametrize("kind", ["reader", "scratch"])
def test_readers_reach_their_own_file_only(tmp_path: Path, kind: str) -> None:
    outside = write(tmp_path, "a.csv", CSV)
    with duckdb.connect(str(tmp_path / "a.duckdb")) as made:
        made.execute("create table t as select 42 as a")
    with open_read_only(tmp_path / "a.duckdb") if kind == "reader" else open_scratch(None, []) as connection:
        assert refusals(connection, outside) == []
    with open_read_only(tmp_path / "a.duckdb") as connection:
        assert connection.execute("from t").fetchall() == [(42,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("drop table t")


def test_a_query_on_a_duckdb_file_reaches_no_file_elsewhere(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as made:
        made.execute("create table orders (customer varchar, date date, amount int)")
    with pytest.raises(SourceError, match="Permission Error"):
        load(tmp_path, url="duckdb:///shop.duckdb", query="from read_text('/etc/passwd')")


def test_a_link_that_leads_out_of_the_source_is_refused_and_named(tmp_path: Path) -> None:
    secret = write(tmp_path, "secret/a.csv", CSV)
    write(tmp_path, "orders/a.csv", CSV)
    (tmp_path / "orders" / "b.csv").symlink_to(secret)
    with pytest.raises(SourceError, match=r"orders/b\.csv: is a link that leads out of .*secret/a\.csv"):
        load(tmp_path, path="orders/*.csv")
    (tmp_path / "orders" / "b.csv").unlink()
    (tmp_path / "orders" / "sub").symlink_to(secret.parent, target_is_directory=True)
    with pytest.raises(SourceError, match=r"orders/sub/a\.csv: is a link"):
        load(tmp_path, path="orders/*/*.csv")


def test_a_link_within_the_source_and_one_that_is_named_are_followed(tmp_path: Path) -> None:
    target = write(tmp_path, "elsewhere/2024.csv", CSV.replace("2010", "2024"))
    write(tmp_path, "orders/a.csv", CSV)
    (tmp_path / "orders" / "b.csv").symlink_to(tmp_path / "orders" / "a.csv")
    (tmp_path / "latest.csv").symlink_to(target)
    assert len(load(tmp_path, path=["orders/*.csv", "latest.csv"]).rows) == 2
    assert len(list_files(transactions(path="orders/*.csv"), tmp_path)) == 1


def test_the_warehouse_and_its_log_are_for_their_owner_only(
    tmp_path: Path, shop_settings: Callable[..., Settings]
) -> None:
    warehouse = Pipeline.of(shop_settings()).warehouse
    try:
        warehouse.open("test").execute("create table t as select 1 as a")
        made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in warehouse.path.parent.iterdir()}
    finally:
        warehouse.close()
    assert {"clv.duckdb", "clv.duckdb.wal", "clv.lock"} <= set(made)
    assert {mode & 0o077 for mode in made.values()} == {0}
    assert stat.S_IMODE(warehouse.path.parent.stat().st_mode) == 0o700
