"""What a shop keeps in folders, object stores and lakehouses, read as the how-tos say, word by word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
import yaml

from clv_pipeline.errors import SourceError
from clv_pipeline.sources import load_changes
from clv_pipeline_tests.acceptance.lake_servers import (
    BUCKET,
    azure_server,
    google_server,
    lake_packages,
    lake_packages_at_hand,
    put_google,
    s3_server,
)
from clv_pipeline_tests.helpers.shop_files import load, transactions

pytestmark = pytest.mark.acceptance
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
SERVERS = {"s3": s3_server, "az": azure_server, "gs": google_server}
OBJECTS = 1_050
"""More than a page of any listing holds by default (S3 and Google: 1,000)."""


def put(scheme: str, objects: dict[str, bytes]) -> None:
    """Write objects into the bucket to which the environment leads."""
    import obstore
    from obstore.store import AzureStore, S3Store

    # fake-gcs-server takes objects by another of Google's interfaces than the one that obstore writes to.
    write: Callable[[str, bytes], object] = put_google
    if scheme != "gs":
        store = {"s3": S3Store, "az": AzureStore}[scheme](BUCKET, client_options={"allow_http": True})
        write = partial(obstore.put, store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda entry: write(*entry), objects.items()))


@pytest.fixture(params=list(SERVERS))
def scheme(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The scheme of a store that runs, with the environment that leads to it."""
    from clv_pipeline.sources import objects

    with SERVERS[request.param](tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        objects._store.cache_clear()
        yield request.param
    objects._store.cache_clear()


def one_order(customer: int, amount: int) -> bytes:
    return f"customer,date,amount\n{customer},2021-01-01,{amount}\n".encode()


def test_a_store_is_read_once_and_then_what_is_new(scheme: str, tmp_path: Path) -> None:
    put(scheme, {f"orders/{number:04d}.csv": one_order(number, number) for number in range(OBJECTS)})
    # They stand on the last page.
    source = transactions(path=f"{scheme}://{BUCKET}/orders/104*.csv")
    with duckdb.connect() as con:

        def night(known: Any) -> Any:
            return load_changes(con, "new", source, tmp_path, tmp_path / "work", live="live", known=known)

        first = night(())
        assert con.execute("select count(*), sum(amount) from new").fetchall() == [(10, sum(range(1040, 1050)))]
        con.execute("alter table new rename to live")
        assert night(first.files).read == []
        put(scheme, {"orders/1047.csv": one_order(7, 99), "orders/104 ü+%.csv": one_order(8, 1)})
        second = night(first.files)
        assert second.read == [f"{scheme}://{BUCKET}/orders/{name}.csv" for name in ("104 ü+%", "1047")]
    with pytest.raises(SourceError, match=r"there is no such object or bucket \(404\)"):
        load(tmp_path, path=f"{scheme}://{BUCKET}/orders/none.csv")


# --- the how-tos ---


def settings_of(page: str, number: int) -> dict[str, Any]:
    """The settings that a how-to shows, beside a short list of models."""
    blocks = re.findall(r"```yaml\n(.*?)```", (HOW_TO / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    few = {"models": ["own_rate", "last_window"], "forecast": {"horizons_days": [90]}}
    return {**yaml.safe_load(blocks[number]), **few}


def follow(page: str, number: int, folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Do what a how-to says after its settings; the document of `clv check`."""
    (folder / "clv.yaml").write_text(yaml.safe_dump(settings_of(page, number)), encoding="utf-8")
    text = (HOW_TO / page).read_text(encoding="utf-8")
    assert "$ .venv/bin/clv check\n$ .venv/bin/clv run\n" in text
    surroundings = {**os.environ, **environment, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{lake_packages()}"}
    clv = str(Path(sys.executable).with_name("clv"))
    said: dict[str, str] = {}
    options: dict[str, Any] = {"cwd": folder, "env": surroundings, "capture_output": True, "text": True, "timeout": 900}
    for command in (["check", "--json"], ["run"]):
        done = subprocess.run([clv, *command], **options)
        assert done.returncode == 0, done.stdout + done.stderr
        said[command[0]] = done.stdout
    checked: dict[str, Any] = json.loads(said["check"])
    return checked


def orders() -> pl.DataFrame:
    """Orders of 300 customers over two years; some of them come back often, some never."""
    days = [
        {"customer": f"c{customer}", "date": date(2022, 1, 1) + timedelta(days=day), "amount": 10.0 + customer % 7}
        for customer in range(300)
        for day in range(customer % 90, 730, 20 + 11 * (customer % 30))
    ]
    return pl.DataFrame(days).sort("date", "customer")


def revenue(folder: Path) -> float:
    """What is published."""
    with duckdb.connect(str((folder / "data/published/current/clv.duckdb").resolve()), read_only=True) as client:
        [(total,)] = client.execute("select sum(revenue) from rfm").fetchall()
    return float(total)


@pytest.mark.nightly
def test_the_how_to_of_folders(tmp_path: Path) -> None:
    for (day,), rows in orders().group_by("date"):
        folder = tmp_path / "orders" / f"dt={day}"
        folder.mkdir(parents=True)
        rows.drop("date").write_parquet(folder / "part-0.parquet")
    (tmp_path / "orders" / "_SUCCESS").touch()
    follow("folders-and-partitions.md", 0, tmp_path, {})
    assert revenue(tmp_path) == orders()["amount"].sum()


def test_the_how_to_of_object_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        months = orders().group_by(pl.col("date").dt.truncate("1mo"))
        put("s3", {f"orders/{month}.csv": rows.write_csv().encode() for (month,), rows in months})
        follow("object-stores.md", 0, tmp_path, environment)
    assert revenue(tmp_path) == orders()["amount"].sum()


@pytest.mark.nightly
def test_the_how_to_of_delta(tmp_path: Path) -> None:
    lake_packages_at_hand()
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "lake" / "orders", orders().to_arrow())
    follow("lakehouse-tables.md", 0, tmp_path, {})
    assert revenue(tmp_path) == orders()["amount"].sum()


def test_the_how_to_of_iceberg(tmp_path: Path) -> None:
    lake_packages_at_hand()
    from pyiceberg.catalog import load_catalog

    there = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}/warehouse"}
    catalog = load_catalog("lake", **there)
    catalog.create_namespace("shop")
    rows = orders().to_arrow()
    catalog.create_table("shop.orders", schema=rows.schema).append(rows)
    follow("lakehouse-tables.md", 1, tmp_path, {f"PYICEBERG_CATALOG__LAKE__{key.upper()}": there[key] for key in there})
    assert revenue(tmp_path) == orders()["amount"].sum()


def test_a_delta_table_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake_packages_at_hand()
    from deltalake import write_deltalake

    with s3_server(tmp_path) as environment, duckdb.connect() as con:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        rows = orders().with_columns(pl.col("date").cast(pl.String)).to_arrow()
        write_deltalake(f"s3://{BUCKET}/orders", rows)
        source = transactions(table={"format": "delta", "path": f"s3://{BUCKET}/orders"})

        def night(known: Any) -> Any:
            return load_changes(con, "new", source, tmp_path, tmp_path / "work", live="live", known=known)

        first = night(())
        con.execute("alter table new rename to live")
        write_deltalake(f"s3://{BUCKET}/orders", rows.slice(0, 3), mode="append")
        second = night(first.files)
        assert [file.rows for file in second.files] == [rows.num_rows, 3]
        assert second.read == [f"s3://{BUCKET}/orders#versions 1 to 1"]
