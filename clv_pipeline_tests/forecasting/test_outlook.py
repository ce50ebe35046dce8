"""Revenue by month: known customers as they are forecast, new ones as cohorts did, in a shop whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.outlook import (
    COHORT_MONTHS,
    OUTLOOK_SCHEMA,
    WEEKS,
    WEEKS_SCHEMA,
    Known,
    months_ahead,
    outlook,
    weeks_ahead,
)
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

STEADY = SeededShop(customers=12_000, acquisition_days=1_000, later=1.0, as_of=1_090, days=1_471)
"""Twelve new customers a day, before and after the cutoff."""
SEASONAL = replace(STEADY, buyers=Buyers(season=0.6))


@cache
def days_of(story: SeededShop) -> PurchaseDays:
    return PurchaseDays.simulated(story)


def even_weeks(cutoff: date, season: float = 1.0) -> pl.DataFrame:
    """Weeks ahead that are all alike."""
    ends = [cutoff + timedelta(days=7 * week) for week in range(1, WEEKS + 1)]
    return pl.DataFrame(
        {
            "cutoff": [cutoff] * WEEKS,
            "week_ends": ends,
            "expected_purchases": [7.0] * WEEKS,
            "season": [season] * WEEKS,
        },
        schema=WEEKS_SCHEMA,
    )


def totals_of(*pairs: tuple[int, float | None]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"horizon_days": pl.Int64, "expected_spend": pl.Float64}, orient="row")


def known_of(days: PurchaseDays, cutoff: date, totals: pl.DataFrame, weeks: pl.DataFrame | None = None) -> Known:
    first: date = days.days.select(pl.col("day").min()).item()
    ahead = even_weeks(cutoff) if weeks is None else weeks
    return Known(cutoff, first, days.cohort_months(cutoff), totals, ahead, "hybrid")


def true_totals(days: PurchaseDays, cutoff: date) -> pl.DataFrame:
    """What customers known at the cutoff did spend: a perfect forecast."""
    known = days.days.filter(pl.col("day").min().over("customer_id") <= cutoff, pl.col("day") > cutoff)
    spent = [known.filter(pl.col("day") <= cutoff + timedelta(days=h))["spend"].sum() for h in (30, 90, 180, 365)]
    return totals_of(*zip((30, 90, 180, 365), map(float, spent), strict=True))


def test_months_begin_after_the_cutoff_and_end_within_the_horizon() -> None:
    assert months_ahead(date(2024, 6, 30), 62) == [
        (date(2024, 7, 1), date(2024, 7, 31), 1),
        (date(2024, 8, 1), date(2024, 8, 31), 2),
    ]
    running, whole = months_ahead(date(2024, 12, 9), 55)
    assert running == (date(2024, 12, 1), date(2024, 12, 31), 0)
    assert whole == (date(2025, 1, 1), date(2025, 1, 31), 1)
    assert months_ahead(date(2024, 6, 30), 30) == []
    assert [lead for *_, lead in months_ahead(date(2024, 6, 29), 3_650)] == list(range(13))


@pytest.mark.parametrize("story", [STEADY, SEASONAL], ids=["steady", "seasonal"])
def test_new_customers_bring_what_they_came_to_bring(story: SeededShop) -> None:
    days, cutoff = days_of(story), story.cutoff
    weeks = weeks_ahead(Ground(days.training(cutoff, most_windows=0)).cohorts)
    found = outlook(known_of(days, cutoff, true_totals(days, cutoff), weeks), 365)
    came = days.came_by_month(cutoff, cutoff + timedelta(days=365))
    both = found.months.join(came, on="month", suffix="_came").filter(pl.col("lead_months") > 0)
    assert both.height == 11
    new = both["revenue"] - both["known_revenue_came"]
    off = {
        "new_customers": (both["new_customers"], both["new_customers_came"].cast(pl.Float64)),
        "new_revenue": (both["new_revenue"], new),
        "known_revenue": (both["known_revenue"], both["known_revenue_came"]),
    }
    for name, (expected, actual) in off.items():
        forecast, truth = expected.to_numpy(), actual.to_numpy()
        assert np.abs(np.log(forecast / truth)).mean() < 0.12, name
        assert abs(np.log(forecast.sum() / truth.sum())) < 0.06, name


def test_known_customers_bring_what_is_forecast_to_the_day() -> None:
    days = shop(300)
    cutoff = date(2024, 6, 30)
    months = outlook(known_of(days, cutoff, totals_of((31, 310.0), (62, 465.0), (365, 465.0))), 365).months
    assert months["known_revenue"].to_list() == pytest.approx([310.0, 155.0, *[0.0] * 10])
    within = outlook(known_of(days, cutoff, totals_of((62, 620.0))), 62).months
    assert within["known_revenue"].to_list() == pytest.approx([310.0, 310.0])


def test_lively_weeks_get_more_of_a_horizon() -> None:
    cutoff = date(2024, 6, 30)
    weeks = even_weeks(cutoff).with_columns(
        expected_purchases=pl.when(pl.col("week_ends") <= date(2024, 7, 28)).then(21.0).otherwise(7.0)
    )
    july, august = outlook(known_of(shop(300), cutoff, totals_of((62, 1_000.0)), weeks), 62).months["known_revenue"]
    assert july + august == pytest.approx(1_000.0)
    assert july / august == pytest.approx((28 * 3 + 3) / 31)


def test_a_table_that_expects_nothing_spreads_a_horizon_evenly() -> None:
    cutoff = date(2024, 6, 30)
    silent = even_weeks(cutoff).with_columns(expected_purchases=pl.lit(0.0))
    months = outlook(known_of(shop(300), cutoff, totals_of((62, 620.0)), silent), 62).months
    assert months["known_revenue"].to_list() == pytest.approx([310.0, 310.0])


def test_the_running_month_has_what_came_and_the_days_that_are_left() -> None:
    days = days_of(STEADY)
    cutoff = date(2024, 12, 9)
    running = outlook(known_of(days, cutoff, totals_of((365, 36_500.0))), 365).months.row(0, named=True)
    so_far = days.days.filter(pl.col("day").is_between(date(2024, 12, 1), cutoff))["spend"].sum()
    last_year = days.days.filter(pl.col("day").is_between(date(2023, 12, 1), date(2023, 12, 31)))
    assert running["lead_months"] == 0
    assert running["days"] == 22
    assert running["revenue_so_far"] == pytest.approx(so_far)
    assert running["last_year_revenue"] == pytest.approx(last_year["spend"].sum())
    assert running["naive_revenue"] == pytest.approx(last_year.filter(pl.col("day").dt.day() > 9)["spend"].sum())
    assert running["new_customers"] == pytest.approx(12 * 22, rel=0.15)


def test_months_that_history_does_not_have_are_not_compared() -> None:
    months = outlook(known_of(days_of(STEADY), date(2022, 6, 30), totals_of((365, 1.0))), 365).months
    years_ago = months.filter(pl.col("last_year_revenue").is_not_null())["month"]
    assert years_ago.to_list() == [date(2023, month, 1) for month in range(1, 7)]
    assert months.schema == OUTLOOK_SCHEMA


def test_a_shop_of_a_few_days_expects_first_orders_alone() -> None:
    days = days_of(STEADY)
    found = outlook(known_of(days, date(2022, 1, 20), totals_of((90, 100.0))), 90)
    assert (found.method, found.code) == ("recent_mean", "too_short")
    assert found.facts["ages_seen"] == 0
    assert found.unit > 0.0
    assert found.months["new_customers"].to_list() == [0.0] * found.months.height


def test_without_money_there_are_new_customers_and_no_revenue() -> None:
    known = known_of(days_of(STEADY), date(2024, 12, 9), totals_of((365, None)))
    months = outlook(replace(known, has_money=False), 365).months
    assert months.select(pl.col("^.*revenue$")).null_count().row(0) == (months.height,) * 4
    assert (months["new_customers"] > 0.0).all()


def test_weeks_ahead_are_those_of_the_cohort_table() -> None:
    table = Ground(shop(800, season=0.5).training(CUTOFF, most_windows=0)).cohorts
    weeks = weeks_ahead(table)
    assert weeks.schema == WEEKS_SCHEMA
    assert weeks.head(52)["expected_purchases"].sum() == pytest.approx(table.purchases(364))
    assert weeks.head(52)["season"].mean() == pytest.approx(1.0, abs=0.02)
    # The season of the shop peaks in late November.
    assert weeks.head(52).sort("season")["week_ends"].last().month in (11, 12)  # type: ignore[union-attr]


def test_an_outlook_refuses_to_learn_from_the_future() -> None:
    days = shop(300)
    with pytest.raises(ValueError, match="would learn from the future"):
        Known(date(2024, 5, 31), date(2022, 1, 1), days.cohort_months(CUTOFF), totals_of(), even_weeks(CUTOFF), "m")
    lacking = days.cohort_months(CUTOFF).drop("first_revenue")
    with pytest.raises(ValueError, match="cohorts lacks the columns first_revenue"):
        Known(CUTOFF, date(2022, 1, 1), lacking, totals_of(), even_weeks(CUTOFF), "m")
    assert set(COHORT_MONTHS) == set(days.cohort_months(CUTOFF).columns)
