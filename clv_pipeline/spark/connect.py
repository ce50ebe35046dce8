"""A Spark Connect session: named views, queries whose rows are fetched or written, and functions over their rows.

Statements are already Spark SQL. Nothing here knows DuckDB or the purpose of a table. PySpark (the extra `spark`) and,
for `local`, a Java runtime are loaded by the first query.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clv_pipeline.config.secret_text import censored, is_secret_name, without_credentials
from clv_pipeline.errors import ClusterError
from clv_pipeline.spark.jars import jars_at_hand
from clv_pipeline.spark.shipped import OTHER_CODE, code_hash, pack

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    Batches = Iterator[pa.RecordBatch]

SESSION = {
    # The settings under which the SQL models are proven.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}

DEFAULT_PORT = 15002
"""Port of a Spark Connect server."""
ANSWER_SECONDS = 20
"""How long a server may take to answer whether it is there."""
PAUSE_SECONDS = 10
"""Between two questions whether it is there, which also keep an idle session from being closed."""
LONGEST_ANSWER_SECONDS = 45
"""How long it may take to answer that, with the client's own attempts to go on."""
RETRIES = 7
"""How often Spark's client tries again, over 25 seconds; by itself it would for ten minutes."""
LONGEST_PAUSE_MS = 5_000

GONE = "Spark has stopped answering"

TOLD = "_told"
"""A column beside rows for what workers tell about them."""

_MISSING_CODE = r"No module named 'clv_pipeline|Can't get attribute '\w+' on <module 'clv_pipeline"
"""What a worker says that has so different code that it cannot even begin."""
_MISSING_PACKAGE = r"ModuleNotFoundError: No module named '(\w+)"
"""What a worker says that lacks what its work is made of."""
_MISSING_FILE = r"NotFoundException: Failed to open input stream for file: (\S+)"
"""What Iceberg says on a worker that does not see a file of a table."""


