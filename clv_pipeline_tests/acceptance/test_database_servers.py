"""A million orders on a real PostgreSQL and a real MariaDB, loaded as a night loads them.

The servers are Debian's. PostgreSQL runs in a time zone that is not UTC, as many do.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy
import yaml

from clv_pipeline.errors import SourceError
from clv_pipeline_tests.helpers.database_servers import Server, mariadb, postgresql
from clv_pipeline_tests.helpers.how_tos import blocks, run_as_written, source_of
from clv_pipeline_tests.helpers.loads import load_night
from clv_pipeline_tests.helpers.shop_files import load

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

ROWS = 1_000_000
PEAK_MB = 600
"""Most memory that the process of a load may take, of which DuckDB is allowed 300 MB."""

PASSWORD = "p@ss:w/rd%41"  # noqa: S105
QUOTED_PASSWORD = "p%40ss%3Aw%2Frd%2541"  # noqa: S105  (as it stands in a URL)
COLUMNS = {
    "customer_id": "customer",
    "order_id": "order_id",
    "ordered_at": "ordered_at",
    "product_id": "product",
    "quantity": "quantity",
    "unit_price": "price",
    "due": "due_on",
    "web": "is_web",
    "note": "note",
}
MADE = f"""
select
    1 + i // 3 as order_id,
    case when i % 1000 < 999 then ['Zoë ', '客户-', 'anna-'][1 + i % 3] || (hash(i // 3) % 20000) end as customer,
    timestamp '2023-01-01 00:00:30' + to_seconds(i * 63072000 // {ROWS}) as ordered_at,
    'SKU-' || (hash(i * 7) % 2000) as product,
    1 + hash(i) % 5 as quantity,
    cast((1 + hash(i * 13) % 20000) / 100 as decimal(12, 2)) as price,
    date '2023-01-15' + cast(i % 700 as integer) as due_on,
    i % 2 as is_web,
    case when i % 10 > 0 then 'Größe ' || (i % 9) || ', 100 % "neu"' end as note
from range({ROWS}) as orders(i)
"""


@dataclass(frozen=True)
class Shop:
    """A server with a million orders and a user who may only read them; its password is a variable."""

    server: Server
    url: str
    expected: dict[str, Any]


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A CSV of the orders, in which an empty field is NULL, and what the load must find in it."""
    path = tmp_path_factory.mktemp("orders") / "orders.csv"
    path.parent.chmod(0o755)
    with duckdb.connect() as made:
        made.execute(f"create table orders as {MADE}")
        made.execute(f"copy orders to '{path}' (header false, nullstr '\\N')")
        names = ("rows", "revenue", "customers", "no_customer", "first", "last", "notes", "web")
        facts = made.execute(
            "select count(*), sum(quantity * price), count(distinct customer), count(*) filter (customer is null),"
            " min(ordered_at), max(ordered_at), count(note), sum(is_web) from orders"
        ).fetchall()[0]
    return path, dict(zip(names, facts, strict=True))


TYPES = "order_id bigint, customer varchar(40), ordered_at {}, product varchar(20), quantity int, price {}, due_on date"


def copy_into(server: Server, path: Path) -> None:
    """Fill the table `orders` of a PostgreSQL server; its instants are in UTC."""
    engine = sqlalchemy.create_engine(server.url)
    connection: Any = engine.raw_connection()
    with connection.cursor() as cursor, path.open(encoding="utf-8") as lines:
        cursor.execute("set timezone to 'UTC'")
        cursor.copy_expert(r"copy orders from stdin (format csv, null '\N')", lines)
    connection.commit()
    connection.close()
    engine.dispose()


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def shop(request: pytest.FixtureRequest, orders: tuple[Path, dict[str, Any]]) -> Iterator[Shop]:
    path, expected = orders
    if request.param == "postgresql":
        with postgresql("timezone=Europe/Berlin") as server:
            server.execute(
                f"create table orders ({TYPES.format('timestamptz', 'numeric(12, 2)')}, is_web int, note text)",
                "create index on orders (ordered_at)",
                "create function clean_up() returns int language sql as 'delete from orders returning 1'",
                f"create role clv_reader login password '{PASSWORD}'",
                "grant select, delete on orders to clv_reader",  # the session itself must refuse to delete
            )
            copy_into(server, path)
            yield Shop(server, f"postgresql://clv_reader:${{SHOP_PASSWORD}}@127.0.0.1:{server.port}/shop", expected)
    else:
        with mariadb("--default-time-zone=+02:00") as server:
            server.execute(
                f"create table orders ({TYPES.format('datetime', 'decimal(12, 2)')}, is_web tinyint(1), note text)",
                "create index by_day on orders (ordered_at)",
                f"load data local infile '{path}' into table orders character set utf8mb4 fields terminated by ','"
                " optionally enclosed by '\"'",
                "create function clean_up() returns int modifies sql data begin delete from orders; return 1; end",
                f"create user clv_reader@localhost identified by '{PASSWORD}'",
                "grant select, delete, execute on shop.* to clv_reader@localhost",
            )
            yield Shop(server, f"mysql://clv_reader:${{SHOP_PASSWORD}}@127.0.0.1:{server.port}/shop", expected)


def ask(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def in_what_was_made(query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as made:
        return made.execute(f"with orders as ({MADE}) {query}").fetchall()


FACTS = """
select count(*), sum(amount), count(distinct customer_id), count(*) filter (customer_id is null), min(ordered_at),
    max(ordered_at), count(attributes ->> 'note'), sum(cast(attributes ->> 'web' as integer))
from live
"""


def test_a_million_rows_are_read_to_the_penny_in_bounded_memory_and_then_only_the_newest_days(
    shop: Shop, tmp_path: Path
) -> None:
    query = "select * from orders where note like '%' or note is null order by order_id, price"
    transactions = {"url": shop.url, "query": query, "columns": COLUMNS, "lookback_days": 7}
    (tmp_path / "clv.yaml").write_text(yaml.safe_dump({"source": {"transactions": transactions}}), encoding="utf-8")
    first = load_night(tmp_path, SHOP_PASSWORD=QUOTED_PASSWORD)
    assert first["read"] == ROWS
    assert first["peak"] < PEAK_MB
    assert dict(zip(shop.expected, ask(tmp_path, FACTS)[0], strict=True)) == shop.expected
    assert ask(tmp_path, "select count(*) from live where source_text is not null") == [(0,)]
    assert ask(
        tmp_path,
        "select customer_id, product_id, quantity, unit_price, ordered_at, attributes ->> 'due', attributes ->> 'note'"
        " from live where order_id = '4' order by unit_price, product_id",
    ) == in_what_was_made(
        "select trim(customer), product, cast(quantity as decimal(18, 4)), price, ordered_at, cast(due_on as varchar),"
        " note from orders where order_id = 4 order by price, product"
    )

    # An order of long ago changes, which only a full refresh sees. The newest order goes, and another one comes.
    last = 1 + (ROWS - 1) // 3
    offset = "+00" if shop.url.startswith("postgresql") else ""
    shop.server.execute(
        "update orders set quantity = quantity + 100 where order_id = 1",
        f"delete from orders where order_id = {last}",
        "insert into orders (order_id, customer, ordered_at, product, quantity, price) values"
        f" (9000001, 'Zoë 1', '{shop.expected['last']}{offset}', 'SKU-1', 2, 0.07)",
    )
    second = load_night(tmp_path, SHOP_PASSWORD=QUOTED_PASSWORD)
    [(gone, lost)] = in_what_was_made(f"select count(*), sum(quantity * price) from orders where order_id = {last}")
    [(since,)] = in_what_was_made("select max(ordered_at) :: date - 7 from orders")
    [(newest,)] = in_what_was_made(f"select count(*) from orders where ordered_at >= date '{since}'")
    assert second["read"] == newest - gone + 1
    assert ask(tmp_path, "select count(*), sum(amount) from live") == [
        (ROWS - gone + 1, shop.expected["revenue"] - lost + Decimal("0.14"))
    ]


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", QUOTED_PASSWORD)


@pytest.mark.usefixtures("password")
def test_sessions_only_read_whatever_the_user_may_do(shop: Shop, tmp_path: Path) -> None:
    columns = {"customer_id": "customer", "ordered_at": "at", "amount": "amount"}
    with pytest.raises(SourceError, match=r"(?i)read.only transaction"):
        load(tmp_path, columns, url=shop.url, query="select clean_up() as customer, now() as at, 1 as amount")
    with pytest.raises(SourceError, match="more than one statement"):
        load(tmp_path, columns, url=shop.url, query="select 1; commit; delete from orders")
    like = (
        "select customer, ordered_at as at, price as amount from orders where customer like 'Zoë 1%' and order_id < 50"
    )
    found = load(tmp_path, columns, url=shop.url, query=like).column("customer_id")
    assert found
    assert all(name.startswith("Zoë 1") for name in found)


@pytest.mark.usefixtures("password")
def test_odd_values_are_rejected_rows_and_json_is_json(shop: Shop, tmp_path: Path) -> None:
    columns = {"customer_id": "customer", "ordered_at": "at", "amount": "amount", "web": "web"}
    query = {
        "postgresql": "select 'ann' as customer, timestamp '2024-05-01' as at, 'NaN'::numeric as amount,"
        """ '{"a": [1, "ü"]}'::jsonb as web""",
        "mysql": "select 'ann' as customer, date '2024-05-01' as at, 1.5 as amount, true as web union all"
        " select 'ann', cast('0000-00-00' as date), 1.5, true",
    }
    backend = shop.url.partition(":")[0]
    row = load(tmp_path, columns, url=shop.url, query=query[backend]).rows[-1]
    assert (row["amount"] if backend == "postgresql" else row["ordered_at"]) is None
    assert row["source_text"]
    web = json.loads(row["attributes"])["web"]
    assert web == '{"a": [1, "ü"]}' if backend == "postgresql" else web == "1"


@pytest.mark.usefixtures("password")
def test_errors_show_neither_the_password_nor_the_user(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url, query in ((shop.url, "select * from nothing"), (shop.url.replace("clv_reader", "somebody"), "select 1")):
        with pytest.raises(SourceError) as told:
            load(tmp_path, url=url, query=query)
        assert not [word for word in (PASSWORD, QUOTED_PASSWORD, "somebody", "clv_reader") if word in str(told.value)]


SMALL_SHOP = """
select 1 + i as order_id, 'C' || (i % 300) as customer, timestamp '2023-01-01 08:00:00' + to_hours(5 * i) as ordered_at,
    cast((1 + hash(i) % 9000) / 100 as decimal(12, 2)) as total
from (select cast(range as integer) as i from range(3000)) as orders
"""


def published_revenue(folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "data" / "published" / "current" / "clv.duckdb"), read_only=True) as served:
        return served.execute("select sum(revenue) from sales_by_month").fetchall()


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DuckDB file with three thousand orders, and a CSV of them beside it."""
    folder = tmp_path_factory.mktemp("small")
    folder.chmod(0o755)
    with duckdb.connect(str(folder / "shop.duckdb")) as made:
        made.execute(f"create schema crm; create table crm.orders as {SMALL_SHOP}")
        made.execute(f"copy crm.orders to '{folder / 'orders.csv'}' (header false)")
    return folder


def revenue_of(small_shop: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(small_shop / "shop.duckdb"), read_only=True) as made:
        return made.execute("select sum(total) from crm.orders").fetchall()


@pytest.mark.parametrize("kind", ["postgresql", pytest.param("mysql-mariadb", marks=pytest.mark.nightly)])
def test_the_how_to_of_a_server_runs_as_written(kind: str, small_shop: Path, tmp_path: Path) -> None:
    name, written_port = f"{kind}.md", {"postgresql": 5432, "mysql-mariadb": 3306}[kind]
    columns = "order_id int, customer varchar(20), ordered_at timestamp, total decimal(12, 2)"
    with postgresql() if kind == "postgresql" else mariadb() as server:
        server.execute(f"create table orders ({columns})")
        if kind == "postgresql":
            copy_into(server, small_shop / "orders.csv")
        else:
            lines = f"'{small_shop / 'orders.csv'}' into table orders fields terminated by ','"
            server.execute(f"load data local infile {lines} optionally enclosed by '\"'")
        server.execute(*filter(None, map(str.strip, blocks(name, "sql")[0].split(";"))))
        here = {f"db.example.com:{written_port}": f"127.0.0.1:{server.port}"}
        told = run_as_written(blocks(name, "console")[0], tmp_path, here)
    assert "published" in told
    [settings] = blocks(name, "yaml")
    stated = yaml.safe_load(settings)["source"]["transactions"]
    assert source_of(tmp_path)["query"] == stated["query"]
    assert source_of(tmp_path)["url"] == stated["url"].replace(*next(iter(here.items())))
    assert published_revenue(tmp_path) == revenue_of(small_shop)


@pytest.mark.nightly
def test_the_how_to_of_database_files_runs_as_written(small_shop: Path, tmp_path: Path) -> None:
    shutil.copy(small_shop / "shop.duckdb", tmp_path)
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as shop, (small_shop / "orders.csv").open() as lines:
        shop.execute("create table orders (order_id integer, customer text, ordered_at text, total numeric)")
        shop.executemany("insert into orders values (?, ?, ?, ?)", csv.reader(lines))
        shop.commit()
    first, second = blocks("database-files.md", "console")
    assert "published" in run_as_written(first, tmp_path, {})
    assert source_of(tmp_path) == yaml.safe_load(blocks("database-files.md", "yaml")[0])["source"]["transactions"]
    assert published_revenue(tmp_path) == revenue_of(small_shop)
    run_as_written(second, tmp_path, {})
    assert source_of(tmp_path)["query"] == 'SELECT * FROM "crm"."orders"'
