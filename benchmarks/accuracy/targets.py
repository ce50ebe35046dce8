"""What accuracy is to be, in numbers, and whether it was reached: each target is looked up in what was measured.

A target that was not measured, because its shop is absent, is neither reached nor missed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from benchmarks.accuracy.document import HEADLINE_DAYS, LIKELY, best_rule, wide
from benchmarks.accuracy.measure import Measured

Shops = Mapping[str, Sequence[Measured]]
"""What was measured, by name of the shop; one per seed."""

ONLINE_RETAIL_DAYS = (date(2011, 3, 9), date(2011, 6, 9), date(2011, 9, 9))
CDNOW_DAYS = (date(1997, 10, 3), date(1998, 1, 1), date(1998, 4, 1))
HELD_OUT_SHOPS = ("online_retail_ii", "cdnow", "donations")
LAST_YEAR = "same_window_last_year"
EARLIER_GINI = 0.769
"""Mean normalized Gini on the held-out windows of the model `hybrid` as it was before one path served a customer."""


@dataclass(frozen=True)
class Verdict:
    """One target: what is to be, what was found, and whether that is enough."""

    target: str
    found: str
    reached: bool


def verdicts(shops: Shops) -> list[Verdict]:
    """All targets that can be looked up."""
    return [verdict for check in _CHECKS for verdict in check(shops)]


def block(shops: Shops) -> str:
    """The targets as a Markdown table."""
    lines = ["| target | found | reached |", "|---|---|---|"]
    lines += [f"| {v.target} | {v.found} | {'yes' if v.reached else '**no**'} |" for v in verdicts(shops)]
    return "\n".join(lines)


def _no_contradictions(shops: Shops) -> list[Verdict]:
    count = sum(sum(one.contradictions.values()) for several in shops.values() for one in several)
    of = sum(len(several) for several in shops.values())
    return [Verdict(f"no contradiction in what was published (shops, seeds: {of})", f"{count:,}", count == 0)]


def _online_retail(shops: Shops) -> list[Verdict]:
    if "online_retail_ii" not in shops:
        return []
    served = _served(shops["online_retail_ii"][0], HEADLINE_DAYS)
    three, january = (served.filter(pl.col("cutoff").is_in(days)) for days in (ONLINE_RETAIL_DAYS, [date(2011, 1, 10)]))
    what = f"Online Retail II, {HEADLINE_DAYS} days, mean of {', '.join(map(str, ONLINE_RETAIL_DAYS))}"
    return [
        _at_most(f"{what}: absolute bias of spend ≤ 12 %", three["spend absolute_bias"].mean(), 0.12, ".1%"),
        _at_most(f"{what}: MAE ≤ 320", three["spend mae"].mean(), 320.0, ".1f"),
        _at_least(f"{what}: normalized Gini ≥ .83", three["spend normalized_gini"].mean(), 0.83, ".3f"),
        _at_most(f"{what}: decile MAPE ≤ .33", three["spend decile_mape"].mean(), 0.33, ".3f"),
        _at_most("Online Retail II, 2011-01-10: bias within ± 30 %", january["spend absolute_bias"].max(), 0.30, ".1%"),
    ]


def _cdnow(shops: Shops) -> list[Verdict]:
    if "cdnow" not in shops:
        return []
    cdnow = shops["cdnow"][0]
    served = _served(cdnow, HEADLINE_DAYS).filter(pl.col("cutoff").is_in(CDNOW_DAYS))
    cells = _likely_tenths(cdnow).filter(pl.col("horizon_days") == HEADLINE_DAYS)["coverage"]
    what = f"CDNOW, {HEADLINE_DAYS} days, mean of {', '.join(map(str, CDNOW_DAYS))}"
    lowest, highest = (_number(value) for value in (cells.min(), cells.max()))
    return [
        _at_most(f"{what}: absolute bias of spend ≤ 15 %", served["spend absolute_bias"].mean(), 0.15, ".1%"),
        _at_least(f"{what}: normalized Gini ≥ .73", served["spend normalized_gini"].mean(), 0.73, ".3f"),
        Verdict(
            f"CDNOW: every tenth with P(buy) ≥ {LIKELY} holds 74 to 88 %",
            f"{lowest:.1%} to {highest:.1%} ({cells.len()} tenths)",
            lowest >= 0.74 and highest <= 0.88,
        ),
    ]


def _acquisition(shops: Shops) -> list[Verdict]:
    found = []
    for kind, median, worst in (("plain", 0.08, 0.12), ("seasonal", 0.12, 0.18)):
        several = [one for name, shop in shops.items() if name.startswith(f"{kind}_") for one in shop]
        if not several:
            continue
        served = pl.concat(_served(one, None) for one in several).filter(pl.col("horizon_days") <= 180)
        errors = served["purchases absolute_bias"]
        by_chance = pl.concat(wide(one).filter(by="truth").select("horizon_days", "purchases bias") for one in several)
        least = _number(by_chance.filter(pl.col("horizon_days") <= 180)["purchases bias"].abs().max())
        what = f"seeded {kind} shops, {len(several)} of them, purchases of 30, 90 and 180 days"
        found += [
            _at_most(f"{what}: median error ≤ {median:.0%}", errors.median(), median, ".1%"),
            _at_most(f"{what}: worst error ≤ {worst:.0%} (by chance alone: {least:.1%})", errors.max(), worst, ".1%"),
        ]
    return found


def _mature(shops: Shops) -> list[Verdict]:
    if "mature_case" not in shops:
        return []
    frame = wide(shops["mature_case"][0]).filter(pl.col("horizon_days") == HEADLINE_DAYS)
    found = []
    for cutoff in shops["mature_case"][0].roles:
        of_day = frame.filter(pl.col("cutoff") == cutoff)
        error = _number(of_day.filter(pl.col("by") == "served")["spend absolute_bias"].max())
        rule = _number(of_day.filter(pl.col("name") == LAST_YEAR)["spend absolute_bias"].max())
        limit = max(0.20, 1.5 * rule)
        what = f"mature seasonal case, {cutoff}: error ≤ 20 % or 1.5 × that of last year's quarter ({rule:.0%})"
        found.append(_at_most(what, error, limit, ".1%"))
    return found


def _held_out(shops: Shops) -> list[Verdict]:
    if not all(name in shops for name in HELD_OUT_SHOPS):
        return []
    served, cells = [], []
    for name in HELD_OUT_SHOPS:
        shop = shops[name][0]
        held_out = [day for day, role in shop.roles.items() if role == "held out"]
        served.append(_served(shop, None).filter(pl.col("cutoff").is_in(held_out)))
        cells.append(_likely_tenths(shop).filter(pl.col("cutoff").is_in(held_out)))
    windows, tenths = pl.concat(served), pl.concat(cells)["coverage"]
    what = f"{windows.height} held-out windows of {', '.join(HELD_OUT_SHOPS)}"
    return [
        _at_most(f"{what}: mean error of purchases ≤ 9 %", windows["purchases absolute_bias"].mean(), 0.09, ".1%"),
        _at_most(f"{what}: mean error of spend ≤ 15 %", windows["spend absolute_bias"].mean(), 0.15, ".1%"),
        _at_least(
            f"{what}: normalized Gini within .01 of the {EARLIER_GINI} of the earlier hybrid",
            windows["spend normalized_gini"].mean(),
            EARLIER_GINI - 0.01,
            ".3f",
        ),
        _at_least(
            f"{what}: of {tenths.len()} tenths with P(buy) ≥ {LIKELY}, 92 % hold 70 to 90 %",
            tenths.is_between(0.70, 0.90).mean(),
            0.92,
            ".0%",
        ),
    ]


def _monthly(shops: Shops) -> list[Verdict]:
    found = []
    for name in ("online_retail_ii", "cdnow"):
        for shop in shops.get(name, []):
            frame = wide(shop).filter(pl.col("by") == "served", pl.col("horizon_days") == HEADLINE_DAYS)
            is_listed = pl.col("cutoff").is_in(ONLINE_RETAIL_DAYS if name == "online_retail_ii" else CDNOW_DAYS)
            listed, monthly = (
                _number(part["spend absolute_bias"].mean())
                for part in (frame.filter(is_listed), frame.filter(~pl.col("cutoff").is_in(list(shop.roles))))
            )
            what = f"{name}: mean absolute bias over monthly cutoffs at most 5 points above the listed {listed:.1%}"
            found.append(_at_most(what, monthly, listed + 0.05, ".1%"))
    return found


def _skill(shops: Shops) -> list[Verdict]:
    """Beside the rule that did best afterwards, which nobody could have picked before."""
    found = []
    for name, several in shops.items():
        skill = "spend tweedie_skill" if several[0].has_money else "purchases poisson_skill"
        gains = []
        for one in several:
            frame = wide(one)
            for row in _served(one, None).iter_rows(named=True):
                rule = best_rule(frame, row["cutoff"], row["horizon_days"], skill)
                if rule and row[skill] is not None:
                    gains.append(row[skill] - rule[skill])
        if gains:
            mean, least = sum(gains) / len(gains), min(gains)
            what = f"{name}: skill above that of the best simple rule, {len(gains)} windows"
            found.append(Verdict(what, f"{mean:+.3f} in the mean, least {least:+.3f}", mean >= 0.0))
    return found


_CHECKS: tuple[Callable[[Shops], list[Verdict]], ...] = (
    *(_no_contradictions, _online_retail, _cdnow, _acquisition, _mature, _held_out, _monthly, _skill),
)


def _served(shop: Measured, horizon_days: int | None) -> pl.DataFrame:
    """What was served on the listed cutoffs."""
    frame = wide(shop).filter(pl.col("by") == "served", pl.col("cutoff").is_in(list(shop.roles)))
    return frame.filter(horizon_days is None or pl.col("horizon_days") == horizon_days).select(
        "cutoff", "horizon_days", "name", *sorted(set(frame.columns) - {"cutoff", "horizon_days", "name", "by"})
    )


def _likely_tenths(shop: Measured) -> pl.DataFrame:
    """The tenths of the customers of listed windows who are likely enough to buy that a range says something."""
    return shop.cells.filter(
        pl.col("cutoff").is_in(list(shop.roles)),
        pl.col("group") != "best 1 %",
        pl.col("p_purchase") >= LIKELY,
        pl.col("coverage").is_not_null(),
    )


def _number(value: object) -> float:
    """A figure as a number; NaN, which reaches no target, where there is none."""
    return float(value) if isinstance(value, int | float) else float("nan")


def _at_most(target: str, value: object, limit: float, style: str) -> Verdict:
    number = _number(value)
    return Verdict(target, format(number, style), number <= limit)


def _at_least(target: str, value: object, limit: float, style: str) -> Verdict:
    number = _number(value)
    return Verdict(target, format(number, style), number >= limit)
