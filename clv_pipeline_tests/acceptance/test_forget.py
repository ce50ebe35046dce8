"""`clv forget`: nobody who was erased is left in any file, the books balance, the next run finishes a stopped one."""

from __future__ import annotations

import json
import pkgutil
import re
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import polars as pl
import pytest

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ForgetError, PublicationError, RegisterError, WarehouseBusyError
from clv_pipeline.pipeline import Pipeline
from clv_pipeline.privacy.keyed_hash import KeyedHash
from clv_pipeline.privacy.register import FORGOTTEN, Register
from clv_pipeline.publication.summary import serve_version
from clv_pipeline.publication.write import publish
from clv_pipeline.warehouse import Warehouse
from clv_pipeline.warehouse.duckdb_engine import added_name
from clv_pipeline_tests.acceptance.spark_session import pyspark_at_hand
from clv_pipeline_tests.helpers.graph_shop import Shop, erased

pytestmark = pytest.mark.acceptance

ANN, BOB = "ann'; drop table rfm; --", "bob-0000"
KEY = "k" * 40
CURRENT = "published/current/clv.duckdb"
BOOKS = "+key:rfm or +key:row_ledger"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with two publications: the first with ids, the served one with pseudonyms under KEY."""
    shop = Shop(tmp_path_factory.mktemp("shop"), dg.DagsterInstance.ephemeral())
    path = shop.write_orders("2010.csv", 1_000, seed=1)
    orders = pl.read_csv(path, infer_schema=False)
    buyers = orders["customer_id"].drop_nulls().unique().sort().to_list()
    names = {old: f"cust-{number:04d}" for number, old in enumerate(buyers)} | {buyers[0]: ANN, buyers[1]: BOB}
    orders.with_columns(pl.col("customer_id").replace_strict(names, default=None)).write_csv(path)
    with path.open("a") as text:
        text.write('"bob-0000,unbalanced\n')
    assert shop.night(BOOKS).success
    pipeline = Pipeline.of(shop.settings())
    contracts = [pipeline.contract(table) for table in ("rfm", "row_ledger", "publication")]
    try:
        for run, key in (("ids", None), ("pseudonyms", KeyedHash(KEY.encode(), 32))):
            publish(
                pipeline.warehouse.open("test"),
                contracts,
                pipeline.settings.published_dir,
                run_id=run,
                config_hash=f"publishes {run}",
                keep=5,
                pseudonyms=key,
            )
    finally:
        pipeline.warehouse.close()
    return shop


@pytest.fixture
def shop(published: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A copy of it for one test, with the key in the environment."""
    monkeypatch.setenv("CLV_PSEUDONYM_KEY", KEY)
    shutil.copytree(published.folder, tmp_path / "shop", symlinks=True)
    return replace(published, folder=tmp_path / "shop")


def files_with(shop: Shop, *texts: str) -> set[str]:
    """Files below home whose bytes hold one of the texts."""
    pattern = re.compile(b"|".join(re.escape(text.encode()) for text in texts))
    home = shop.folder / "home"
    files = (path for path in home.rglob("*") if path.is_file())
    return {str(path.relative_to(home)) for path in files if pattern.search(path.read_bytes())}


def everywhere(shop: Shop) -> set[str]:
    key = KeyedHash(KEY.encode(), 32)
    return files_with(shop, ANN, BOB, key.of(ANN), key.of(BOB))


def query(shop: Shop, sql: str, file: str = "warehouse/clv.duckdb") -> list[tuple[object, ...]]:
    with duckdb.connect(str(shop.folder / "home" / file), read_only=True) as client:
        return client.execute(sql).fetchall()


def count(shop: Shop, relation: str, file: str = "warehouse/clv.duckdb") -> int:
    return int(str(query(shop, f"select count(*) from {relation}", file)[0][0]))


def versions(shop: Shop) -> list[str]:
    return sorted(path.name for path in (shop.folder / "home" / "published" / "versions").iterdir())


