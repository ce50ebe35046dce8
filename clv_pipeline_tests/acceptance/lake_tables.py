"""Delta and Iceberg tables for the tests, written by the libraries of their formats."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from clv_pipeline.config.source import TableSource
from clv_pipeline.sources import Load, LoadedFile, load_changes
from clv_pipeline_tests.acceptance.lake_servers import lake_packages_at_hand
from clv_pipeline_tests.helpers.shop_files import transactions

CATALOG_SECRET, STORAGE_SECRET = "secret-of-the-catalog", "secret-of-the-storage"
COLUMNS = {"customer_id": "who", "ordered_at": "at", "amount": "paid"}


@contextmanager
def libraries(folder: Path) -> Iterator[None]:
    """The libraries, and the environment in which pyiceberg finds a catalog when it is first imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYICEBERG_CATALOG__LAKE__TYPE", "sql")
        patch.setenv("PYICEBERG_CATALOG__LAKE__URI", f"sqlite:///{folder}/catalog.db")
        patch.setenv("PYICEBERG_CATALOG__LAKE__WAREHOUSE", f"file://{folder}/warehouse")
        patch.setenv("PYICEBERG_CATALOG__LAKE__CREDENTIAL", CATALOG_SECRET)
        patch.setenv("PYICEBERG_CATALOG__LAKE__S3__SECRET_ACCESS_KEY", STORAGE_SECRET)
        lake_packages_at_hand()
        import pyiceberg.catalog  # noqa: F401

        yield


def orders(*days: int, **further: list[Any]) -> pa.Table:
    """An order for each day of January 2024."""
    columns = {
        "who": [f"c{day}" for day in days],
        "at": [f"2024-01-{day:02d}" for day in days],
        "paid": [float(day) for day in days],
        **further,
    }
    return pa.table(columns)


class Lake:
    """A table that is loaded night by night, into a database in memory."""

    def __init__(self, folder: Path, table: dict[str, Any]) -> None:
        self.folder, self.table = folder, table
        self.con = duckdb.connect()
        self.known: Sequence[LoadedFile] = ()

    def night(self, source: TableSource | None = None) -> Load:
        """Load what is new, as a run does, and make it live."""
        source = source or transactions(COLUMNS, table=self.table)
        found = load_changes(self.con, "new", source, self.folder, self.folder / "work", live="live", known=self.known)
        if found.is_whole:
            self.con.execute("create or replace table live as from new")
        else:
            self.con.execute("insert into live from new")
        self.known = found.files
        return found

    def paid(self) -> list[float]:
        """What the live table holds."""
        return [float(paid) for (paid,) in self.con.execute("select amount from live order by amount").fetchall()]


class Delta(Lake):
    """A Delta table in the folder `orders`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"format": "delta", "path": "orders"})

    def write(self, rows: pa.Table, **options: Any) -> None:
        from deltalake import write_deltalake

        write_deltalake(self.folder / "orders", rows, **{"mode": "append", **options})

    def write_with_note(self, rows: pa.Table) -> None:
        """Rows with a column `note` that the table has not had yet."""
        self.write(rows, schema_mode="merge")

    def delete(self, predicate: str) -> None:
        from deltalake import DeltaTable

        DeltaTable(self.folder / "orders").delete(predicate)


class Iceberg(Lake):
    """An Iceberg table in a catalog of SQLite."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"format": "iceberg", "catalog": "lake", "name": f"{folder.name}.orders"})
        from pyiceberg.catalog import load_catalog

        self.catalog = load_catalog("lake")
        self.catalog.create_namespace(folder.name)

    def write(self, rows: pa.Table, mode: str = "append") -> None:
        table = self.catalog.create_table_if_not_exists(self.table["name"], schema=rows.schema)
        if mode == "append":
            table.append(rows)
        else:
            table.overwrite(rows)

    def write_with_note(self, rows: pa.Table) -> None:
        """Rows with a column `note` that the table has not had yet."""
        from pyiceberg.types import StringType

        with self.catalog.load_table(self.table["name"]).update_schema() as update:
            update.add_column("note", StringType())
        self.write(rows)

    def delete(self, predicate: str) -> None:
        self.catalog.load_table(self.table["name"]).delete(predicate)


def mark_as_deleted(folder: Path, *positions: int) -> None:
    """Commit a deletion vector for rows of a table of one file, as the protocol describes it; no writer here does."""
    from pyroaring import BitMap

    log = folder / "_delta_log"
    [add] = [
        action["add"]
        for line in (log / f"{0:020d}.json").read_text().splitlines()
        if "add" in (action := json.loads(line))
    ]
    bitmap = BitMap(positions).serialize()
    vector = struct.pack("<IQI", 1681511377, 1, 0) + bitmap
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    removed = {"path": add["path"], "deletionTimestamp": 1, "dataChange": True, "size": add["size"]}
    marked = {"storageType": "i", "pathOrInlineDv": _z85(vector), "sizeInBytes": len(vector), "cardinality": 2}
    actions = [
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}},
        {"remove": removed},
        {"add": {**add, "deletionVector": marked}},
    ]
    (log / f"{1:020d}.json").write_text("\n".join(map(json.dumps, actions)))


def _z85(data: bytes) -> str:
    """Base 85 in the alphabet of ZeroMQ, in which the log states short vectors."""
    ours = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    theirs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
    padded = data + b"\0" * (-len(data) % 4)
    return base64.b85encode(padded).decode().translate(str.maketrans(theirs, ours))
