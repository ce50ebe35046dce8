"""Whatever a query says, the database that it asks, and every file beside it, is afterwards what it was."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.database.connections import open_read_only
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.database_files import open_sqlite
from clv_pipeline.sources.one_select import one_select
from clv_pipeline_tests.helpers.receivers import free_port
from clv_pipeline_tests.helpers.shop_files import load

URLS = {"sqlite": "sqlite:///shop.db", "duckdb": "duckdb:///shop.duckdb"}
FROM_ORDERS = "select customer, date, amount from orders"
SQLITE_STATEMENTS = [
    "drop table orders",
    "delete from orders",
    "insert into orders values (1, 2, 3) returning *",
    "attach 'made.db' as made",
    "vacuum into 'made.db'",
    "pragma journal_mode = wal",
    "pragma query_only = off",
    "create temp table made (a)",
    "begin immediate",
]
DUCKDB_STATEMENTS = [
    "copy orders to '{folder}/made.csv'",
    "copy orders to '{folder}/shop.duckdb'",
    "export database '{folder}/made'",
    "attach '{folder}/made.duckdb'",
    "drop table orders",
    "from read_text('{folder}/.env')",
    "from glob('{folder}/*')",
    "from '{folder}/other.csv'",
    "with gone as (delete from orders returning *) from gone",
    "select * from query('copy orders to ''{folder}/made.csv''')",
    "select * from enable_logging(storage = 'file', storage_path = '{folder}/made')",
    "set enable_external_access = true",
    "load httpfs",
]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """A folder with the same orders in both kinds of file, and what a query must neither read nor change."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as made:
        made.execute("create table orders (customer, date text, amount)")
        made.execute("insert into orders values ('ann', '2024-05-01', 2.5)")
        made.commit()
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as made:
        made.execute("create table orders as select 'ann' as customer, date '2024-05-01' as date, 2.5 as amount")
    (tmp_path / ".env").write_text("PASSWORD=hunter2")
    (tmp_path / "other.csv").write_text("customer,date,amount\nbob,2024-05-02,1\n")
    before = contents(tmp_path)
    yield tmp_path
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and "work" not in path.parts
    }


@pytest.mark.parametrize("kind", URLS)
def test_a_select_is_answered(shop: Path, kind: str) -> None:
    assert load(shop, url=URLS[kind], query=f"{FROM_ORDERS}; -- all of them").column("customer_id") == ["ann"]


@pytest.mark.parametrize(
    ("kind", "statement"),
    [
        *(("sqlite", statement) for statement in SQLITE_STATEMENTS),
        *(("duckdb", statement) for statement in DUCKDB_STATEMENTS),
    ],
)
def test_no_other_statement_has_an_effect_alone_or_behind_a_select(shop: Path, kind: str, statement: str) -> None:
    asked = statement.format(folder=shop)
    for query in (asked, f"{FROM_ORDERS}; {asked}", f"{FROM_ORDERS}) as q; {asked}; select * from (select 1"):
        with pytest.raises(SourceError, match="#query: the query") as told:
            load(shop, url=URLS[kind], query=query)
        assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("statement", SQLITE_STATEMENTS)
def test_sqlite_itself_refuses_what_the_words_would_not_tell(shop: Path, statement: str) -> None:
    with closing(open_sqlite(shop / "shop.db", "shop")) as connection, pytest.raises(sqlite3.Error):
        connection.execute(statement)


@pytest.mark.parametrize("statement", DUCKDB_STATEMENTS)
def test_duckdb_itself_refuses_what_the_words_would_not_tell(shop: Path, statement: str) -> None:
    with open_read_only(shop / "shop.duckdb") as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.format(folder=shop)).fetchall()


@pytest.mark.parametrize("url", ["sqlite:///none.db", "duckdb:///none.duckdb", "sqlite://", "duckdb:///md:shop"])
def test_a_file_that_is_missing_is_told_and_not_made(shop: Path, url: str) -> None:
    with pytest.raises(SourceError, match="there is no such file; correct the url"):
        load(shop, url=url, query="select 1")


def test_a_view_on_a_file_beside_the_database_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("customer,date,amount\nbob,2024-05-02,1\n")
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as made:
        made.execute(f"create view orders as from '{tmp_path}/other.csv'")
    with pytest.raises(SourceError, match=r"other\.csv.*disabled by configuration"):
        load(tmp_path, url=URLS["duckdb"], query="from orders")


def test_a_sqlite_file_with_a_write_ahead_log_gets_no_files_beside_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as made:
        made.execute("pragma journal_mode = wal")
        made.execute("create table orders (customer, date text, amount)")
        made.execute("insert into orders values ('ann', '2024-05-01', 2.5)")
        made.commit()
        # The program of the shop is at work: its log is read too.
        assert len(load(tmp_path, url=URLS["sqlite"], query=FROM_ORDERS).rows) == 1
    before = contents(tmp_path)
    assert len(load(tmp_path, url=URLS["sqlite"], query=FROM_ORDERS).rows) == 1
    assert contents(tmp_path) == before


def test_a_log_that_was_left_behind_is_told_instead_of_written_back(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "live.db")) as made:
        made.execute("pragma journal_mode = wal")
        made.execute("create table orders (customer, date text, amount)")
        made.commit()
        shutil.copy(tmp_path / "live.db", tmp_path / "shop.db")
        shutil.copy(tmp_path / "live.db-wal", tmp_path / "shop.db-wal")
    with pytest.raises(SourceError, match="has a log beside it"):
        load(tmp_path, url=URLS["sqlite"], query=FROM_ORDERS)


@pytest.mark.parametrize(
    ("database", "query"),
    [
        ("mssql", "select 1 drop table orders"),
        ("mssql", "select * into copy from orders"),
        ("mssql", "select 1 exec ('drop table orders')"),
        ("mysql", "select * from orders into outfile '/tmp/x'"),
        ("mysql", "select 1 /*! into outfile '/tmp/x' */"),
        ("postgresql", "with gone as (delete from orders returning *) select * from gone"),
        ("postgresql", "select 1; commit; drop table orders"),
        ("postgresql", "copy orders to program 'sh'"),
        ("nosuch", "call clean_up()"),
        ("nosuch", " ; -- nothing"),
    ],
)
def test_what_writes_on_a_server_is_refused_before_it_is_asked(database: str, query: str) -> None:
    with pytest.raises(SourceError, match=r"orders#query: the query is"):
        one_select(query, database, "orders#query")


@pytest.mark.parametrize(
    ("database", "query"),
    [
        ("postgresql", "select 'drop; table', $$ ; delete $$, E'it\\'s; into' from \"into\" where o.update > 1"),
        ("mysql", "select replace(a, ';', '#'), truncate(b, 2), insert(c, 1, 2, 'x') from `drop` # ; drop table x"),
        ("mssql", "select [drop] as [into], N'exec' as update from dbo.orders"),
        ("sqlite", "/* first; */ with a as (select 1) select * from a"),
        ("duckdb", "from orders select * exclude (a) replace (b + 1 as b)"),
        ("nosuch", "(select 1) union all (select 2)"),
    ],
)
def test_words_within_quotes_names_and_functions_write_nothing(database: str, query: str) -> None:
    assert one_select(query + " ;; -- end", database, "orders#query").startswith(query.split(" #")[0].rstrip())


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server with a table of orders; skips where PostgreSQL is not installed."""
    found = [Path(path) for path in os.get_exec_path()] + sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    programs = next((folder for folder in reversed(found) if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    # The server refuses to run as root, and another user does not get into pytest's own folder.
    user = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    data, port = folder / "data", free_port()

    def run(*words: str) -> None:
        subprocess.run([*user, *words], check=True, capture_output=True, cwd=folder)

    run(str(programs / "initdb"), "--auth", "trust", "--username", "clv", "--pgdata", str(data))
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    run(str(programs / "pg_ctl"), "--pgdata", str(data), "-o", options, "-l", str(folder / "log"), "--wait", "start")
    try:
        yield f"postgresql+psycopg2://clv@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "--pgdata", str(data), "--mode", "immediate", "stop")
        shutil.rmtree(folder)


def test_postgresql_reads_and_refuses_to_write(postgres: str, tmp_path: Path) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(postgres)
    with engine.begin() as made:
        made.exec_driver_sql("create table orders (customer text, date timestamp, amount numeric)")
        made.exec_driver_sql("insert into orders values ('ann', '2024-05-01', 2.5)")
        made.exec_driver_sql("create function clean_up() returns int language sql as 'delete from orders returning 1'")
    assert len(load(tmp_path, url=postgres, query=f"{FROM_ORDERS};").rows) == 1
    for query in ("select clean_up() as customer, now() as date, 1 as amount", "select 1; commit; drop table orders"):
        with pytest.raises(SourceError, match=r"read-only transaction|more than one statement"):
            load(tmp_path, url=postgres, query=query)
    with engine.connect() as asked:
        assert asked.exec_driver_sql("select count(*) from orders").scalar() == 1
    engine.dispose()
