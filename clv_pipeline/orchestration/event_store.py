"""The event log of a local instance: Dagster's own, with connections that are kept, and events written together.

A run writes some two thousand events. Dagster's class opens a database two or three times for each of them, composes
every statement anew, and waits for the disk at every close. The files and what is in them are the same, and both
classes may use them at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from dagster import AssetKey, DagsterEventType, EventLogEntry, EventLogRecord, StringSource, deserialize_value
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, bindparam
from sqlalchemy.event import listens_for
from sqlalchemy.pool import QueuePool

KEPT = 4
"""Most databases that stay open: that of all runs, and those of the runs that were asked for last."""

_FOLDER = "history/runs"
"""Where Dagster's own class has its files, below the folder of the instance."""

_PLANNED, _EVALUATED = DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, DagsterEventType.ASSET_CHECK_EVALUATION
_OF_ASSETS = {DagsterEventType.ASSET_MATERIALIZATION_PLANNED, DagsterEventType.ASSET_MATERIALIZATION}
_INDEXED = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}
"""Events that stand in the database of all runs, too."""

_FOLLOWED = {_PLANNED, _EVALUATED, *_OF_ASSETS, DagsterEventType.STEP_OUTPUT}
"""Events after which another one of the same run comes at once: the start of the run, or the end of its step.

They are written with it, in one transaction, or before anything is read.
"""

_READ_AT_ONCE = 200
"""Most events that stay in memory as they were read. Every step asks for the last ones of its inputs."""

_EVENTS, _CHECKS = SqlEventLogStorageTable, AssetCheckExecutionsTable
_ADD_EVENT, _ADD_CHECK = _EVENTS.insert(), _CHECKS.insert()
_SETTLE_CHECK = _CHECKS.update().where(
    _CHECKS.c.asset_key == bindparam("of_asset"),
    _CHECKS.c.check_name == bindparam("of_check"),
    _CHECKS.c.run_id == bindparam("of_run"),
    _CHECKS.c.partition.is_(None),
)
_Row = dict[str, Any]


class EventStore(SqliteEventLogStorage):
    """Dagster's event log in SQLite. `dagster.yaml` names it.

    Args:
        base_dir: the folder with the databases.
        inst_data: what Dagster says of the configuration.
    """

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._yes: set[tuple[str, ...]] = set()
        self._waiting: dict[str, list[_Row]] = {}
        self._unindexed: list[tuple[EventLogEntry, _Row]] = []
        self._read = lru_cache(_READ_AT_ONCE)(deserialize_value)
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
        """Write an event, or keep it for the next one if that comes at once, and tell the UI, which watches the file.

        What SQLite writes goes into another file beside it until the run has ended.
        """
        kind = event.dagster_event.event_type if event.dagster_event is not None else None
        if not event.run_id or _of_partitions(event, kind) or (kind in _INDEXED and kind not in _FOLLOWED):
            super().store_event(event)
            os.utime(self.path_for_shard(event.run_id))
            return
        row = self._event_to_row(event)
        with self._db_lock:
            self._waiting.setdefault(event.run_id, []).append(row)
            if kind in _INDEXED:
                self._unindexed.append((event, row))
            if kind not in _FOLLOWED:
                self._write_waiting()

    def has_table(self, table_name: str) -> bool:
        """Whether a table exists. Dagster asks before every result of a check, and no table ever goes."""
        return self._is_so(("table", table_name), lambda: super(EventStore, self).has_table(table_name))

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether there is a column about assets. Dagster asks whenever it reads about one, and no column ever goes."""
        return self._is_so(("column", column_name), lambda: super(EventStore, self).has_asset_key_col(column_name))

    def has_secondary_index(self, name: str) -> bool:
        """Whether an upgrade is done. Dagster asks whenever it reads about an asset, and no upgrade is undone."""
        return self._is_so(("upgrade", name), lambda: super(EventStore, self).has_secondary_index(name))

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        asked = super()._has_asset_key_col_on_connection
        return self._is_so(("column", column_name), lambda: asked(conn, column_name))

    def _is_so(self, question: tuple[str, ...], ask: Callable[[], bool]) -> bool:
        """The answer to a question that stays yes once it is yes."""
        if question not in self._yes and ask():
            self._yes.add(question)
        return question in self._yes

    def _get_latest_materialization_records(self, raw_asset_rows: Any) -> Mapping[AssetKey, EventLogRecord | None]:
        """The last materialization in every row about an asset; what is read already is not read again."""
        found: dict[AssetKey, EventLogRecord | None] = {}
        others = []
        for row in raw_asset_rows:
            key = AssetKey.from_db_string(row["asset_key"])
            written = None if row["asset_details"] else row["last_materialization"]
            record = self._read(written) if written else None
            if key is not None and isinstance(record, EventLogRecord):
                found[key] = record
            else:
                others.append(row)
        return {**found, **super()._get_latest_materialization_records(others)} if others else found

    def dispose(self) -> None:
        """Write what waits, and close everything."""
        try:
            with self._db_lock:
                self._write_waiting()
        finally:
            while self._engines:
                self._engines.popitem()[1].dispose()
            super().dispose()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            self._write_waiting()
            with self._transaction(shard) as connection:
                yield connection

    @contextmanager
    def _transaction(self, shard: str) -> Iterator[Connection]:
        with self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _write_waiting(self) -> None:
        """Write what waits. What cannot be written goes on waiting."""
        for run_id in list(self._waiting):
            with self._transaction(run_id) as connection:
                connection.execute(_ADD_EVENT, self._waiting[run_id])
            del self._waiting[run_id]
            os.utime(self.path_for_shard(run_id))
        if self._unindexed:
            with self._transaction(INDEX_SHARD_NAME) as connection:
                for event, row in self._unindexed:
                    self._write_into_index(connection, event, row)
            self._unindexed.clear()

    def _write_into_index(self, connection: Connection, event: EventLogEntry, row: _Row) -> None:
        """Write what is asked of all runs: the event, and what it says of its asset or its check."""
        number: int = connection.execute(_ADD_EVENT, row).lastrowid
        kind = event.get_dagster_event().event_type
        if kind in _OF_ASSETS:
            self._store_asset_event_tags(connection, [event], [number])
            self._store_asset_event(connection, event, number)
            return
        check: Any = event.get_dagster_event().event_specific_data
        values = {
            "execution_status": _status(check, kind).value,
            "evaluation_event": row["event"],
            "evaluation_event_timestamp": row["timestamp"],
            "evaluation_event_storage_id": number,
        }
        if kind is _EVALUATED:
            judged = check.target_materialization_data
            values["materialization_event_storage_id"] = judged.storage_id if judged else None
        names = {"asset_key": check.asset_key.to_string(), "check_name": check.check_name, "run_id": event.run_id}
        of = {"of_asset": names["asset_key"], "of_check": names["check_name"], "of_run": names["run_id"]}
        if kind is _PLANNED or not connection.execute(_SETTLE_CHECK, {**of, **values}).rowcount:
            connection.execute(_ADD_CHECK, {**names, **values})

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


def _of_partitions(event: EventLogEntry, kind: DagsterEventType | None) -> bool:
    """Whether an event is of a check of partitions. This pipeline has none."""
    if kind not in ASSET_CHECK_EVENTS:
        return False
    check: Any = event.get_dagster_event().event_specific_data
    return (check.partitions_subset if kind is _PLANNED else check.partition) is not None


def _status(check: Any, kind: DagsterEventType) -> CheckStatus:
    if kind is _PLANNED:
        return CheckStatus.PLANNED
    return CheckStatus.SUCCEEDED if check.passed else CheckStatus.FAILED
