"""What segments said of customers on past dates of real shops, beside what the forecast said and what came.

The graph is run as of each date up to the segments, with one family of forecasts, and what came is read from the
purchase days after it. CDNOW comes with a package; the other shops are in the folder that CLV_SHOPS names, and one that
is absent is left out with the reason. Writes the blocks of docs/explanation/segments.md.

Run: CLV_SHOPS=folder python -m benchmarks.segments [--only SHOP …] (`make segments`); a quarter of an hour
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from benchmarks.accuracy.shops import Absent, Shop, shops_of
from benchmarks.generated_blocks import replace_block
from clv_pipeline.config.settings import Settings
from clv_pipeline.orchestration.runner import run_nightly
from clv_pipeline.pipeline import Refresh

DOCUMENT = Path("docs/explanation/segments.md")
DAYS = 90
"""How far ahead is forecast and looked."""
MODEL = "hybrid"
DATES = {
    "cdnow": (date(1997, 10, 3), date(1998, 4, 1)),
    "online_retail_ii": (date(2011, 3, 9), date(2011, 9, 9)),
    "donations": (date(2014, 10, 2), date(2015, 10, 2)),
    "adventureworks": (date(2022, 1, 28), date(2022, 10, 30)),
    "grocery": (date(2006, 12, 30), date(2007, 10, 1)),
    "game": (date(2015, 7, 1), date(2015, 10, 2)),
}
"""Two dates of each shop; the latter is the last one, or nearly so, that has 90 days after it."""

WITH_A_HABIT = 2
"""Repeat purchase days of a customer with at least three purchase days."""
Z = 1.96
MOST_LOST, MOST_GAPS = 0.10, 3

CUSTOMERS = """
with came as (
    select customer_id, count(*) as purchases, cast(sum(revenue) as double) as spend
    from customer_days
    where purchase_day > $as_of and purchase_day <= $as_of + $days
    -- Less what had come back by the end.
    and known_from <= $as_of + $days and coalesce(superseded_on > $as_of + $days, true)
    group by customer_id
)
select
    segments.segment, advice.claim, segments.at_risk,
    rfm.frequency, rfm.days_since_last, rfm.recency_days / nullif(rfm.frequency, 0) as own_gap_days,
    rhythms.usual_gap_days, rhythms.overdue_after_days,
    forecasts.p_purchase, cast(forecasts.expected_spend as double) as expected_spend,
    coalesce(came.purchases, 0) > 0 as bought, coalesce(came.spend, 0) as spend
