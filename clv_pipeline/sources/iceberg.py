"""Iceberg tables of a catalog, read with pyiceberg: a snapshot whole, or what was appended since an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyiceberg.catalog import load_catalog
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.table.snapshots import Operation

from clv_pipeline.errors import SourceError
from clv_pipeline.sources.lake_rows import Plan, Rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.io import FileIO
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot


class IcebergSnapshot:
    """A snapshot of an Iceberg table.

    Raises:
        SourceError: the table has no such snapshot.
    """

    def __init__(self, catalog: str, name: str, label: str, snapshot: int | None) -> None:
        self._label = label
        self._table = load_catalog(catalog).load_table(name)
        found = self._table.current_snapshot() if snapshot is None else self._table.snapshot_by_id(snapshot)
        if found is None:
            which = "any snapshot yet" if snapshot is None else f"a snapshot {snapshot}"
            raise SourceError(f"{label}: does not hold {which}", to_do="write rows into it, or name another snapshot")
        self._snapshot: Snapshot = found

    @property
    def stamp(self) -> str:
        """Ids of the table and of the snapshot."""
        return f"{self._table.metadata.table_uuid} {self._snapshot.snapshot_id}"

    def whole(self) -> Rows:
        """All rows of this snapshot."""
        scan = self._table.scan(snapshot_id=self._snapshot.snapshot_id)
        return self._rows(f"snapshot {self._snapshot.snapshot_id}", scan)

    def since(self, stamp: str) -> Rows | None:
        """The rows that were appended since an earlier snapshot; None if anything else was done since.

        None, too, if the table no longer knows that snapshot.
        """
        table, _, earlier = stamp.partition(" ")
        if table != str(self._table.metadata.table_uuid):
            return None
        step: Snapshot | None = self._snapshot
        while step is not None and step.snapshot_id != int(earlier):
            if step.summary is None or step.summary.operation != Operation.APPEND:
                return None
            parent = step.parent_snapshot_id
            step = self._table.snapshot_by_id(parent) if parent is not None else None
        if step is None:
            return None
        scan = self._table.incremental_append_scan(
            from_snapshot_id_exclusive=int(earlier), to_snapshot_id_inclusive=self._snapshot.snapshot_id
        )
        return self._rows(f"snapshots {earlier} to {self._snapshot.snapshot_id}", scan)

    def _rows(self, shown: str, scan: Any) -> Rows:
        def files() -> list[IcebergFile]:
            tasks = sorted(scan.plan_files(), key=lambda task: task.file.file_path)
            return [IcebergFile(scan.table_metadata, scan.io, scan.projection(), task) for task in tasks]

        def read(columns: Sequence[str]) -> pa.RecordBatchReader:
            return _one_by_one(files(), scan.projection(), columns)

        schema = self._table.schema()
        if self._snapshot.schema_id is not None:
            schema = self._table.schemas()[self._snapshot.schema_id]
        return Rows(
            self._label,
            "Iceberg",
            shown,
            self.stamp,
            [field.name for field in schema.fields],
            read,
            lambda: Plan(files()),
        )


@dataclass(frozen=True)
class IcebergFile:
    """A data file, and the files of what was deleted in it."""

    metadata: TableMetadata
    io: FileIO
    schema: Schema
    """Of the snapshot."""
    task: FileScanTask

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return int(self.task.file.file_size_in_bytes)

    @property
    def rows(self) -> int | None:
        """Number of rows; None if some were deleted."""
        return None if self.task.delete_files else int(self.task.file.record_count)

    def read(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The rows of some columns."""
        return _one_by_one([self], self.schema, columns)


def _one_by_one(files: Sequence[IcebergFile], schema: Schema, columns: Sequence[str]) -> pa.RecordBatchReader:
    """The rows, data file by data file: the library itself would hold all files in memory at once."""
    import pyarrow as pa

    selected = schema.select(*columns)
    arrow = schema_to_pyarrow(selected, include_field_ids=False)

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            reader = ArrowScan(file.metadata, file.io, selected, AlwaysTrue())
            for batch in reader.to_record_batches([file.task]):
                yield batch.cast(arrow)

    return pa.RecordBatchReader.from_batches(arrow, batches())
