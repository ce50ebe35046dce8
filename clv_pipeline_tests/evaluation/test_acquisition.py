"""What acquired customers cost and bring: sums of groups, ranges of projections, payback, and the backtest."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.acquisition import (
    PRIOR_CUSTOMERS,
    GroupRange,
    acquisition_value,
    backtest,
    rolled_up,
)
from clv_pipeline.forecasting.ages import AGES_MONTHS, ahead_columns

AS_OF = date(2024, 6, 30)
OLD, YOUNG = date(2022, 1, 1), date(2024, 3, 1)
NO_PAST = backtest(
    pl.DataFrame(
        schema={
            "cutoff": pl.Date,
            "horizon_days": pl.Int32,
            "first_month": pl.Date,
            "channel": pl.String,
            "customers": pl.Int64,
            **dict.fromkeys(("expected_purchases", "expected_spend", "actual_spend"), pl.Float64),
        }
    ),
    "hybrid",
    0.8,
)


def realised(month: date, channel: str, customers: int, each: float, complete: int) -> pl.DataFrame:
    """A cohort whose customers bring so much a month, up to now; ages up to `complete` months are over."""
    months = [min(age, max(complete, 1)) for age in AGES_MONTHS]
    brought = [Decimal(str(customers * each * age)) for age in months]
    return pl.DataFrame(
        {
            "first_month": [month] * len(months),
            "channel": [channel] * len(months),
            "months": AGES_MONTHS,
            "customers": [customers] * len(months),
            "is_complete": [age <= complete for age in AGES_MONTHS],
            "margin": brought,
            "discounted_margin": brought,
        },
        schema_overrides={"customers": pl.Int32, "margin": pl.Decimal(28, 4), "discounted_margin": pl.Decimal(28, 4)},
    )


def outlook(month: date, channel: str, customers: int, each: float, complete: int) -> dict[str, Any]:
    """What such a cohort is expected to go on bringing."""
    ahead = {f"margin_ahead_{age}": customers * each * max(age - max(complete, 1), 0) for age in AGES_MONTHS}
    purchases = {name: 3.0 * customers for name in ahead_columns() if name.startswith("purchases")}
    last = {"discounted_ahead": ahead[f"margin_ahead_{AGES_MONTHS[-1]}"]}
    return {"first_month": month, "channel": channel, "customers": customers, **ahead, **purchases, **last}


def costs(*rows: tuple[date, str, int]) -> pl.DataFrame:
    schema: dict[str, Any] = {"cost_month": pl.Date, "channel": pl.String, "cost": pl.Decimal(28, 4)}
    return pl.DataFrame(rows, schema=schema, orient="row")


COHORTS: list[tuple[date, str, int, float, int]] = [
    (OLD, "search", 10, 2.0, 24),
    (YOUNG, "search", 20, 3.0, 3),
    (YOUNG, "friend", 5, 1.0, 3),
]


def value(
    spent: pl.DataFrame, past: pl.DataFrame = NO_PAST
) -> dict[tuple[str, date | None, str | None], dict[str, Any]]:
    found = acquisition_value(
        pl.concat([realised(*cohort) for cohort in COHORTS]),
        pl.DataFrame([outlook(*cohort) for cohort in COHORTS]),
        spent,
        past,
        AS_OF,
        0.8,
    )
    return {(row["scope"], row["first_month"], row["channel"]): row for row in found.iter_rows(named=True)}


def test_costs_and_customers_add_up_in_every_scope_also_where_nobody_came() -> None:
    spent = costs((OLD, "search", 100), (YOUNG, "search", 50), (YOUNG, "radio", 70), (date(2024, 4, 1), "search", 9))
    rows = value(spent)
    for scope in ("month and channel", "month", "channel", "shop"):
        of_scope = [row for (name, _, _), row in rows.items() if name == scope]
        assert sum(row["cost"] or 0 for row in of_scope) == 229
        assert sum(row["customers"] for row in of_scope) == 35
    radio = rows["month and channel", YOUNG, "radio"]
    assert (radio["customers"], radio["cost"], radio["cac"], radio["ltv"]) == (0, 70, None, None)
    assert rows["month", date(2024, 4, 1), None]["customers"] == 0


def test_what_a_channel_cost_is_known_only_of_the_months_of_the_costs() -> None:
    rows = value(costs((YOUNG, "search", 50)))
    assert rows["month and channel", OLD, "search"]["cost"] is None
    assert rows["month and channel", YOUNG, "friend"]["cost"] == 0
    assert rows["channel", None, "search"]["cac"] == 50 / 20
    assert rows["shop", None, None]["costed_customers"] == 25


def test_what_came_counts_once_all_customers_are_that_old_and_projections_start_there() -> None:
    row = value(costs())["month", OLD, None]
    assert [row[f"margin_{age}_months"] for age in (1, 3, 6, 12, 24)] == [2, 6, 12, 24, 48]
    assert (row["projected_24_months"], row["projected_24_months_lower"], row["projected_24_months_upper"]) == (48,) * 3
    assert row["projected_36_months"] == 72
    assert 48 < row["projected_36_months_lower"] < 72 < row["projected_36_months_upper"]
    young = value(costs())["month and channel", YOUNG, "search"]
    assert (young["margin_3_months"], young["margin_6_months"], young["projected_12_months"]) == (9, None, 36)


def test_channels_put_together_only_months_that_are_old_enough() -> None:
    row = value(costs())["channel", None, "search"]
    assert row["margin_3_months"] == pytest.approx((10 * 6 + 20 * 9) / 30)
    assert row["margin_12_months"] == 24, "the young ones are not that old"
    assert row["projected_12_months"] == pytest.approx((10 * 24 + 20 * 36) / 30)
    of_shop = (20 * 3 * 36 + 5 * 36) / 25
    assert row["new_customers"] == 20, "of those who came within a year"
    assert row["new_customer_value"] == pytest.approx(
        (20 * 3 * 36 + PRIOR_CUSTOMERS * of_shop) / (20 + PRIOR_CUSTOMERS)
    )
    shop = value(costs())["shop", None, None]
    assert (shop["new_customers"], shop["new_customer_value"]) == (25, pytest.approx(of_shop))


def test_a_channel_of_two_customers_is_worth_little_more_or_less_than_the_shop() -> None:
    few = [(YOUNG, "search", 60, 1.0, 3), (YOUNG, "friend", 2, 30.0, 3)]
    rows = acquisition_value(
        pl.concat([realised(*cohort) for cohort in few]),
        pl.DataFrame([outlook(*cohort) for cohort in few]),
        costs(),
        NO_PAST,
        AS_OF,
        0.8,
    ).rows(named=True)
    by = {row["channel"]: row for row in rows if row["scope"] == "channel"}
    [shop] = [row for row in rows if row["scope"] == "shop"]
    assert by["friend"]["new_customers"] == 2
    assert by["friend"]["ltv"] == pytest.approx(30 * 36)
    assert shop["new_customer_value"] < by["friend"]["new_customer_value"] < 0.2 * by["friend"]["ltv"]
    assert by["search"]["ltv"] < by["search"]["new_customer_value"] < shop["new_customer_value"]


def test_payback_is_the_month_in_which_the_margin_covers_the_cost() -> None:
    spent = costs((OLD, "search", 70), (YOUNG, "search", 20 * 27), (YOUNG, "friend", 5 * 100), (YOUNG, "radio", 1))
    rows = value(spent)

    def of(month: date, channel: str) -> tuple[Any, Any]:
        row = rows["month and channel", month, channel]
        return row["payback_month"], row["payback"]

    assert of(OLD, "search") == (4, "realised"), "7 each at 2 a month"
    assert of(YOUNG, "search") == (9, "projected"), "27 each at 3 a month"
    assert of(YOUNG, "friend") == (None, "none"), "100 each at 1 a month"
    assert of(YOUNG, "radio") == (None, None)
    assert rows["month and channel", YOUNG, "search"]["ltv_to_cac"] == pytest.approx(108 / 27)


def test_where_nothing_can_be_projected_what_came_is_still_told() -> None:
    unknown = pl.DataFrame([outlook(*cohort) for cohort in COHORTS]).with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ahead_columns()
    )
    came = pl.concat([realised(*cohort) for cohort in COHORTS])
    rows = acquisition_value(came, unknown, costs((OLD, "search", 70)), NO_PAST, AS_OF, 0.8).rows(named=True)
    [old] = [row for row in rows if row["scope"] == "month" and row["first_month"] == OLD]
    assert (old["margin_24_months"], old["cac"], old["payback_month"]) == (48, 7, 4)
    assert (old["projected_36_months"], old["ltv"], old["new_customer_value"]) == (None, None, None)


def groups(seed: int, *, shared: float, per_purchase: float, cutoffs: int = 12) -> pl.DataFrame:
    """Past groups of many sizes with a known error: `shared` by all of a cutoff, and of every purchase."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(cutoffs):
        common = np.exp(rng.normal(-(shared**2) / 2, shared))
        for number in range(30):
            expected = float(rng.uniform(2, 300))
            noise = rng.normal(0, np.sqrt(per_purchase / expected))
            rows.append(
                {
                    "cutoff": date(2023, 1, 1) + timedelta(days=30 * place),
                    "horizon_days": 30,
                    "first_month": date(2020, 1, 1) + timedelta(days=31 * number),
                    "channel": "search",
                    "customers": 20,
                    "expected_purchases": expected,
                    "expected_spend": 10 * expected,
                    "actual_spend": max(10 * expected * (common + noise), 0.0),
                }
            )
    return pl.DataFrame(rows)


