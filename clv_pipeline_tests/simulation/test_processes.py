"""The choices of a shop: when customers come back and leave by each process, and that any goes with any spend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from clv_pipeline.simulation import Story, simulate_shop
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import BgNbdProcess, Lives, ParetoNbdProcess, Process, Repeats
from clv_pipeline.simulation.purchases import NO_SEASON, Floats
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline.simulation.spend import GammaGammaSpend, LognormalSpend, Spend

MANY = 20_000
PROCESSES: list[Process] = [BgNbdProcess(), ParetoNbdProcess()]
SPENDS: list[Spend] = [GammaGammaSpend(), LognormalSpend()]


def within_100_days(daily_rate: Floats, leave_probability: float, seed: int) -> Repeats:
    """Repeats of BG/NBD customers who all first bought at the opening."""
    leaving = np.full(len(daily_rate), leave_probability)
    lives = Lives(7.0 * daily_rate, np.ones_like(leaving), leaving, np.full_like(leaving, np.inf))
    rng = np.random.default_rng(seed)
    return BgNbdProcess().repeats(rng, lives, np.zeros(len(daily_rate)), NO_SEASON, 100)


def counts(repeats: Repeats) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.bincount(repeats.customer, minlength=len(repeats.left))


@pytest.mark.parametrize("process", PROCESSES)
def test_repeats_come_in_order_after_the_first_purchase_and_before_the_customer_leaves(process: Process) -> None:
    rng = np.random.default_rng(1)
    first, lives = rng.uniform(0.0, 80.0, size=2_000), process.lives(rng, np.full(2_000, 3.0))
    repeats = process.repeats(rng, lives, first, NO_SEASON, 100)

    assert len(repeats.day) > 1_000
    assert (np.lexsort((repeats.day, repeats.customer)) == np.arange(len(repeats.day))).all()
    assert (repeats.day > first[repeats.customer]).all()
    assert (repeats.day <= repeats.active_until[repeats.customer]).all()
    assert (repeats.active_until[~repeats.left] == 100.0).all()
    assert (repeats.active_until[repeats.left] < 100.0).all()
    assert 0.1 < repeats.left.mean() < 0.9


def test_who_always_leaves_after_a_repeat_buys_once_more_at_most() -> None:
    repeats = within_100_days(np.full(MANY, 0.01), 1.0, seed=2)
    assert counts(repeats).max() == 1
    assert (repeats.left == (counts(repeats) == 1)).all()
    # Whoever has come back by then: 1 - exp(-1).
    assert counts(repeats).mean() == pytest.approx(-np.expm1(-1.0), abs=0.015)


def test_who_never_leaves_buys_at_their_own_rate() -> None:
    repeats = within_100_days(np.repeat([0.01, 0.03], MANY), 0.0, seed=3)
    bought = counts(repeats)
    assert not repeats.left.any()
    for some, mean in ((bought[:MANY], 1.0), (bought[MANY:], 3.0)):
        assert some.mean() == pytest.approx(mean, rel=0.04)
        assert some.var() == pytest.approx(mean, rel=0.06)
    assert repeats.day.mean() == pytest.approx(50.0, rel=0.02)


def test_leaving_follows_each_repeat_with_the_same_probability() -> None:
    repeats = within_100_days(np.ones(MANY), 0.25, seed=4)
    assert repeats.left.all()
    shares = np.bincount(counts(repeats))[1:5] / MANY
    np.testing.assert_allclose(shares, 0.25 * 0.75 ** np.arange(4), atol=0.015)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("spend", SPENDS)
def test_every_shop_takes_any_process_with_any_spend(process: Process, spend: Spend) -> None:
    buyers = Buyers(process, spend, season=0.4)
    shop = simulate_shop(500, Story(buyers), seed=1, days=300)
    orders = shop.transactions.group_by("order_id").agg(
        pl.col("customer_id").first(), spend=(pl.col("quantity") * pl.col("unit_price")).sum()
    )
    assert orders["customer_id"].n_unique() == 500 < orders.height
    assert process.leaving in shop.truth.columns
    said = orders.join(shop.truth, on="customer_id")["mean_spend"].sum()
    assert orders["spend"].sum() == pytest.approx(said, rel=0.1)

    seeded = SeededShop(buyers, customers=500, acquisition_days=100, later=0.0, as_of=200, days=300)
    assert seeded.transactions(1)["customer_id"].n_unique() == 500 < seeded.transactions(1).height


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: BgNbdProcess(alpha=0.0), "should be positive: alpha = 0.0"),
        (lambda: ParetoNbdProcess(alpha=0.0, regularity=0), "should be positive: alpha = 0.0, regularity = 0"),
        (lambda: ParetoNbdProcess(one_time=1.5), r"one_time should lie in \[0, 1\]"),
        (lambda: GammaGammaSpend(q=-1.0), "should be positive: q = -1.0"),
        (lambda: LognormalSpend(median=0.0), "should be positive: median = 0.0"),
        (lambda: Buyers(season=1.0), r"season should lie in \[0, 1\)"),
    ],
)
def test_impossible_customers_are_refused(made: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()
