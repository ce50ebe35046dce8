"""The event log of a local instance: Dagster's own, with connections that are kept.

A run writes some two thousand events. Dagster's class opens a database two or three times for each of them, and waits
for the disk at every close. The files and what is in them are the same, and both classes may use them at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import EventLogEntry, StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine
from sqlalchemy.event import listens_for
from sqlalchemy.pool import QueuePool

KEPT = 4
"""Most databases that stay open: that of all runs, and those of the runs that were asked for last."""

_FOLDER = "history/runs"
"""Where Dagster's own class has its files, below the folder of the instance."""


class EventStore(SqliteEventLogStorage):
    """Dagster's event log in SQLite. `dagster.yaml` names it.

    Args:
        base_dir: the folder with the databases.
        inst_data: what Dagster says of the configuration.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What `dagster.yaml` gives: the folder of the instance."""
        return {"instance_dir": StringSource}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> EventStore:
        """The event log of a configuration."""
        return cls(str(Path(config_value["instance_dir"]) / _FOLDER), inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """Write an event, and tell the UI, which watches for changes of the file of a run.

        What SQLite writes goes into another file beside it until the run has ended.
        """
        super().store_event(event)
        os.utime(self.path_for_shard(event.run_id))

    def has_table(self, table_name: str) -> bool:
        """Whether a table exists. Dagster asks before every result of a check, and no table ever goes."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close everything."""
        while self._engines:
            self._engines.popitem()[1].dispose()
        super().dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        """The database of a run, or that of all runs ("index"). It becomes the last one to be closed."""
        engine = self._engines.pop(shard, None) or self._opened(shard)
        self._engines[shard] = engine
        if len(self._engines) > KEPT:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

    def _opened(self, shard: str) -> Engine:
        engine = create_engine(
            self.conn_string_for_shard(shard),
            poolclass=QueuePool,
            pool_size=1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )

        @listens_for(engine, "connect")
        def spare_the_disk(connection: Any, _: object) -> None:
            # Enough to keep the file whole. If the machine dies, the last events of its run may be missing.
            connection.execute("pragma synchronous = normal")

        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine
