"""kill -9 anywhere in a night: what is published stays whole, and the next run heals everything.

Eight moments here; `acceptance/test_faults_kills.py` has the rest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline_tests.faults.kills import seeded_strikes, survive
from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.faults.shop import Shop, open_shop

# The deadline is for machines that are busy with much else.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(tmp_path_factory.mktemp("faults"))


def test_a_night_killed_anywhere_leaves_the_publication_whole_and_the_next_run_heals(
    shop: Shop, tmp_path: Path, injected: Injected
) -> None:
    per_phase = {"load": 1, "build": 1, "audit": 1, "promote": 2, "publish": 2, "flip": 1}
    strikes = seeded_strikes(shop, seed=1, per_phase=per_phase)
    injected("kill -9", times=len(strikes))
    assert survive(shop, strikes, tmp_path) == 8
