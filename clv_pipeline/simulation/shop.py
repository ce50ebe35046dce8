"""A complete shop from known parameters: transactions, demographics, browsing events, and the truth behind them.

BG/NBD purchases (`purchases.py`), Gamma-Gamma spend (Fader, Hardie & Lee 2005, "RFM and CLV", J. of Marketing
Research 42), a yearly season, and covariates that shift the purchase rate. One seed, one shop; purchases, spend,
basket, demographics and events have separate random streams, so changing one leaves the others unchanged.

One difference from the model: time is cut into days, as in the pipeline. Two purchases of one day become one purchase
day with both spends; about (r + 1) / (14 α) of the repeats are lost this way (α in weeks), and recovered parameters are
biased accordingly. Spend is rounded to cents per unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from clv_pipeline.simulation.purchases import Floats, Integers, Season, opening_hours, repeat_purchases

FIRST_CUSTOMER, FIRST_ORDER = 10_000, 100_000
LINES_PER_ORDER = 3.0
PRODUCTS = 500
MEAN_AGE, AGE_DEVIATION, AGES = 45.0, 15.0, (18, 90)
VISIT_LEAD_DAYS = 3.0
"""Mean days from a visit that leads to a purchase until the purchase."""


@dataclass(frozen=True)
class Story:
    """The parameters of a shop.

    `r`, `alpha` (weeks), `a`, `b`: BG/NBD. `p`, `q`, `v` (money): Gamma-Gamma, of mean v p / (q - 1). `season`:
    amplitude of the yearly curve in [0, 1), highest on day `peak_day` of the year. `region_rates`: factor of each
    region on the purchase rate; customers are spread evenly over regions. `age_effect`: change of the log rate per 10
    years of age, 0 at 45. `visits_per_week`: visits of active customers that lead to no purchase;
    `visits_before_purchase`:
    mean number of visits that lead to each purchase; `newsletters_per_week`: newsletters opened by customers, active or
    not. `missing`: share of unknown values in each demographic column.

    Raises:
        ValueError: the parameters are not possible ones.
    """

    r: float = 0.7
    alpha: float = 10.0
    a: float = 0.8
    b: float = 2.5
    p: float = 6.0
    q: float = 4.0
    v: float = 15.0
    season: float = 0.0
    peak_day: int = 330
    region_rates: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(("north", "south", "west"), 1.0))
    age_effect: float = 0.0
    visits_per_week: float = 0.05
    visits_before_purchase: float = 0.0
    newsletters_per_week: float = 0.05
    missing: float = 0.1

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("r", "alpha", "a", "b", "p", "q", "v")}
        positive |= {f"region_rates.{region}": rate for region, rate in self.region_rates.items()}
        if wrong := [f"{name} = {value}" for name, value in positive.items() if not value > 0.0]:
            raise ValueError(f"should be positive: {', '.join(wrong)}")
        if not (0.0 <= self.season < 1.0 and 0.0 <= self.missing <= 1.0 and self.region_rates):
            raise ValueError("season should lie in [0, 1), missing in [0, 1], and there should be a region")

    @property
    def mean_spend(self) -> float:
        """Expected spend per purchase over customers, v p / (q - 1); infinite for q up to 1."""
        return self.v * self.p / (self.q - 1.0) if self.q > 1.0 else float("inf")


@dataclass(frozen=True)
class Shop:
    """A simulated shop: the data that a shop would know, and the truth, which it would not.

    `transactions`: order_id, customer_id, ordered_at, product_id, quantity, unit_price, country (the true region); in
    chronological order. `customers`: customer_id, age, region, referral (which has no effect); null where unknown.
    `events`: customer_id, occurred_at, event (visit, newsletter); in chronological order. `truth`: customer_id,
    weekly_rate (purchases per week while active, without season), leave_probability (after a repeat purchase), left_on
    (day of the last purchase; null for customers still active at the end), mean_spend (expected, per purchase).
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
    """Simulate a shop that opens on `start` and is observed for `days`.

    First purchases are spread over the first `acquisition_days` (default: all days), evenly apart from the season.

    Raises:
        ValueError: there is no customer, or `acquisition_days` is outside of `days`.
    """
    story = Story() if story is None else story
    if customers < 1 or not 1 <= (acquisition_days or days) <= days:
        raise ValueError(f"should be at least 1 customer, and 1 to {days} acquisition_days")
    of_people, of_purchases, of_basket, of_events = np.random.default_rng(seed).spawn(4)
    people, known = _people(of_people, story, customers)
    effect = people["effect"].to_numpy()
    purchases = draw_purchases(of_purchases, story, effect, start, days, acquisition_days or days)
    return Shop(
        story=story,
        transactions=_lines(of_basket, start, purchases, people["region"]),
        customers=known,
        events=_events(of_events, story, start, days, purchases),
        truth=people.select(
            "customer_id",
            weekly_rate=purchases.weekly_rate,
            leave_probability=purchases.leave_probability,
            left_on=pl.when(pl.Series(purchases.left)).then(_moments(start, purchases.last_day * 86_400).dt.date()),
            mean_spend=purchases.mean_spend,
        ),
    )


