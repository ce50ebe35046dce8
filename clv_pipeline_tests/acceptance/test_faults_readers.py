"""Readers in processes of their own while fifty publications come and go: no error, no torn read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clv_pipeline.contracts import Contract
from clv_pipeline.publication.write import publish
from clv_pipeline.warehouse import Session, admit
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.helpers.gates import contract
from clv_pipeline_tests.helpers.publications import PUBLICATION, SPAN

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

PUBLICATIONS = 50
ROWS = 1_000

READER = """
import duckdb, json, pathlib, sys

published, how = pathlib.Path(sys.argv[1]), sys.argv[2]
path = published / "current" / "clv.duckdb"
query = 'select (select min(id) from "left"), (select max(id) from "left"), (select min(id) from "right"), max(id),'
query += ' count(*) from "right"'
held = duckdb.connect(str(path.resolve()), read_only=True) if how == "one connection" else None
seen = []
print("reading", flush=True)
while not (published.parent / "finished").exists() or not seen:
    if held is not None:
        row = held.execute(query).fetchone()
    elif how == "parquet":
        folder = (published / "current").resolve() / "parquet"
        tables = [str(folder / f"{name}.parquet") for name in ("left", "right")]
        row = duckdb.execute(query.replace('"left"', "read_parquet(?)").replace('"right"', "read_parquet(?)"),
                             [tables[0], tables[0], tables[1], tables[1]]).fetchone()
    else:
        with duckdb.connect(str(path), read_only=True) as fresh:
            row = fresh.execute(query).fetchone()
    if row not in seen:
        seen.append(row)
print(json.dumps({"seen": seen}))
"""


def publish_number(session: Session, number: int, folder: Path) -> None:
    """A publication whose tables `left` and `right` hold nothing but `number`, many times."""
    tables: list[Contract] = [contract("left"), contract("right"), SPAN]

    def stage(staging: Session) -> None:
        for table in tables[:2]:
            staging.stage_query(table, f"select {number}::integer as id from range({ROWS})")
        staging.stage_query(SPAN, "select date '2020-01-31' as as_of")

    assert admit(session, tables, stage, reads=[], run_id=str(number)).admitted
    publish(session, [*tables[:2], PUBLICATION], folder, run_id=str(number), config_hash="", keep=10)


def test_readers_of_fifty_publications_see_each_whole(session: Session, tmp_path: Path, injected: Injected) -> None:
    injected("publications read through", times=PUBLICATIONS)
    folder = tmp_path / "published"
    session.execute("create table currencies (currency varchar, is_reporting boolean)")
    publish_number(session, 1, folder)
    readers = {
        how: subprocess.Popen(
            [sys.executable, "-c", READER, str(folder), how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for how in ("a connection per read", "one connection", "parquet")
    }
    for reader in readers.values():
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
    for number in range(2, PUBLICATIONS + 2):
        publish_number(session, number, folder)
    (tmp_path / "finished").touch()
    seen = {}
    for how, reader in readers.items():
        out, err = reader.communicate()
        assert reader.returncode == 0, f"{how}: {err}"
        rows = json.loads(out)["seen"]
        numbers = [row[0] for row in rows]
        assert rows == [[number] * 4 + [ROWS] for number in numbers], f"{how}: a torn read"
        assert numbers == sorted(numbers), f"{how}: an older publication after a newer one"
        seen[how] = numbers
    assert seen["one connection"] == [1]
    assert len(seen["a connection per read"]) > 1
    assert len(seen["parquet"]) > 1
