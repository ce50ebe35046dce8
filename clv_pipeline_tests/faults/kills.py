"""Choosing moments to kill a night at, and living through them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clv_pipeline_tests.faults.night import spend_night
from clv_pipeline_tests.faults.shop import Shop, leftovers, published
from clv_pipeline_tests.faults.strikes import Strike

DELAYS_MS = (0.2, 5.0)
"""A statement of a small shop takes about so long."""


def seeded_strikes(shop: Shop, seed: int, per_phase: Mapping[str, int]) -> list[Strike]:
    """So many moments of each phase: by turns right before an operation, and some milliseconds into it."""
    rng = random.Random(seed)  # noqa: S311
    strikes = []
    for phase, wanted in per_phase.items():
        count = shop.operations[phase]
        for turn, number in enumerate(rng.sample(range(1, count + 1), min(wanted, count))):
            strikes.append(Strike(phase, number, rng.uniform(*DELAYS_MS) if turn % 2 else None))
    return strikes


def survive(shop: Shop, strikes: Sequence[Strike], folder: Path) -> int:
    """Kill the second night of a copy of the shop at each of the moments and heal it; how many were lived through."""
    # A night waits for one core most of the time.
    with ThreadPoolExecutor(2) as two:
        return sum(two.map(lambda numbered: _survive(shop, numbered[1], folder / str(numbered[0])), enumerate(strikes)))


def _survive(shop: Shop, strike: Strike, folder: Path) -> int:
    shop.copy(folder)
    night = spend_night(folder, strike)
    assert night.killed, f"{strike}: {night}"
    assert published(folder) in (shop.before, shop.after), f"{strike}: neither the old nor the new publication"
    again = spend_night(folder)
    assert again.success, f"{strike}: {again.failure}"
    assert published(folder) == shop.after, f"{strike}: healed to something else"
    assert (found := leftovers(folder)) == [], f"{strike}: {found}"
    return 1
