"""What an acquired customer brings and may cost: by month of first purchase and by channel, with its backtest.

A group of customers is projected by the sum of their paths. Its range is learned from past forecasts of groups of the
same kind: the squared relative error of a group is κ² + φ / M, an error that its customers share and one that shrinks
with the number M of purchases that are expected of it. Both are non-negative least squares with a stated prior, as one
window of groups more. What has come already has no range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from clv_pipeline.forecasting.ages import AGES_MONTHS, PROJECTED_MONTHS, age_days
from clv_pipeline.forecasting.frames import Floats, floats
from clv_pipeline.forecasting.protocol import require_columns

SCOPES: Mapping[str, tuple[str, ...]] = {
    "month and channel": ("first_month", "channel"),
    "month": ("first_month",),
    "channel": ("channel",),
    "shop": (),
}
"""The kinds of groups, by name: what their customers have in common."""

REALISED_MONTHS = (1, 3, 6, 12, 24)
"""Ages of which it is shown what has come."""

RECENT_MONTHS = 12
"""Customers of so many months stand for a customer who is acquired now."""

PRIOR_CUSTOMERS = 30
"""The value of a channel's customer is pulled towards that of the shop, which counts like so many of the channel."""

SHARED_ERROR, OWN_ERROR = 0.25, 2.0
"""Before any past window: the deviation that a group's customers share, and the variance of one expected purchase.

The first is `ranges.TOTAL_ERROR`; the second is of a Poisson number of purchases whose values vary as much as they are.
"""

LEAST_SHARED_ERROR = 0.05
MONTH_DAYS = 30.0
_FAR = 3.0
_KEYS = ("first_month", "channel")

BACKTEST_SCHEMA = pl.Schema(
    {
        "cutoff": pl.Date,
        "horizon_days": pl.Int64,
        "scope": pl.String,
        "first_month": pl.Date,
        "channel": pl.String,
        "model": pl.String,
        "customers": pl.Int64,
        "expected_purchases": pl.Float64,
        "expected_spend": pl.Float64,
        "actual_spend": pl.Float64,
        "spend_lower": pl.Float64,
        "spend_upper": pl.Float64,
        "is_held": pl.Boolean,
    }
)

VALUE_SCHEMA = pl.Schema(
    [
        ("scope", pl.String),
        ("first_month", pl.Date),
        ("channel", pl.String),
        ("customers", pl.Int64),
        ("cost", pl.Decimal(28, 4)),
        ("costed_customers", pl.Int64),
        ("cac", pl.Float64),
        *((f"margin_{months}_months", pl.Float64) for months in REALISED_MONTHS),
        *(
            (f"projected_{months}_months{end}", pl.Float64)
            for months in PROJECTED_MONTHS
            for end in ("", "_lower", "_upper")
        ),
        *((name, pl.Float64) for name in ("ltv", "ltv_lower", "ltv_upper", "ltv_to_cac")),
        ("payback_month", pl.Int64),
        ("payback", pl.String),
        ("new_customers", pl.Int64),
        ("new_customer_value", pl.Float64),
        ("interval_level", pl.Float64),
    ]
)