class Cluster:
    """One Spark session, which starts with the first question."""

    def __init__(self, remote: str, config: Mapping[str, str] | None = None, server: Mapping[str, str] | None = None):
        """A session that is not opened yet.

        Args:
            remote: `sc://host:15002` for a Spark Connect server, `local[4]` for one in this process with four cores.
            config: further settings of the session, which the user chose.
            server: settings without which a server in this process cannot do the work; another has them already.
        """
        self.remote = remote
        self.config = dict(config or {})
        self._server = dict(server or {})
        self._opened: Any = None
        self._context: Any = None
        """Of a server in this process."""
        self._heart: _Heart | None = None
        self._has_shipped = False
        self._copies: set[str] = set()

    @property
    def is_local(self) -> bool:
        """Whether the server is in this process."""
        return self.remote.startswith("local")

    @contextmanager
    def asked(self) -> Iterator[Any]:
        """The session; errors of Spark without Java's part.

        Raises:
            ClusterError: Spark refused the work, or does not answer any more.
        """
        session = self._session()
        from pyspark.errors import PySparkException

        try:
            yield session
        except ClusterError:
            raise
        except Exception as error:
            if OTHER_CODE in str(error) or re.search(_MISSING_CODE, str(error)):
                raise ClusterError(
                    OTHER_CODE,
                    to_do="take clv_pipeline out of the workers' Python: the session brings the code along",
                ) from None
            if self._heart is not None and self._heart.has_stopped(error):
                raise ClusterError(GONE, quoted=self._censored(error), to_do=self._revival()) from None
            if isinstance(error, PySparkException):
                raise self._refusal(error) from None
            raise

    def _refusal(self, error: Exception) -> ClusterError:
        """What Spark says, and what to do where that is known."""
        if lacking := re.search(_MISSING_PACKAGE, str(error)):
            return ClusterError(
                f"a worker of Spark lacks the Python package {lacking[1]}",
                to_do="install in the Python of every worker what the run's process has",
            )
        if missing := re.search(_MISSING_FILE, str(error)):
            return ClusterError(
                f"a worker of Spark does not find {missing[1]}",
                to_do="mount the warehouse of the catalog at the same path on every worker; restore it if it is gone",
            )
        return ClusterError("Spark refused the work", quoted=self._censored(error))

    def _session(self) -> Any:
        """The open session.

        Raises:
            ClusterError: PySpark is missing, or the server does not answer.
        """
        if self._opened is not None:
            return self._opened
        try:
            from py4j.protocol import Py4JError
            from pyspark.errors import PySparkException
            from pyspark.sql.connect.session import SparkSession
        except ImportError as error:
            raise ClusterError(
                "storage.engine is spark, and PySpark is not installed: pip install 'clv_pipeline[spark]'"
            ) from error
        # Spark would print failing queries, with the values in them, and each of its own attempts to go on.
        for name in ("SQLQueryContextLogger", "pyspark.sql.connect.logging", "pyspark.sql.connect.client.logging"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        settings = {**(self._of_local_server() if self.is_local else {}), **self._server, **self.config, **SESSION}
        try:
            self._look_for_a_server()
            builder = SparkSession.builder
            session = SparkSession(self._serve_here(settings) if self.is_local else self.remote)
            _try_briefly(session.client)
            for name, value in settings.items():
                builder = builder.config(name, value)
            with warnings.catch_warnings():
                # Of a server's settings, which a session cannot change and need not.
                warnings.filterwarnings("ignore", message="(?s)Failed to set")
                builder._apply_options(session)
        except (PySparkException, Py4JError, RuntimeError, OSError) as error:
            raise ClusterError(
                "the Spark of storage.spark.remote does not answer",
                quoted=self._censored(error),
                to_do="start the Spark Connect server, or write local[*] to have one in this process, which needs"
                " Java 17",
            ) from None
        self._heart = _Heart(session.client)
        self._opened = session
        return session

    def _of_local_server(self) -> dict[str, str]:
        """Settings of a server in this process, whose output goes to the same terminal."""
        # Spark's workers would take the first python3 that they find.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        return {
            "spark.log.level": "OFF",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.jars": ",".join(map(str, jars_at_hand())),
            "spark.driver.memory": f"{_heap_mb()}m",
            # What remains of a server after that would never answer.
            "spark.driver.extraJavaOptions": "-XX:+ExitOnOutOfMemoryError",
            "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        }

    def _serve_here(self, settings: Mapping[str, str]) -> str:
        """Start a server in this process, which only this process may ask; its address.

        Spark's own way has one port for all of a machine, open to the network.
        """
        from pyspark import SparkConf, SparkContext

        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        token = secrets.token_hex(32)
        serving = {
            "spark.master": self.remote,
            "spark.app.name": "clv_pipeline",
            "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
            "spark.sql.artifact.isolation.enabled": "true",
            "spark.sql.artifact.isolation.alwaysApplyClassloader": "true",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.connect.grpc.binding.address": "localhost",
            "spark.connect.grpc.binding.port": str(port),
            "spark.connect.authenticate.token": token,
        }
        self._context = SparkContext(conf=SparkConf().setAll([*settings.items(), *serving.items()]))
        return f"sc://localhost:{port}/;token={token}"

    def _look_for_a_server(self) -> None:
        """Fail at once when nobody listens."""
        address = urlsplit(self.remote)
        if address.scheme == "sc" and address.hostname:
            socket.create_connection((address.hostname, address.port or DEFAULT_PORT), timeout=ANSWER_SECONDS).close()

    def _revival(self) -> str:
        if self.is_local:
            return (
                "if its memory was too small (storage.spark.config has spark.driver.memory), raise it; tables and"
                " publications are as they were"
            )
        return "see what ended the Spark Connect server, and start it; tables and publications are as they were"

    def _censored(self, error: Exception) -> str:
        """What Spark says, without Java's part of it, and without the token that the address or a setting may hold."""
        told = str(error).partition("JVM stacktrace")[0].strip()
        # Of a lost connection gRPC's own text has many lines.
        if details := re.search(r'details = "(.*)"', told):
            told = details[1]
        settings = {**self._server, **self.config}
        secrets = [value for name, value in settings.items() if is_secret_name(name)]
        return f"{without_credentials(self.remote)}: {censored(told, self.remote, secrets)}"

    def view_of_query(self, name: str, query: str) -> None:
        """Make a query readable as `name`."""
        with self.asked() as session:
            session.sql(query).createOrReplaceTempView(name)

    def copy_of_query(self, name: str, query: str) -> None:
        """Make a query readable as `name`, which is computed once and kept on the workers until `drop_copy`."""
        self.drop_copy(name)
        # Not by a checkpoint, which fails on tables of Iceberg: its thread has no session.
        self.rows(f"cache table `{name}` as {query}")
        self._copies.add(name)

    def drop_copy(self, name: str) -> None:
        """Remove what `copy_of_query` made, if it did."""
        if name in self._copies:
            self._copies.remove(name)
            self.rows(f"uncache table if exists `{name}`")
            self.rows(f"drop view if exists `{name}`")

    def view_of_rows(self, name: str, rows: pa.Table, columns: str) -> None:
        """Make these few rows readable as `name`."""
        with self.asked() as session:
            session.createDataFrame(rows, schema=columns).createOrReplaceTempView(name)

    def frame(self, query: str) -> Any:
        """The result of a query as a frame of Spark, which nobody has computed yet."""
        with self.asked() as session:
            return session.sql(query)

    def frame_of_rows(self, rows: pa.Table, columns: str) -> Any:
        """These rows as a frame of Spark, in one piece."""
        with self.asked() as session:
            return session.createDataFrame(rows, schema=columns).coalesce(1)

    def fetched(self, frame: Any) -> pa.Table:
        """The rows of a frame of Spark."""
        with self.asked():
            return frame.toArrow()

    def rows(self, query: str) -> pa.Table:
        """The result of a query."""
        with self.asked() as session:
            return session.sql(query).toArrow()

    @contextmanager
    def batches(self, query: str) -> Iterator[pa.RecordBatchReader]:
        """The result of a query, batch by batch as it arrives."""
        import pyarrow as pa
        from pyspark.sql.pandas.types import to_arrow_schema

        with self.asked() as session:
            frame = session.sql(query)
            schema = to_arrow_schema(frame.schema)
            arriving = session.client.to_table_as_iterator(frame._plan.to_proto(session.client), {})
            tables = (part.cast(schema) for part in arriving if isinstance(part, pa.Table))
            yield pa.RecordBatchReader.from_batches(schema, (batch for part in tables for batch in part.to_batches()))

    def mapped(
        self, query: str, function: Callable[[pl.DataFrame], pl.DataFrame], schema: pa.Schema, columns: str
    ) -> Any:
        """A frame of Spark: `function` applied to the result of a query, batch by batch where the rows are.

        Args:
            query: the input of the function.
            function: from frames to frames; it is pickled, and the workers get this package from the session.
            schema: the Arrow types of its frames, which are cast to it.
            columns: the same schema in Spark's syntax.
        """
        return self.streamed(query, OnFrames(function, schema), columns)

    def streamed(self, query: str, function: Callable[[Batches], Batches], columns: str) -> Any:
        """A frame of Spark: what `function` makes of the batches of a query's result, partition by partition.

        Args:
            query: the input of the function.
            function: from batches to batches; it is pickled, and the workers get this package from the session.
            columns: the schema of its batches in Spark's syntax.
        """
        with self.asked() as session:
            if not self.is_local and not self._has_shipped:
                with tempfile.TemporaryDirectory() as folder:
                    packed = pack(Path(folder) / f"clv_pipeline_{code_hash()[:16]}.zip")
                    session.addArtifacts(str(packed), pyfile=True)
                    # The client puts it on this process's own path, too.
                    sys.path[:] = [entry for entry in sys.path if entry != str(packed)]
                self._has_shipped = True
            return session.sql(query).mapInArrow(by_own_code(function), columns)

    def most_tasks(self) -> int:
        """How many tasks a step has at most, by the setting for shuffles."""
        with self.asked() as session:
            return int(session.conf.get("spark.sql.shuffle.partitions"))

    def parted(self, frame: Any) -> tuple[Any, Callable[[], list[str]]]:
        """The rows of a frame where the column TOLD is NULL, without it; and what it holds in the others.

        What is told is known once the rows have been written. It may be told twice.
        """
        from pyspark.sql.connect.functions import col, collect_list
        from pyspark.sql.connect.observation import Observation

        def told() -> list[str]:
            found: list[str] = seen.get["told"]
            return found

        with self.asked():
            seen = Observation()
            watched = frame.observe(seen, collect_list(col(TOLD)).alias("told"))
            return watched.where(col(TOLD).isNull()).drop(TOLD), told

    def close(self) -> None:
        """End the session, if there is one."""
        if self._heart is not None:
            self._heart.stop()
        if self._opened is not None:
            if self._heart is None or not self._heart.is_dead:
                self._opened.stop()
            if self._context is not None:
                _end_java(self._context, is_dead=self._heart is not None and self._heart.is_dead)
            self._opened, self._heart, self._context, self._has_shipped = None, None, None, False
            self._copies.clear()


class _Heart:
    """Asks the server in turn whether it is there: an idle session stays open, and one that is gone is noticed."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._ended = threading.Event()
        self.is_dead = False
        self._asking = ThreadPoolExecutor(max_workers=1)
        threading.Thread(target=self._beat, daemon=True, name="Spark is there").start()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._asking.shutdown(wait=False, cancel_futures=True)

    def has_stopped(self, error: Exception) -> bool:
        """Whether a call failed because nobody answers any more."""
        from pyspark.errors.exceptions.base import PySparkException

        told = f"{type(error).__name__} {error}"
        if any(sign in told for sign in ("UNAVAILABLE", "RETRIES_EXCEEDED", "Connection refused", "Socket closed")):
            self.is_dead = True
        return self.is_dead and (isinstance(error, PySparkException | ValueError) or "Rpc" in told)

    def _beat(self) -> None:
        from concurrent.futures import TimeoutError as TookTooLong

        while not self._ended.wait(PAUSE_SECONDS):
            try:
                self._asking.submit(self._client.get_configs, "spark.sql.ansi.enabled").result(LONGEST_ANSWER_SECONDS)
            except TookTooLong:
                self._give_up()
            except Exception as error:
                if not self._ended.is_set() and self.has_stopped(error):
                    self._give_up()

    def _give_up(self) -> None:
        """End what waits for an answer in another thread."""
        self.is_dead = True
        self._ended.set()
        self._client.close()


def _try_briefly(client: Any) -> None:
    """Let Spark's client try again for less than a minute, and not tell that beside our own error."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
    client.set_retry_policies([DefaultPolicy(max_retries=RETRIES, max_backoff=LONGEST_PAUSE_MS)])


def _end_java(context: Any, *, is_dead: bool) -> None:
    """End the Java of this process: a server cannot start twice in one, and none can in what is left of one."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if not is_dead:
        context.stop()
    else:
        with SparkContext._lock:
            SparkContext._active_spark_context = None
    gateway.shutdown()
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
    SparkContext._gateway, SparkContext._jvm = None, None


def _heap_mb() -> int:
    """Memory of a server in this process: a quarter of the machine's, at least 2 GB and at most 8 GB.

    Reading 1.5 million rows of a backtest at once needs more than 1 GB.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return min(max(machine // 4, 2048), 8192)


@dataclass(frozen=True)
class OnFrames:
    """A function from frames to frames, batch by batch."""

    function: Callable[[pl.DataFrame], pl.DataFrame]
    schema: pa.Schema

    def __call__(self, batches: Batches) -> Batches:
        """The batches that it makes."""
        import polars as pl

        for batch in batches:
            frame = self.function(pl.DataFrame(batch))
            yield from frame.select(self.schema.names).to_arrow().cast(self.schema).to_batches()


def by_own_code(function: Callable[[Batches], Batches]) -> Callable[[Batches], Batches]:
    """The function as workers run it, which refuse if their code of this package is not that of this process."""
    expected, refusal = code_hash(), OTHER_CODE

    def run(batches: Batches) -> Batches:
        from clv_pipeline.spark.shipped import code_hash

        if code_hash() != expected:
            raise RuntimeError(refusal)
        yield from function(batches)

    return run