@dataclass(frozen=True)
class Purchases:
    """The purchases of customers 0, 1, … in chronological order, and their causes.

    One value per purchase: `customer`, `day` (since the opening, with its fraction), `spend`. One per customer:
    `weekly_rate`, `leave_probability`, `last_day` (of a purchase), `left` (for good after it), `mean_spend`.
    """

    customer: Integers
    day: Floats
    spend: Floats
    weekly_rate: Floats
    leave_probability: Floats
    last_day: Floats
    left: NDArray[np.bool_]
    mean_spend: Floats


def draw_purchases(
    rng: np.random.Generator, story: Story, effect: Floats, start: date, days: int, acquisition_days: int
) -> Purchases:
    """Draw the purchases within `days` of the opening; `effect` multiplies the rate of each customer."""
    of_times, of_spend = rng.spawn(2)
    customers = len(effect)
    # On the clock of the season everything happens at constant intensity.
    season = Season(story.season, story.peak_day - start.timetuple().tm_yday)
    first = of_times.uniform(0.0, season.clock(acquisition_days), size=customers)
    weekly_rate = of_times.gamma(story.r, 1.0 / story.alpha, size=customers) * effect
    leave_probability = of_times.beta(story.a, story.b, size=customers)
    repeats = repeat_purchases(of_times, first, float(season.clock(days)), weekly_rate / 7.0, leave_probability)
    customer = np.concatenate([np.arange(customers), repeats.customer])
    day = season.day(np.concatenate([first, repeats.time]), days)
    by_time = np.argsort(day, kind="stable")
    customer, day = customer[by_time], day[by_time]
    last_day = np.zeros(customers)
    np.maximum.at(last_day, customer, day)

    # Spend per purchase is Gamma(p, rate ν) with the customer's own ν ~ Gamma(q, rate v); its mean is p / ν.
    mean_spend = story.p * story.v / of_spend.gamma(story.q, size=customers)
    return Purchases(
        customer=customer,
        day=day,
        spend=of_spend.gamma(story.p, mean_spend[customer] / story.p),
        weekly_rate=weekly_rate,
        leave_probability=leave_probability,
        last_day=last_day,
        left=repeats.left,
        mean_spend=mean_spend,
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
    order = np.repeat(np.arange(orders), lines_of_order)
    line = np.arange(len(order)) - np.repeat(np.cumsum(lines_of_order) - lines_of_order, lines_of_order)
    part = rng.exponential(size=len(order))
    part /= np.bincount(order, weights=part)[order]
    quantity = rng.geometric(0.4, size=len(order))
    # An order steps through the catalogue, so that no two of its lines are equal and look like duplicates.
    product = (rng.integers(PRODUCTS, size=orders)[order] + 7 * line) % PRODUCTS
    return pl.DataFrame(
        {
            "order_id": pl.Series(FIRST_ORDER + order).cast(pl.String),
            "customer_id": FIRST_CUSTOMER + purchases.customer[order],
            "ordered_at": _moments(start, opening_hours(purchases.day)).gather(order),
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

    idle_visitor, idle_visit = spread(story.visits_per_week, np.where(purchases.left, purchases.last_day, days))
    reader, read = spread(story.newsletters_per_week, np.full(customers, float(days)))
    bought = np.repeat(
        np.arange(len(purchases.day)), rng.poisson(story.visits_before_purchase, size=len(purchases.day))
    )
    visit = purchases.day[bought] - rng.exponential(VISIT_LEAD_DAYS, size=len(bought))
    return (
        pl.DataFrame(
            {
                "customer_id": FIRST_CUSTOMER + np.concatenate([idle_visitor, purchases.customer[bought], reader]),
                "occurred_at": _moments(start, np.concatenate([idle_visit, visit, read]) * 86_400),
                "event": _named(["visit", "newsletter"], np.repeat([0, 1], [len(idle_visit) + len(visit), len(read)])),
            }
        )
        .filter(pl.col("occurred_at") >= start)
        .sort("occurred_at", "customer_id", "event")
    )


def _named(names: list[str], chosen: Integers) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(chosen)


def _moments(start: date, seconds: Floats | Integers) -> pl.Series:
    """Timestamps in whole seconds, from seconds since the start of the first day."""
    since = np.floor(seconds).astype("timedelta64[s]").astype("timedelta64[ms]")
    return pl.Series(np.datetime64(start, "ms") + since)
