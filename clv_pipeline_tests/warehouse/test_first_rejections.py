"""Rejections that the file gates found are used once, and only where they are those of the live rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clv_pipeline.contracts.loader import SqlModel
from clv_pipeline.pipeline import Refresh
from clv_pipeline.warehouse import first_rejections
from clv_pipeline.warehouse.gate import content_ids
from clv_pipeline_tests.helpers.nights import MODELS
from clv_pipeline_tests.helpers.order_folder import Shop, daily, shops

REJECTED = MODELS["rejected_at_sight"]


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shops() as found:
        found.write("one.csv", *daily(1), *daily(2))
        found.write("two.csv", *daily(3))
        yield found


@pytest.fixture
def handed_on(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether rejected_at_sight was staged from what the gates had found, each time that it was built."""
    stage, seen = first_rejections.stage, []

    def noted(session: Any, contract: Any) -> bool:
        found = stage(session, contract)
        if contract.table == REJECTED.name:
            seen.append(found)
        return found

    monkeypatch.setattr(first_rejections, "stage", noted)
    return seen


def assert_as_built_now(shop: Shop) -> None:
    assert isinstance(REJECTED, SqlModel)
    live, anew = f"(from {REJECTED.name})", f"({REJECTED.sql})"
    differ = f"select count(*) from (({live} except all {anew}) union all ({anew} except all {live}))"
    assert shop.session.execute(differ).fetchall() == [(0,)]
    assert shop.session.count(REJECTED.name) > 0


def test_a_first_load_computes_its_rejections_once(shop: Shop, handed_on: list[bool]) -> None:
    shop.run()
    assert handed_on == [True]
    assert first_rejections.ROWS not in shop.session.kinds()
    assert_as_built_now(shop)


def test_a_night_with_a_new_file_computes_them_anew(shop: Shop, handed_on: list[bool]) -> None:
    shop.run()
    shop.write("three.csv", *daily(4))
    shop.run()
    shop.run(refresh=Refresh(full=True))
    assert handed_on in ([True, True], [True, False, True])
    assert_as_built_now(shop)


def test_rows_of_a_file_that_is_gone_are_no_part_of_what_is_handed_on(shop: Shop, handed_on: list[bool]) -> None:
    shop.run()
    (shop.orders / "one.csv").unlink()
    shop.run(refresh=Refresh(full=True), removed_files="keep")
    assert handed_on == [True, False]
    assert_as_built_now(shop)


def test_what_was_found_before_other_rows_went_live_is_not_used(shop: Shop) -> None:
    shop.run()
    session = shop.session
    session.execute(f'create table "{first_rejections.ROWS}" as from {REJECTED.name}')
    first_rejections.keep(session)
    # The load was refused: what is live is what was live before.
    assert not first_rejections.stage(session, REJECTED.contract)
    first_rejections.forget(session)
    assert first_rejections.ROWS not in session.kinds()
    assert content_ids(session, ["raw_transactions"])
