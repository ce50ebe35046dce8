"""Rows whose file is gone are only in the warehouse: nothing but `removed_files: remove` takes them away."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.pipeline import Refresh
from clv_pipeline.spark.earlier import take_over_folders
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.nights import NEWS
from clv_pipeline_tests.helpers.order_folder import COLUMNS, CONTENT, FIRST, NAMED, Shop, line, shops

FULL = Refresh(full=True)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Twelve daily files are loaded; then the five oldest are moved away."""
    with shops() as made:
        for day in range(12):
            made.write(f"{FIRST + timedelta(days=day)}.csv", line("ann", day), line(f"c{day}", day, f"{day}.25"))
        made.run()
        move_away(made, 5)
        yield made


def move_away(shop: Shop, files: int) -> None:
    """The oldest files go to a folder that no setting names."""
    (shop.folder / "attic").mkdir()
    for path in sorted(shop.orders.iterdir())[:files]:
        path.rename(shop.folder / "attic" / path.name)


def numbers(shop: Shop) -> tuple[Any, ...]:
    """Rows, customers and money."""
    found = shop.session.execute(
        "select (select count(*) from raw_transactions), (select count(*) from rfm), (select sum(revenue) from rfm),"
        ' (select sum("rows") from row_ledger), (select sum(revenue) from customer_days)'
    ).fetchall()
    return tuple(found[0])


def shown(shop: Shop, check: str, **asked: Any) -> str:
    """What a check of source_files says in a run."""
    results = shop.run(audited=True, **asked)["raw_transactions"].results["source_files"]
    [result] = [result for result in results if result.check == check]
    assert (result.passed, result.severity) == (False, "warning")
    return result.observed


def test_sixty_of_150_files_moved_away_change_no_number_whatever_is_run() -> None:
    with shops() as shop:
        for day in range(150):
            shop.write(f"{FIRST + timedelta(days=day - 60)}.csv", line("ann", day - 60), line(f"c{day}", day - 60))
        shop.run()
        before = numbers(shop), shop.tables(CONTENT)
        move_away(shop, 60)
        for recipe, refresh in (("test", NEWS), ("another margin", NEWS), ("another margin", FULL), ("upgraded", FULL)):
            shop.run(recipe=recipe, refresh=refresh)
            assert (numbers(shop), shop.tables(CONTENT)) == before
        assert sorted(shop.files("present")) == [False] * 60 + [True] * 90


def test_a_check_says_how_many_rows_only_the_warehouse_has(shop: Shop) -> None:
    said = shown(shop, "files_are_still_there")
    assert said.endswith("the warehouse alone has 10 rows of 5 files, read with the settings of today")


def test_kept_rows_keep_their_values_under_another_mapping_and_the_check_says_so(shop: Shop) -> None:
    other = {**COLUMNS, "unit_price": "quantity"}
    said = shown(shop, "files_are_still_there", recipe="another mapping", columns=other)
    assert "the warehouse alone has 10 rows of 5 files, read with {" in said
    assert '"unit_price": "price"' in said
    prices = "select source_id in (select source_id from source_files where present), max(unit_price) from"
    assert shop.session.execute(f"{prices} raw_transactions group by 1 order by 1").fetchall() == [
        (False, 4.25),
        (True, 1),
    ]
    # What follows from raw is built anew from both.
    assert numbers(shop)[1] == 13


def test_a_format_that_reads_dates_otherwise_leaves_kept_rows_alone(shop: Shop) -> None:
    before = shop.tables({"kept": f"{KEPT} order by all"})
    shop.run(recipe="another format", format={"date_formats": ["%Y-%d-%m %H:%M:%S"], "decimal": ","})
    assert shop.tables({"kept": f"{KEPT} order by all"}) == before


KEPT = (
    "select r.* exclude (source_id), f.source_file from raw_transactions as r"
    " join source_files as f using (source_id) where f.source_file < 'orders/2024-03-06'"
)


