"""Delta and Iceberg tables that workers read by data file: the same rows, lines and records as in one process.

Spark is played by a second DuckDB, and the code of the workers runs in this process; test_spark_sources.py has real
workers.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clv_pipeline.errors import SourceError
from clv_pipeline.privacy.register import Register
from clv_pipeline.sources.far import FarTable
from clv_pipeline.sources.lake_rows import FirstRows
from clv_pipeline.sources.lakehouse import open_snapshot
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.acceptance.lake_servers import BUCKET, s3_server
from clv_pipeline_tests.acceptance.lake_tables import (
    CATALOG_SECRET,
    COLUMNS,
    STORAGE_SECRET,
    Delta,
    Iceberg,
    libraries,
    mark_as_deleted,
    orders,
)
from clv_pipeline_tests.helpers.both_engines import Both
from clv_pipeline_tests.helpers.shop_files import transactions
from clv_pipeline_tests.helpers.spark_by_duckdb import Storage, warehouse

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module", autouse=True)
def _libraries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with libraries(tmp_path_factory.mktemp("catalog")):
        yield


@pytest.fixture(autouse=True)
def everything_is_built_by_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.orchestration.assets.ingestion.built_by", lambda *_: True)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    here = Warehouse(tmp_path / "here" / "clv.duckdb", [tmp_path])
    there = warehouse(tmp_path / "there" / "clv.duckdb", Storage(), tmp_path)
    for session in (here.open("test"), there.open("test")):
        session.execute("create schema if not exists gate")
    yield Both(tmp_path, here.open("test"), there.open("test"))
    here.close()
    there.close()


@pytest.fixture(params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = Delta(tmp_path) if request.param == "delta" else Iceberg(tmp_path)
    yield made
    made.con.close()


def asked(lake: Any, **more: Any) -> dict[str, Any]:
    return {"path": [], "table": lake.table, "columns": COLUMNS, **more}


def test_what_is_written_night_by_night_gives_the_same_rows_lines_and_records(
    both: Both, lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clv_pipeline.spark.session.SessionOnSpark._upload", None)  # nothing is sent from here
    for days in ((1, 2), (3,), (4, 5, 6)):
        lake.write(orders(*days))
    _, there = both.require_same(**asked(lake))
    assert (there.why_here, there.is_whole, [file.rows for file in there.files]) == ("", True, [6])
    lines = both.there.ask("select source_line from raw_transactions order by source_line")
    assert [line for (line,) in lines] == [1, 2, 3, 4, 5, 6]
    _, there = both.require_same(**asked(lake))
    assert there.read == []
    lake.write(orders(7))
    lake.write(orders(8, 9))
    _, there = both.require_same(**asked(lake))
    assert (there.why_here, there.is_whole, [file.rows for file in there.files]) == ("", False, [6, 3])
    lake.delete("paid = 5")
    _, there = both.require_same(**asked(lake))
    assert (there.why_here, there.is_whole, [file.rows for file in there.files]) == ("", True, [8])
    both.require_same(full=True, **asked(lake))


def test_workers_get_the_secrets_of_an_iceberg_tables_storage_and_none_of_its_catalog(tmp_path: Path) -> None:
    lake = Iceberg(tmp_path)
    lake.write(orders(1))
    table = transactions(COLUMNS, table=lake.table).table
    assert table is not None
    sent = pickle.dumps(open_snapshot(table, tmp_path).whole().plan().parts)
    assert STORAGE_SECRET.encode() in sent
    assert CATALOG_SECRET.encode() not in sent
    assert b"sqlite" not in sent


def test_a_table_whose_catalog_signs_every_request_is_read_by_the_runs_process(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Iceberg(tmp_path)
    lake.write(orders(1))
    monkeypatch.setattr("clv_pipeline.sources.iceberg.S3_SIGNER", "s3.secret-access-key")
    _, there = both.require_same(**asked(lake))
    assert there.why_here == "its catalog signs every request for a file"


def test_types_arrive_as_they_are(both: Both, lake: Any) -> None:
    import datetime as dt

    at = [dt.datetime(2024, 1, day, 23, 30, tzinfo=dt.UTC) for day in (1, 2)]
    rows = pa.table(
        {
            "who": pa.array([4711, None], pa.int64()),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "paid": pa.array([Decimal("12.34"), None], pa.decimal128(10, 2)),
            "more": pa.array([{"a": [1, 2]}, None]),
        }
    )
    lake.write(rows)
    lake.write(rows)
    _, there = both.require_same(**asked(lake, columns={**COLUMNS, "details": "more", "written": "at"}))
    assert there.why_here == ""


def test_a_column_that_came_later_expressions_and_conditions(both: Both, lake: Any) -> None:
    lake.write(orders(1))
    lake.write_with_note(orders(2, note=["new"]))
    columns = {**COLUMNS, "note": "note", "amount": {"sql": "paid * 2"}}
    _, there = both.require_same(**asked(lake, columns=columns, where="paid > 1"))
    assert there.why_here == ""


def test_dates_are_judged_by_the_first_rows_and_then_by_all(both: Both, lake: Any) -> None:
    many = [f"{1 + n % 12:02}/03/2024" for n in range(700)]
    for dates in (many, many, [*many, "28/03/2024"]):
        columns = {"who": ["ann"] * len(dates), "at": dates, "paid": [1.0] * len(dates)}
        lake.write(pa.table(columns))
    _, there = both.require_same(**asked(lake))
    assert "%d/%m/%Y" in there.files[0].conventions
    assert there.why_here == ""


def test_forgotten_customers_are_emptied_by_the_workers(both: Both, lake: Any) -> None:
    lake.write(orders(1, 2))
    lake.write(orders(3))
    Register(both.folder / "privacy").request("run", ["c1", "c3"])
    _, there = both.require_same(**asked(lake))
    assert there.suppressed == 2


def test_what_is_wrong_with_a_table_is_told_in_the_same_words(both: Both, lake: Any) -> None:
    lake.write(orders(1, 2))
    for columns in ({**COLUMNS, "customer_id": "customer"}, {"customer_id": "who", "ordered_at": "at"}):
        said = []
        for session in (both.here, both.there):
            with pytest.raises(SourceError) as error:
                both.load(session, **asked(lake, columns=columns))
            said.append(str(error.value))
        assert said[1] == said[0]


def test_whether_a_column_is_money_is_judged_by_the_first_rows_alone(both: Both, lake: Any) -> None:
    lake.write(pa.table({"who": ["ann"], "at": ["2024-01-01"], "paid": ["no"]}))
    lake.write(pa.table({"who": ["bob"] * 2_000, "at": ["2024-01-02"] * 2_000, "paid": ["7"] * 2_000}))
    # In the order of their names, either data file may be the first.
    columns = {"customer_id": "who", "ordered_at": "at"}
    said = []
    for session in (both.here, both.there):
        try:
            said.append(both.load(session, **asked(lake, columns=columns)).why_here)
        except SourceError as error:
            said.append(str(error))
    assert said[1] == said[0]


def test_a_worker_that_cannot_read_a_data_file_is_told_with_its_name(
    both: Both, lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.write(orders(1, 2))
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    for file in _data_files(lake):
        file.unlink()
    with pytest.raises(SourceError, match=r"the table cannot be read by the worker on node7 .*; mount its folder at"):
        both.load(both.there, **asked(lake))


def test_rows_that_are_read_and_not_written_are_told(both: Both, lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write(orders(1, 2))
    ask = type(both.there).ask

    def losing(session: Any, query: str, *given: Any) -> Any:
        found = ask(session, query, *given)
        return [(source, rows - 1) for source, rows in found] if "AS written" in query else found

    monkeypatch.setattr(type(both.there), "ask", losing)
    with pytest.raises(SourceError, match="workers read 2 rows, and 1 of them were written; run again"):
        both.load(both.there, **asked(lake))


def test_a_data_file_with_other_rows_than_the_snapshot_says_is_told(
    both: Both, lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.write(orders(1, 2))
    monkeypatch.setattr(FarTable, "_lengths", lambda *_: [3])
    with pytest.raises(SourceError, match="a data file has 2 rows, and 3 by the snapshot"):
        both.load(both.there, **asked(lake))


def test_a_table_that_fills_down_is_read_here_and_that_is_said(both: Both, lake: Any) -> None:
    lake.write(orders(1, 2))
    _, there = both.require_same(**asked(lake, fill_down={"by": "who", "columns": ["paid"]}))
    assert there.why_here == "fill_down fills from one data file into the next"


def test_delta_partitions_and_odd_names_are_read(both: Both, tmp_path: Path) -> None:
    delta = Delta(tmp_path)
    towns = ["Köln am Rhein", "a=b/c d%20e"]
    delta.write(orders(1, 2, town=towns), partition_by=["town"])
    delta.write(orders(3, town=[None]), partition_by=["town"])
    _, there = both.require_same(**asked(delta, columns={**COLUMNS, "town": "town"}))
    assert there.why_here == ""
    found = both.there.ask("select attributes ->> 'town' from raw_transactions order by amount")
    assert [town for (town,) in found] == [*towns, None]


def test_a_delta_table_in_a_bucket(both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deltalake import write_deltalake

    with s3_server(tmp_path) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        table = {"format": "delta", "path": f"s3://{BUCKET}/orders"}
        for days in ((1, 2), (3,)):
            write_deltalake(table["path"], orders(*days), mode="append")
            _, there = both.require_same(path=[], table=table, columns=COLUMNS)
            assert there.why_here == ""
        assert [file.rows for file in there.files] == [2, 1]


def test_delta_rows_that_are_marked_as_deleted_are_read_here_and_that_is_said(both: Both, tmp_path: Path) -> None:
    delta = Delta(tmp_path)
    delta.write(orders(1, 2, 3, 4))
    mark_as_deleted(tmp_path / "orders", 1, 3)
    _, there = both.require_same(**asked(delta))
    assert there.why_here == "deltalake reads a table with marked rows or renamed columns only as a whole"


def test_iceberg_rows_that_are_marked_as_deleted_are_left_out_by_the_workers(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    iceberg = Iceberg(tmp_path)
    iceberg.write(orders(1, 2, 3, 4))
    iceberg.write(orders(5, 6))
    _mark_as_deleted(tmp_path, monkeypatch, 0, 2)
    _, there = both.require_same(**asked(iceberg))
    assert (there.why_here, [file.rows for file in there.files]) == ("", [4])
    lines = both.there.ask("select source_line from raw_transactions order by source_line")
    assert [line for (line,) in lines] == [1, 2, 3, 4]


def test_the_first_rows_are_read_no_further() -> None:
    class Part:
        bytes, rows = 1, None

        def read(self, _: Any) -> pa.RecordBatchReader:
            table = pa.table({"a": list(range(4))})
            return table.to_reader(max_chunksize=3)

    def of(parts: int, most: int) -> list[int]:
        found: list[int] = FirstRows([Part()] * parts, most).read(["a"]).read_all()["a"].to_pylist()
        return found

    assert of(1, 2) == [0, 1]
    assert of(3, 9) == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert of(2, 100) == [0, 1, 2, 3] * 2


def _data_files(lake: Any) -> list[Path]:
    if isinstance(lake, Delta):
        return list((lake.folder / "orders").glob("*.parquet"))
    location = lake.catalog.load_table(lake.table["name"]).location().removeprefix("file://")
    return list(Path(location).rglob("data/*.parquet"))


def _mark_as_deleted(folder: Path, patch: pytest.MonkeyPatch, *positions: int) -> None:
    """Plan a file of deleted positions beside the data file of four rows, as other writers do; no writer here does."""
    import pyarrow.parquet as pq
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.table import DataScan, FileScanTask
    from pyiceberg.typedef import Record

    planned, path = DataScan.plan_files, folder / "deletes.parquet"

    def with_deletes(scan: Any) -> list[FileScanTask]:
        tasks = list(planned(scan))
        [data] = [task.file for task in tasks if task.file.record_count == 4]
        pq.write_table(pa.table({"file_path": [data.file_path] * len(positions), "pos": list(positions)}), path)
        deletes = DataFile.from_args(
            content=DataFileContent.POSITION_DELETES,
            file_path=path.as_uri(),
            file_format=FileFormat.PARQUET,
            partition=Record(),
            record_count=len(positions),
            file_size_in_bytes=path.stat().st_size,
        )
        return [FileScanTask(data, {deletes}) if task.file == data else task for task in tasks]

    patch.setattr(DataScan, "plan_files", with_deletes)
