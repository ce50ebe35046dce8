"""Files that workers read: the same rows, numbers, rejects and records as when DuckDB reads them here.

Spark is played by a second DuckDB, and the code of the workers runs in this process; acceptance/test_spark_sources.py
has real workers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clv_pipeline.database import connections
from clv_pipeline.errors import SourceError
from clv_pipeline.privacy.register import Register
from clv_pipeline.sources import far, worker
from clv_pipeline.sources.files import SourceFile
from clv_pipeline.sources.worker import FarFile
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.both_engines import Both
from clv_pipeline_tests.helpers.odd_files import write_odd_files
from clv_pipeline_tests.helpers.order_folder import COLUMNS, HEADER, line
from clv_pipeline_tests.helpers.parquet_files import write_parquet_files
from clv_pipeline_tests.helpers.spark_by_duckdb import Storage, warehouse


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture(autouse=True)
def everything_is_built_by_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.orchestration.assets.ingestion.built_by", lambda *_: True)
    # Else what is remembered of a file would depend on how soon it is read.
    monkeypatch.setattr("clv_pipeline.sources.files._SECONDS_TO_SETTLE", -1)


@pytest.fixture
def both(tmp_path: Path, storage: Storage) -> Iterator[Both]:
    (tmp_path / "orders").mkdir()
    here = Warehouse(tmp_path / "here" / "clv.duckdb", [tmp_path])
    there = warehouse(tmp_path / "there" / "clv.duckdb", storage, tmp_path)
    for session in (here.open("test"), there.open("test")):
        session.execute("create schema if not exists gate")
    yield Both(tmp_path, here.open("test"), there.open("test"))
    here.close()
    there.close()


def test_odd_files_give_the_same_rows_numbers_and_rejects(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    write_odd_files(both.orders)
    monkeypatch.setattr("clv_pipeline.spark.session.SessionOnSpark._upload", None)  # nothing is sent from here
    here, there = both.require_same()
    assert there.why_here == ""
    assert sum(file.unreadable_rows for file in there.files) > 2
    assert {file.source_file: file.rows for file in there.files}["orders/g_empty.csv"] == 0
    assert "%d/%m/%Y" in there.files[0].conventions
    assert [file.source_id for file in there.files] == [file.source_id for file in here.files]


def test_events_are_read_by_the_workers_too(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.spark.session.SessionOnSpark._upload", None)
    both.kind = "events"
    write_odd_files(both.orders)
    Register(both.folder / "privacy").request("run", ["late"])
    _, there = both.require_same()
    assert (there.why_here, there.suppressed) == ("", 1_501)
    write_parquet_files(both.orders)
    _, there = both.require_same(path=["orders/*.*", "orders/deep"])
    # Days as numbers are another form of dates: all files are read again.
    assert (there.why_here, there.is_whole, len(there.read)) == ("", True, 21)


def test_a_second_night_reads_the_new_file_only(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    write_odd_files(both.orders)
    both.require_same()
    asked: list[str] = []
    opened = worker._opened

    def noted(item: FarFile, source: Any) -> Any:
        asked.append(item.file.label)
        return opened(item, source)

    monkeypatch.setattr(worker, "_opened", noted)
    (both.orders / "z_new.csv").write_text(f"{HEADER}\n{line('new', 20)}\n")
    _, there = both.require_same()
    assert there.read == ["orders/z_new.csv"]
    assert not there.is_whole
    assert set(asked) == {"orders/z_new.csv"}


def test_changed_removed_and_doubled_files(both: Both) -> None:
    write_odd_files(both.orders)
    both.require_same()
    (both.orders / "a_plain.csv").write_text(f"{HEADER}\n{line('changed', 21)}\n")
    (both.orders / "c_western.csv").unlink()
    (both.orders / "copy_of_b.csv").write_bytes((both.orders / "b_utf16.csv").read_bytes())
    both.require_same()
    # Everything anew: the rows of the file that is gone are kept.
    _, there = both.require_same(full=True)
    assert there.is_whole
    assert [file.present for file in there.files].count(False) == 1


def test_a_file_that_changes_the_conventions_has_all_files_read_again(both: Both) -> None:
    (both.orders / "a.csv").write_text(f"{HEADER}\n{line('ann', 1)}\n")
    both.require_same()
    (both.orders / "b.csv").write_text(f"{HEADER}\nbob,1,31/03/2024,mug,1,2.00\n")
    _, there = both.require_same()
    assert len(there.read) == 2


def test_a_table_that_duckdb_still_holds_is_taken_along_when_the_engine_changes(both: Both, storage: Storage) -> None:
    path = both.folder / "one" / "clv.duckdb"
    (both.orders / "a.csv").write_text(f"{HEADER}\n{line('ann', 1)}\n")
    before = Warehouse(path, [both.folder])
    before.open("test").execute("create schema if not exists gate")
    both.load(before.open("test"))
    before.close()
    (both.orders / "b.csv").write_text(f"{HEADER}\n{line('bob', 2)}\n")
    after = warehouse(path, storage, both.folder)
    session = after.open("test")
    assert both.load(session).read == ["orders/b.csv"]
    assert session.is_elsewhere("raw_transactions")
    assert session.ask("select customer_id, source_id from raw_transactions order by source_id") == [
        ("ann", 1),
        ("bob", 2),
    ]
    after.close()


def test_forgotten_customers_are_emptied_where_their_rows_are(both: Both) -> None:
    write_odd_files(both.orders)
    Register(both.folder / "privacy").request("run", ["late", "Zoë"])
    _, there = both.require_same()
    assert there.suppressed == 1_502


def test_expressions_conditions_and_filled_fields(both: Both) -> None:
    filled = f"{HEADER}\nann,1,2024-03-01,mug,1,2.00\n,1,,hat,2,3.50\nbob,2,2024-03-02,mug,0,1.00\n"
    (both.orders / "a.csv").write_text(filled)
    columns = {**COLUMNS, "unit_price": {"sql": "price * 2"}}
    both.require_same(columns=columns, where="quantity > 0", fill_down={"by": "order", "columns": ["customer", "date"]})


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "who,what\n1,2\n", "orders/a.csv: holds none of the columns"),
        ("a.csv", "", "orders/a.csv: is empty"),
        (
            "a.csv",
            f'{HEADER}\nann,1,2024-03-01,"mug,1,2.00\n{line("x", 1)}\n',
            "a quote opened near line 2 is not closed",
        ),
        ("a.csv", f"{HEADER}\nann,1,01/02/2024,mug,1,2.00\n", "may be day first or month first"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_the_same_words(both: Both, name: str, text: str, told: str) -> None:
    (both.orders / name).write_text(text)
    said = []
    for session in (both.here, both.there):
        with pytest.raises(SourceError, match=re.escape(told)) as error:
            both.load(session)
        said.append(str(error.value))
    assert said[1] == said[0]


def test_a_worker_that_sees_no_file_or_another_one_is_told_with_its_name(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    (both.orders / "a.csv").write_text(f"{HEADER}\n{line('ann', 1)}\n")
    of = FarFile.of
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    monkeypatch.setattr(FarFile, "of", lambda file, number=0: FarFile(of(file).file, 7, number))
    with pytest.raises(SourceError, match=r"orders/a.csv: has 7 bytes here and \d+ on the worker on node7; mount the"):
        both.load(both.there)
    there = Path("/nowhere/a.csv")
    monkeypatch.setattr(
        FarFile, "of", lambda file, number=0: FarFile(type(file)(file.label, there), file.bytes, number)
    )
    with pytest.raises(SourceError, match=r"orders/a.csv: the worker on node7 cannot read it .*nowhere.*; mount the"):
        both.load(both.there)


def test_a_folder_that_workers_do_not_see_is_told_with_both_numbers(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        (both.orders / f"{number}.csv").write_text(f"{HEADER}\n{line('ann', number)}\n")

    def lost(file: SourceFile, number: int = 0) -> FarFile:
        seen = file if file.label == "orders/0.csv" else replace(file, path=Path("/nowhere/orders.csv"))
        return FarFile(seen, file.bytes, number)

    monkeypatch.setattr(FarFile, "of", lost)
    told = r"^workers do not see 3 of 4 files as they are here, such as orders/1.csv: the worker on .*; mount the same"
    with pytest.raises(SourceError, match=told):
        both.load(both.there)


def test_rows_that_are_read_and_not_written_are_told(both: Both) -> None:
    write_odd_files(both.orders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(far.FarFiles, "load", _after_losing_a_row(far.FarFiles.load))
        with pytest.raises(SourceError, match=r"a_plain.csv: workers read 200 rows, and 199 of them were written"):
            both.load(both.there)


def _after_losing_a_row(load: Any) -> Any:
    def losing(self: far.FarFiles, *given: Any, **named: Any) -> Any:
        ask = self.ask
        self.ask = lambda query: [(source, rows - (source == 1)) for source, rows in ask(query)]
        return load(self, *given, **named)

    return losing


def test_parquet_files_of_many_types_give_the_same_rows(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clv_pipeline.spark.session.SessionOnSpark._upload", None)  # nothing is sent from here
    write_parquet_files(both.orders)
    columns = {**COLUMNS, "details": "details", "written_at": "date"}
    here, there = both.require_same(columns=columns, path=["orders/*.parquet", "orders/*/*.parquet"])
    assert there.why_here == ""
    assert [file.format.partition(",")[0] for file in there.files] == ["Parquet"] * len(here.files)
    assert sum(file.unreadable_rows for file in there.files) == 0
    [(times,)] = both.there.ask("select count(*) from raw_transactions where ordered_at is not null")
    assert times == sum(file.rows for file in there.files) - 1
    (both.orders / "j_new.parquet").write_bytes((both.orders / "a_typed.parquet").read_bytes())  # a copy
    _, there = both.require_same(columns=columns, path=["orders/*.parquet", "orders/*/*.parquet"])
    assert there.read == []


def test_row_groups_of_a_large_parquet_file_are_shared_out(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet_files(both.orders)
    read = []
    opened = worker._opened

    def noted(item: FarFile, source: Any) -> Any:
        read.append((item.file.label, item.piece))
        return opened(item, source)

    monkeypatch.setattr(far, "PIECE", (both.orders / "h_long.parquet").stat().st_size // 2)
    monkeypatch.setattr(worker, "_opened", noted)
    asked = {"columns": {**COLUMNS, "details": "details"}, "path": "orders/*.parquet", "where": "quantity > 0"}
    both.require_same(**asked)
    pieces = {(label, piece) for label, piece in read if piece is not None}
    assert pieces == {
        ("orders/h_long.parquet", worker.Piece(0, 1_000, 2)),
        ("orders/h_long.parquet", worker.Piece(1_000, 500, 2)),
    }
    lines = both.there.ask("select source_line from raw_transactions where product_id = 'mug' and customer_id = 'c6'")
    assert max(line for (line,) in lines) == 1_498
    read.clear()
    both.require_same(full=True, fill_down={"by": "order", "columns": ["product"]}, **asked)
    assert {piece for _, piece in read} == {None}


@pytest.mark.parametrize(
    ("groups", "most", "pieces"),
    [
        ([10, 10, 10, 10], 2, [(0, 20), (20, 20)]),
        ([10, 10, 10], 2, [(0, 20), (20, 10)]),
        ([10, 10], 9, [(0, 10), (10, 10)]),
        ([1, 97, 1, 1], 4, [(0, 98), (98, 1), (99, 1)]),
        ([30], 3, []),
        ([], 3, []),
        ([10, 10], 1, []),
    ],
)
def test_pieces_are_of_whole_row_groups(groups: list[int], most: int, pieces: list[tuple[int, int]]) -> None:
    found = far._pieces(groups, most)
    assert [(piece.first, piece.rows) for piece in found] == pieces
    assert {piece.of for piece in found} <= {len(pieces)}


def test_times_with_a_zone_become_text_in_the_zone_of_the_run(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet_files(both.orders)
    opened, zones = connections.open_scratch, []

    def elsewhere(database: Any, folders: Any, settings: Any, time_zone: str) -> Any:
        zones.append(time_zone)
        return opened(database, folders, settings, "Asia/Tokyo")

    both.require_same(columns={**COLUMNS, "written_at": "date"}, path="orders/b_zoned.parquet")
    [(here,)] = both.there.ask("select attributes from raw_transactions order by source_line limit 1")
    monkeypatch.setattr("clv_pipeline.sources.worker.open_scratch", elsewhere)
    both.load(both.there, columns={**COLUMNS, "written_at": "date"}, path="orders/b_zoned.parquet", full=True)
    [(there,)] = both.there.ask("select attributes from raw_transactions order by source_line limit 1")
    [(zone,)] = both.here.connection.execute("select current_setting('TimeZone')").fetchall()
    assert set(zones) == {zone}
    assert there != here
    assert "+09" in there


def test_parquet_files_beside_text_are_judged_with_it(both: Both) -> None:
    write_parquet_files(both.orders)
    write_odd_files(both.orders)
    _, there = both.require_same(path=["orders/*.parquet", "orders/*.csv", "orders/*.jsonl", "orders/*.gz"])
    assert there.why_here == ""
    assert "%d/%m/%Y" in there.files[0].conventions


def test_a_damaged_parquet_file_is_told_in_the_same_words(both: Both) -> None:
    (both.orders / "a.parquet").write_bytes(b"PAR1 and no more")
    said = []
    for session in (both.here, both.there):
        with pytest.raises(SourceError, match=r"orders/a.parquet: cannot be read as Parquet") as error:
            both.load(session)
        said.append(str(error.value).replace(str(both.folder.resolve()), ""))
    assert said[1] == said[0]


@pytest.mark.parametrize("name", ["a.csv.zip", "a.xlsx"])
def test_other_kinds_of_files_are_read_here_and_that_is_said(both: Both, name: str) -> None:
    import zipfile

    import polars as pl

    (both.orders / "b.csv").write_text(f"{HEADER}\n{line('ann', 1)}\n")
    if name.endswith("zip"):
        with zipfile.ZipFile(both.orders / name, "w") as archive:
            archive.writestr("a.csv", f"{HEADER}\n{line('zip', 1)}\n")
    else:
        pl.read_csv(both.orders / "b.csv").with_columns(customer=pl.lit("xlsx")).write_excel(both.orders / name)
    _, there = both.require_same()
    assert there.why_here == f"orders/{name} is none of CSV, JSON lines and Parquet"
