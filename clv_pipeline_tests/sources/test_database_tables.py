"""`clv init` on databases: which table is meant, what is written, and what is never shown."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import yaml
from click.testing import CliRunner, Result

from clv_pipeline.cli.commands import main
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.drivers import DRIVERS
from clv_pipeline_tests.helpers.how_tos import HOW_TOS, blocks, source_of
from clv_pipeline_tests.helpers.loads import FEW, LONG_COLUMNS, LONG_ROWS, MANY, assert_memory_is_bounded, load_night
from clv_pipeline_tests.helpers.shop_files import load, write

ORDERS = """
select i as order_id, 'C' || (i % 300) as customer, timestamp '2023-01-01 08:00:00' + to_hours(cast(5 * i as integer))
    as ordered_at, cast(1 + i % 50 as decimal(12, 2)) + 0.5 as total
from range(1500) as orders(i)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the same orders in both kinds of file, beside a table that is no transactions."""
    monkeypatch.chdir(tmp_path)
    for name in ("CLV_CONFIG", "CLV_HOME"):
        monkeypatch.delenv(name, raising=False)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as made:
        made.execute(
            f"create schema crm; create table crm.orders as {ORDERS}; create table notes as select 'x' as note"
        )
        rows = made.execute(
            "select * replace (cast(ordered_at as varchar) as ordered_at, total :: double as total) from crm.orders"
        ).fetchall()
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as shop:
        shop.execute("create table orders (order_id integer, customer text, ordered_at text, total real)")
        shop.executemany("insert into orders values (?, ?, ?, ?)", rows)
        shop.execute("create table customers (id text, city text)")
        shop.executemany("insert into customers values (?, 'Ulm')", [(f"C{n}",) for n in range(300)])
        shop.commit()
    return tmp_path


def clv(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.mark.parametrize(
    ("named", "table", "url", "query"),
    [
        ("shop.sqlite", "orders", "sqlite:///shop.sqlite", "SELECT * FROM orders"),
        ("shop.duckdb", "crm.orders", "duckdb:///shop.duckdb", 'SELECT * FROM "crm"."orders"'),
        ("sqlite:///shop.sqlite", "orders", "sqlite:///shop.sqlite", "SELECT * FROM orders"),
    ],
)
def test_the_only_table_that_can_be_meant_is_taken_and_named(
    folder: Path, named: str, table: str, url: str, query: str
) -> None:
    made = clv("init", named)
    assert (made.exit_code, f"took {table}: no other table has customer, date and amount" in made.output) == (0, True)
    assert source_of(folder) == {
        "url": url,
        "query": query,
        "columns": {"customer_id": "customer", "order_id": "order_id", "ordered_at": "ordered_at", "amount": "total"},
    }
    assert Settings.load().source.transactions.url == url
    with_name = clv("init", named, "--table", table, "--force")
    assert (with_name.exit_code, "took" in with_name.output, source_of(folder)["query"]) == (0, False, query)


def test_a_file_is_known_by_its_content(folder: Path) -> None:
    (folder / "shop.sqlite").rename(folder / "shop.db")
    assert "wrote clv.yaml" in clv("init", "shop.db").output
    write(folder, "text.db", "customer,date,amount\n")
    assert "text.db" in clv("init", "text.db", "--force").output


def test_several_tables_are_listed_with_their_rows_and_nothing_is_written(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.sqlite")) as shop:
        shop.execute("create table old_orders as select * from orders limit 700")
        shop.commit()
    asked = clv("init", "shop.sqlite")
    assert asked.exit_code == 1
    for part in ("customers 300 rows", "old_orders 700 rows", "orders 1,500 rows", "`--table customers`"):
        assert part in asked.output
    assert not (folder / "clv.yaml").exists()


def test_a_table_that_is_not_there_is_told_with_the_nearest_one(folder: Path) -> None:
    asked = clv("init", "shop.sqlite", "--table", "order")
    assert (asked.exit_code, "has no table 'order'; did you mean 'orders'?" in asked.output) == (1, True)
    write(folder, "shop.csv", "customer,date,amount\nann,2024-05-01,2\n")
    assert "--table goes with one database" in clv("init", "shop.csv", "--table", "orders").output


def test_a_table_without_a_record_is_no_table_of_transactions(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.execute("create table archive (customer, ordered_at, total)")
        shop.execute("create table orders (customer, ordered_at, total)")
        shop.executemany("insert into orders values (?, '2024-05-01', ?)", [(n % 7, n) for n in range(30)])
        shop.commit()
    assert "took orders: no other table has customer, date and amount (archive)" in clv("init", "shop.db").output
    empty = clv("init", "shop.db", "--table", "archive", "--force")
    assert empty.exit_code == 1
    assert "the table archive holds no record; name another one by --table" in empty.output


def test_what_is_called_a_database_and_is_none_is_told(folder: Path) -> None:
    write(folder, "shop.db", "no database")
    assert "shop.db: is no database of SQLite or DuckDB; get the file again" in clv("init", "shop.db").output


def test_a_database_is_given_alone(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as shop:
        shop.execute("create table orders (customer)")
    write(folder, "shop.csv", "customer,date,amount\n1,2024-01-01,5\n")
    told = clv("init", "shop.csv", "shop.db")
    assert (told.exit_code, told.output) == (1, "a database is given alone, without another one or files beside it\n")


def test_a_password_has_to_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = clv("init", "postgresql://me:hunter2@127.0.0.1:1/shop", "--table", "orders")
    assert (plain.exit_code, "hunter2" in plain.output, "write ${NAME} in its place" in plain.output) == (
        1,
        False,
        True,
    )
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    unset = clv("init", "postgresql://me:${SHOP_PASSWORD}@127.0.0.1:1/shop", "--table", "orders")
    assert "the environment variable SHOP_PASSWORD is not set" in unset.output
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    refused = clv("init", "postgresql://me:${SHOP_PASSWORD}@127.0.0.1:1/shop", "--table", "orders")
    assert (refused.exit_code, "hunter2" in refused.output, "postgresql://127.0.0.1:1/shop" in refused.output) == (
        1,
        False,
        True,
    )


NOT_INSTALLED = {"snowflake", "bigquery", "redshift", "mssql", "oracle"}


@pytest.mark.parametrize("backend", sorted(NOT_INSTALLED))
def test_a_missing_driver_is_named_with_what_to_install(folder: Path, backend: str) -> None:
    packages = DRIVERS[backend][0].packages
    # A user called `o` must not be cut out of the words around.
    with pytest.raises(SourceError) as told:
        load(folder, url=f"{backend}://o@host/shop", query="select 1")
    assert str(told.value) == (
        f"{backend}://host/shop: the driver that reads {backend} is not installed;"
        f" `pip install {packages}` in the environment of clv"
    )


def test_the_how_to_says_what_the_errors_say_to_install() -> None:
    text = (HOW_TOS / "other-databases.md").read_text(encoding="utf-8")
    for backend in NOT_INSTALLED:
        [line] = [line for line in text.splitlines() if f"| `{backend}://" in line]
        assert f"| `pip install {DRIVERS[backend][0].packages}` |" in line
    for name, backend in (("postgresql.md", "postgresql"), ("mysql-mariadb.md", "mysql")):
        words = " ".join((HOW_TOS / name).read_text(encoding="utf-8").split())
        assert [driver for driver in DRIVERS[backend] if f"`pip install {driver.packages}`" not in words] == []


def test_the_settings_in_the_how_tos_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    for name in ("database-files.md", "postgresql.md", "mysql-mariadb.md"):
        written = yaml.safe_load(blocks(name, "yaml")[0])["source"]["transactions"]
        mapping = {"customer_id": "customer", "ordered_at": "ordered_at", "amount": "total"}
        assert Settings.from_mapping({"source": {"transactions": {"columns": mapping, **written}}})


def test_values_that_no_type_holds_are_text(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "odd.db")) as shop:
        shop.execute("create table orders (customer, date, amount)")
        shop.executemany(
            "insert into orders values (?, '2024-05-01', ?)",
            [(2**62, 1), (b"J\xfcrgen", 2.5), ("Zoë", "3"), (None, None), (1.0, "NaN")],
        )
        shop.commit()
    loaded = load(folder, url="sqlite:///odd.db", query="select * from orders")
    assert loaded.column("customer_id") == [str(2**62), "J\\xfcrgen", "Zoë", None, "1"]
    assert [None if value is None else float(value) for value in loaded.column("amount")] == [1, 2.5, 3, None, None]


@pytest.mark.acceptance
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, kind: str) -> None:
    peaks = []
    for rows in (FEW, MANY):
        (folder := tmp_path / f"{rows}").mkdir()
        _write_orders(folder / f"shop.{kind}", kind, rows)
        query = {"url": f"{kind}:///shop.{kind}", "query": "select * from orders", "columns": LONG_COLUMNS}
        (folder / "clv.yaml").write_text(yaml.safe_dump({"source": {"transactions": query}}), encoding="utf-8")
        peaks.append(load_night(folder, memory="150MB"))
    assert_memory_is_bounded(*peaks)


def _write_orders(path: Path, kind: str, rows: int) -> None:
    made = LONG_ROWS.format(first=0, last=rows)
    if kind == "duckdb":
        with duckdb.connect(str(path)) as shop:
            shop.execute(f"create table orders as {made}")
        return
    with closing(sqlite3.connect(path)) as shop, duckdb.connect() as con:
        shop.execute("create table orders (who, at, paid, note)")
        con.execute(made)
        while some := con.fetchmany(50_000):
            shop.executemany("insert into orders values (?, ?, ?, ?)", some)
        shop.commit()
