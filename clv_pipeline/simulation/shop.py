"""A whole shop from known parameters: transactions, demographics, browsing events, and the truth behind them.

Purchases are those of `buyers.py`, by default BG/NBD with Gamma-Gamma spend; covariates shift the purchase rate. One
seed, one shop; purchases, spend, basket, demographics and events draw from streams of their own, so changing one leaves
the others' draws alone.

What is not exactly the model: time is cut into days, as in the pipeline. Two purchases of one day become one purchase
day with both spends; about (r + 1) / (14 α) of the repeats are lost this way (α in weeks), and recovered parameters
are off accordingly. Spend is rounded to cents per unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from clv_pipeline.simulation.buyers import Buyers, Exposure, Purchases, Streams, draw_purchases
from clv_pipeline.simulation.processes import BgNbdProcess, require_positive
from clv_pipeline.simulation.purchases import Floats, Integers, moments, numbered, opening_hours
from clv_pipeline.simulation.spend import GammaGammaSpend

FIRST_CUSTOMER, FIRST_ORDER = 10_000, 100_000
LINES_PER_ORDER = 3.0
PRODUCTS = 500
MEAN_AGE, AGE_DEVIATION, AGES = 45.0, 15.0, (18, 90)
VISIT_LEAD_DAYS = 3.0
"""Mean days from a visit that leads to a purchase until the purchase."""


@dataclass(frozen=True)
class Story:
    """The parameters of a shop; ValueError when they are not possible ones.

    `buyers`: how customers come back, leave and spend. `region_rates`: what living in a region multiplies the purchase
    rate by; customers spread evenly. `age_effect`: change of the log rate per 10 years of age, 0 at 45.
    `visits_per_week`: browsing of active customers that leads to nothing; `visits_before_purchase`: mean number of
    visits that lead to each purchase; `newsletters_per_week`: newsletters that customers open, active or not.
    `missing`: share of unknown values in each demographic column.
    """

    buyers: Buyers = field(default_factory=lambda: Buyers(BgNbdProcess(), GammaGammaSpend()))
    region_rates: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(("north", "south", "west"), 1.0))
    age_effect: float = 0.0
    visits_per_week: float = 0.05
    visits_before_purchase: float = 0.0
    newsletters_per_week: float = 0.05
    missing: float = 0.1

    def __post_init__(self) -> None:
        require_positive({f"region_rates.{region}": rate for region, rate in self.region_rates.items()})
        if not (0.0 <= self.missing <= 1.0 and self.region_rates):
            raise ValueError("missing should lie in [0, 1], and there should be a region")


@dataclass(frozen=True)
class Shop:
    """What a shop knows, and the truth, which it does not.

    `transactions`: order_id, customer_id, ordered_at, product_id, quantity, unit_price, country (the true region); in
    the order of time. `customers`: customer_id, age, region, referral (which has no effect); null where unknown.
    `events`: customer_id, occurred_at, event (visit, newsletter); in the order of time. `truth`: customer_id,
    weekly_rate (purchases per week while active, season apart), how fast they leave, named by the process (BG/NBD:
    leave_probability, after a repeat purchase), left_on (null for who was still active at the end; BG/NBD: the day of
    the last purchase), mean_spend (expected, per purchase).
    """

    story: Story
    transactions: pl.DataFrame
    customers: pl.DataFrame
    events: pl.DataFrame
    truth: pl.DataFrame


def simulate_shop(
    customers: int,
    story: Story | None = None,
    *,
    seed: int = 0,
    start: date = date(2022, 1, 1),
    days: int = 730,
    acquisition_days: int | None = None,
) -> Shop:
    """Make a shop that opens on `start` and is watched for `days`.

    First purchases spread over the first `acquisition_days` (default: all of them), evenly but for the season.

    Raises:
        ValueError: there is no customer, or `acquisition_days` is not between 1 and `days`.
    """
    story = Story() if story is None else story
    if customers < 1 or not 1 <= (acquisition_days or days) <= days:
        raise ValueError(f"should be at least 1 customer, and 1 to {days} acquisition_days")
    of_people, of_purchases, of_basket, of_events = np.random.default_rng(seed).spawn(4)
    people, known = _people(of_people, story, customers)
    buyers, effect = story.buyers, people["effect"].to_numpy()
    season = buyers.season_from(start)
    exposure = Exposure(0.0, float(season.clock(acquisition_days or days)), days, effect)
    of_times, of_spend = of_purchases.spawn(2)
    purchases = draw_purchases(Streams(of_times, of_times, of_times, of_spend), buyers, season, exposure)
    return Shop(
        story=story,
        transactions=_lines(of_basket, start, purchases, people["region"]),
        customers=known,
        events=_events(of_events, story, start, days, purchases),
        truth=people.select(
            "customer_id",
            weekly_rate=purchases.lives.weekly_rate,
            **{buyers.process.leaving: pl.Series(purchases.lives.leaving)},
            left_on=pl.when(pl.Series(purchases.left)).then(moments(start, purchases.active_until * 86_400).dt.date()),
            mean_spend=purchases.mean_spend,
        ),
    )


def _people(rng: np.random.Generator, story: Story, customers: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Everybody's customer_id, age, region, referral and effect on the rate; and the part that the shop knows."""
    age = np.clip(rng.normal(MEAN_AGE, AGE_DEVIATION, size=customers).round(), *AGES)
    region = rng.integers(len(story.region_rates), size=customers)
    people = pl.DataFrame(
        {
            "customer_id": FIRST_CUSTOMER + np.arange(customers),
            "age": age.astype(np.int64),
            "region": _named(list(story.region_rates), region),
            "referral": _named(["advert", "friend", "search"], rng.integers(3, size=customers)),
            "effect": np.array(list(story.region_rates.values()))[region]
            * np.exp(story.age_effect * (age - MEAN_AGE) / 10.0),
        }
    )
    known = people.select(
        "customer_id",
        *(
            pl.when(pl.Series(rng.uniform(size=customers) >= story.missing)).then(column).alias(column)
            for column in ("age", "region", "referral")
        ),
    )
    return people, known


