"""Spark Connect for the warehouse: named views, and queries whose results are fetched or written.

Statements are already Spark SQL. Nothing here knows DuckDB or the purpose of a table. PySpark (the extra `spark`) and,
for `local`, a Java runtime are loaded by the first query.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clv_pipeline.config.secret_text import censored, is_secret_name, without_credentials
from clv_pipeline.errors import ClusterError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

SESSION = {
    # The settings under which the SQL models are proven.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}

SERVER = {
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""Settings of a server in this process, whose output goes to the same terminal."""


DEFAULT_PORT = 15002
"""Port of a Spark Connect server."""
ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Cluster:
    """One Spark session."""

    remote: str
    """`sc://host:15002` for a Spark Connect server, `local[4]` for one in this process with four cores."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Further settings of the session."""

    @cached_property
    def _session(self) -> Any:
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise ClusterError(
                "storage.engine is spark, and PySpark is not installed: pip install 'clv_pipeline[spark]'"
            ) from error
        # Spark would print failing queries, with the values in them.
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
        try:
            self._look_for_a_server()
            builder = SparkSession.builder.remote(self.remote)
            server = {}
            if self.remote.startswith("local"):
                server = SERVER
                # Spark's workers would take the first python3 that they find.
                os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            for name, value in {**server, **self.config, **SESSION}.items():
                builder = builder.config(name, value)
            return builder.getOrCreate()
        except (PySparkException, RuntimeError, OSError) as error:
            raise ClusterError(
                "the Spark of storage.spark.remote does not answer",
                quoted=self._censored(error),
                to_do="start the Spark Connect server, or write local[*] to have one in this process, which needs"
                " Java 17",
            ) from None

    def _look_for_a_server(self) -> None:
        """Fail at once when nobody listens: Spark's client would retry for a quarter of an hour."""
        address = urlsplit(self.remote)
        if address.scheme == "sc" and address.hostname:
            socket.create_connection((address.hostname, address.port or DEFAULT_PORT), timeout=ANSWER_SECONDS).close()

    @contextmanager
    def _asked(self) -> Iterator[Any]:
        """The session; errors of Spark without Java's part.

        Raises:
            ClusterError: Spark refused the work.
        """
        session = self._session
        from pyspark.errors import PySparkException

        try:
            yield session
        except PySparkException as error:
            raise ClusterError("Spark refused the work", quoted=self._censored(error)) from None

    def _censored(self, error: Exception) -> str:
        """What Spark says, without Java's part of it, and without the token that the address or a setting may hold."""
        told = str(error).partition("JVM stacktrace")[0].strip()
        secrets = [value for name, value in self.config.items() if is_secret_name(name)]
        return f"{without_credentials(self.remote)}: {censored(told, self.remote, secrets)}"

    def view_of_parquet(self, name: str, folder: Path, columns: str) -> None:
        """Make the Parquet files in `folder` readable as `name`; `columns` is a schema in Spark's syntax."""
        with self._asked() as session:
            session.read.schema(columns).parquet(_address(folder)).createOrReplaceTempView(name)

    def view_of_query(self, name: str, query: str) -> None:
        """Make a query readable as `name`."""
        with self._asked() as session:
            session.sql(query).createOrReplaceTempView(name)

    def view_of_rows(self, name: str, rows: pa.Table, columns: str) -> None:
        """Make these few rows readable as `name`."""
        with self._asked() as session:
            session.createDataFrame(rows, schema=columns).createOrReplaceTempView(name)

    def rows(self, query: str) -> pa.Table:
        """The result of a query."""
        with self._asked() as session:
            return session.sql(query).toArrow()

    def count_parquet(self, folder: Path) -> int:
        """Number of rows that Spark, server and workers, finds in the Parquet files of a folder."""
        with self._asked() as session:
            from pyspark.sql.types import StructType

            # Without a schema Spark would refuse a folder that holds no file.
            return int(session.read.schema(StructType()).parquet(_address(folder)).count())

    def write(self, query: str, folder: Path) -> int:
        """Write the result of a query as Parquet files into the new `folder`; returns how many rows workers wrote."""
        with self._asked() as session:
            return _written(session.sql(query), "error", folder)

    def write_mapped(
        self,
        query: str,
        function: Callable[[pl.DataFrame], pl.DataFrame],
        schema: pa.Schema,
        columns: str,
        folder: Path,
    ) -> int:
        """Apply `function` to the result of a query, batch by batch where the rows are; returns the rows written.

        The workers write Parquet files into `folder`, and count what they write.

        Args:
            query: the input of the function.
            function: from frames to frames; it is pickled, and the workers have this package installed.
            schema: the Arrow types of its frames, which are cast to it.
            columns: the same schema in Spark's syntax.
            folder: created if it does not exist.
        """
        with self._asked() as session:
            return _written(session.sql(query).mapInArrow(_on_batches(function, schema), columns), "append", folder)

    def close(self) -> None:
        """End the session, if there is one."""
        if "_session" in self.__dict__:
            self._session.stop()
            del self.__dict__["_session"]


def _written(frame: Any, mode: str, folder: Path) -> int:
    """Write a frame, and return the number of rows as the workers have counted them on the way to their disks."""
    from pyspark.sql.connect.functions import count, lit
    from pyspark.sql.connect.observation import Observation

    seen = Observation()
    frame.observe(seen, count(lit(1)).alias("rows")).write.mode(mode).parquet(_address(folder))
    return int(seen.get["rows"])


def _address(folder: Path) -> str:
    # On a cluster a bare path would mean HDFS or a bucket, if it keeps its files there.
    return f"file://{folder}"


def _on_batches(
    function: Callable[[pl.DataFrame], pl.DataFrame], schema: pa.Schema
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def mapped(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import polars as pl

        for batch in batches:
            frame = pl.DataFrame(batch)
            yield from function(frame).select(schema.names).to_arrow().cast(schema).to_batches()

    return mapped