def test_no_byte_is_left_in_warehouse_and_publications_and_the_books_balance(shop: Shop) -> None:
    assert {
        "warehouse/clv.duckdb",
        "published/versions/ids/clv.duckdb",
        "published/versions/ids/parquet/rfm.parquet",
        "published/versions/pseudonyms/clv.duckdb",
    } <= everywhere(shop)
    raw, kept = count(shop, "raw_transactions"), count(shop, "cleaned_transactions")
    theirs = count(shop, f"cleaned_transactions where customer_id in ($${ANN}$$, '{BOB}')")
    served = count(shop, "rfm", CURRENT)
    erasure = erased(shop.settings(), [ANN, BOB])
    assert everywhere(shop) == set()
    assert (erasure.publications, versions(shop)) == (2, ["ids~1", "pseudonyms~1"])
    assert count(shop, "raw_transactions") == raw
    assert count(shop, "cleaned_transactions") == kept - theirs
    left = "select count(customer_id), count(order_id), count(product_id) from rejected_transactions"
    assert query(shop, f"{left} where reason = '{FORGOTTEN}'") == [(0, 0, 0)]
    assert count(shop, f"rejected_transactions where reason = '{FORGOTTEN}'") >= theirs
    assert count(shop, "rfm", CURRENT) == served - 2
    described = json.loads(str(query(shop, "select tables from publication", CURRENT)[0][0]))
    assert {entry["table"]: entry["rows"] for entry in described}["rfm"] == served - 2
    assert count(shop, "duckdb_columns() where comment is null and not internal", CURRENT) == 0


def test_the_record_names_run_time_and_rows_and_nobody(shop: Shop) -> None:
    erasure = erased(shop.settings(), [ANN])
    [entry] = json.loads((shop.folder / "home" / "privacy" / "forgotten.json").read_text())
    assert entry["run_id"] == erasure.run_id
    assert entry["erased_at"] >= entry["requested_at"]
    assert entry["rows"]["rfm"] == 1
    assert entry["customers"] == [Register(shop.folder / "home" / "privacy").hash().of(ANN)]
    assert ANN not in str(entry)
    assert {path.stat().st_mode & 0o077 for path in (shop.folder / "home" / "privacy").iterdir()} == {0}


def test_the_next_load_brings_nobody_back_and_other_rows_are_as_they_were(shop: Shop) -> None:
    # Scores are ranks among all customers.
    others = "select * exclude (r_score, f_score, m_score) from rfm"
    others += f" where customer_id not in ($${ANN}$$, '{BOB}') order by all"
    ledger = 'select sum("rows"), sum(amount) from row_ledger'
    before, booked = query(shop, others), query(shop, ledger)
    erased(shop.settings(), [ANN, BOB])
    result = shop.night(BOOKS)
    assert result.success
    assert result.failed_checks == []
    assert query(shop, others) == before
    assert count(shop, "rfm") == len(before)
    assert query(shop, ledger) == booked
    assert count(shop, f"row_ledger where outcome = '{FORGOTTEN}'") == 1
    assert everywhere(shop) == set()


