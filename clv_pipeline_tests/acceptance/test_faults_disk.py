"""Full disks, bad blocks, stray logs, missing permissions and a wrong clock, each met by a whole night."""

from __future__ import annotations

import ctypes
import random
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import duckdb
import pytest

from clv_pipeline_tests.faults.damage import flip_bytes, killed_writer
from clv_pipeline_tests.faults.night import spend_night
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.faults.shop import Shop, leftovers, open_shop, published
from clv_pipeline_tests.faults.strikes import FullDisk

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def folder(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the shop, its second night ahead."""
    return shop.copy(tmp_path / "copy")


def assert_the_next_night_heals(shop: Shop, folder: Path) -> None:
    night = spend_night(folder)
    assert night.success, night.failure
    assert published(folder) == shop.after
    assert leftovers(folder) == []


# --- full disk ---


@pytest.mark.parametrize(
    ("phase", "share"), [("load", 0.5), ("build", 0.1), ("build", 0.6), ("promote", 0.7), ("publish", 0.3)]
)
def test_a_full_disk_is_told_and_nothing_is_lost(
    shop: Shop, folder: Path, injected: Injected, phase: str, share: float
) -> None:
    injected("disk full")
    night = spend_night(folder, FullDisk(phase, 1 + int(share * shop.operations[phase])))
    assert not night.success
    assert "ree some space" in night.failure
    assert published(folder) == shop.before
    assert list((folder / "home" / "published" / "versions").glob(".*")) == []  # it would go on filling the disk
    assert_the_next_night_heals(shop, folder)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """The home of the shop on a file system of 20 MB."""
    home = folder / "home"
    elsewhere = home.rename(folder / "home on a large disk")
    home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(home)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    shutil.copytree(elsewhere, home, symlinks=True, dirs_exist_ok=True)
    yield home
    subprocess.run(["umount", str(home)], check=True)


def test_a_small_disk_that_fills_up_is_told_and_nothing_is_lost(
    shop: Shop, folder: Path, small_disk: Path, injected: Injected
) -> None:
    injected("disk full")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 200_000))
    night = spend_night(folder)
    assert not night.success
    assert "ree some space" in night.failure
    assert published(folder) == shop.before
    ballast.unlink()
    assert_the_next_night_heals(shop, folder)


# --- bad blocks and stray logs ---


@pytest.mark.parametrize("seed", range(3))
def test_bad_blocks_of_the_warehouse_are_told_or_do_not_matter(
    shop: Shop, folder: Path, injected: Injected, seed: int
) -> None:
    injected("damaged block of the warehouse")
    warehouse = folder / "home" / "warehouse" / "clv.duckdb"
    rng = random.Random(seed)  # noqa: S311
    for _ in range(4):
        flip_bytes(warehouse, rng.randrange(12_288, warehouse.stat().st_size - 64))
    night = spend_night(folder)
    if night.success:  # the bad blocks held what is built anew anyway
        assert published(folder) == shop.after
        return
    assert "is damaged" in night.failure
    assert "move it away and run `clv run --full-refresh`" in night.failure
    assert published(folder) == shop.before
    warehouse.rename(warehouse.with_suffix(".damaged"))
    assert_the_next_night_heals(shop, folder)


def test_a_bad_block_of_the_publication_is_gone_with_the_next_one(shop: Shop, folder: Path, injected: Injected) -> None:
    injected("damaged block of a publication")
    database = folder / "home" / "published" / "current" / "clv.duckdb"
    for offset in range(12_288, database.stat().st_size - 64, 50_000):
        flip_bytes(database, offset)
    with pytest.raises(duckdb.Error, match="Corrupt database file"):
        published(folder)
    assert_the_next_night_heals(shop, folder)


def test_a_foreign_log_beside_the_warehouse_is_told(
    shop: Shop, folder: Path, tmp_path: Path, injected: Injected
) -> None:
    injected("stray log beside the warehouse")
    log = folder / "home" / "warehouse" / "clv.duckdb.wal"
    killed_writer(tmp_path / "other.duckdb").rename(log)
    night = spend_night(folder)
    assert not night.success
    assert "clv.duckdb.wal is not the log of clv.duckdb" in night.failure
    assert published(folder) == shop.before
    log.unlink()
    assert_the_next_night_heals(shop, folder)


def test_a_foreign_log_beside_the_publication_is_gone_with_the_next_one(
    shop: Shop, folder: Path, tmp_path: Path, injected: Injected
) -> None:
    injected("stray log beside a publication")
    stray = killed_writer(tmp_path / "other.duckdb").read_bytes()
    (folder / "home" / "published" / "current" / "clv.duckdb.wal").write_bytes(stray)
    with pytest.raises(duckdb.Error, match="WAL"):
        published(folder)
    night = spend_night(folder)
    assert night.success, night.failure
    assert published(folder) == shop.after


# --- permissions ---


def lose_capabilities(folder: Path) -> None:
    """Root reads everything by capabilities; without them it is held to permissions like anybody."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


@pytest.mark.parametrize(
    ("path", "mode", "told"),
    [
        ("orders/c.csv", 0o000, r"orders/c.csv: cannot be read"),
        ("orders", 0o000, "orders/*: cannot be looked for"),
        ("home/warehouse/clv.duckdb", 0o400, "the warehouse cannot be opened"),
        ("home/warehouse", 0o500, "the warehouse cannot be opened"),
        ("home/published", 0o500, "mend the permissions of"),
    ],
)
def test_a_missing_permission_is_told_and_nothing_is_lost(
    shop: Shop, folder: Path, injected: Injected, path: str, mode: int, told: str
) -> None:
    injected("missing permission")
    target = folder / path
    before = target.stat().st_mode
    target.chmod(mode)
    try:
        night = spend_night(folder, lose_capabilities)
    finally:
        target.chmod(before)
    assert not night.success
    assert told in night.failure
    assert published(folder) == shop.before
    assert_the_next_night_heals(shop, folder)


# --- clock ---


class _TwoDaysBack(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) - timedelta(days=2)


def set_clock_back(folder: Path) -> None:
    """The pipeline's clock is two days behind."""
    from clv_pipeline.orchestration.assets import ingestion
    from clv_pipeline.publication import write as publication
    from clv_pipeline.warehouse import gate

    for module in (ingestion, gate, publication):
        module.datetime = _TwoDaysBack  # type: ignore[attr-defined]


def test_a_night_on_a_clock_that_went_backwards_publishes_and_so_does_the_next(
    shop: Shop, folder: Path, injected: Injected
) -> None:
    injected("clock going backwards")
    served = (folder / "home" / "published" / "current").resolve()
    night = spend_night(folder, set_clock_back)
    assert night.success, night.failure
    assert published(folder) == shop.after
    assert (folder / "home" / "published" / "current").resolve() != served
    assert_the_next_night_heals(shop, folder)
