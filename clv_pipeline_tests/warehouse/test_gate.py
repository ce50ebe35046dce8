"""Write → audit → promote: what fails its audit never becomes live, and leaves everything as it was."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from clv_pipeline.contracts import Column
from clv_pipeline.errors import GateError, WarehouseBusyError
from clv_pipeline.warehouse import Session, Warehouse, admit, unchanged
from clv_pipeline.warehouse.gate import reasons_against_publishing, record_changes, versions_of
from clv_pipeline_tests.helpers.gates import build, contract


def live(session: Session, table: str) -> list[int]:
    return session.read(f"select id from {table}")["id"].to_list()


def tables(session: Session) -> list[str]:
    return session.read("select table_name from duckdb_tables() where schema_name = 'main' order by 1")[
        "table_name"
    ].to_list()


def test_a_table_that_passes_becomes_live_with_its_comments(session: Session) -> None:
    assert build(session, 7, "things")
    assert live(session, "things") == [7]
    assert tables(session) == ["things"]
    comments = session.read(
        "select comment from duckdb_tables() where table_name = 'things'"
        " union all select comment from duckdb_columns() where table_name = 'things'"
    )["comment"].to_list()
    assert comments == ["The things, with a quote ' in it. Grain: id.", "An id; it's positive."]


def test_a_table_that_fails_leaves_the_last_good_one_and_no_leftovers(session: Session) -> None:
    assert build(session, 7, "things")
    assert not build(session, -1, "things")
    assert live(session, "things") == [7]
    assert tables(session) == ["things"]


def test_a_failed_warning_lets_the_table_in(session: Session) -> None:
    warned = contract("things", severity="warning")
    admission = admit(
        session, [warned], lambda s: s.stage_query(contract("things"), "select -1 as id"), reads=[], run_id="run"
    )
    assert admission.admitted
    assert [result.passed for result in admission.results["things"]] == [True, False]


def test_tables_of_one_step_stand_or_fall_together(session: Session) -> None:
    assert build(session, 1, "left_table", "right_table")

    def stage(staging: Session) -> None:
        staging.stage_query(contract("left_table"), "select 2 as id")
        staging.stage_query(contract("right_table"), "select -2 as id")

    pair = [contract("left_table"), contract("right_table")]
    assert not admit(session, pair, stage, reads=[], run_id="second").admitted
    assert live(session, "left_table") == [1]


def test_a_build_that_raises_leaves_the_last_good_table(session: Session) -> None:
    assert build(session, 7, "things")

    def stage(staging: Session) -> None:
        staging.stage_query(contract("things"), "select 8 as id")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        admit(session, [contract("things")], stage, reads=[], run_id="second")
    assert live(session, "things") == [7]
    assert build(session, 9, "things")
    assert tables(session) == ["things"]


def test_only_what_was_promoted_may_be_published(session: Session) -> None:
    [reason] = reasons_against_publishing(session, [contract("things")])
    assert "things was never promoted" in reason
    assert build(session, 7, "things")
    assert reasons_against_publishing(session, [contract("things")]) == []


def test_a_failed_audit_forbids_publishing_until_it_is_mended(session: Session) -> None:
    assert build(session, 7, "things")
    assert not build(session, -1, "things", run="bad night")
    [reason] = reasons_against_publishing(session, [contract("things")])
    assert "bad night" in reason
    assert "id_is_positive" in reason
    assert build(session, 8, "things")
    assert reasons_against_publishing(session, [contract("things")]) == []


def test_a_table_that_waits_for_another_is_not_built_after_its_failed_audit(session: Session) -> None:
    waiting = contract("derived").model_copy(update={"waits_for": ["things"]})

    def admitted(reads: tuple[str, ...] = ()) -> bool:
        stage = lambda staging: staging.stage_query(waiting, "select 1 as id")  # noqa: E731
        return admit(session, [waiting], stage, reads=reads, run_id="run").admitted

    assert build(session, 7, "things")
    assert admitted()
    assert not build(session, -1, "things", run="bad night")
    with pytest.raises(GateError, match="the last audit of things failed in run bad night"):
        admitted()
    with pytest.raises(GateError, match="things"):
        unchanged(session, [waiting], ["things"], "")
    # Waiting is not reading: a new version of what it waits for does not make it old.
    assert build(session, 8, "things")
    assert reasons_against_publishing(session, [waiting]) == []


def test_a_table_is_not_built_from_one_that_was_never_built(session: Session) -> None:
    with pytest.raises(GateError, match="things was never built; materialize it, or run everything"):
        build(session, 1, "sums", reads=("things",))
    assert tables(session) == []


def test_a_table_older_than_its_source_is_not_published(session: Session) -> None:
    assert build(session, 1, "source", run="first")
    assert build(session, 1, "derived", run="first", reads=("source",))
    assert build(session, 2, "source", run="second")
    [reason] = reasons_against_publishing(session, [contract("derived")])
    assert "derived is older than source" in reason
    assert reasons_against_publishing(session, [contract("derived")], may_lag=["derived"]) == []
    assert build(session, 2, "derived", run="second", reads=("source",))
    assert reasons_against_publishing(session, [contract("derived")]) == []


def test_a_table_that_reads_none_is_always_built(session: Session) -> None:
    """What it depends on is outside of the warehouse, where nothing tells that it has not changed."""
    assert build(session, 1, "source")
    assert build(session, 1, "derived", reads=("source",))
    assert unchanged(session, [contract("derived")], ["source"], recipe="") is not None
    assert unchanged(session, [contract("source")], [], recipe="") is None


def test_a_step_that_is_kept_asks_the_warehouse_nothing_that_an_earlier_step_has_asked(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(session, 1, "source")
    assert build(session, 1, "derived", reads=("source",))
    kept = unchanged(session, [contract("derived")], ["source"], recipe="")
    assert kept is not None
    with monkeypatch.context() as patch:
        patch.setattr(session, "execute", lambda *_: pytest.fail("the warehouse was asked"))
        assert unchanged(session, [contract("derived")], ["source"], recipe="") == kept
    assert build(session, 2, "source")
    assert unchanged(session, [contract("derived")], ["source"], recipe="") is None


def test_tables_changed_in_place_have_another_version_unless_that_is_undone(session: Session) -> None:
    assert build(session, 7, "things")
    first = versions_of(session, ["things"])
    session.execute("begin transaction")
    record_changes(session, ["things"], "erasure")
    session.execute("rollback")
    assert versions_of(session, ["things"]) == first
    record_changes(session, ["things"], "erasure")
    assert versions_of(session, ["things"]) != first


def test_a_changed_contract_asks_for_a_new_audit(session: Session) -> None:
    assert build(session, 7, "things")
    [reason] = reasons_against_publishing(session, [contract("things", severity="warning")])
    assert "another version of its contract" in reason


def test_frames_are_staged_by_name_and_declared_type(session: Session) -> None:
    two = contract("things").model_copy(
        update={
            "columns": [
                Column(name="id", type="INTEGER", description="Id."),
                Column(name="amount", type="DECIMAL(18,4)", description="Amount."),
            ]
        }
    )
    session.stage_frame(two, pl.DataFrame({"amount": [1.5], "id": [7]}))
    assert session.read("select id, amount::varchar as amount from things__staged").row(0) == (7, "1.5000")
    with pytest.raises(ValueError, match="things: columns"):
        session.stage_frame(two, pl.DataFrame({"id": [7]}))


def _try_to_open(path: Path) -> str:
    try:
        Warehouse(path).open("the second")
    except WarehouseBusyError as error:
        return str(error)
    return "opened"


def test_a_second_process_is_told_who_holds_the_warehouse(warehouse: Warehouse) -> None:
    warehouse.open("run 42")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        said = other.submit(_try_to_open, warehouse.path).result()
    assert "run 42" in said
    assert "process" in said
    warehouse.close()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        assert other.submit(_try_to_open, warehouse.path).result() == "opened"


def test_what_a_killed_run_had_staged_is_gone_when_the_next_one_opens_the_warehouse(warehouse: Warehouse) -> None:
    session = warehouse.open("killed")
    assert build(session, 7, "things")
    session.execute("create table things__added as select 8 as id")
    session.execute("create view things__staged as from things union all from things__added")
    warehouse.close()
    assert tables(warehouse.open("next")) == ["things"]
    assert warehouse.open("next").execute("select view_name from duckdb_views() where not internal").fetchall() == []