def test_a_range_knows_what_customers_share_from_what_is_their_own() -> None:
    past = rolled_up(groups(1, shared=0.2, per_purchase=2.0), ("cutoff", "horizon_days")).filter(scope="month")
    learned = GroupRange.learn(past, 30)
    assert learned.shared**0.5 == pytest.approx(0.2, abs=0.08)
    assert learned.own == pytest.approx(2.0, abs=0.7)
    _, few = learned.factors(np.array([5.0]), np.array([30.0]), 0.8)
    _, many = learned.factors(np.array([500.0]), np.array([30.0]), 0.8)
    assert few > many


def test_past_ranges_hold_the_stated_share_and_learn_only_from_windows_that_were_over() -> None:
    past = backtest(groups(2, shared=0.15, per_purchase=2.0), "hybrid", 0.8)
    later = past.filter(pl.col("cutoff") > date(2023, 4, 1), scope="month")
    assert later["is_held"].mean() == pytest.approx(0.85, abs=0.1)
    first = past.filter(pl.col("cutoff") == date(2023, 1, 1))
    changed = groups(2, shared=0.15, per_purchase=2.0).with_columns(
        pl.when(pl.col("cutoff") > date(2023, 1, 1)).then(0.0).otherwise("actual_spend").alias("actual_spend")
    )
    assert backtest(changed, "hybrid", 0.8).filter(pl.col("cutoff") == date(2023, 1, 1)).equals(first)


def test_where_nobody_may_buy_a_range_begins_at_nothing() -> None:
    lower, upper = GroupRange(0.05, 2.0, 1.0, 30).factors(np.array([0.5, 50.0]), np.array([30.0, 30.0]), 0.8)
    assert lower[0] == 0.0
    assert 0.0 < lower[1] < 1.0 < upper[1]
