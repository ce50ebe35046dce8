"""The shop that faults are injected into, and what must hold after each of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb

from clv_pipeline.simulation.raw_lines import generate
from clv_pipeline.warehouse.duckdb_engine import fingerprint
from clv_pipeline_tests.faults.night import PUBLISHED, spend_night
from clv_pipeline_tests.faults.strikes import operations, take_notes

Content = dict[str, tuple[int, str]]
"""Rows and content hash of every published table."""


@dataclass(frozen=True)
class Shop:
    """A shop after its first night, with the orders of the second one in; and what each night publishes."""

    folder: Path
    before: Content
    after: Content
    operations: dict[str, int]
    """Of the second night, by phase."""

    def copy(self, folder: Path) -> Path:
        """The shop once more, in a folder of its own."""
        return shutil.copytree(self.folder, folder, symlinks=True)


def open_shop(folder: Path) -> Shop:
    """Orders of two files, one of which changes before the second night while a third one arrives."""
    orders = folder / "shop" / "orders"
    orders.mkdir(parents=True)
    frames = [generate(1_000, seed=seed) for seed in (1, 2, 3)]
    for name, frame in (("a.csv", frames[0]), ("b.csv", frames[1])):
        frame.write_csv(orders / name, datetime_format="%Y-%m-%d %H:%M:%S")
    first = spend_night(folder / "shop")
    assert first.success, first.failure
    before = published(folder / "shop")
    frames[1].head(700).write_csv(orders / "b.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    frames[2].write_csv(orders / "c.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    shutil.copytree(folder / "shop", folder / "whole", symlinks=True)
    second = spend_night(folder / "whole", take_notes)
    assert second.success, second.failure
    after = published(folder / "whole")
    assert {name for name in before if before[name] != after[name]} == {"rfm", "row_ledger"}
    assert leftovers(folder / "whole") == []
    return Shop(folder / "shop", before, after, dict(operations(folder / "whole")))


def published(folder: Path) -> Content:
    """What readers see: every table, read to its last row and held against what the publication says of itself."""
    database = folder / "home" / "published" / "current" / "clv.duckdb"
    with duckdb.connect(str(database.resolve()), read_only=True) as reader:
        [(listed,)] = reader.execute("select tables from publication").fetchall()
        names = [name for (name,) in reader.execute("select table_name from duckdb_tables()").fetchall()]
        found = {name: fingerprint(reader, name) for name in names if name != "publication"}
    assert sorted(names) == sorted(PUBLISHED)
    assert found == {table["table"]: (table["rows"], table["content_hash"]) for table in json.loads(listed)}
    return found


def leftovers(folder: Path) -> list[str]:
    """What no finished night may leave behind: staged tables, logs, halves of versions, copies, spilled data."""
    home = folder / "home"
    files = [
        *(home / "published").glob(".*"),
        *(home / "published" / "versions").glob(".*"),
        *(home / "warehouse" / "work").glob("*"),
        *(home / "warehouse" / "spill").glob("*"),
        *home.rglob("*.wal"),
    ]
    with duckdb.connect(str(home / "warehouse" / "clv.duckdb"), read_only=True) as warehouse:
        staged = warehouse.execute(
            "select table_name from information_schema.tables where contains(table_name, '__') order by 1"
        ).fetchall()
    return [str(path.relative_to(folder)) for path in files] + [name for (name,) in staged]
