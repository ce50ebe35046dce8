"""The warehouse's file: one writer, DuckDB's limits on this machine, and opening, rewriting and closing the file.

Work in an open warehouse belongs in the session.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from clv_pipeline.database.connections import RESTRICTED, restrict
from clv_pipeline.database.file_modes import private_files
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import ClvError, WarehouseBusyError
from clv_pipeline.warehouse.duckdb_engine import Session
from clv_pipeline.warehouse.lock import WriterLock
from clv_pipeline.warehouse.storage_faults import storage_faults_told

STORAGE_VERSION = "v1.4.0"
"""Storage version of every file we write. Today's BI clients ship DuckDB 1.4 and 1.5, which cannot open the 2.0
default. Writing text is also a third faster in this version."""

THREADS = max(4, os.cpu_count() or 1)
"""Default number of DuckDB threads. DuckDB cuts its hash tables into more pieces for more threads. On two cores, the
pieces of two threads outgrow the cache: grouping millions of rows takes a quarter less time with four threads."""


NewSession = Callable[[duckdb.DuckDBPyConnection], Session]
"""A function that makes the session of an open database."""


@dataclass(frozen=True)
class Limits:
    """DuckDB's limits on this machine. None is DuckDB's own default, and THREADS for threads."""

    memory_gb: float | None = None
    spill_gb: float | None = None
    threads: int | None = None

    def apply(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Set the limits of an open database. DuckDB ignores the disk limit among the options of opening a database."""
        connection.execute("set threads = $threads", {"threads": self.threads or THREADS})
        for setting, size in (("memory_limit", self.memory_gb), ("max_temp_directory_size", self.spill_gb)):
            if size is not None:
                # In bytes, because DuckDB accepts only whole numbers of a unit.
                connection.execute(f"set {setting} = $size", {"size": f"{round(size * 1e9)}B"})


class Warehouse:
    """The pipeline's private database file, opened at most once per process and kept open until the process ends.

    DuckDB admits one writing process. An advisory lock beside the file names that process, so that the next one
    gets a sentence and not a traceback. SQL can read only the warehouse's own folder and the `directories`.
    """

    def __init__(
        self,
        path: Path,
        directories: Sequence[Path] = (),
        limits: Limits | None = None,
        new_session: NewSession = Session,
    ) -> None:
        self.path = path
        self.directories = directories
        self.limits = limits or Limits()
        self._new_session = new_session
        self.lock = WriterLock(path.with_suffix(".lock"))
        self._session: Session | None = None

    @property
    def work_dir(self) -> Path:
        """A folder for files that live no longer than a step. Every load empties it."""
        return self.path.parent / "work"

    def reserve(self, holder: str, *, wait_minutes: float = 0, tell: Callable[[str], object] | None = None) -> None:
        """Keep other processes out before the file is opened. The arguments are those of `WriterLock.acquire`.

        Raises:
            WarehouseBusyError: another process holds the warehouse.
            StorageError: the lock may not be opened, or the disk is full.
        """
        private_files()
        with storage_faults_told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(holder, wait_minutes=wait_minutes, tell=tell)

    def open(self, holder: str, *, wait_minutes: float = 0, tell: Callable[[str], object] | None = None) -> Session:
        """The open session, or a new one. `holder`, `wait_minutes` and `tell` are those of `WriterLock.acquire`.

        Raises:
            ClvError: another process holds the warehouse (WarehouseBusyError); the file is damaged, has a stray log
                beside it, or cannot be opened (StorageError); Spark is needed and does not answer (ClusterError).
            duckdb.Error: an error that is not about storage.
            OSError: an error that is not about storage.
        """
        if self._session is None:
            self.reserve(holder, wait_minutes=wait_minutes, tell=tell)
            atexit.register(self.close)
            try:
                with storage_faults_told(self.path):
                    self._session = self._new_session(self._connect())
                    self._session.drop_leftovers()
            except (ClvError, duckdb.Error, OSError):
                self.close()
                raise
        return self._session

    @contextmanager
    def keep_out(self, holder: str) -> Iterator[None]:
        """Hold the lock without opening the file, which may be damaged. No run starts meanwhile.

        Raises:
            WarehouseBusyError: another process holds the warehouse.
            StorageError: the lock may not be opened, or the disk is full.
        """
        self.reserve(holder)
        try:
            yield
        finally:
            self.lock.release()

    def rewrite(self) -> None:
        """Put a fresh copy of the open warehouse in its place, and empty the folders of temporary files.

        Deleted rows leave their bytes in the free blocks of a database file. A copy has none of them. If the rewrite is
        stopped, the old file stays in place. Earlier sessions are closed.

        Raises:
            RuntimeError: the copy does not hold what the warehouse holds.
        """
        assert self._session is not None  # noqa: S101  (only the holder of the lock rewrites)
        fresh = self.path.with_suffix(".fresh")
        for leftover in (fresh, fresh.with_suffix(".fresh.wal")):
            leftover.unlink(missing_ok=True)
        session = self._session
        tables = session.execute(
            "select database_name, schema_name, table_name from duckdb_tables()"
            " where database_name = current_database() and not temporary"
        ).fetchall()
        session.execute(f"attach ? as fresh (storage_version '{STORAGE_VERSION}')", [str(fresh)])
        session.execute(f"copy from database {quote_identifier(self.path.stem)} to fresh")
        for own, schema, table in tables:
            name = f"{quote_identifier(schema)}.{quote_identifier(table)}"
            [(before, after)] = session.execute(
                f"select (select count(*) from {quote_identifier(own)}.{name}), (select count(*) from fresh.{name})"  # noqa: S608
            ).fetchall()
            if before != after:
                raise RuntimeError(f"{fresh}: holds {after} of {before} rows of {name}; {self.path} is as it was")
        session.execute("checkpoint fresh")
        session.execute("detach fresh")
        session.close()
        self._session = None
        os.replace(fresh, self.path)  # noqa: PTH105  (as in publication.py: one step, over the old file)
        if self.work_dir.exists():
            shutil.rmtree(self.work_dir)
        self._session = self._new_session(self._connect())

    def close(self) -> None:
        """Write everything to the file and let the next process in."""
        if self._session is not None:
            self._session.close()
            self._session = None
        self.lock.release()
        atexit.unregister(self.close)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        spill = self.path.parent / "spill"
        if spill.exists():  # left by a run that was killed
            shutil.rmtree(spill)
        try:
            connection = duckdb.connect(
                str(self.path),
                config={
                    "temp_directory": str(spill),
                    "storage_compatibility_version": STORAGE_VERSION,
                    **RESTRICTED,
                },
            )
        except duckdb.IOException as error:
            # A DuckDB shell that somebody left open does not take our lock, but DuckDB reports it.
            if found := re.search(r"Conflicting lock is held in (.+?)\. ", str(error)):
                raise WarehouseBusyError(
                    f"{self.path} is open in {found[1]}, which is not a run of this pipeline",
                    to_do="close it and start again; to look at data, open published/current/clv.duckdb",
                ) from error
            raise
        self.limits.apply(connection)
        restrict(connection, [self.path.parent, *self.directories])
        return connection
