"""Past outlooks against what came: ranges from what was over by then, and a table that says what it rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import Any

import duckdb
import polars as pl
import pytest

from clv_pipeline.evaluation.outlook import (
    BACKTEST_SCHEMA,
    MONEY,
    OUTLOOK_TABLE,
    TARGETS,
    MonthRanges,
    Past,
    outlook_backtest,
    outlook_in_words,
    outlook_table,
    past_errors,
)
from clv_pipeline.forecasting.outlook import WEEKS, WEEKS_SCHEMA, Known, Outlook, outlook
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays
from clv_pipeline_tests.helpers.sql_bench import Bench

SHOP = SeededShop(Buyers(season=0.3), customers=6_000, acquisition_days=1_000, as_of=1_090, days=1_471)
AS_OF = SHOP.cutoff
CUTOFFS = tuple(AS_OF - timedelta(days=30 * step) for step in range(12, 0, -1))


@cache
def days() -> PurchaseDays:
    return PurchaseDays.simulated(SHOP)


@cache
def made_on(cutoff: date, off_by: float = 1.0) -> Outlook:
    """An outlook whose known customers are forecast as they came, times a factor."""
    known = days().days.filter(pl.col("day").min().over("customer_id") <= cutoff, pl.col("day") > cutoff)
    horizons = range(30, 391, 30)
    spent = [float(known.filter(pl.col("day") <= cutoff + timedelta(days=h))["spend"].sum()) for h in horizons]
    ends = [cutoff + timedelta(days=7 * week) for week in range(1, WEEKS + 1)]
    weeks = pl.DataFrame(
        {"cutoff": [cutoff] * WEEKS, "week_ends": ends, "expected_purchases": [1.0] * WEEKS, "season": [1.0] * WEEKS},
        schema=WEEKS_SCHEMA,
    )
    totals = pl.DataFrame({"horizon_days": horizons, "expected_spend": spent}).with_columns(
        pl.col("expected_spend") * off_by
    )
    return outlook(Known(cutoff, SHOP.start, days().cohort_months(cutoff), totals, weeks, "hybrid"), 365)


def past(cutoff: date, off_by: float = 1.0) -> Past:
    made = made_on(cutoff, off_by)
    over = made.months.filter(pl.col("month").dt.month_end() <= AS_OF)
    made = Outlook(made.cutoff, made.model, over, made.method, made.code, made.facts, made.unit)
    return Past(made, days().came_by_month(cutoff, AS_OF))


@pytest.fixture(scope="module")
def backtest() -> pl.DataFrame:
    return outlook_backtest([past(cutoff) for cutoff in CUTOFFS], 0.8)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    session = Session(duckdb.connect())
    bench = Bench(session)
    bench.given("history_span", [{"first_day": SHOP.start, "last_day": AS_OF, "as_of": AS_OF}])
    longest = {"horizon_days": 390, "expected_spend": 1e12}
    bench.given("forecast_totals", [longest])
    yield bench
    session.close()


def failed(bench: Bench, table: str, frame: pl.DataFrame) -> list[str]:
    bench.given(table, frame.to_dicts())
    return bench.failed_checks(table)


def test_ranges_of_a_steady_shop_hold_what_comes_about_as_often_as_stated(backtest: pl.DataFrame) -> None:
    total = backtest.filter(pl.col("target") == "total_revenue", pl.col("lead_months") > 0)
    assert total.height > 50
    assert 0.75 <= total["is_inside"].mean() <= 1.0  # type: ignore[operator]
    assert past_errors(backtest)["error"] < 0.1


def test_known_and_new_customers_are_the_total_as_expected_and_as_it_came(backtest: pl.DataFrame) -> None:
    wide = backtest.pivot("target", index=["cutoff", "month"], values=["expected", "came"])
    for what in ("expected", "came"):
        parts = wide[f"{what}_known_revenue"] + wide[f"{what}_new_revenue"]
        assert (parts - wide[f"{what}_total_revenue"]).abs().max() < 1e-6  # type: ignore[operator]
    assert backtest.schema == BACKTEST_SCHEMA
    assert set(backtest["target"]) == set(TARGETS)


def test_a_range_on_a_past_date_is_learned_from_months_that_were_over_by_then() -> None:
    one, other = (outlook_backtest([past(CUTOFFS[0], wrong), past(CUTOFFS[1])], 0.8) for wrong in (1.0, 9.0))
    later = pl.col("cutoff") == CUTOFFS[1]
    # Of the first cutoff only its running month was over by the second, which follows within 30 days.
    over = one.filter(~later, pl.col("month").dt.month_end() <= CUTOFFS[1])
    assert over["lead_months"].unique().to_list() == [0]
    first = one.filter(~later, pl.col("target") == "known_revenue")
    stated = MonthRanges.learn(pl.DataFrame(schema=BACKTEST_SCHEMA), "known_revenue", 1.0, 0.8).factor(3)
    assert (first["upper"] / first["expected"]).to_list() == pytest.approx([stated] * first.height, rel=1e-2)
    assert not one.filter(later).equals(other.filter(later))


def test_the_more_past_outlooks_erred_the_wider_a_range_is() -> None:
    def rows(error: float, dates: int) -> pl.DataFrame:
        return pl.DataFrame(
            {"target": "total_revenue", "lead_months": [1] * dates, "expected": 100.0, "came": 100.0 * error}
        )

    factors = [MonthRanges.learn(rows(error, 9), "total_revenue", 0.0, 0.8).factor(1) for error in (1.0, 1.2, 2.0)]
    assert factors == sorted(factors)
    # With no error at all, a stated one still counts as one past month.
    assert factors[0] > 1.05
    assert MonthRanges.learn(rows(1.0, 90), "total_revenue", 0.0, 0.8).factor(1) < factors[0]
    learned = MonthRanges.learn(rows(1.5, 9), "total_revenue", 0.0, 0.8)
    # A lead that no past month had takes the nearest one's, growing with time.
    assert learned.factor(4) > learned.factor(2) > learned.factor(1)


def test_where_nobody_new_is_expected_the_range_begins_at_nothing_and_is_small() -> None:
    none = pl.DataFrame({"target": "new_customers", "lead_months": [1] * 8, "expected": 0.0, "came": 0.0})
    ranges = MonthRanges.learn(none, "new_customers", 1.0, 0.8)
    lower, upper = ranges.around(pl.Series([0.0]).to_numpy(), [1], 1.0)
    assert lower[0] == 0.0
    assert 0.0 < upper[0] < 1.0


def test_parts_are_rounded_and_the_total_is_their_sum_to_the_penny(bench: Bench, backtest: pl.DataFrame) -> None:
    table = outlook_table(made_on(AS_OF), backtest, 0.8, 0.25)
    assert table.schema == OUTLOOK_TABLE
    parts = table["revenue_so_far"] + table["known_revenue"] + table["new_revenue"]
    assert parts.cast(MONEY).to_list() == table["total_revenue"].to_list()
    margin = table["total_revenue"].cast(pl.Float64) * 0.25
    assert (table["total_margin"].cast(pl.Float64) - margin).abs().max() <= 0.0051  # type: ignore[operator]
    assert failed(bench, "revenue_outlook", table) == []
    assert failed(bench, "revenue_outlook_backtest", backtest) == []


BREAKS: dict[str, dict[str, Any]] = {
    "known_and_new_are_the_total": {"total_revenue": pl.col("total_revenue") + 0.01},
    "ranges_hold_what_is_expected": {"new_upper": pl.col("new_revenue") - 1},
    "months_follow_each_other_from_as_of_on": {"month": pl.col("month").dt.offset_by("1mo")},
    "every_method_is_explained": {"acquisition_method": pl.lit("guess")},
}


@pytest.mark.parametrize("check", BREAKS)
def test_an_outlook_that_breaks_its_promise_is_refused(bench: Bench, backtest: pl.DataFrame, check: str) -> None:
    table = outlook_table(made_on(AS_OF), backtest, 0.8, 1.0).with_columns(**BREAKS[check])
    assert check in failed(bench, "revenue_outlook", table)


def test_an_outlook_beyond_the_longest_horizon_is_refused(bench: Bench, backtest: pl.DataFrame) -> None:
    bench.given("forecast_totals", [{"horizon_days": 90, "expected_spend": 1e12}])
    table = outlook_table(made_on(AS_OF), backtest, 0.8, 1.0)
    assert failed(bench, "revenue_outlook", table) == ["known_customers_bring_what_is_forecast"]
    bench.given("forecast_totals", [{"horizon_days": 390, "expected_spend": 1e12}])


def test_a_past_outlook_whose_month_is_not_over_is_refused(bench: Bench, backtest: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="which was not over by"):
        outlook_table(made_on(CUTOFFS[0]), backtest, 0.8, 1.0)
    late = backtest.with_columns(month=pl.col("month").dt.offset_by("3mo"))
    assert "months_were_over_by_as_of" in failed(bench, "revenue_outlook_backtest", late)


def test_notes_say_the_method_the_error_and_the_yardstick(backtest: pl.DataFrame) -> None:
    table = outlook_table(made_on(AS_OF), backtest, 0.8, 1.0)
    facts = json.loads(table["notes_facts"][0])
    assert facts["past_dates"] == len({*backtest.filter(pl.col("lead_months") > 0)["cutoff"]})
    assert table["notes"].n_unique() == 1
    assert outlook_in_words(table["notes_code"][0], facts) == table["notes"][0]
    assert f"off by {facts['error']:.0%} on average" in table["notes"][0]
    assert f"the same month of last year by {facts['naive_error']:.0%}" in table["notes"][0]


def test_without_past_dates_the_ranges_are_said_to_be_stated_ones() -> None:
    table = outlook_table(made_on(AS_OF), pl.DataFrame(schema=BACKTEST_SCHEMA), 0.8, 1.0)
    assert table["notes"][0].endswith("No past month can be compared yet: ranges are a stated default.")
    assert (table["total_lower"] < table["total_revenue"]).all()


def test_that_last_year_did_better_is_said() -> None:
    facts = {"method": "ets_level", "months": 20, "origins": 5, "ratios": {"ets_level": 0.5}, "past_dates": 3}
    facts |= {"past_months": 9, "inside": 8, "error": 0.2, "compared_months": 9, "compared_error": 0.2}
    assert "so far last year did better" in outlook_in_words("chosen_by_backtest", facts | {"naive_error": 0.1})
    assert "did better" not in outlook_in_words("chosen_by_backtest", facts | {"naive_error": 0.3})
    assert "last year by" not in outlook_in_words("chosen_by_backtest", facts | {"naive_error": None})