def _lines(rng: np.random.Generator, start: date, purchases: Purchases, region: pl.Series) -> pl.DataFrame:
    """The lines of orders, one order per purchase, whose spend is split at random."""
    orders = len(purchases.customer)
    lines_of_order = 1 + rng.poisson(LINES_PER_ORDER - 1.0, size=orders)
    order, line = numbered(lines_of_order)
    part = rng.exponential(size=len(order))
    part /= np.bincount(order, weights=part)[order]
    quantity = rng.geometric(0.4, size=len(order))
    # An order steps through the catalogue, so that no two of its lines are equal and look like duplicates.
    product = (rng.integers(PRODUCTS, size=orders)[order] + 7 * line) % PRODUCTS
    return pl.DataFrame(
        {
            "order_id": pl.Series(FIRST_ORDER + order).cast(pl.String),
            "customer_id": FIRST_CUSTOMER + purchases.customer[order],
            "ordered_at": moments(start, opening_hours(purchases.day)).gather(order),
            "product_id": _named([f"P{number:04d}" for number in range(PRODUCTS)], product),
            "quantity": quantity,
            "unit_price": np.maximum((purchases.spend[order] * part / quantity).round(2), 0.01),
            "country": region.gather(purchases.customer[order]),
        }
    )


def _events(rng: np.random.Generator, story: Story, start: date, days: int, purchases: Purchases) -> pl.DataFrame:
    """Visits without a purchase, visits that lead to a purchase, and newsletters, since the shop opened."""
    customers = len(purchases.left)

    def spread(per_week: float, until: Floats) -> tuple[Integers, Floats]:
        who = np.repeat(np.arange(customers), rng.poisson(per_week / 7.0 * until))
        return who, rng.uniform(0.0, until[who])

    idle_visitor, idle_visit = spread(story.visits_per_week, purchases.active_until)
    reader, read = spread(story.newsletters_per_week, np.full(customers, float(days)))
    bought = np.repeat(
        np.arange(len(purchases.day)), rng.poisson(story.visits_before_purchase, size=len(purchases.day))
    )
    visit = purchases.day[bought] - rng.exponential(VISIT_LEAD_DAYS, size=len(bought))
    return (
        pl.DataFrame(
            {
                "customer_id": FIRST_CUSTOMER + np.concatenate([idle_visitor, purchases.customer[bought], reader]),
                "occurred_at": moments(start, np.concatenate([idle_visit, visit, read]) * 86_400),
                "event": _named(["visit", "newsletter"], np.repeat([0, 1], [len(idle_visit) + len(visit), len(read)])),
            }
        )
        .filter(pl.col("occurred_at") >= start)
        .sort("occurred_at", "customer_id", "event")
    )


def _named(names: list[str], chosen: Integers) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(chosen)
