"""The rejections of a whole load, computed once: the file gates need them first, and rejected_at_sight soon after.

The gates judge files before their rows go live, and so they run the query of rejected_at_sight on the new rows. If
these rows become the whole of raw_transactions, the table that is built later in the same session would be the same.
Here belongs when that is so. Rows are changed in place only by an erasure, which has a session of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse.duckdb_engine import Session, added_name, staged_name
from clv_pipeline.warehouse.gate import content_ids

if TYPE_CHECKING:
    from clv_pipeline.contracts import Contract

ROWS = added_name("first_rejections")
"""The table that holds them until they are staged. Named as what a killed run leaves behind, it is dropped as such."""

_OF, _LOADED = "rejected_at_sight", "raw_transactions"
_SETTINGS = ("parameters", "run_day", "currency_settings", "currency_rates")
"""What decides about rejections beside the rows and the names of their files."""


@dataclass(frozen=True)
class _Inputs:
    settings: Mapping[str, str]
    """Content ids of `_SETTINGS`."""
    replaced: str | None
    """Content id of raw_transactions before the load; None if there was none."""


_KEPT: WeakKeyDictionary[Session, _Inputs] = WeakKeyDictionary()


def keep(session: Session) -> None:
    """Remember that `ROWS` holds the rejections of the rows that are staged as the whole of raw_transactions."""
    _KEPT[session] = _Inputs(content_ids(session, _SETTINGS), content_ids(session, [_LOADED]).get(_LOADED))


def stage(session: Session, contract: Contract) -> bool:
    """Stage the contract's table from what is kept; False if that is not what the table would be if built now.

    After a load that was refused it is not, because the live rows are still those from before it.
    """
    inputs = _KEPT.get(session) if contract.table == _OF else None
    if inputs is None or inputs.settings != content_ids(session, _SETTINGS):
        return False
    if content_ids(session, [_LOADED])[_LOADED] == inputs.replaced:
        return False
    del _KEPT[session]
    session.execute(f"alter table {quote_identifier(ROWS)} rename to {quote_identifier(staged_name(contract.table))}")
    return True


def forget(session: Session) -> None:
    """Drop what is kept: other rows are loaded."""
    if _KEPT.pop(session, None) is not None:
        session.execute(f"drop table {quote_identifier(ROWS)}")
