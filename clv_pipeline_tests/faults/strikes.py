"""SIGKILL or a full disk at a chosen moment of a night: at the n-th operation of a phase.

An operation is an SQL statement or a change to a file or folder.

A phase is told by who asks: what `sources` runs is the load, what `quality` runs the audit, what publication/write.py
runs publishes, its flip of the symlink is the flip; of the rest, what runs inside a transaction of the gate promotes,
and everything else builds.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb

PACKAGE = f"{os.sep}clv_pipeline{os.sep}"
FILE_OPERATIONS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.truncate"}


@dataclass(frozen=True)
class Strike:
    """The process ends at the `number`-th operation of `phase`, counted from 1."""

    phase: str
    number: int
    delay_ms: float | None = None
    """After the operation has begun; None is right before it."""

    def __str__(self) -> str:
        when = "before" if self.delay_ms is None else f"{self.delay_ms:.1f} ms into"
        return f"{when} operation {self.number} of {self.phase}"

    def __call__(self, folder: Path) -> None:
        """Prepare this process for it."""
        at_operation(self.phase, self.number, self._strike)

    def _strike(self) -> None:
        if self.delay_ms is None:
            end_this_process()
        else:
            threading.Timer(self.delay_ms / 1000, end_this_process).start()


@dataclass(frozen=True)
class FullDisk:
    """From the `number`-th operation of `phase` on, no file of the process grows: writing fails as on a full disk."""

    phase: str
    number: int

    def __call__(self, folder: Path) -> None:
        """Prepare this process for it."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        at_operation(self.phase, self.number, partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1_000, -1)))


def at_operation(phase: str, number: int, happening: Callable[[], object]) -> None:
    """Let something happen right before the `number`-th operation of `phase`."""
    seen: Counter[str] = Counter()

    def tell(told: str, what: str) -> None:
        seen[told] += 1
        if (told, seen[told]) == (phase, number):
            happening()

    watch(tell)


def end_this_process() -> None:
    """As the out-of-memory killer does: nothing more of this process runs."""
    os.kill(os.getpid(), signal.SIGKILL)


def take_notes(folder: Path) -> None:
    """Prepare a night to list its operations in `folder/operations.txt`, a line `phase what` each."""
    notes = (folder / "operations.txt").open("w", buffering=1)
    watch(lambda phase, what: print(phase, " ".join(what.split())[:100], file=notes))


def operations(folder: Path) -> Counter[str]:
    """How many operations each phase of the noted night had."""
    return Counter(line.split()[0] for line in (folder / "operations.txt").read_text().splitlines())


def watch(tell: Callable[[str, str], object]) -> None:
    """Call `tell(phase, what)` right before every SQL statement and every change of a file by the pipeline."""
    in_transaction = False

    def statement(text: str) -> None:
        nonlocal in_transaction
        in_transaction = in_transaction or text.startswith("begin")
        # Comments are two of three statements of a promotion, and all alike.
        if not text.startswith("comment on") and (phase := _phase(in_transaction)) is not None:
            tell(phase, text)
        in_transaction = in_transaction and text not in ("commit", "rollback")

    def file_operation(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
        if (event in FILE_OPERATIONS or writes) and (phase := _phase(in_transaction)) is not None:
            tell(phase, f"{event} {arguments[0]}")

    class Connection:
        """A DuckDB connection that says what it is about to do."""

        def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
            self._connection = connection

        def execute(self, query: str, *arguments: Any, **named: Any) -> Any:
            statement(query)
            return self._connection.execute(query, *arguments, **named)

        def sql(self, query: str, *arguments: Any, **named: Any) -> Any:
            statement(query)
            return self._connection.sql(query, *arguments, **named)

        def cursor(self) -> Any:
            return Connection(self._connection.cursor())

        def close(self) -> None:
            # Of a file, this writes what is still in the log.
            tell("close", "close")
            self._connection.close()

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    connect, fsync = duckdb.connect, os.fsync

    def watched_fsync(descriptor: int) -> None:
        file_operation("os.truncate", (f"fsync {descriptor}",))
        fsync(descriptor)

    sys.dont_write_bytecode = True
    duckdb.connect = lambda *arguments, **named: Connection(connect(*arguments, **named))  # type: ignore[assignment]
    os.fsync = watched_fsync  # type: ignore[assignment]
    sys.addaudithook(file_operation)


def _phase(in_transaction: bool) -> str | None:
    """Of the operation at hand; None where the pipeline has not asked for it."""
    ours = False
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        _, inside, module = frame.f_code.co_filename.rpartition(PACKAGE)
        if inside:
            ours = True
            if module.endswith("publication/write.py"):
                return "flip" if frame.f_code.co_name == "point_at" else "publish"
            if module.startswith("quality"):
                return "audit"
            if module.startswith("sources"):
                return "load"
        frame = frame.f_back
    return ("promote" if in_transaction else "build") if ours else None