@dataclass(frozen=True)
class GroupRange:
    """The error of a group's forecast: κ² shared by its customers, φ per expected purchase, and what it rests on."""

    shared: float
    own: float
    independent: float
    horizon_days: int

    @classmethod
    def learn(cls, past: pl.DataFrame, horizon_days: int) -> GroupRange:
        """Learn from past groups of one kind: cutoff, horizon_days, expected_purchases, expected_ and actual_spend.

        Groups over this horizon, else over the longest shorter one, else over the shortest longer one. Windows of a
        cutoff count as far as they do not overlap.
        """
        from scipy.optimize import nnls

        usable = past.filter(pl.col("expected_spend") > 0.0, pl.col("expected_purchases") > 0.0)
        known: list[int] = usable["horizon_days"].unique().sort().to_list()
        shorter, longer = [h for h in known if h <= horizon_days], [h for h in known if h > horizon_days]
        learned_from = shorter[-1] if shorter else longer[0] if longer else horizon_days
        groups = usable.filter(horizon_days=learned_from)
        few = 1.0 / np.maximum(floats(groups, "expected_purchases"), 1e-9)
        scale = SHARED_ERROR**2 + OWN_ERROR * few
        error = floats(groups, "actual_spend") / floats(groups, "expected_spend") - 1.0
        squared = np.minimum(np.square(error), np.square(_FAR) * scale)
        windows = groups["cutoff"].n_unique()
        independent = 0.0
        if windows:
            independent = max(1.0, windows * min(1.0, MONTH_DAYS / max(learned_from, 1)))
        # All groups of a window count as one window, and the prior as one more, of each of the two numbers.
        weight = math.sqrt(independent / max(groups.height, 1))
        rows = np.column_stack([np.ones_like(few), few]) / scale[:, None] * weight
        prior = np.diag([1.0 / SHARED_ERROR**2, 1.0 / OWN_ERROR])
        found, _ = nnls(np.vstack([rows, prior]), np.concatenate([squared / scale * weight, [1.0, 1.0]]))
        return cls(max(float(found[0]), LEAST_SHARED_ERROR**2), float(found[1]), independent, learned_from)

    def factors(self, purchases: Floats, days: Floats, level: float) -> tuple[Floats, Floats]:
        """By what a group's forecast is multiplied for the ends of its range, with so many purchases over these days.

        What the customers share grows with time beyond the horizon that it was learned over. A range begins at 0 where
        it may well be that nobody buys.
        """
        from scipy.special import stdtrit

        longer = np.maximum(days / max(self.horizon_days, 1), 1.0)
        variance = self.shared * longer + self.own / np.maximum(purchases, 1e-9)
        deviation = np.sqrt(np.log1p(np.minimum(variance, 1e6)))
        quantile = float(stdtrit(1.0 + self.independent, 0.5 * (1.0 + level)))
        upper = np.asarray(np.exp(np.minimum(quantile * deviation, 50.0)), dtype=np.float64)
        return np.where(np.exp(-purchases) > 0.5 * (1.0 - level), 0.0, 1.0 / upper), upper


def rolled_up(sums: pl.DataFrame, by: tuple[str, ...] = ()) -> pl.DataFrame:
    """Sums by first_month and channel, added up for each of SCOPES; `by` are further keys. Other columns are summed."""
    keys = [*by, *_KEYS]
    summed = [name for name in sums.columns if name not in keys]
    parts = []
    for scope, common in SCOPES.items():
        kept = [*by, *common]
        # A sum with something unknown in it is unknown.
        values = [pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in summed]
        part = sums.group_by(kept).agg(values) if kept else sums.select(values)
        missing = [pl.lit(None, sums.schema[key]).alias(key) for key in _KEYS if key not in common]
        part = part.with_columns(*missing, scope=pl.lit(scope))
        parts.append(part.select("scope", *keys, *summed))
    return pl.concat(parts)