def stop_at(step: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin to erase both, and be stopped at that function."""
    register = Register(shop.folder / "home" / "privacy")

    def stop(*arguments: object, **named: object) -> object:
        # Before the request there is nothing to finish.
        if register.entries():
            raise KeyboardInterrupt
        return original(*arguments, **named)

    original = pkgutil.resolve_name(step)
    with monkeypatch.context() as patched:
        patched.setattr(step, stop)
        with pytest.raises(KeyboardInterrupt):
            erased(shop.settings(), [ANN, BOB])


STEPS = [
    "publication.write._complete",
    "publication.write.point_at",
    "privacy.erasure._erase_from_warehouse",
    "privacy.erasure._book_as_rejected",
    "warehouse.Warehouse.rewrite",
    "privacy.register.Register.finish",
]


@pytest.mark.parametrize("step", [*(f"clv_pipeline.{step}" for step in STEPS), "shutil.rmtree"])
def test_an_erasure_that_was_stopped_is_finished_by_running_it_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stop_at(step, shop, monkeypatch)
    assert count(shop, "rfm", CURRENT) > 0
    assert len(Register(shop.folder / "home" / "privacy").unfinished()) == 1
    erased(shop.settings(), [ANN, BOB])
    assert everywhere(shop) == set()
    assert versions(shop) == ["ids~1", "pseudonyms~1"]
    assert Register(shop.folder / "home" / "privacy").unfinished() == []


@pytest.mark.parametrize(
    "step",
    [
        "privacy.erasure._readable_versions",
        "publication.write.point_at",
        "privacy.erasure._erase_from_warehouse",
        "privacy.register.Register.finish",
    ],
)
def test_a_run_finishes_an_erasure_that_was_stopped_before_anything_else(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    stop_at(f"clv_pipeline.{step}", shop, monkeypatch)
    # The hashes suffice, for pseudonyms too.
    monkeypatch.delenv("CLV_PSEUDONYM_KEY")
    shop.write_orders("2011.csv", 1_000, seed=2)
    path = shop.folder / "orders" / "2011.csv"
    new = pl.read_csv(path, infer_schema=False).with_row_index()
    theirs = pl.when(pl.col("index") < 300).then(pl.lit(BOB)).otherwise("customer_id")
    new.with_columns(customer_id=theirs).drop("index").write_csv(path)
    assert shop.night(BOOKS).success
    assert everywhere(shop) == set()
    assert Register(shop.folder / "home" / "privacy").unfinished() == []
    assert versions(shop) == ["ids~1", "pseudonyms~1"]
    assert count(shop, f"rejected_transactions where reason = '{FORGOTTEN}'") >= 300


def test_a_run_that_cannot_finish_an_erasure_says_so_and_builds_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        # What an earlier version recorded, or who had no key: the pseudonyms are not known.
        patched.delenv("CLV_PSEUDONYM_KEY")
        with pytest.raises(ForgetError, match="customers have pseudonyms there under another key"):
            erased(shop.settings(), [ANN])
    result = shop.night(BOOKS)
    assert not result.success
    told = result.failures["parameters"]
    assert "an erasure is unfinished" in told
    assert "versions/pseudonyms" in told
    assert "run `clv forget` with the same customers, or remove the folders" in told
    assert result.shown == {}
    with pytest.raises(PublicationError, match=r"an erasure is unfinished.*`clv run` finishes it"):
        serve_version(shop.settings(), "pseudonyms")
    shutil.rmtree(shop.folder / "home" / "published" / "versions" / "pseudonyms")
    assert shop.night(BOOKS).success
    assert Register(shop.folder / "home" / "privacy").unfinished() == []


def test_an_erasure_is_finished_also_where_the_warehouse_is_new(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at("clv_pipeline.privacy.erasure._erase_from_warehouse", shop, monkeypatch)
    (shop.folder / "home" / "warehouse" / "clv.duckdb").unlink()
    assert shop.night(BOOKS).success
    assert everywhere(shop) == set()


def test_an_id_that_is_nowhere_is_refused_and_nothing_is_erased(shop: Shop) -> None:
    before = everywhere(shop)
    with pytest.raises(ForgetError, match=r"nobody was erased.* no data is kept \('bob-000'"):
        erased(shop.settings(), [ANN, "bob-000"])
    assert everywhere(shop) == before
    assert Register(shop.folder / "home" / "privacy").entries() == []


def on_spark(shop: Shop) -> Settings:
    return shop.settings(storage={"home": str(shop.folder / "home"), "engine": "spark"})


@pytest.fixture
def shop_on_spark(shop: Shop) -> Shop:
    """The shop with three tables where Spark would have written them."""
    pyspark_at_hand()
    pipeline = Pipeline.of(on_spark(shop))
    session = pipeline.warehouse.open("test")
    for table in ("raw_transactions", "rejected_at_sight", "rfm"):
        session.execute(f"alter table {table} rename to {added_name(table)}")
        session.stage_added(pipeline.contract(table))
        session.replace_live(pipeline.contract(table))
    session.drop_staged([])
    pipeline.warehouse.rewrite()
    pipeline.warehouse.close()
    return shop


def in_parquet(shop: Shop) -> dict[str, tuple[int, int]]:
    """Of every table of Spark: how many rows the files on disk have, and how many of ANN and BOB, or about them."""
    theirs = f"contains(cast(rows as varchar), $${ANN}$$) or contains(cast(rows as varchar), '{BOB}')"
    found = {}
    with duckdb.connect() as client:
        for folder in sorted((shop.folder / "home" / "lake" / "clv").glob("*")):
            rows = f"read_parquet('{folder}/data/*.parquet') as rows"
            [found[folder.name]] = client.execute(f"select count(*), count_if({theirs}) from {rows}").fetchall()
    return found


def test_no_file_of_spark_keeps_them_and_an_erasure_that_was_stopped_is_finished(
    shop_on_spark: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_on_spark
    held = in_parquet(shop)
    assert held.keys() == {"raw_transactions", "rejected_at_sight", "rfm"}
    assert held["raw_transactions"][1] > 2

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("privacy.erasure.record_changes", "spark.session.SessionOnSpark.forget_replaced_rows"):
        with monkeypatch.context() as patched:
            patched.setattr(f"clv_pipeline.{step}", stop)
            with pytest.raises(KeyboardInterrupt):
                erased(on_spark(shop), [ANN, BOB])
    # As a killed run leaves one, which no snapshot knows.
    data = shop.folder / "home" / "lake" / "clv" / "rfm" / "data"
    shutil.copy(min(data.glob("*.parquet")), data / "stray.parquet")
    erased(on_spark(shop), [ANN, BOB])
    left = in_parquet(shop)
    assert {table: theirs for table, (_, theirs) in left.items()} == dict.fromkeys(held, 0)
    assert left["raw_transactions"][0] == held["raw_transactions"][0]
    assert left["rfm"][0] == held["rfm"][0] - 2
    assert everywhere(shop) == set()


def test_what_spark_kept_is_erased_from_also_after_the_way_back_to_duckdb(shop_on_spark: Shop) -> None:
    shop = shop_on_spark
    erased(shop.settings(), [ANN, BOB])
    assert in_parquet(shop) == {}
    assert everywhere(shop) == set()
    assert shop.night(BOOKS).success


def test_beside_a_run_it_refuses_and_names_the_run(shop: Shop) -> None:
    running = Warehouse(shop.settings().warehouse_path)
    running.open("run c0ffee")
    try:
        with pytest.raises(WarehouseBusyError, match="run c0ffee"):
            erased(shop.settings(), [ANN])
    finally:
        running.close()
    assert Register(shop.folder / "home" / "privacy").entries() == []


def test_pseudonyms_under_another_key_are_named_until_that_key_comes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLV_PSEUDONYM_KEY", "x" * 40)
    with pytest.raises(
        ForgetError,
        match=r"nobody can be found in .*versions/pseudonyms, because .* customers have pseudonyms",
    ):
        erased(shop.settings(), [ANN])
    assert files_with(shop, ANN) == set()
    assert Register(shop.folder / "home" / "privacy").unfinished()
    monkeypatch.setenv("CLV_PSEUDONYM_KEY", KEY)
    assert erased(shop.settings(), [ANN]).publications == 1
    assert files_with(shop, KeyedHash(KEY.encode(), 32).of(ANN)) == set()


def test_without_its_salt_the_register_lets_nothing_be_loaded(shop: Shop) -> None:
    erased(shop.settings(), [ANN])
    (shop.folder / "home" / "privacy" / "salt").unlink()
    with pytest.raises(RegisterError, match=r"salt is missing.*restore it"):
        erased(shop.settings(), [BOB])
    assert not shop.night("+key:raw_transactions").success
