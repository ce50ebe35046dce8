"""How often campaigns are judged wrongly, and how often rightly: 1,000 of each kind, with and without an effect.

Writes the block `campaigns` of docs/explanation/campaigns.md, and fails if a goal is missed. Customers of made-up shops
buy by Pareto/NBD, with lognormal spend; a contact makes them buy more often. Customers of real shops bought what they
bought; who is left out is drawn anew for every campaign, and a contact makes orders larger. CDNOW comes with a package,
other shops are in the folder that CLV_SHOPS names; one that is absent is left out with the reason.

Run: CLV_SHOPS=folder python -m benchmarks.campaigns (`make campaigns`); half an hour
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.accuracy.shops import Absent, shops_of
from benchmarks.generated_blocks import replace_block
from clv_pipeline.campaigns.draw import draw
from clv_pipeline.campaigns.results import Campaign, look
from clv_pipeline.campaigns.uplift import Comparison
from clv_pipeline.config.settings import Settings
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.simulation.buyers import Buyers, Exposure, Streams, draw_purchases
from clv_pipeline.simulation.purchases import Floats, Integers
from clv_pipeline.simulation.spend import LognormalSpend
from clv_pipeline.sources import load_records
from clv_pipeline.sources.reach import readable_folders

DOCUMENT = Path("docs/explanation/campaigns.md")
CAMPAIGNS = 1_000
HORIZON = 90
UPLIFT = 0.2
FALSELY_FOUND, HELD = 0.06, 0.93
"""Goals: the most campaigns without effect in which an uplift or a loss is ever found, and the fewest intervals of the
last day that hold the true uplift."""

_CAMPAIGN = Campaign("campaign", date(2024, 1, 1), HORIZON, assumed_uplift=UPLIFT, cost_per_contact=None)
_HISTORY = 640
"""Days of history before a campaign of a made-up shop."""
_RECENT, _YEAR = 90, 365


@dataclass(frozen=True)
class Trial:
    """A campaign whose true uplift is known: the members, one value each, and what they bought after the start."""

    stratum: Integers
    is_control: NDArray[np.bool_]
    expected: Floats
    buyer: Integers
    """Of a purchase: the number of the member."""
    day: Integers
    """Of a purchase: 1 is the day after the start."""
    margin: Floats

    def until(self, day: int) -> Comparison:
        """Both groups as they are after so many days."""
        known = self.day <= day
        outcome = np.bincount(self.buyer[known], self.margin[known], len(self.expected)).astype(np.float64)
        return Comparison(self.stratum, self.is_control, outcome, self.expected)


@dataclass(frozen=True)
class Verdicts:
    """Shares of campaigns with the same uplift."""

    found: float
    """An uplift or a loss was found on one of the days."""
    held: float
    """The interval of the last day held the true uplift."""


@dataclass(frozen=True)
class Kind:
    """A kind of campaign. `trial` makes the campaign of a seed whose contacts have this uplift."""

    shop: str
    customers: int
    holdout: float
    trial: Callable[[int, float], Trial]
    days: Sequence[int] = (HORIZON,)
    """The days on which somebody looks."""


def verdicts(kind: Kind, uplift: float, campaigns: int) -> Verdicts:
    """Look at campaigns with this uplift as `campaign_results` does."""
    found, held = np.zeros(campaigns, bool), np.zeros(campaigns, bool)
    for seed in range(campaigns):
        made = kind.trial(seed, uplift)
        last = made.until(HORIZON)
        looks = (look(_CAMPAIGN, HORIZON, day, last if day == HORIZON else made.until(day)) for day in kind.days)
        found[seed] = any(seen.is_found for seen in looks)
        held[seed] = not last.is_rejected(uplift)
    return Verdicts(float(found.mean()), float(held.mean()))


def _lots(members: pl.DataFrame, holdout: float, seed: int) -> tuple[Integers, NDArray[np.bool_]]:
    """Stratum, from 0, and group of the members, in the order of customer_id."""
    drawn = draw(members, holdout, "campaign", seed)
    return drawn["stratum"].to_numpy().astype(np.int64) - 1, drawn["is_control"].to_numpy()


def made_up(seed: int, uplift: float, *, customers: int, holdout: float, spend: LognormalSpend) -> Trial:
    """A campaign with the best customers of a shop of twice as many.

    Everybody is drawn with the rate that a contact brings, and whoever is not contacted loses purchases by lot: their
    rate is then the usual one, whatever they are like.
    """
    rng = np.random.default_rng([seed, round(1_000 * uplift)])
    buyers, everybody = Buyers(spend=spend), 2 * customers
    season = buyers.season_from(date(2022, 1, 1))
    exposure = Exposure(0.0, float(_HISTORY), _HISTORY + HORIZON, np.full(everybody, 1.0 + uplift))
    bought = draw_purchases(Streams(*rng.spawn(4)), buyers, season, exposure)
    stays = rng.uniform(size=len(bought.day)) < 1.0 / (1.0 + uplift)
    # Everybody keeps a first purchase.
    stays[np.unique(bought.customer, return_index=True)[1]] = True
    before = stays & (bought.day < _HISTORY)
    members = _best(bought.customer[before], bought.day[before], bought.spend[before], _HISTORY, customers)
    stratum, is_control = _lots(members, holdout, seed)
    place = np.full(everybody, -1)
    place[members["number"].to_numpy()] = np.arange(members.height)
    who = place[bought.customer]
    counts = (bought.day >= _HISTORY) & (who >= 0) & (stays | ~is_control[who])
    day = 1 + np.floor(bought.day[counts] - _HISTORY).astype(np.int64)
    return Trial(stratum, is_control, members["expected"].to_numpy(), who[counts], day, bought.spend[counts])


def _best(customer: Integers, day: Floats, spend: Floats, today: float, count: int) -> pl.DataFrame:
    """The customers who are expected to bring most in HORIZON days, in the order of customer_id.

    Expected is their rate of the last year, with a segment of those who bought in the last 90 days and of the others.
    """
    history = pl.DataFrame({"number": customer, "ago": today - day, "spend": spend})
    return (
        history.group_by("number")
        .agg(
            expected=pl.col("spend").filter(pl.col("ago") <= _YEAR).sum() * HORIZON / _YEAR,
            segment=pl.when(pl.col("ago").min() <= _RECENT).then(pl.lit("recent")).otherwise(pl.lit("quiet")),
        )
        .sort("expected", "number", descending=[True, False])
        .head(count)
        .with_columns(customer_id=pl.col("number").cast(pl.String).str.zfill(9))
        .sort("customer_id")
    )


def of_shop(days: pl.DataFrame, holdout: float, most: int) -> tuple[int, Callable[[int, float], Trial]]:
    """Campaigns in the last HORIZON days of a real shop: how many customers are in each, and what makes one.

    Args:
        days: `number` (of the customer, from 0), `day` (a number) and `spend` of every purchase day.
        holdout: the share that is left out.
        most: the most customers, the best ones.
    """
    start = int(days["day"].max()) - HORIZON  # type: ignore[arg-type]
    before = days.filter(pl.col("day") <= start)
    number, day, spend = (before[name].to_numpy() for name in ("number", "day", "spend"))
    members = _best(number, day, spend, float(start), most)
    place = np.full(int(days["number"].max()) + 1, -1)  # type: ignore[arg-type]
    place[members["number"].to_numpy()] = np.arange(members.height)
    after = days.filter(pl.col("day") > start)
    who = place[after["number"].to_numpy()]
    known = who >= 0
    buyer, day = who[known], after["day"].to_numpy()[known] - start
    spend = after["spend"].to_numpy()[known]

    def trial(seed: int, uplift: float) -> Trial:
        stratum, is_control = _lots(members, holdout, seed)
        margin = spend * np.where(is_control[buyer], 1.0, 1.0 + uplift)
        return Trial(stratum, is_control, members["expected"].to_numpy(), buyer, day, margin)

    return members.height, trial


def purchase_days(settings: Settings, work: Path) -> pl.DataFrame:
    """The purchase days of a real shop: sales with a customer, returns left out."""
    reach = [work, *readable_folders(settings.source, settings.base_dir)]
    with open_scratch(work / "shop.duckdb", reach) as connection:
        load_records(connection, "raw", settings.source.transactions, settings.base_dir, work / "load")
        frame: pl.DataFrame = connection.sql(
            "select dense_rank() over (order by customer_id) - 1 as number,"
            " cast(date_diff('day', date '1970-01-01', cast(ordered_at as date)) as bigint) as day,"
            " cast(sum(coalesce(amount, quantity * unit_price)) as double) as spend"
            " from raw where customer_id is not null and ordered_at is not null"
            " and coalesce(amount, quantity * unit_price) > 0 group by customer_id, 2"
        ).pl()
    return frame


def kinds(folder: Path | None) -> Iterator[Kind | Absent]:
    """Every kind of campaign that is measured, and the shops that cannot be."""
    usual, heavy = LognormalSpend(), LognormalSpend(25.0, between=1.0, within=1.0)
    for name, customers, holdout, spend in (
        ("made up", 2_000, 0.1, usual),
        ("made up, small", 300, 0.1, usual),
        ("made up, few very large orders", 2_000, 0.1, heavy),
        ("made up, half left out", 2_000, 0.5, usual),
    ):

        def trial(
            seed: int,
            uplift: float,
            customers: int = customers,
            holdout: float = holdout,
            spend: LognormalSpend = spend,
        ) -> Trial:
            return made_up(seed, uplift, customers=customers, holdout=holdout, spend=spend)

        # One kind is enough to see what looking costs, because nothing is found before the last day.
        days = range(1, HORIZON + 1) if name == "made up" else (HORIZON,)
        yield Kind(name, customers, holdout, trial, days)
    for name in ("cdnow", "online_retail_ii"):
        with tempfile.TemporaryDirectory() as work:
            (shop,) = shops_of(name, folder, Path(work))
            if isinstance(shop, Absent):
                yield shop
                continue
            purchases = purchase_days(Settings.from_mapping(shop.configuration), Path(work))
        yield Kind(name, *_kind(purchases, 0.1))


def _kind(days: pl.DataFrame, holdout: float) -> tuple[int, float, Callable[[int, float], Trial]]:
    customers, trial = of_shop(days, holdout, most=2_000)
    return customers, holdout, trial


def row(kind: Kind, without: Verdicts, with_uplift: Verdicts) -> str:
    """The row of the table."""
    looks = "every day" if len(kind.days) > 1 else "the last day"
    shares = " | ".join(f"{share:.1%}" for share in (without.found, with_uplift.held, with_uplift.found))
    return f"| {kind.shop} | {kind.customers:,} | {kind.holdout:.0%} | {looks} | {shares} |"


def standard_error(share: float, campaigns: int) -> float:
    """How far chance moves a share of so many campaigns."""
    return math.sqrt(share * (1.0 - share) / campaigns)


def is_missed(kind: Kind, without: Verdicts, with_uplift: Verdicts, campaigns: int) -> bool:
    """Whether a goal is missed: exactly where somebody looks every day, elsewhere by more than two standard errors."""
    chance = 0.0 if len(kind.days) > 1 else 2.0 * standard_error(FALSELY_FOUND, campaigns)
    return without.found > FALSELY_FOUND + chance or with_uplift.held < HELD


def main() -> None:
    """Measure every kind and write the table.

    Raises:
        SystemExit: a goal is missed.
    """
    folder = os.environ.get("CLV_SHOPS")
    lines = [
        f"{CAMPAIGNS:,} campaigns of {HORIZON} days in each row without an effect, and as many with an uplift of"
        f" {UPLIFT:.0%}. Chance alone moves a share of 5 % by"
        f" {100.0 * standard_error(0.05, CAMPAIGNS):.1f} points (one standard error).",
        "",
        "| shop | customers | left out | looked at | no effect: an uplift or a loss is found"
        f" | {UPLIFT:.0%}: the interval of the last day holds it | {UPLIFT:.0%}: found |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    absent, missed = [], []
    for kind in kinds(Path(folder) if folder else None):
        if isinstance(kind, Absent):
            absent.append(f"\nLeft out: {kind.name}, because {kind.reason}.")
            continue
        without = verdicts(kind, 0.0, CAMPAIGNS)
        with_uplift = verdicts(replace(kind, days=(HORIZON,)), UPLIFT, CAMPAIGNS)
        lines.append(row(kind, without, with_uplift))
        print(lines[-1], flush=True)
        if is_missed(kind, without, with_uplift, CAMPAIGNS):
            missed.append(kind.shop)
    block = "\n".join([*lines, *absent])
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "campaigns", block), encoding="utf-8")
    if missed:
        raise SystemExit(f"goals missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
