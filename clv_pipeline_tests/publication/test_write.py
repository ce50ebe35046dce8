"""Publications are immutable, verified, and switched in one step."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clv_pipeline.contracts import Contract
from clv_pipeline.errors import PublicationError
from clv_pipeline.publication.write import publish
from clv_pipeline.warehouse import Session, admit
from clv_pipeline.warehouse.duckdb_engine import fingerprint
from clv_pipeline_tests.helpers.gates import contract
from clv_pipeline_tests.helpers.publications import fill, put_out, read


def test_a_version_stays_served_until_a_table_changes(session: Session, tmp_path: Path) -> None:
    first = put_out(session, fill(session, 1), tmp_path, "first")
    kept = put_out(session, fill(session, 1), tmp_path, "second", always=False)
    assert (kept.directory, kept.tables, kept.is_new) == (first.directory.resolve(), first.tables, False)
    assert not (tmp_path / "versions" / "second").exists()
    changed = put_out(session, fill(session, 2), tmp_path, "third", always=False)
    assert changed.is_new
    assert read(tmp_path, "select id from things") == [(2,)]


def test_a_version_holds_the_pages_that_were_made_from_it_and_one_without_is_replaced(
    session: Session, tmp_path: Path
) -> None:
    def write_report(version: Path) -> None:
        with duckdb.connect(str(version / "clv.duckdb"), read_only=True) as tables:
            (version / "report.html").write_text(str(tables.execute("select list(id) from things").fetchall()))

    def write_pages(version: Path) -> None:
        write_report(version)
        (version / "explore.html").write_text("")

    put = partial(publish, session, fill(session, 1), tmp_path, config_hash="c0ffee", keep=3)
    put(run_id="first")
    second = put(run_id="second", write_pages=write_report)
    assert second.is_new
    assert second.report.read_text() == "[([1],)]"
    third = put(run_id="third", write_pages=write_pages)
    assert third.is_new
    assert third.explore.exists()
    assert not put(run_id="fourth", write_pages=write_pages).is_new


def test_a_publication_says_which_checks_passed_and_which_warned(session: Session, tmp_path: Path) -> None:
    put_out(session, fill(session, 1), tmp_path, "first")
    [(checks,)] = read(tmp_path, "select checks from publication")
    things = next(table for table in json.loads(str(checks)) if table["table"] == "things")
    assert things["passed"] == 1 + len(contract("things").expectations)
    assert things["warnings"] == []


def test_a_served_version_that_cannot_be_read_is_replaced(session: Session, tmp_path: Path) -> None:
    contracts = fill(session, 1)
    database = put_out(session, contracts, tmp_path, "first").database
    database.write_bytes(b"x" * 5_000)
    assert put_out(session, contracts, tmp_path, "second", always=False).is_new
    assert read(tmp_path, "select id from things") == [(1,)]


def test_a_publication_holds_tables_comments_parquet_and_its_own_description(session: Session, tmp_path: Path) -> None:
    made = put_out(session, fill(session, 3, 1, 2), tmp_path, "first")
    assert made.directory == tmp_path / "versions" / "first"
    assert (tmp_path / "current").resolve() == made.directory
    assert read(tmp_path, "select id from things") == [(1,), (2,), (3,)]
    assert read(tmp_path, "select comment from duckdb_columns() where table_name = 'things'") == [
        ("An id; it's positive.",)
    ]
    [(run, as_of, config_hash, listed)] = read(
        tmp_path, "select run_id, as_of::varchar, config_hash, tables from publication"
    )
    assert (run, as_of, config_hash) == ("first", "2020-01-31", "c0ffee")
    [things] = json.loads(str(listed))
    assert things.pop("contract_hash")
    assert things.pop("content_id")
    assert things == {"table": "things", "rows": 3, "content_hash": made.tables["things"][1]}
    assert pl.read_parquet(made.directory / "parquet" / "things.parquet")["id"].to_list() == [1, 2, 3]
    assert not list(made.directory.glob("*.wal"))


def test_equal_rows_have_equal_hashes_in_any_order(session: Session, tmp_path: Path) -> None:
    first = put_out(session, fill(session, 3, 1, 2), tmp_path, "first")
    second = put_out(session, fill(session, 2, 3, 1), tmp_path, "second")
    third = put_out(session, fill(session, 2, 3, 4), tmp_path, "third")
    assert first.tables == second.tables != third.tables
    parquet = [(made.directory / "parquet" / "things.parquet").read_bytes() for made in (first, second)]
    assert parquet[0] == parquet[1]


def test_a_repeated_row_changes_the_hash(session: Session) -> None:
    prints = [fingerprint(session.connection, f"(values {rows})") for rows in ("(1), (2)", "(1), (2), (2), (2)")]
    assert prints[0][1] != prints[1][1]


def test_a_refused_publication_leaves_the_current_one_byte_for_byte(session: Session, tmp_path: Path) -> None:
    contracts = fill(session, 1)
    first = put_out(session, contracts, tmp_path, "first")
    before = first.database.read_bytes()
    failed = admit(
        session,
        [contract("things")],
        lambda s: s.stage_query(contract("things"), "select -1 as id"),
        reads=[],
        run_id="bad",
    )
    assert not failed.admitted
    with pytest.raises(PublicationError, match=r"last audit of things failed in run bad \(id_is_positive\)"):
        put_out(session, contracts, tmp_path, "second")
    assert (tmp_path / "current").resolve() == first.directory
    assert first.database.read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["first"]


def test_a_version_is_never_changed(session: Session, tmp_path: Path) -> None:
    made = put_out(session, fill(session, 1), tmp_path, "first")
    before = made.database.read_bytes()
    with pytest.raises(PublicationError, match="start a new run: a publication is never changed"):
        put_out(session, fill(session, 2, run="again"), tmp_path, "first")
    assert made.database.read_bytes() == before


def test_a_run_that_was_killed_before_the_flip_goes_on_with_its_version(session: Session, tmp_path: Path) -> None:
    put_out(session, fill(session, 1), tmp_path, "first")
    contracts = fill(session, 2, run="again")
    second = put_out(session, contracts, tmp_path, "second")
    before = second.database.read_bytes()
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("versions/first")
    assert put_out(session, contracts, tmp_path, "second") == second
    assert (tmp_path / "current").resolve() == second.directory
    assert second.database.read_bytes() == before


def test_the_last_versions_are_kept_and_leftovers_swept(session: Session, tmp_path: Path) -> None:
    contracts = fill(session, 1)
    (tmp_path / "versions" / ".killed.partial" / "parquet").mkdir(parents=True)
    (tmp_path / ".current.new").symlink_to("versions/killed")
    for run in ("first", "second", "third"):
        put_out(session, contracts, tmp_path, run, keep=2)
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["second", "third"]
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_the_order_of_publication_decides_what_is_kept_and_not_the_clock(session: Session, tmp_path: Path) -> None:
    contracts = fill(session, 1)
    put_out(session, contracts, tmp_path, "first", keep=2)
    second = put_out(session, contracts, tmp_path, "second", keep=2)
    os.utime(tmp_path / "versions" / "first", (4e9, 4e9))  # the clock was far ahead
    third = put_out(session, contracts, tmp_path, "third", keep=2)
    assert sorted((tmp_path / "versions").iterdir()) == [second.directory, third.directory]
    assert (tmp_path / "current").resolve() == third.directory


def test_a_version_from_before_versions_were_numbered_goes_first(session: Session, tmp_path: Path) -> None:
    contracts = fill(session, 1)
    (put_out(session, contracts, tmp_path, "second").directory / "number").unlink()
    first = put_out(session, contracts, tmp_path, "first", keep=2)
    third = put_out(session, contracts, tmp_path, "third", keep=2)
    assert sorted((tmp_path / "versions").iterdir()) == [first.directory, third.directory]


def test_a_reader_keeps_its_version_while_the_next_is_published(session: Session, tmp_path: Path) -> None:
    put_out(session, fill(session, 1), tmp_path, "first")
    with duckdb.connect(str(tmp_path / "current" / "clv.duckdb"), read_only=True) as reader:
        put_out(session, fill(session, 2), tmp_path, "second")
        assert reader.execute("select id from things").fetchall() == [(1,)]
    assert read(tmp_path, "select id from things") == [(2,)]


def test_a_damaged_copy_is_noticed_before_it_is_served(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = put_out(session, fill(session, 1), tmp_path, "first")
    from clv_pipeline.publication import write as publication

    write = publication._write

    def write_and_lose_a_row(*arguments: object) -> object:
        tables = write(*arguments)  # type: ignore[arg-type]
        with duckdb.connect(str(arguments[4] / "clv.duckdb")) as file:  # type: ignore[operator]
            file.execute("delete from things")
        return tables

    monkeypatch.setattr(publication, "_write", write_and_lose_a_row)
    with pytest.raises(PublicationError, match="things reads back as"):
        put_out(session, fill(session, 2, run="again"), tmp_path, "second")
    assert (tmp_path / "current").resolve() == first.directory


def admitted_with_key(session: Session, things: Contract, *ids: int) -> Contract:
    """The contract with a check that holds `id` to be unique, and the table filled with these."""
    first, *_ = things.expectations
    unique = first.model_copy(
        update={"name": "id_unique", "type": "expect_column_values_to_be_unique", "kwargs": {"column": "id"}}
    )
    keyed = things.model_copy(update={"expectations": [*things.expectations, unique]})
    rows = ", ".join(f"({number})" for number in ids)
    query = f"from (values {rows}) as t(id)"
    assert admit(session, [keyed], lambda s: s.stage_query(keyed, query), reads=[], run_id="keyed").admitted
    return keyed


def test_keys_and_what_a_check_holds_are_constraints_of_the_file(session: Session, tmp_path: Path) -> None:
    things, publication = fill(session, 3, 1)
    keyed = admitted_with_key(session, things, 3, 1)
    put_out(session, [keyed, publication], tmp_path, "first")
    assert read(tmp_path, "select constraint_type, constraint_column_names from duckdb_constraints() order by 1") == [
        ("NOT NULL", ["id"]),
        ("PRIMARY KEY", ["id"]),
    ]


def test_rows_that_share_a_key_in_spite_of_the_contract_are_told(session: Session, tmp_path: Path) -> None:
    things, publication = fill(session, 1)
    keyed = admitted_with_key(session, things, 1, 2)
    session.execute("insert into things values (1)")
    with pytest.raises(PublicationError, match="things has rows that share a key"):
        put_out(session, [keyed, publication], tmp_path, "first")
    assert not list((tmp_path / "versions").iterdir())


def test_a_view_is_a_view_of_the_files_own_tables_and_a_file_of_parquet(session: Session, tmp_path: Path) -> None:
    things, publication = fill(session, 3, 1)
    old = things.model_copy(update={"table": "old_things", "materialized": "view"})
    select = "select id from things"
    assert admit(session, [old], lambda s: s.stage_query(old, select), reads=[], run_id="old").admitted
    made = publish(
        session,
        [old, things, publication],
        tmp_path,
        run_id="first",
        config_hash="c0ffee",
        keep=3,
        views={"old_things": select},
    )
    assert read(tmp_path, "select view_name from duckdb_views() where not internal") == [("old_things",)]
    assert read(tmp_path, "select id from old_things order by id") == [(1,), (3,)]
    assert made.tables["old_things"] == made.tables["things"]
    assert pl.read_parquet(made.directory / "parquet" / "old_things.parquet")["id"].sort().to_list() == [1, 3]


def test_what_one_file_is_too_small_for_stays_in_the_catalog_with_its_views(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    things, publication = fill(session, 3, 1)
    old = things.model_copy(update={"table": "old_things", "materialized": "view"})
    few = things.model_copy(update={"table": "few_things"})
    select = "select id from things"
    assert admit(session, [old], lambda s: s.stage_query(old, select), reads=[], run_id="old").admitted
    assert admit(session, [few], lambda s: s.stage_query(few, f"{select} limit 1"), reads=[], run_id="few").admitted
    monkeypatch.setattr(Session, "most_published_rows", 1)
    made = publish(
        session,
        [few, old, things, publication],
        tmp_path,
        run_id="first",
        config_hash="c0ffee",
        keep=3,
        views={"old_things": select},
        write_pages=lambda _: pytest.fail("pages need all tables"),
    )
    assert made.left_out == ("things", "old_things")
    assert made.tables.keys() == {"few_things"}