def backtest(groups: pl.DataFrame, model: str, level: float) -> pl.DataFrame:
    """Past forecasts of groups against what came, in BACKTEST_SCHEMA.

    `groups`: sums by cutoff, horizon_days, first_month and channel: customers, expected_purchases, expected_spend,
    actual_spend. The range of a group is learned from the windows that were over by its cutoff.
    """
    columns = ("customers", "expected_purchases", "expected_spend", "actual_spend")
    require_columns(groups, ["cutoff", "horizon_days", *_KEYS, *columns], "groups of a backtest")
    known = rolled_up(groups.filter(pl.col("expected_spend").is_not_null()), ("cutoff", "horizon_days"))
    parts = [pl.DataFrame(schema=BACKTEST_SCHEMA)]
    over = pl.col("cutoff") + pl.duration(days=pl.col("horizon_days"))
    for (scope, cutoff, horizon), window in known.group_by("scope", "cutoff", "horizon_days", maintain_order=True):
        past = known.filter(over <= cutoff, scope=scope)
        low, high = GroupRange.learn(past, int(str(horizon))).factors(
            floats(window, "expected_purchases"), np.full(window.height, float(str(horizon))), level
        )
        ranged = window.with_columns(
            model=pl.lit(model),
            spend_lower=pl.col("expected_spend") * pl.Series(low),
            spend_upper=pl.col("expected_spend") * pl.Series(high),
        )
        held = pl.col("actual_spend").is_between("spend_lower", "spend_upper")
        parts.append(ranged.with_columns(is_held=held).select(BACKTEST_SCHEMA.names()).cast(BACKTEST_SCHEMA))
    return pl.concat(parts).sort("cutoff", "horizon_days", "scope", *_KEYS, nulls_last=True)


def acquisition_value(
    realised: pl.DataFrame,
    outlook: pl.DataFrame,
    costs: pl.DataFrame,
    past: pl.DataFrame,
    as_of: date,
    level: float,
) -> pl.DataFrame:
    """What customers cost and bring, by month of first purchase and channel and for all of SCOPES, in VALUE_SCHEMA.

    Args:
        realised: first_month, channel, months, customers, is_complete, margin, discounted_margin (`cohort_margins`).
        outlook: first_month, channel and `ahead_columns` (`acquisition_outlook`).
        costs: cost_month, channel, cost (`acquisition_costs`); empty where nothing is known of costs.
        past: the result of `backtest`.
        as_of: last day of history.
        level: share of outcomes that a range should hold.

    A month or channel that cost money and brought nobody has a row. Within the months of `costs` what is not listed
    cost nothing; outside of them nothing is known.
    """
    sums = _cohorts(realised, outlook, costs, as_of)
    groups = rolled_up(sums).with_columns(
        pl.when(pl.col("cost_rows") + pl.col("costed_customers") > 0).then("cost").alias("cost")
    )
    recent = sums.filter(pl.col("first_month") > pl.lit(as_of).dt.offset_by(f"-{RECENT_MONTHS}mo"))
    groups = groups.join(_new_customers(recent), on=["scope", "channel"], how="left", nulls_equal=True)
    groups = groups.with_columns(
        pl.when(pl.col("costed_customers") > 0)
        .then(pl.col("cost").cast(pl.Float64) / pl.col("costed_customers"))
        .alias("cac"),
        *(
            pl.when(pl.col(f"reached_{months}") > 0)
            .then(pl.col(f"margin_reached_{months}") / pl.col(f"reached_{months}"))
            .alias(f"margin_{months}_months")
            for months in AGES_MONTHS
        ),
        *(_per(f"total_{months}").alias(f"projected_{months}_months") for months in AGES_MONTHS),
        ltv=_per("discounted"),
        interval_level=pl.lit(level),
    )
    # Of a month its own margin counts once all its customers are that old.
    of_months = pl.col("scope").is_in(["month", "month and channel"])
    groups = groups.with_columns(
        pl.when(~of_months | (pl.col(f"reached_{months}") == pl.col("customers"))).then(f"margin_{months}_months")
        for months in AGES_MONTHS
    )
    groups = pl.concat([_ranged(part, past, level) for part in groups.partition_by("scope", maintain_order=True)])
    groups = groups.with_columns(pl.when(pl.col("cac") > 0.0).then(pl.col("ltv") / pl.col("cac")).alias("ltv_to_cac"))
    return _paid_back(groups).select(VALUE_SCHEMA.names()).cast(VALUE_SCHEMA).sort(*_ORDER, nulls_last=True)


_ORDER = (pl.col("scope").replace_strict({scope: place for place, scope in enumerate(SCOPES)}), *_KEYS)