from segments
inner join rfm using (customer_id)
inner join customer_rhythms as rhythms on rhythms.customer_id = rfm.customer_id and rhythms.cutoff = rfm.as_of
inner join clv_forecasts as forecasts on forecasts.customer_id = rfm.customer_id
inner join (select distinct segment, claim from segment_advice) as advice using (segment)
left join came on came.customer_id = rfm.customer_id
order by rfm.customer_id
"""


class RunFailedError(RuntimeError):
    """The graph could not be run as of a date."""


@dataclass(frozen=True)
class Seen:
    """The customers of a shop as of a date: one row each, what was said of them and what came."""

    shop: str
    as_of: date
    has_money: bool
    customers: pl.DataFrame


@dataclass(frozen=True)
class Verdict:
    """Whether names on a date were true, in figures.

    Among customers with at least three purchase days: how many were at risk and how many had an active name, which
    shares of them bought within 90 days, and the 95 % interval of the difference. `within_gap`: customers at risk whose
    silence is no longer than the mean of their own gaps. `lost_share`: Lost's share of expected spend. `loyal_gone`:
    Loyal customers who have been silent for over three times the mean of their own gaps.
    """

    at_risk: int
    active: int
    at_risk_bought: float
    active_bought: float
    difference: tuple[float, float]
    within_gap: int
    lost_share: float
    loyal_gone: int

    @property
    def order(self) -> str:
        """Whether those at risk bought less often than the active ones."""
        if not self.at_risk or not self.active:
            return "nobody to compare"
        lower, upper = self.difference
        return "less often" if upper < 0 else "more often" if lower > 0 else "no order"


def verdict(customers: pl.DataFrame) -> Verdict:
    """The verdict about the customers of a date (the columns of CUSTOMERS)."""
    with_habit = customers.filter(pl.col("frequency") >= WITH_A_HABIT)
    at_risk = with_habit.filter("at_risk")
    active = with_habit.filter(pl.col("claim") == "active")
    returned, stayed = (frame.filter("bought").height for frame in (at_risk, active))
    lost = customers.filter(pl.col("segment") == "Lost")
    loyal = customers.filter(pl.col("segment") == "Loyal")
    return Verdict(
        at_risk=at_risk.height,
        active=active.height,
        at_risk_bought=_share(returned, at_risk.height),
        active_bought=_share(stayed, active.height),
        difference=difference(returned, at_risk.height, stayed, active.height),
        within_gap=customers.filter("at_risk", pl.col("days_since_last") <= pl.col("own_gap_days")).height,
        lost_share=_share(float(lost["expected_spend"].sum()), float(customers["expected_spend"].sum())),
        loyal_gone=loyal.filter(pl.col("days_since_last") > MOST_GAPS * pl.col("own_gap_days")).height,
    )


def difference(hits: int, of: int, other_hits: int, other_of: int) -> tuple[float, float]:
    """The 95 % interval of a difference of two shares, by Newcombe's score method (1998, Statistics in Medicine 17)."""
    if not of or not other_of:
        return math.nan, math.nan
    (p, low, high), (q, other_low, other_high) = _wilson(hits, of), _wilson(other_hits, other_of)
    below = math.sqrt((p - low) ** 2 + (other_high - q) ** 2)
    above = math.sqrt((high - p) ** 2 + (q - other_low) ** 2)
    return p - q - below, p - q + above


def _wilson(hits: int, of: int) -> tuple[float, float, float]:
    """A share with its 95 % interval."""
    p, square = hits / of, Z**2 / of
    middle = (p + square / 2) / (1 + square)
    half = Z * math.sqrt(p * (1 - p) / of + square / (4 * of)) / (1 + square)
    return p, middle - half, middle + half


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def by_segment(customers: pl.DataFrame) -> pl.DataFrame:
    """Per segment what was said and what came, those who bought most often first."""
    return (
        customers.group_by("segment")
        .agg(
            customers=pl.len(),
            days_since_last=pl.col("days_since_last").median(),
            usual_gap_days=pl.col("usual_gap_days").median(),
            p_purchase=pl.col("p_purchase").mean(),
            bought=pl.col("bought").mean(),
            expected_spend=pl.col("expected_spend").sum(),
            spend=pl.col("spend").sum(),
        )
        .sort("bought", "segment", descending=[True, False])
    )


def look(shop: Shop, as_of: date, home: Path, tell: Callable[[str], None]) -> Seen:
    """Run the graph of this shop as of a date up to its segments, and read what came.

    Raises:
        RunFailedError: a table did not pass its audit.
    """
    settings = Settings.from_mapping(
        {
            **shop.configuration,
            # As is the default; accuracy is measured without returns.
            "cleaning": {**shop.configuration.get("cleaning", {}), "returns": "net"},
            "models": [MODEL],
            "forecast": {"as_of": as_of, "horizons_days": [DAYS]},
            "backtest": {"origins": 1},
            "storage": {"home": str(home)},
        }
    )
    lines: list[str] = []
    outcome = run_nightly(settings, select="+segment_profiles", refresh=Refresh(), echo=lines.append)
    if not outcome.success:
        raise RunFailedError("\n".join([f"the run of {shop.key} as of {as_of} failed", *lines[-20:]]))
    tell(f"{shop.key} as of {as_of}: segments are there")
    with duckdb.connect(str(settings.warehouse_path), read_only=True) as warehouse:
        customers = warehouse.sql(CUSTOMERS, params={"as_of": as_of, "days": DAYS}).pl()
    return Seen(shop.name, as_of, shop.has_money, customers)


