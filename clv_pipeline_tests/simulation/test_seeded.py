"""Seeded shops are what they say: their processes, their acquisition, their seasons; and one seed is one shop."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import BgNbdProcess, ParetoNbdProcess
from clv_pipeline.simulation.seeded import SEEDED_SHOPS, SEEDS, SeededShop
from clv_pipeline.simulation.spend import LognormalSpend

PLAIN = SEEDED_SHOPS["plain_constant"]
COLUMNS = ["order_id", "customer_id", "ordered_at", "amount"]


@pytest.fixture(scope="module")
def plain() -> pl.DataFrame:
    return PLAIN.transactions(1)


def per_customer(transactions: pl.DataFrame) -> pl.DataFrame:
    return transactions.group_by("customer_id").agg(
        first=pl.col("ordered_at").min(), purchases=pl.len(), spend=pl.col("amount").log().mean()
    )


def day(shop: SeededShop, number: float) -> date:
    return shop.start + timedelta(days=int(number))


@pytest.mark.parametrize("name", SEEDED_SHOPS)
def test_a_shop_has_orders_of_known_customers_and_its_days_are_over(name: str) -> None:
    shop = SEEDED_SHOPS[name]
    found = shop.transactions(SEEDS[name][0])

    assert found.columns == COLUMNS
    assert found["order_id"].is_unique().all()
    assert found["ordered_at"].is_sorted()
    assert (found["amount"] >= 0.01).all()
    assert found["ordered_at"].dt.date().is_between(shop.start, day(shop, shop.days - 1)).all()
    assert day(shop, shop.days) <= date(2026, 1, 1)
    assert shop.start < shop.cutoff < day(shop, shop.days)


def test_a_seed_is_a_shop(plain: pl.DataFrame) -> None:
    assert PLAIN.transactions(1).equals(plain)
    assert not PLAIN.transactions(2).equals(plain)


def test_ten_thousand_customers_come_by_day_1000_evenly_and_then_as_many_as_stated(plain: pl.DataFrame) -> None:
    for name, expected in (("plain_constant", 1.0), ("plain_tripled", 3.0), ("plain_fifth", 0.2)):
        first = per_customer(SEEDED_SHOPS[name].transactions(3))["first"].dt.date()
        early, late = first < day(PLAIN, 1_000), first >= day(PLAIN, 1_000)
        assert early.sum() == 10_000
        assert late.sum() == pytest.approx(10_000 * expected * (PLAIN.days - 1_000) / 1_000, rel=0.01)
    half = per_customer(plain)["first"].dt.date() < day(PLAIN, 500)
    assert half.sum() == pytest.approx(5_000, rel=0.05)


@pytest.mark.parametrize("kind", ["plain", "seasonal"])
def test_what_happens_to_acquisition_changes_nothing_about_earlier_customers(kind: str) -> None:
    histories = []
    for change in ("constant", "tripled", "fifth"):
        found = SEEDED_SHOPS[f"{kind}_{change}"].transactions(4).drop("order_id")
        known = per_customer(found).filter(pl.col("first").dt.date() < day(PLAIN, 1_000)).select("customer_id")
        histories.append(found.join(known, on="customer_id", how="semi").sort(*COLUMNS[1:]))
    assert histories[0].equals(histories[1])
    assert histories[0].equals(histories[2])


def test_repeats_grow_with_age_as_pareto_nbd_says() -> None:
    buyers = ParetoNbdProcess()
    assert PLAIN.buyers.process == buyers
    shop = replace(PLAIN, customers=40_000, acquisition_days=1, later=0.0, days=365)
    found = shop.transactions(5)
    for days in (90, 365):
        weeks = days / 7
        left = (buyers.beta / (buyers.beta + weeks)) ** (buyers.s - 1.0)
        expected = buyers.r * buyers.beta / (buyers.alpha * (buyers.s - 1.0)) * (1.0 - left)
        repeats = found.filter(pl.col("ordered_at").dt.date() < day(shop, days)).height / shop.customers - 1.0
        assert repeats == pytest.approx(expected, rel=0.03)


def test_a_season_moves_purchases_by_its_amplitude_and_peaks_in_late_november() -> None:
    first = per_customer(SEEDED_SHOPS["seasonal_constant"].transactions(1))["first"].dt.date()
    months = first.filter(first < date(2024, 1, 1)).dt.month().to_numpy()
    counts = np.bincount(months, minlength=13)
    assert int(np.argmax(counts)) in (11, 12)
    assert counts[11] / counts[5] == pytest.approx(1.6 / 0.4, rel=0.25)


def test_regular_buyers_have_gaps_of_erlang() -> None:
    buyers = Buyers(ParetoNbdProcess(r=50.0, alpha=150.0, s=1.0, beta=1e6, regularity=4))
    found = SeededShop(buyers, customers=500, acquisition_days=1, as_of=600, days=700, later=0.0).transactions(6)
    gaps = found.sort("customer_id", "ordered_at").select(
        gap=pl.col("ordered_at").diff().over("customer_id").dt.total_hours() / 24, customer_id="customer_id"
    )
    usual = gaps.drop_nulls().group_by("customer_id").agg(mean=pl.col("gap").mean(), sd=pl.col("gap").std())
    variation = float((usual["sd"] / usual["mean"]).mean())  # type: ignore[arg-type]
    assert variation == pytest.approx(0.5, abs=0.05)


def test_of_one_time_buyers_97_in_a_hundred_never_return_and_business_has_a_heavy_tail() -> None:
    shops = {name: SEEDED_SHOPS[name] for name in ("one_time", "business")}
    known = {
        name: shop.transactions(1).filter(pl.col("ordered_at").dt.date() <= shop.cutoff) for name, shop in shops.items()
    }
    counts = per_customer(known["one_time"])["purchases"]
    assert float((counts == 1).mean()) == pytest.approx(0.97, abs=0.006)  # type: ignore[arg-type]

    spend = known["business"].group_by("customer_id").agg(pl.col("amount").sum())["amount"].sort(descending=True)
    best, everybody = float(spend.head(spend.len() // 10).sum()), float(spend.sum())
    assert best > 0.6 * everybody


def test_spend_can_go_with_the_rate_and_otherwise_does_not() -> None:
    found = {}
    for slope in (0.0, 0.5):
        buyers = Buyers(ParetoNbdProcess(r=2.0, alpha=8.0), LognormalSpend(with_rate=slope))
        shop = SeededShop(buyers, customers=4_000, acquisition_days=30, as_of=300, days=400)
        customers = per_customer(shop.transactions(7)).with_columns(pl.col("purchases").log())
        found[slope] = np.corrcoef(customers["purchases"], customers["spend"])[0, 1]
    assert abs(found[0.0]) < 0.05
    assert found[0.5] > 0.2


def test_a_shop_that_acquires_longer_than_it_is_watched_is_refused() -> None:
    with pytest.raises(ValueError, match=r"acquisition_days in 1\.\.days"):
        SeededShop(acquisition_days=2_000)


@pytest.mark.parametrize("name", ["plain_constant", "seasonal_tripled", "one_time"])
def test_what_comes_differs_from_the_foreseeable_by_chance_alone(name: str) -> None:
    shop = replace(SEEDED_SHOPS[name], customers=4_000)
    came, foreseeable = 0, 0.0
    for seed in range(4):
        days = shop.transactions(seed).select("customer_id", day=pl.col("ordered_at").dt.date()).unique()
        known = days.filter(pl.col("day").min().over("customer_id") <= shop.cutoff)
        ahead = pl.col("day").is_between(shop.cutoff, shop.cutoff + timedelta(days=90), closed="right")
        came += known.filter(ahead).height
        foreseeable += shop.foreseeable(seed, 90)
    assert came == pytest.approx(foreseeable, abs=4.0 * foreseeable**0.5)


@pytest.mark.parametrize(
    "shop", [SEEDED_SHOPS["regular"], SeededShop(Buyers(BgNbdProcess()))], ids=["regular", "BG/NBD"]
)
def test_what_depends_on_past_purchases_is_not_foreseen_from_rates(shop: SeededShop) -> None:
    assert not shop.is_foreseeable
    with pytest.raises(ValueError, match="depends on past purchases"):
        shop.foreseeable(1, 30)
