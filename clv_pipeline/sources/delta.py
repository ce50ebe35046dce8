"""Delta tables, read with deltalake: a version whole, or the files that were added since an earlier version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, DeltaProtocolError

from clv_pipeline.config.source import is_object_url
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import SourceError
from clv_pipeline.sources.lake_rows import BATCH_ROWS, Plan, Rows

if TYPE_CHECKING:
    import pyarrow as pa


class DeltaSnapshot:
    """A version of a Delta table."""

    def __init__(self, address: str, label: str, version: int | None) -> None:
        self._address = address
        self._label = label
        self._table = DeltaTable(address, version=version)
        self._refuse_strays()

    @property
    def stamp(self) -> str:
        """Id of the table and its version."""
        return f"{self._table.metadata().id} {self._table.version()}"

    def whole(self) -> Rows:
        """All rows of this version."""
        return self._rows(f"version {self._table.version()}", None)

    def since(self, stamp: str) -> Rows | None:
        """The rows in files that were added since an earlier version; None if files were changed or removed.

        None, too, if the log no longer reaches back to it, or if the table marks rows as deleted within files.
        """
        table, _, version = stamp.partition(" ")
        if table != str(self._table.metadata().id) or int(version) > self._table.version():
            return None
        try:
            before = _files(DeltaTable(self._address, version=int(version)))
            now = _files(self._table)
        except DeltaError:
            return None
        if not before.keys() <= now.keys():
            return None
        shown = f"versions {int(version) + 1} to {self._table.version()}"
        return self._rows(shown, [now[name] for name in sorted(now.keys() - before.keys())])

    def _rows(self, shown: str, files: list[Any] | None) -> Rows:
        def chosen() -> tuple[list[Any], pa.Schema]:
            whole = self._table.to_pyarrow_dataset()
            # By name, so that a later read gives the same order.
            by_name = sorted(whole.get_fragments(), key=lambda file: file.path)
            return files if files is not None else by_name, whole.schema

        def read(columns: Sequence[str]) -> pa.RecordBatchReader:
            try:
                return _scanned(*chosen(), columns)
            except DeltaProtocolError:
                # Arrow knows no rows that are marked as deleted; the library's own engine does, in an order of its own.
                return _by_query(self._table, columns)

        def plan() -> Plan:
            try:
                parts, schema = chosen()
            except DeltaProtocolError:
                return Plan(why_whole="deltalake reads a table with marked rows or renamed columns only as a whole")
            stated = _stated(self._table)
            # Of a path that the log writes in another way, workers count the rows.
            return Plan([DeltaFile(part, schema, *stated.get(part.path, (0, None))) for part in parts])

        names = [field.name for field in self._table.schema().fields]
        return Rows(self._label, "Delta", shown, self.stamp, names, read, plan)

    def _refuse_strays(self) -> None:
        """Refuse a table whose log names files outside its folder.

        Raises:
            SourceError: there is such a file.
        """
        uris = self._table.file_uris()
        if is_object_url(self._address):
            strays = [uri for uri in uris if not uri.startswith(self._table.table_uri.rstrip("/") + "/")]
        else:
            folder = Path(self._address).resolve()
            strays = [uri for uri in uris if not Path(uri.removeprefix("file://")).resolve().is_relative_to(folder)]
        if strays:
            raise SourceError(
                f"{self._label}: its log names files outside its folder",
                quoted=strays[0],
                to_do="make it a table of its own (a deep clone)",
            )


@dataclass(frozen=True)
class DeltaFile:
    """A data file."""

    fragment: Any
    """With the values of its partition, and the storage that it is in."""
    schema: pa.Schema
    """Of the table's version."""
    bytes: int
    rows: int | None

    def read(self, columns: Sequence[str]) -> pa.RecordBatchReader:
        """The rows of some columns."""
        return _scanned([self.fragment], self.schema, columns)


def _stated(table: DeltaTable) -> dict[str, tuple[int, int | None]]:
    """Size of each data file in bytes, and the number of its rows, by the log. Writers need not state the number."""
    import pyarrow as pa

    stated = pa.table(table.get_add_actions())
    wanted = [name for name in ("path", "size_bytes", "num_records") if name in stated.column_names]
    return {
        unquote(file["path"]): (file["size_bytes"], file.get("num_records"))
        for file in stated.select(wanted).to_pylist()
    }


def _files(table: DeltaTable) -> dict[str, Any]:
    """The data files of a version, by path."""
    return {fragment.path: fragment for fragment in table.to_pyarrow_dataset().get_fragments()}


def _scanned(files: Sequence[Any], schema: pa.Schema, columns: Sequence[str]) -> pa.RecordBatchReader:
    """The rows, file by file."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    if not files:
        return pa.RecordBatchReader.from_batches(pa.schema([schema.field(name) for name in columns]), [])
    some = ds.FileSystemDataset(files, schema, files[0].format, files[0].filesystem)
    return some.scanner(
        columns=list(columns), batch_size=BATCH_ROWS, batch_readahead=4, fragment_readahead=1
    ).to_reader()


def _by_query(table: DeltaTable, columns: Sequence[str]) -> pa.RecordBatchReader:
    import pyarrow as pa

    query = f"SELECT {', '.join(map(quote_identifier, columns))} FROM lake"  # noqa: S608
    return pa.RecordBatchReader.from_stream(QueryBuilder().register("lake", table).execute(query))
