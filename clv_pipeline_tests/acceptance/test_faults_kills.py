"""kill -9 at fifty-six seeded moments of a night: before and in the middle of operations of every phase."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline_tests.faults.kills import seeded_strikes, survive
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.faults.shop import Shop, open_shop

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1800)]

PER_PHASE = {"load": 11, "build": 11, "audit": 4, "promote": 13, "publish": 13, "flip": 3, "close": 1}
"""The flip has these three operations."""

AT_NIGHT = {"build", "audit", "publish"}
"""Phases that are tried every night and not every time; `clv_pipeline_tests/faults` kills in each of them."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("faults"))


@pytest.mark.parametrize(
    "phase",
    [pytest.param(phase, marks=pytest.mark.nightly) if phase in AT_NIGHT else phase for phase in PER_PHASE],
)
def test_a_night_killed_anywhere_leaves_the_publication_whole_and_the_next_run_heals(
    shop: Shop, tmp_path: Path, injected: Injected, phase: str
) -> None:
    strikes = seeded_strikes(shop, seed=2, per_phase={phase: PER_PHASE[phase]})
    injected("kill -9", times=len(strikes))
    assert survive(shop, strikes, tmp_path) == PER_PHASE[phase]
