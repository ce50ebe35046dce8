"""A clock that goes backwards: what came last is still what counts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from clv_pipeline.errors import PublicationError
from clv_pipeline.warehouse import Session, gate
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.helpers.gates import build
from clv_pipeline_tests.helpers.publications import fill, put_out


def test_a_failed_audit_is_not_hidden_by_an_earlier_one_that_bears_a_later_time(
    session: Session, tmp_path: Path, injected: Injected, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected("clock going backwards")
    with monkeypatch.context() as ahead:
        ahead.setattr(gate, "_utc_now", lambda: datetime(2099, 1, 1))
        contracts = fill(session, 1)
    assert not build(session, -1, "things", run="after the clock was set right")
    with pytest.raises(PublicationError, match="last audit of things failed in run after the clock was set right"):
        put_out(session, contracts, tmp_path, "first")


def test_a_passed_audit_counts_although_a_failed_one_bears_a_later_time(
    session: Session, tmp_path: Path, injected: Injected, monkeypatch: pytest.MonkeyPatch
) -> None:
    injected("clock going backwards")
    with monkeypatch.context() as ahead:
        ahead.setattr(gate, "_utc_now", lambda: datetime(2099, 1, 1))
        assert not build(session, -1, "things")
    contracts = fill(session, 1)
    assert put_out(session, contracts, tmp_path, "first").tables["things"][0] == 1
