"""Spark's workers as readers of files: each task gets some files, and reads one after the other.

What to do with a file is given (`sources/worker.py`). Here belongs how files are dealt out to tasks, and how what
workers tell comes back: small results as rows of an answer, what is told beside rows in a column of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clv_pipeline.errors import SourceError
from clv_pipeline.spark.connect import TOLD

if TYPE_CHECKING:
    import pyarrow as pa

    from clv_pipeline.sources.worker import Far
    from clv_pipeline.spark.connect import Cluster

Dealt = list[list[tuple[int, "Far"]]]
"""By task: its files, with their places."""


class FileReaders:
    """The workers of one session, as they read the files of one table."""

    def __init__(
        self,
        cluster: Cluster,
        schema: pa.Schema,
        columns: str,
        save: Callable[[Any, bool], list[str]],
        carry_over: Callable[[str], None],
    ) -> None:
        """Readers of files.

        Args:
            cluster: the session.
            schema: the Arrow types of the table's columns.
            columns: the same schema in Spark's syntax.
            save: writes a frame of Spark, as all rows or not, and returns what is told in its column TOLD.
            carry_over: adds the rows of a query on the live table to the new ones.
        """
        self._cluster = cluster
        self._schema = schema
        self._columns = columns
        self._save = save
        self.carry_over = carry_over

    def each(self, function: Callable[[Any], Any], files: Sequence[Far]) -> list[Any]:
        """The results of a function, in the order of the files. A SourceError that it raises is a result.

        Results are what JSON can hold.
        """
        if not files:
            return []
        dealt = self._dealt(files)
        frame = self._cluster.streamed(_numbers(dealt), _Answers(function, dealt), "answer string")
        answers = self._cluster.fetched(frame).to_pylist()
        found = dict(_decoded(row["answer"]) for row in answers)
        return [found[place] for place in range(len(files))]

    def add(
        self,
        function: Callable[[Any, Sequence[str]], Iterator[pa.RecordBatch | dict[str, Any] | SourceError]],
        files: Sequence[Far],
        *,
        is_whole: bool,
    ) -> list[Any]:
        """Write the batches that a function gives of files, and return what it tells beside them."""
        dealt = self._dealt(files)
        rows = _Rows(function, dealt, self._schema)
        frame = self._cluster.streamed(_numbers(dealt), rows, f"{self._columns}, `{TOLD}` string")
        texts = self._save(frame, is_whole)
        found = dict(map(_decoded, texts))
        return [found[place] for place in range(len(files))]

    def _dealt(self, files: Sequence[Far]) -> Dealt:
        """The files by task: the largest first, each to the task that has least to read so far."""
        dealt: Dealt = [[] for _ in range(min(len(files), self._cluster.most_tasks()))]
        bytes_ = [0] * len(dealt)
        for place, file in sorted(enumerate(files), key=lambda pair: -pair[1].to_read):
            task = bytes_.index(min(bytes_))
            dealt[task].append((place, file))
            # Opening a file costs, too.
            bytes_[task] += file.to_read + 100_000
        return dealt


def _numbers(dealt: Dealt) -> str:
    """A query for the numbers of the tasks, each in a partition of its own."""
    return f"select id from range(0, {len(dealt)}, 1, {len(dealt)})"  # noqa: S608  (numbers)


def _encoded(place: int, result: Any) -> str:
    """What a worker tells of the file in that place. As JSON: to unpickle is to run what somebody wrote."""
    if isinstance(result, SourceError):
        errors = [(error.what, error.quoted, error.to_do) for error in result.each]
        return json.dumps({"place": place, "errors": errors})
    return json.dumps({"place": place, "result": result})


def _decoded(text: str) -> tuple[int, Any]:
    told = json.loads(text)
    if "errors" not in told:
        return told["place"], told["result"]
    errors = [SourceError(what, quoted=quoted, to_do=to_do) for what, quoted, to_do in told["errors"]]
    return told["place"], SourceError.together(errors)


def _files_of(batches: Iterator[pa.RecordBatch], dealt: Dealt) -> Iterator[tuple[int, Far]]:
    for batch in batches:
        for number in batch.column("id").to_pylist():
            yield from dealt[number]


@dataclass(frozen=True)
class _Answers:
    """What a function answers of each file of a task."""

    function: Callable[[Any], Any]
    dealt: Dealt

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        schema = pa.schema([("answer", pa.string())])
        for place, file in _files_of(batches, self.dealt):
            try:
                answer = self.function(file)
            except SourceError as error:
                answer = error
            yield pa.RecordBatch.from_pydict({"answer": [_encoded(place, answer)]}, schema=schema)


@dataclass(frozen=True)
class _Rows:
    """The rows of each file of a task, and a row for what is told about it."""

    function: Callable[[Any, Sequence[str]], Iterator[pa.RecordBatch | dict[str, Any] | SourceError]]
    dealt: Dealt
    schema: pa.Schema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for place, file in _files_of(batches, self.dealt):
            for part in self.function(file, self.schema.names):
                if isinstance(part, pa.RecordBatch):
                    rows = pa.Table.from_batches([part]).cast(self.schema)
                    told = pa.nulls(part.num_rows, pa.string())
                else:
                    rows = pa.table([pa.nulls(1, type_) for type_ in self.schema.types], schema=self.schema)
                    told = pa.array([_encoded(place, part)])
                yield from rows.append_column(TOLD, told).to_batches()