def verdicts_block(seen: Sequence[Seen]) -> str:
    """A row per shop and date: whether the names were true."""
    lines = [
        "| shop | as of | at risk: bought | active: bought | difference (95 %) | at risk buy | silent within own gap"
        " | expected spend of Lost | Loyal silent > 3 own gaps |",
        "|---|---|---:|---:|---|---|---:|---:|---:|",
    ]
    for one in seen:
        found = verdict(one.customers)
        lower, upper = found.difference
        lines.append(
            f"| {one.shop} | {one.as_of} | {_of(found.at_risk_bought, found.at_risk)}"
            f" | {_of(found.active_bought, found.active)}"
            f" | {'–' if math.isnan(lower) else f'{lower:+.0%} to {upper:+.0%}'} | {found.order}"
            f" | {found.within_gap} | {_percent(found.lost_share) if one.has_money else '–'} | {found.loyal_gone} |"
        )
    return "\n".join(lines)


def segments_block(seen: Sequence[Seen]) -> str:
    """A row per shop, date and segment."""
    lines = [
        "| shop | as of | segment | customers | days since last | usual gap | P(buy) | bought | spend said | came |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [line for one in seen for line in _segment_lines(one)]
    return "\n".join(lines)


def _segment_lines(seen: Seen) -> Iterator[str]:
    for row in by_segment(seen.customers).iter_rows(named=True):
        gap = "–" if row["usual_gap_days"] is None else f"{row['usual_gap_days']:,.0f}"
        spend = f"{row['expected_spend']:,.0f} | {row['spend']:,.0f}" if seen.has_money else "– | –"
        yield (
            f"| {seen.shop} | {seen.as_of} | {row['segment']} | {row['customers']:,} | {row['days_since_last']:,.0f}"
            f" | {gap} | {_percent(row['p_purchase'])} | {_percent(row['bought'])} | {spend} |"
        )


def _of(share: float, customers: int) -> str:
    return "nobody" if not customers else f"{share:.0%} of {customers:,}"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"


def faults(seen: Sequence[Seen]) -> list[str]:
    """What a name claims and is not so; that customers of a shop buy alike is none."""
    wrong = []
    for one in seen:
        found, where = verdict(one.customers), f"{one.shop} as of {one.as_of}"
        if found.within_gap:
            wrong.append(f"{where}: {found.within_gap} customers at risk are within their own gap")
        if found.order == "more often":
            wrong.append(f"{where}: those at risk bought more often than the active ones")
        if found.loyal_gone:
            wrong.append(f"{where}: {found.loyal_gone} Loyal customers are silent for over three times their own gap")
        if one.shop in ("cdnow", "online_retail_ii") and found.lost_share > MOST_LOST:
            wrong.append(f"{where}: Lost holds {found.lost_share:.1%} of expected spend")
    return wrong


def main() -> None:
    """Look at every shop that is there and write the tables.

    Raises:
        SystemExit: a name is not true.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(DATES), default=list(DATES), help="shops; default all")
    options = parser.parse_args()
    folder = os.environ.get("CLV_SHOPS")
    seen: list[Seen] = []
    absent = []
    for name in options.only:
        with tempfile.TemporaryDirectory() as place:
            [shop] = shops_of(name, Path(folder).resolve() if folder else None, Path(place))
            if isinstance(shop, Absent):
                absent.append(f"\nLeft out: {name}, because {shop.reason}.")
                continue
            seen += [look(shop, as_of, Path(place) / "home", print) for as_of in DATES[name]]
    blocks = {"verdicts": verdicts_block(seen), "segments": segments_block(seen)}
    print("\n\n".join(blocks.values()))
    if set(options.only) == set(DATES):
        text = DOCUMENT.read_text(encoding="utf-8")
        for name, block in blocks.items():
            text = replace_block(text, name, "\n".join([block, *absent]))
        DOCUMENT.write_text(text, encoding="utf-8")
    if wrong := faults(seen):
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
