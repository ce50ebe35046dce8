"""kill -9 of `clv forget` at seeded moments after its request: the next run leaves no byte of the person anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline_tests.faults.record import Injected
from clv_pipeline_tests.faults.stopped_erasure import ShopOfPerson, open_shop, survive

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3_600)]

FAULT = "kill -9 of an erasure"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ShopOfPerson:
    return open_shop(tmp_path_factory.mktemp("erasure"))


def test_whoever_was_to_be_forgotten_is_nowhere_after_the_next_run(
    shop: ShopOfPerson, tmp_path: Path, injected: Injected
) -> None:
    moments = shop.moments(2, seed=1)
    injected(FAULT, times=len(moments))
    assert [found for moment in moments for found in survive(shop, moment, tmp_path / str(moment.number))] == []


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(20))
def test_whoever_was_to_be_forgotten_is_nowhere_wherever_the_erasure_was_killed(
    shop: ShopOfPerson, tmp_path: Path, injected: Injected, seed: int
) -> None:
    injected(FAULT)
    [moment] = shop.moments(20, seed=2)[seed : seed + 1]
    assert survive(shop, moment, tmp_path / "shop") == []
