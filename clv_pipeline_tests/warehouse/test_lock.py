"""One process at a time works on a warehouse; the others are told who, or wait."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clv_pipeline.errors import WarehouseBusyError
from clv_pipeline.warehouse import Warehouse
from clv_pipeline.warehouse.lock import WriterLock

HOLD = """
import sys
from pathlib import Path
from clv_pipeline.warehouse.lock import WriterLock
lock = WriterLock(Path(sys.argv[1]))
lock.acquire("run 17")
print("held", flush=True)
sys.stdin.read()
"""


def another_process(*command: str) -> subprocess.Popen[str]:
    """A Python process that has said its first word; it ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_finds_it_taken_is_refused_with_the_name_of_the_holder(tmp_path: Path) -> None:
    with another_process(HOLD, str(tmp_path / "clv.lock")) as other:
        lock = WriterLock(tmp_path / "clv.lock")
        assert not lock.is_free()
        with pytest.raises(WarehouseBusyError, match=f"in use by process {other.pid}, run 17"):
            lock.acquire("run 18")
        with pytest.raises(WarehouseBusyError, match=r"0\.01 minutes were not enough"):
            lock.acquire("run 18", wait_minutes=0.01)
        other.kill()
    assert lock.is_free()


def test_who_waits_says_so_once_and_comes_next(tmp_path: Path) -> None:
    with another_process(HOLD, str(tmp_path / "clv.lock")) as other:
        told: list[str] = []
        lock = WriterLock(tmp_path / "clv.lock")

        def tell(text: str) -> None:
            told.append(text)
            other.kill()

        lock.acquire("run 18", wait_minutes=5, tell=tell)
    assert told == [f"waiting up to 5 minutes: the warehouse is in use by process {other.pid}, run 17"]
    assert lock.path.read_text() == f"process {os.getpid()}, run 18"
    lock.release()
    assert lock.is_free()


def test_a_database_shell_that_was_left_open_is_named(tmp_path: Path) -> None:
    first = Warehouse(tmp_path / "clv.duckdb")
    first.open("first")
    first.close()
    shell = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with another_process(shell, str(tmp_path / "clv.duckdb")) as other:
        warehouse = Warehouse(tmp_path / "clv.duckdb")
        with pytest.raises(WarehouseBusyError, match=rf"is open in .*PID {other.pid}.*; close it and start again"):
            warehouse.open("run 18")
        assert warehouse.lock.is_free()
        other.kill()