def test_rows_of_an_earlier_version_fit_into_a_table_with_other_columns(shop: Shop) -> None:
    before = numbers(shop)
    shop.session.execute("alter table raw_transactions drop column country")
    shop.session.execute("alter table raw_transactions add column of_yesterday varchar")
    for column in ("content", "copies", "copies_known", "read_with", "lines", "joined_lines"):
        shop.session.execute(f"alter table source_files drop column {column}")
    said = shown(shop, "files_are_still_there", recipe="upgraded")
    assert "10 rows of 5 files, read with settings that an earlier version did not note" in said
    assert numbers(shop) == before


def test_rows_that_an_earlier_version_kept_in_folders_of_spark_are_kept(shop: Shop) -> None:
    before = numbers(shop)
    tables = shop.folder / "home" / "tables"
    folder = tables / "raw_transactions"
    folder.mkdir(parents=True)
    (tables / "owner.txt").write_text("an earlier version")
    shop.session.execute(f"copy raw_transactions to '{folder}/part.parquet' (format parquet)")
    shop.session.execute("drop table raw_transactions")
    shop.session.execute(f"create view raw_transactions as select * from read_parquet('{folder}/*.parquet')")
    take_over_folders(shop.session.connection, tables)
    assert not tables.exists()
    shop.run(recipe="another engine")
    assert numbers(shop) == before


def test_a_file_that_comes_back_is_the_one_that_was_gone(shop: Shop) -> None:
    before = numbers(shop)
    shop.run()
    (shop.folder / "attic" / "2024-03-02.csv").rename(shop.orders / "found again.csv")
    shop.run(recipe="later")
    assert numbers(shop) == before
    assert shop.files("present").count(False) == 4
    assert "orders/found again.csv" in shop.files()


def test_files_that_are_there_but_are_no_longer_named_go(shop: Shop) -> None:
    """They can be named again, so the warehouse is not the only one that knows them."""
    shop.run(recipe="another path", path=["orders/2024-03-1*", "attic/*"])
    assert [name.split("/")[0] for name in shop.files()] == ["attic"] * 5 + ["orders"] * 3
    assert shop.files("present").count(False) == 0


def test_rows_are_removed_where_the_settings_say_so(shop: Shop) -> None:
    shop.run(recipe="remove", removed_files="remove")
    assert shop.tables(NAMED) == shop.read_afresh(NAMED)


def test_rows_of_files_stay_where_a_query_takes_over(shop: Shop) -> None:
    with closing(sqlite3.connect(shop.folder / "shop.db")) as database:
        database.execute('create table orders (customer, "order", date, product, quantity, price)')
        database.execute("insert into orders values ('dee', '9', '2024-03-20 10:00:00', 'mug', 1, 9.5)")
        database.commit()
    query: dict[str, Any] = {
        "url": "sqlite:///shop.db",
        "query": "select * from orders",
        "lookback_days": 2,
        "path": [],
    }
    for recipe in ("query", "query", "another"):
        shop.run(recipe=recipe, **query)
        # The seven files that are there, and no longer named, go; the five that are gone stay.
        assert numbers(shop)[0] == 11
    assert shop.files("present").count(False) == 5


def test_a_restored_backup_brings_the_kept_rows_back(shop: Shop, tmp_path: Path) -> None:
    """What docs/how-to/operate.md says a backup must hold is enough: data/warehouse, beside the files."""
    shop.run()
    before = numbers(shop), shop.tables(CONTENT)
    shop.warehouse.close()
    backup = shutil.copytree(shop.folder / "home", tmp_path / "backup")
    shutil.rmtree(shop.folder / "home")
    shutil.copytree(backup, shop.folder / "home")
    shop.warehouse = Warehouse(shop.folder / "home" / "clv.duckdb", [shop.folder])
    shop.run(refresh=FULL)
    assert (numbers(shop), shop.tables(CONTENT)) == before
