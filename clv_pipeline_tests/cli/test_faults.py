"""Whatever a user can mend ends in words: what is wrong, where, and what to do; never in a traceback."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

UPGRADE = Path(__file__).parents[1] / "upgrade"
VERSION = "3ec5d887-c5c3-4623-bd35-5b632cd245e4"
COMMAND = "from clv_pipeline.cli import main; main(prog_name='clv')"

LOAD = ("run", "--select", "parameters")
EXPLAIN = ("explain", "1")
EXPORT = ("export", "--top", "3", "--out", "list.csv")
PUBLISH = ("publish", "--to", VERSION)
INIT = ("init", "orders/first.csv", "--output", "new.yaml")


def be_nobody() -> None:
    """Root reads everything by capabilities. Without them, which exec must not give back, it is held to permissions."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if os.geteuid() == 0 and (libc.prctl(28, 1, 0, 0, 0) or libc.capset(header, none)):
        raise OSError(ctypes.get_errno(), "capset")


def new_shop(folder: Path) -> Path:
    """A shop with a warehouse and a published version."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(UPGRADE / "home.tar.gz") as home:
        home.extractall(folder, filter="data")
    (folder / "orders").mkdir()
    shutil.copyfile(UPGRADE / "first.csv", folder / "orders" / "first.csv")
    shutil.copyfile(UPGRADE / "clv.yaml", folder / "clv.yaml")
    return folder


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return new_shop(tmp_path / "shop")


def assert_told(
    folder: Path, arguments: tuple[str, ...], *words: str, before: Callable[[], None] | None = None
) -> None:
    """The command fails, and says these words in place of a traceback."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLV_", "DAGSTER_"))}
    said = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=before,
        check=False,
    )
    assert "Traceback" not in said.stderr
    for word in words:
        assert word in said.stderr
    assert said.returncode == 1


@pytest.mark.parametrize("arguments", [("audit",), ("forget", "1"), PUBLISH, LOAD], ids=lambda given: given[0])
def test_the_lock_of_another_user(shop: Path, arguments: tuple[str, ...]) -> None:
    lock = shop / "home" / "warehouse" / "clv.lock"
    lock.touch()
    lock.chmod(0)
    assert_told(shop, arguments, "Permission denied", "warehouse/clv.lock", "give the user", before=be_nobody)


@pytest.mark.parametrize("arguments", [("publish",), PUBLISH, EXPLAIN, EXPORT], ids=" ".join)
def test_a_folder_in_the_place_of_the_link_to_what_is_served(shop: Path, arguments: tuple[str, ...]) -> None:
    current = shop / "home" / "published" / "current"
    current.unlink()
    current.mkdir()
    assert_told(shop, arguments, f"{current} is a folder", "should be a link", "move it away")


@pytest.mark.parametrize("arguments", [PUBLISH, EXPLAIN, EXPORT], ids=lambda given: given[0])
def test_a_damaged_publication(shop: Path, arguments: tuple[str, ...]) -> None:
    database = shop / "home" / "published" / "versions" / VERSION / "clv.duckdb"
    database.write_bytes(b"damage" * 2_000)
    assert_told(shop, arguments, "clv.duckdb cannot be read", VERSION if arguments is PUBLISH else "clv publish")


def test_damaged_databases_of_dagster(shop: Path) -> None:
    history = shop / "home" / "dagster" / "history"
    history.mkdir(parents=True)
    (history / "runs.db").write_bytes(b"damage" * 2_000)
    assert_told(shop, LOAD, "home/dagster cannot be used (file is not a database)", "move the folder away")


@pytest.mark.parametrize("arguments", [("check",), ("audit",), EXPLAIN], ids=lambda given: given[0])
def test_a_file_that_may_not_be_read(shop: Path, arguments: tuple[str, ...]) -> None:
    (shop / "clv.yaml").chmod(0)
    assert_told(shop, arguments, "clv.yaml", "Permission denied", before=be_nobody)


def test_a_folder_that_is_not_there(shop: Path) -> None:
    assert_told(shop, (*INIT[:-1], "none/new.yaml"), "none/new.yaml cannot be written: No such file or directory")
    assert_told(shop, (*EXPORT[:-1], "none/list.csv"), "none/list.csv cannot be written: No such file or directory")


def fill(disk: Path) -> None:
    """Write until nothing more is taken."""
    with (disk / "rest").open("wb", buffering=0) as rest:
        try:
            while True:
                rest.write(bytes(4_096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017  (whatever else went wrong, the disk is not full)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A shop on a disk without a free byte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small disk can only be made by root")
    try:
        shop = new_shop(disk / "shop")
        fill(disk)
        yield shop
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "arguments", [("audit",), ("forget", "1"), PUBLISH, EXPORT, INIT, LOAD], ids=lambda given: given[0]
)
def test_a_full_disk(full: Path, arguments: tuple[str, ...]) -> None:
    assert_told(full, arguments, "No space left on device")


def test_a_version_whose_number_is_none(shop: Path) -> None:
    (shop / "home" / "published" / "versions" / VERSION / "number").write_text("seven")
    assert_told(shop, ("publish",), "number: should hold the number of the publication ('seven')", "move the version")