def _new_customers(recent: pl.DataFrame) -> pl.DataFrame:
    """What a customer who is acquired now is worth, of each channel and of the shop, and of how many that is known.

    A channel of a few customers says little: its mean is pulled towards that of the shop by PRIOR_CUSTOMERS.
    """
    groups = rolled_up(recent).filter(pl.col("scope").is_in(["channel", "shop"]))
    own, known = _per("discounted"), pl.col("customers")
    of_shop = own.filter(pl.col("scope") == "shop").first()
    pulled = (known * own + PRIOR_CUSTOMERS * of_shop) / (known + PRIOR_CUSTOMERS)
    return groups.select(
        "scope",
        "channel",
        new_customers=known,
        new_customer_value=pl.when(pl.col("scope") == "shop").then(own).otherwise(pulled),
    )


def _per(name: str) -> pl.Expr:
    """A sum per customer; null where there are none."""
    return pl.when(pl.col("customers") > 0).then(pl.col(name) / pl.col("customers"))


def _cohorts(realised: pl.DataFrame, outlook: pl.DataFrame, costs: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """One row per first month and channel that has customers or costs, with everything that can be added up.

    `total_…`: margin that has come and is ahead by an age. `margin_reached_…` of `reached_…` customers: where all of
    the month are that old. `weighted_days_…`: days that are ahead until an age, times customers.
    """
    wide = (
        realised.sort(*_KEYS, "months")
        .group_by(_KEYS, maintain_order=True)
        .agg(
            pl.col("customers").first().cast(pl.Int64),
            *(
                pl.col(name).filter(months=months).first().cast(type_).alias(f"{name}_{months}")
                for months in AGES_MONTHS
                for name, type_ in (
                    ("margin", pl.Float64),
                    ("discounted_margin", pl.Float64),
                    ("is_complete", pl.Boolean),
                )
            ),
        )
    )
    spent = costs.rename({"cost_month": "first_month"}).with_columns(cost_rows=pl.lit(1))
    cohorts = wide.join(outlook.drop("customers"), on=_KEYS, how="left").join(
        spent, on=_KEYS, how="full", coalesce=True
    )
    first, last = costs["cost_month"].min(), costs["cost_month"].max()
    is_costed = pl.col("first_month").is_between(pl.lit(first, pl.Date), pl.lit(last, pl.Date)).fill_null(value=False)
    customers = pl.col("customers").fill_null(0)
    somebody = pl.col("customers").is_not_null()
    age = (pl.lit(as_of) - pl.col("first_month")).dt.total_days() - 15
    end = AGES_MONTHS[-1]
    return cohorts.select(
        *_KEYS,
        customers=customers,
        cost=pl.col("cost").fill_null(0),
        cost_rows=pl.col("cost_rows").fill_null(0),
        costed_customers=pl.when(is_costed).then(customers).otherwise(0),
        discounted=_of(somebody, pl.col(f"discounted_margin_{end}") + pl.col("discounted_ahead")),
        discounted_ahead=_of(somebody, pl.col("discounted_ahead")),
        **{
            f"total_{months}": _of(somebody, pl.col(f"margin_{months}") + pl.col(f"margin_ahead_{months}"))
            for months in AGES_MONTHS
        },
        **{
            f"{name}_ahead_{months}": _of(somebody, pl.col(f"{name}_ahead_{months}"))
            for months in PROJECTED_MONTHS
            for name in ("margin", "purchases")
        },
        **{
            f"weighted_days_{months}": pl.max_horizontal(age_days(months) - age, pl.lit(0)) * customers
            for months in PROJECTED_MONTHS
        },
        **{
            f"reached_{months}": pl.when(f"is_complete_{months}").then(customers).otherwise(0) for months in AGES_MONTHS
        },
        **{
            f"margin_reached_{months}": _of(pl.col(f"is_complete_{months}"), pl.col(f"margin_{months}"))
            for months in AGES_MONTHS
        },
    )


def _of(whom: pl.Expr, value: pl.Expr) -> pl.Expr:
    """The value where there is somebody to have it, else 0."""
    return pl.when(whom).then(value).otherwise(0.0)


def _ranged(groups: pl.DataFrame, past: pl.DataFrame, level: float) -> pl.DataFrame:
    """Groups of one scope with the ranges of their projections; ends do not fall from one age to the next."""
    of_scope = past.filter(scope=groups["scope"][0])
    customers = floats(groups.with_columns(pl.col("customers").cast(pl.Float64)), "customers")
    each = np.maximum(customers, 1.0)
    ends: dict[str, list[Floats]] = {"_lower": [], "_upper": []}
    low = high = np.ones(groups.height)
    for months in PROJECTED_MONTHS:
        ahead = floats(groups, f"margin_ahead_{months}") / each
        total = floats(groups, f"projected_{months}_months")
        days = floats(groups, f"weighted_days_{months}") / each
        learned = GroupRange.learn(of_scope, round(float(np.median(days))) if groups.height else months)
        low, high = learned.factors(floats(groups, f"purchases_ahead_{months}"), days, level)
        ends["_lower"].append(total - ahead + ahead * low)
        ends["_upper"].append(total - ahead + ahead * high)
    names = {}
    for end, values in ends.items():
        running = np.maximum.accumulate(np.stack(values), axis=0)
        for months, row in zip(PROJECTED_MONTHS, running, strict=True):
            total = floats(groups, f"projected_{months}_months")
            within = np.minimum(row, total) if end == "_lower" else np.maximum(row, total)
            names[f"projected_{months}_months{end}"] = pl.Series(within).fill_nan(None)
    ahead, ltv = floats(groups, "discounted_ahead") / each, floats(groups, "ltv")
    names["ltv_lower"] = pl.Series(ltv - ahead + ahead * low).fill_nan(None)
    names["ltv_upper"] = pl.Series(ltv - ahead + ahead * high).fill_nan(None)
    return groups.with_columns(**names)


def _paid_back(groups: pl.DataFrame) -> pl.DataFrame:
    """Groups with payback_month, the month by whose end a customer's margin covers the CAC, and `payback`.

    `payback`: realised, where all customers were that old and had brought it; projected; none, where it takes longer
    than the last of AGES_MONTHS. Between two ages the margin is taken to be a line.
    """
    month, basis = pl.lit(None, pl.Float64), pl.lit(None, pl.String)
    cac = pl.col("cac")
    for place in reversed(range(len(AGES_MONTHS))):
        age, before = AGES_MONTHS[place], AGES_MONTHS[place - 1] if place else 0
        for kind, name in (("projected", "projected"), ("realised", "margin")):
            at = pl.col(f"{name}_{age}_months")
            start = pl.col(f"{name}_{before}_months") if place else pl.lit(0.0)
            share = ((cac - start) / (at - start)).clip(0.0, 1.0).fill_nan(1.0)
            reached = before + (age - before) * share if place else pl.lit(1.0)
            passes = at >= cac
            month = pl.when(passes).then(reached).otherwise(month)
            basis = pl.when(passes).then(pl.lit(kind)).otherwise(basis)
    is_known = pl.col(f"projected_{AGES_MONTHS[-1]}_months").is_not_null() & cac.is_not_null()
    return groups.with_columns(
        payback_month=pl.when(cac <= 0.0).then(0).otherwise(month.ceil()).cast(pl.Int64),
        payback=pl.when(cac <= 0.0)
        .then(pl.lit("realised"))
        .when(basis.is_null() & is_known)
        .then(pl.lit("none"))
        .otherwise(basis),
    )


def held_share(past: pl.DataFrame) -> list[dict[str, Any]]:
    """How often ranges held what came, by scope and horizon: for the metadata of the UI."""
    return (
        past.group_by("scope", "horizon_days")
        .agg(groups=pl.len(), held=pl.col("is_held").mean())
        .sort("scope", "horizon_days")
        .to_dicts()
    )
