"""A mount that one of two workers loses: an error with both numbers, nothing promoted, and the night after it goes on.

Each worker has a mount namespace of its own. A mount is lost to it when an empty file system lies on the folder, as a
mount point is empty whose server is gone; all others still see the folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from clv_pipeline.warehouse.duckdb_engine import added_name, staged_name
from clv_pipeline_tests.acceptance.spark_session import SHORT_QUERIES, cluster
from clv_pipeline_tests.helpers.graph_shop import Night, Shop

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private")
FILES, ROWS = 6, 1_000
NOT_LIVE = (staged_name(""), added_name(""))


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Address of a Connect server, and its two workers, each with mounts of its own."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("unshare and nsenter of util-linux give a process mounts of its own")
    tried = subprocess.run([*OWN_MOUNTS, "mount", "-t", "tmpfs", "lost", "/mnt"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this user may not mount: {tried.stderr.strip()}")
    with cluster(tmp_path_factory.mktemp("cluster"), 2, before=OWN_MOUNTS) as both:
        yield both


@contextmanager
def lost(folder: Path, worker: subprocess.Popen[bytes]) -> Iterator[None]:
    """While the block runs, the worker sees an empty folder in place of this one."""
    there = ["nsenter", "--target", str(worker.pid), "--mount"]
    subprocess.run([*there, "mount", "-t", "tmpfs", "lost", str(folder)], check=True)
    try:
        yield
    finally:
        # Its executor may have files open there.
        subprocess.run([*there, "umount", "--lazy", str(folder)], check=True)


@dataclass(frozen=True)
class Lossy:
    """A shop whose tables are on Spark, and the worker that loses folders."""

    shop: Shop
    address: str
    second: subprocess.Popen[bytes]

    def night(self, selection: str = "+key:raw_transactions") -> Night:
        """Load, on Spark, and what depends on it as far as it is selected."""
        storage = {
            "home": str(self.shop.folder / "home"),
            "engine": "spark",
            "spark": {"remote": self.address, "config": {**SHORT_QUERIES, "spark.sql.shuffle.partitions": "4"}},
        }
        return self.shop.night(selection, storage=storage)

    def write_files(self, night: str, seed: int) -> None:
        """Files, of which both workers get some."""
        for number in range(FILES):
            self.shop.write_orders(f"{night}_{number}.csv", ROWS, seed=seed + number)

    def live(self) -> dict[str, tuple[int, int]]:
        """By table that is live on Spark: the snapshot that the books name, and its rows."""
        path = self.shop.folder / "home" / "warehouse" / "clv.duckdb"
        with duckdb.connect(str(path), read_only=True) as books:
            found = books.execute("select relation, snapshot, rows from gate.lake_tables").fetchall()
        return {table: (snapshot, rows) for table, snapshot, rows in found if not table.endswith(NOT_LIVE)}


@pytest.fixture
def lossy(new_shop: Callable[[], Shop], workers: tuple[str, list[subprocess.Popen[bytes]]]) -> Lossy:
    """An empty shop."""
    address, (_, second) = workers
    return Lossy(new_shop(), address, second)


def test_sources_that_a_worker_loses(lossy: Lossy) -> None:
    lossy.write_files("monday", seed=0)
    assert lossy.night().success
    before = lossy.live()
    lossy.write_files("tuesday", seed=100)
    with lost(lossy.shop.folder / "orders", lossy.second):
        night = lossy.night()
    told = night.failures["raw_transactions"]
    assert re.match(rf"workers do not see \d of {FILES} files as they are here, such as orders/tuesday_\d.csv: ", told)
    assert "mount the same folder at the same path on every worker" in told
    assert lossy.live() == before
    assert lossy.night().success
    assert lossy.live()["raw_transactions"][1] == 2 * FILES * ROWS


def test_tables_that_a_worker_loses_at_a_first_load(lossy: Lossy) -> None:
    lossy.write_files("monday", seed=0)
    lake = lossy.shop.folder / "home" / "lake"
    lake.mkdir(parents=True)
    with lost(lake, lossy.second):
        night = lossy.night()
    told = night.failures["raw_transactions"]
    assert re.match(r"raw_transactions: 6,000 rows were written, and Spark finds \d,000 of them; a worker does", told)
    assert lossy.live() == {}
    assert lossy.night().success
    assert lossy.live()["raw_transactions"][1] == FILES * ROWS


def test_tables_that_a_worker_loses_between_two_steps(lossy: Lossy) -> None:
    """What it writes is missed. What it reads is read by the other one, or Spark gives up after some tries."""
    lossy.write_files("monday", seed=0)
    assert lossy.night().success
    before = lossy.live()
    with lost(lossy.shop.folder / "home" / "lake", lossy.second):
        night = lossy.night("+key:daily_volumes")
    assert night.failures
    for told in night.failures.values():
        assert re.match(
            r"\w+: [\d,]+ rows were written, and Spark finds [\d,]+ of them; a worker does not see"
            r"|a worker of Spark does not find file:\S+; mount the warehouse of the catalog",
            told,
        )
    promoted = lossy.live()
    assert promoted["raw_transactions"] == before["raw_transactions"]
    assert lossy.night("+key:daily_volumes").success
    rows = {table: rows for table, (_, rows) in lossy.live().items()}
    assert {table: count for table, (_, count) in promoted.items()}.items() <= rows.items()
