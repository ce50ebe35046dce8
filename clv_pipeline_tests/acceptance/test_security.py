"""A shop with hostile names and canary customers: what a night leaves behind, and what `clv forget` takes away."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl
import pytest
import yaml

from clv_pipeline.simulation.raw_lines import generate

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]
CANARY = b"cnry"
"""In every customer id, and in nothing else."""
HOSTILE = ["cnry'; drop table rfm; --", "=cnry|' /C calc'!A0", 'cnry"{batch}%s<script>', "cnry 𝄞\u202eé", "cnry$1\\n"]
KEY = "k" * 40
FORGET = ["cnry-000003", "cnry-000007", HOSTILE[0]]


@dataclass
class Shop:
    """A folder with clv.yaml and order files, and `clv` in processes of its own."""

    folder: Path
    environment: dict[str, str]
    modes: dict[str, int] = field(default_factory=dict)
    """Of every file below home that was seen while a command ran."""

    @property
    def home(self) -> Path:
        return self.folder / "data"

    def clv(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, looking at the files that it makes meanwhile."""
        process = subprocess.Popen(
            [sys.executable, "-c", "from clv_pipeline.cli.commands import main; main()", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o022,
        )
        watching = True
        while watching:
            watching = process.poll() is None
            self._look()
            time.sleep(0.05)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, output)

    def _look(self) -> None:
        # os.walk takes no offence at a folder that goes while it is listed.
        for folder, folders, files in os.walk(self.home):
            for path in (Path(folder, name) for name in (*folders, *files)):
                with suppress(FileNotFoundError):
                    self.modes[str(path.relative_to(self.home))] = path.lstat().st_mode

    def files_with(self, text: str) -> set[str]:
        """Files below home whose bytes hold `text`, and no longer number that begins with it."""
        pattern = re.compile(re.escape(text.encode()) + rb"(?!\d)")
        files = (path for path in self.home.rglob("*") if path.is_file())
        return {str(path.relative_to(self.home)) for path in files if pattern.search(path.read_bytes())}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose ids, file names and columns attack; loaded, forecast and published twice, the second time with
    pseudonyms."""
    folder = tmp_path_factory.mktemp("hostile [shop]; --")
    orders = generate(4_000, seed=7)
    ids = orders["customer_id"].drop_nulls().unique().sort().to_list()
    names = {old: f"cnry-{position:06d}" for position, old in enumerate(ids)}
    names |= dict(zip(ids[-len(HOSTILE) :], HOSTILE, strict=True))
    orders = orders.with_columns(pl.col("customer_id").replace_strict(names, default=None))
    orders = orders.with_columns(pl.lit("=1+1'); drop table rfm; --").alias("no\"te'; {x} --"))
    (folder / "orders").mkdir()
    file = folder / "orders" / "x.csv'); create table pwned as select 1; --.csv"
    orders.write_csv(file, datetime_format="%Y-%m-%d %H:%M:%S")
    with file.open("a") as text:
        text.write('"cnry-000003,unbalanced\n')
    columns = {name: name for name in orders.columns[:6]} | {"'; drop table rfm; --": "no\"te'; {x} --"}
    config = {
        "source": {"transactions": {"path": "orders/*.csv", "columns": columns}},
        "models": ["own_rate", "bg_nbd"],
        "forecast": {"horizons_days": [30, 90]},
        "privacy": {"pseudonyms": False},
    }
    (folder / "clv.yaml").write_text(yaml.safe_dump(config))
    environment = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "CLV_HOME")}
    shop = Shop(folder, {**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    first = shop.clv("run")
    assert first.returncode == 0, first.stdout
    assert CANARY.decode() not in first.stdout
    (folder / "clv.yaml").write_text(yaml.safe_dump({**config, "privacy": {"pseudonyms": True}}))
    shop.environment["CLV_PSEUDONYM_KEY"] = KEY
    second = shop.clv("run", "--select", "published_marts")
    assert second.returncode == 0, second.stdout
    return shop


def test_no_customer_id_is_in_the_event_log_or_in_any_file_of_the_dagster_instance(shop: Shop) -> None:
    files = [path for path in (shop.home / "dagster").rglob("*") if path.is_file()]
    assert any(b"ASSET_MATERIALIZATION" in path.read_bytes() for path in files)
    assert [path for path in files if CANARY in path.read_bytes() or KEY.encode() in path.read_bytes()] == []


def test_every_file_below_home_is_for_its_owner_only(shop: Shop) -> None:
    kinds = {Path(name).suffix for name in shop.modes}
    assert {".duckdb", ".parquet", ".lock", ".db", ".yaml"} <= kinds
    loose = {
        name: oct(mode) for name, mode in shop.modes.items() if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & 0o077
    }
    assert loose == {}


def test_hostile_names_and_ids_are_text_and_nothing_else(shop: Shop) -> None:
    with duckdb.connect(str(shop.home / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        tables = {name for (name,) in warehouse.execute("select table_name from duckdb_tables()").fetchall()}
        known = warehouse.execute(
            "select customer_id from rfm where list_contains(?, customer_id)", [HOSTILE]
        ).fetchall()
        attributes = warehouse.execute("select distinct attributes from raw_transactions where attributes is not null")
        notes = [json.loads(text) for (text,) in attributes.fetchall()]
    assert "pwned" not in tables
    assert {name for (name,) in known} == set(HOSTILE)
    assert notes == [{"'; drop table rfm; --": "=1+1'); drop table rfm; --"}]


def test_pseudonyms_stand_for_every_customer_and_explain_takes_the_real_id(shop: Shop) -> None:
    current = (shop.home / "published" / "current").resolve()
    assert [path for path in current.rglob("*") if path.is_file() and CANARY in path.read_bytes()] == []
    for customer in (HOSTILE[0], "cnry-000005"):
        told = shop.clv("explain", customer)
        assert told.returncode == 0, told.stdout
        assert re.search(r"^customer [0-9a-f]{32}, as of", told.stdout)
    assert shop.clv("explain", "cnry-000005", CLV_PSEUDONYM_KEY="x" * 40).returncode == 1


def test_forget_leaves_no_byte_in_any_file_and_the_next_load_brings_nobody_back(shop: Shop) -> None:
    nowhere: dict[str, set[str]] = {customer: set() for customer in FORGET}
    before = {customer: shop.files_with(customer) for customer in FORGET}
    assert all("warehouse/clv.duckdb" in files for files in before.values())
    assert all(any(name.startswith("published/") for name in files) for files in before.values())
    nobody = shop.clv("forget", "cnry-000003", "cnry-999999")
    assert nobody.returncode == 1
    assert "'cnry-999999'" in nobody.stdout
    assert shop.files_with("cnry-000003") == before["cnry-000003"]
    versions = {path.name for path in (shop.home / "published" / "versions").iterdir()}

    reader = duckdb.connect(str(shop.home / "published" / "current" / "clv.duckdb"), read_only=True)
    customers = reader.execute("select count(*) from rfm").fetchone()
    done = shop.clv("forget", *FORGET)
    assert done.returncode == 0, done.stdout
    assert "2 publications replaced" in done.stdout
    assert "not erased" in done.stdout
    assert CANARY.decode() not in done.stdout
    assert reader.execute("select count(*) from rfm").fetchone() == customers
    reader.close()
    assert {customer: shop.files_with(customer) for customer in FORGET} == nowhere
    replaced = {path.name for path in (shop.home / "published" / "versions").iterdir()}
    assert replaced == {f"{name}~1" for name in versions}
    assert customers is not None
    with duckdb.connect(str(shop.home / "published" / "current" / "clv.duckdb"), read_only=True) as published:
        assert published.execute("select count(*) from rfm").fetchone() == (customers[0] - len(FORGET),)

    again = shop.clv("run")
    assert again.returncode == 0, again.stdout
    assert {customer: shop.files_with(customer) for customer in FORGET} == nowhere
    with duckdb.connect(str(shop.home / "published" / "current" / "clv.duckdb"), read_only=True) as published:
        booked = published.execute(
            "select outcome, rows from row_ledger where outcome = 'forgotten customer'"
        ).fetchall()
    assert len(booked) == 1
    assert booked[0][1] >= len(FORGET)
    assert shop.clv("explain", FORGET[0]).returncode == 1
    assert shop.clv("audit").returncode == 0
    loose = [name for name, mode in shop.modes.items() if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) & 0o077]
    assert loose == []
