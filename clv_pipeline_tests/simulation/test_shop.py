"""A simulated shop: one seed, one shop; its tables hold together and show the effects that the story states."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.simulation import Shop, Story, simulate_shop
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import BgNbdProcess
from clv_pipeline.simulation.spend import GammaGammaSpend

CUSTOMERS = 4_000
PROCESS, SPEND = BgNbdProcess(), GammaGammaSpend()


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulate_shop(CUSTOMERS, seed=3)


@pytest.fixture(scope="module")
def lively() -> Shop:
    story = Story(Buyers(PROCESS, SPEND, season=0.6, peak_day=330), visits_before_purchase=1.5, missing=0.2)
    return simulate_shop(CUSTOMERS, story, seed=3)


def orders(shop: Shop) -> pl.DataFrame:
    """One row per order, in the order of time: customer_id, ordered_at, spend."""
    lines = shop.transactions.with_columns(spend=pl.col("quantity") * pl.col("unit_price"))
    return lines.group_by("order_id", maintain_order=True).agg(
        pl.col("customer_id", "ordered_at").first(), pl.col("spend").sum()
    )


def frames(shop: Shop) -> list[pl.DataFrame]:
    return [shop.transactions, shop.customers, shop.events, shop.truth]


def test_the_same_seed_gives_the_same_shop_and_another_seed_another(shop: Shop) -> None:
    again, other = simulate_shop(CUSTOMERS, seed=3), simulate_shop(CUSTOMERS, seed=4)
    assert all(one.equals(two) for one, two in zip(frames(shop), frames(again), strict=True))
    assert not any(one.equals(two) for one, two in zip(frames(shop), frames(other), strict=True))


def test_more_visits_or_unknown_ages_do_not_change_what_is_bought(shop: Shop) -> None:
    story = Story(visits_before_purchase=2.0, visits_per_week=0.0, missing=0.9)
    assert simulate_shop(CUSTOMERS, story, seed=3).transactions.equals(shop.transactions)


def test_the_tables_hold_together(shop: Shop) -> None:
    lines = shop.transactions
    assert shop.customers["customer_id"].to_list() == shop.truth["customer_id"].to_list()
    assert set(lines["customer_id"]) == set(shop.customers["customer_id"])
    assert set(shop.events["customer_id"]) <= set(shop.customers["customer_id"])
    assert lines["ordered_at"].is_sorted()
    assert shop.events["occurred_at"].is_sorted()
    assert (lines["quantity"] > 0).all()
    assert (lines["unit_price"] > 0).all()
    assert lines["unit_price"].round(2).equals(lines["unit_price"])
    assert not lines.select("order_id", "product_id").is_duplicated().any()
    assert lines.null_count().sum_horizontal().item() == 0
    first, last = lines["ordered_at"].dt.date().min(), lines["ordered_at"].dt.date().max()
    assert (first, last) == (date(2022, 1, 1), date(2022, 1, 1) + timedelta(days=729))


def test_what_customers_are_like_follows_the_stated_distributions(shop: Shop) -> None:
    truth = shop.truth
    assert shop.story.buyers == Buyers(PROCESS, SPEND)
    assert truth["weekly_rate"].mean() == pytest.approx(PROCESS.r / PROCESS.alpha, rel=0.05)
    assert truth["weekly_rate"].var() == pytest.approx(PROCESS.r / PROCESS.alpha**2, rel=0.15)
    assert truth["leave_probability"].mean() == pytest.approx(PROCESS.a / (PROCESS.a + PROCESS.b), rel=0.05)
    assert truth["mean_spend"].mean() == pytest.approx(SPEND.mean, rel=0.05)


def test_orders_are_worth_what_the_customer_spends_on_average(shop: Shop) -> None:
    own = orders(shop).join(shop.truth, on="customer_id")
    relative = own.select(pl.col("spend") / pl.col("mean_spend")).to_series()
    assert relative.mean() == pytest.approx(1.0, abs=0.015)
    # Gamma(p) around the own mean.
    assert relative.var() == pytest.approx(1.0 / SPEND.p, rel=0.06)


def test_the_day_of_leaving_is_the_day_of_the_last_order(shop: Shop) -> None:
    last = orders(shop).group_by("customer_id").agg(last=pl.col("ordered_at").max().dt.date(), orders=pl.len())
    gone = shop.truth.filter(pl.col("left_on").is_not_null()).join(last, on="customer_id")
    assert 0.2 < gone.height / CUSTOMERS < 0.8
    assert (gone["left_on"] == gone["last"]).all()
    assert (gone["orders"] > 1).all()


def test_the_share_of_repeats_lost_to_days_is_what_the_charter_says(shop: Shop) -> None:
    bought = orders(shop)
    repeats = bought.height - CUSTOMERS
    lost = bought.height - bought.unique(["customer_id", pl.col("ordered_at").dt.date()]).height
    assert lost / repeats == pytest.approx((PROCESS.r + 1) / (14 * PROCESS.alpha), rel=0.4)


def test_customers_come_within_the_acquisition_days() -> None:
    shop = simulate_shop(500, seed=1, days=300, acquisition_days=50)
    first = shop.transactions.group_by("customer_id").agg(pl.col("ordered_at").min())
    assert first["ordered_at"].dt.date().max() == date(2022, 2, 19)


def test_without_a_stated_effect_regions_and_ages_buy_alike(shop: Shop) -> None:
    known = shop.customers.join(shop.truth, on="customer_id")
    by_region = known.drop_nulls("region").group_by("region").agg(pl.col("weekly_rate").mean())["weekly_rate"]
    assert by_region.max() / by_region.min() < 1.2  # type: ignore[operator]
    assert abs(known.drop_nulls("age").select(pl.corr("age", "weekly_rate")).item()) < 0.05


def test_region_and_age_shift_the_rate_as_stated() -> None:
    # With a large shape all rates are nearly alike, so that the effects stand out.
    alike = Buyers(BgNbdProcess(r=100.0, alpha=1_000.0), SPEND)
    story = Story(alike, region_rates={"north": 1.0, "south": 2.0}, age_effect=0.3, missing=0.0)
    shop = simulate_shop(CUSTOMERS, story, seed=3, days=30)
    age, south, log_rate = (
        shop.customers.join(shop.truth, on="customer_id")
        .select(pl.col("age") - 45.0, (pl.col("region") == "south").cast(pl.Float64), pl.col("weekly_rate").log())
        .to_numpy()
        .T
    )
    effects = np.linalg.lstsq(np.column_stack([np.ones(CUSTOMERS), south, age / 10]), log_rate, rcond=None)[0]
    np.testing.assert_allclose(effects, [np.log(0.1), np.log(2.0), 0.3], atol=0.02)


def test_demographics_are_unknown_as_often_as_stated(lively: Shop) -> None:
    shares = lively.customers.null_count() / CUSTOMERS
    assert shares["customer_id"].item() == 0
    for column in ("age", "region", "referral"):
        assert shares[column].item() == pytest.approx(0.2, abs=0.03)


def test_the_season_peaks_on_its_day(lively: Shop, shop: Shop) -> None:
    def november_over_may(of: Shop) -> float:
        month = of.transactions.unique("order_id")["ordered_at"].dt.month()
        return int((month == 11).sum()) / int((month == 5).sum())

    # The shop without a season shows how much it grows from May to November.
    assert november_over_may(lively) / november_over_may(shop) == pytest.approx(1.6 / 0.4, rel=0.2)


def test_visits_precede_purchases_and_stop_when_the_customer_leaves(lively: Shop, shop: Shop) -> None:
    def share_within_three_days_of_an_order(of: Shop) -> float:
        visits = of.events.filter(pl.col("event") == "visit").join_asof(
            orders(of).select("customer_id", "ordered_at"),
            left_on="occurred_at",
            right_on="ordered_at",
            by="customer_id",
            strategy="forward",
            check_sortedness=False,
        )
        lead = visits["ordered_at"] - visits["occurred_at"]
        return int((lead < timedelta(days=3)).sum()) / visits.height

    assert share_within_three_days_of_an_order(lively) > 4 * share_within_three_days_of_an_order(shop)

    after = lively.events.join(lively.truth, on="customer_id").filter(
        pl.col("occurred_at").dt.date() > pl.col("left_on")
    )
    assert set(after["event"]) == {"newsletter"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"region_rates": {"north": -1.0}}, "region_rates.north = -1.0"),
        ({"region_rates": {}}, "there should be a region"),
        ({"missing": 1.5}, r"missing should lie in \[0, 1\]"),
    ],
)
def test_an_impossible_story_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Story(**wrong)  # type: ignore[arg-type]


def test_a_shop_needs_customers_and_days_for_them_to_come() -> None:
    with pytest.raises(ValueError, match="at least 1 customer"):
        simulate_shop(0)
    with pytest.raises(ValueError, match="1 to 30 acquisition_days"):
        simulate_shop(10, days=30, acquisition_days=31)
