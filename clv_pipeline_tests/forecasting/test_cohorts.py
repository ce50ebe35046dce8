"""The table of cohorts: age and season told apart, the total of those who are known, whoever is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting import cohorts
from clv_pipeline.forecasting.cohorts import CohortTable, weekday_weights
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.season import EPOCH, Days, ordinal, season_basis
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import ParetoNbdProcess
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

OPENED = date(2021, 1, 4)
assert OPENED.weekday() == 0
PEAK_DAY = 330
HORIZONS = (30, 90, 180, 365)

Curve = Callable[[Floats], Floats]


def slowing(ages: Floats) -> Floats:
    """Repeat purchases per day of a customer of this age."""
    return np.asarray(0.02 * (1.0 + ages / 60.0) ** -0.6, dtype=np.float64)


def even(days: Floats) -> Floats:
    return np.ones_like(days)


def yearly(days: Floats) -> Floats:
    """A season of amplitude .6."""
    peak = ordinal(date(2021, 1, 1)) + PEAK_DAY
    return np.asarray(1.0 + 0.6 * np.cos(2.0 * np.pi * (days - peak) / 365.25), dtype=np.float64)


@dataclass(frozen=True)
class Made:
    """A shop made of cohorts: what it has seen, and what its customers will do."""

    daily_totals: pl.DataFrame
    cohort_days: pl.DataFrame
    cutoff: date
    will_buy: Callable[[int], float]

    def fit(self, rate_at_age: Curve = slowing) -> CohortTable:
        return cohorts.fit(self.daily_totals, self.cohort_days, self.cutoff, rate_at_age)

    def ratios(self, table: CohortTable) -> list[float]:
        """What the table says of the known customers, over what they will do."""
        return [table.purchases(days) / self.will_buy(days) for days in HORIZONS]


def made(
    weeks: int = 156,
    new_a_day: int = 10,
    *,
    lately: int | None = None,
    season: Curve = even,
    noise: float = 0.0,
    ageing: Curve = slowing,
    seed: int = 1,
) -> Made:
    """So many weeks with so many new customers every day; in the last 13 weeks `lately` instead.

    `noise`: deviation of the logarithm of what everybody buys more in one week than in another.
    """
    rng = np.random.default_rng(seed)
    opened = ordinal(OPENED)
    days: Days = np.arange(opened, opened + 7 * weeks)
    week = (days - opened) // 7
    new = np.full(len(days), new_a_day)
    if lately is not None:
        new[-13 * 7 :] = lately
    customers = np.bincount(week, weights=new)
    first = opened + 7.0 * np.arange(weeks) + 3.0

    def rates(days: Floats) -> Floats:
        ages = days[None, :] - first[:, None]
        return np.where(ages > 0.0, customers[:, None] * ageing(np.maximum(ages, 0.5)), 0.0) * season(days)

    campaigns = np.exp(noise * rng.standard_normal(weeks))[week]
    came = rng.poisson(rates(days.astype(np.float64)) * campaigns)
    cohort, day = np.nonzero(came)
    cutoff = int(days[-1])

    def dates(ordinals: Days) -> pl.Series:
        return pl.Series(ordinals, dtype=pl.Int32).cast(pl.Date)

    return Made(
        pl.DataFrame(
            {"day": dates(days), "purchases": came.sum(axis=0) + new, "new_customers": new, "spend": 1.0 * new}
        ),
        pl.DataFrame({"first_week": dates(opened + 7 * cohort), "day": dates(days[day]), "repeats": came[cohort, day]}),
        EPOCH + timedelta(days=cutoff),
        lambda ahead: float(rates(np.arange(cutoff + 1.0, cutoff + ahead + 1.0)).sum()),
    )


def curve(table: CohortTable) -> Floats:
    """The season of the year ahead, mean 1."""
    season = np.exp(season_basis(table.cutoff + 1 + np.arange(365)) @ table.season)
    return np.asarray(season / season.mean(), dtype=np.float64)


def test_the_season_is_learned_from_repeat_purchases() -> None:
    table = made(season=yearly).fit()
    truth = yearly(np.arange(table.cutoff + 1.0, table.cutoff + 366.0))
    np.testing.assert_allclose(curve(table), truth, atol=0.15)
    assert np.mean(np.abs(curve(table) / truth - 1.0)) < 0.05


def test_without_a_season_none_is_learned() -> None:
    table = made().fit()
    np.testing.assert_allclose(curve(table), 1.0, atol=0.06)
    assert table.amplitude < 0.05
    assert made(season=yearly).fit().amplitude > 2.0 * table.amplitude


@pytest.mark.parametrize("lately", [None, 30, 2], ids=["as before", "three times as many", "a fifth"])
@pytest.mark.parametrize("season", [even, yearly])
def test_a_change_of_acquisition_moves_no_total_of_known_customers(season: Curve, lately: int | None) -> None:
    shop = made(season=season, lately=lately)
    assert shop.ratios(shop.fit()) == pytest.approx([1.0] * len(HORIZONS), abs=0.07)


def test_new_customers_are_no_season() -> None:
    thrice = made(lately=30).fit()
    np.testing.assert_allclose(curve(thrice), curve(made().fit()), atol=0.03)


@pytest.mark.parametrize("later", [1.0, 3.0, 0.2])
def test_the_known_customers_of_a_simulated_shop_buy_what_the_table_says(later: float) -> None:
    story = SeededShop(
        Buyers(ParetoNbdProcess(r=1.0)),
        customers=2_500,
        acquisition_days=700,
        later=later,
        as_of=790,
        days=980,
        start=date(2021, 1, 1),
    )
    shop = PurchaseDays.simulated(story, 2)
    table = Ground(shop.training(story.cutoff, most_windows=0)).cohorts
    for days in (30, 90, 180):
        came = int(shop.outcomes(story.cutoff, days)["actual_purchases"].sum())
        assert table.purchases(days) == pytest.approx(came, rel=0.12), days


def test_a_prior_of_ageing_that_is_wrong_is_set_right() -> None:
    shop = made()
    ageless = shop.fit(lambda ages: np.full_like(ages, 0.01))
    assert shop.ratios(ageless) == pytest.approx([1.0] * len(HORIZONS), abs=0.1)
    by_process = ageless.process_by_week(365).sum() / shop.will_buy(365)
    assert by_process > 1.5


def test_what_all_buy_more_in_one_week_is_not_taken_for_ageing() -> None:
    plain, noisy = made().fit(), made(noise=0.4).fit()
    assert plain.noise < 0.1
    assert 0.25 < noisy.noise < 0.5
    np.testing.assert_allclose(noisy.ages, plain.ages, atol=0.15)
    shop = made(noise=0.4)
    assert shop.ratios(shop.fit()) == pytest.approx([1.0] * len(HORIZONS), abs=0.1)


def test_that_nobody_came_back_at_first_is_no_season() -> None:
    shop = made(104)
    opened = ordinal(OPENED)
    late = pl.col("day").cast(pl.Int32) >= opened + 7 * 60
    slow = replace(shop, cohort_days=shop.cohort_days.with_columns(repeats=pl.col("repeats") * late))
    table = slow.fit()
    assert not table.is_seasonal
    assert len(table.came) <= 44
    assert made(104).fit().is_seasonal


@pytest.mark.parametrize("noise", [0.0, 0.4, 0.8])
def test_in_all_the_table_expects_what_came_however_much_weeks_differ(noise: float) -> None:
    table = made(noise=noise).fit()
    assert table.expected.sum() == pytest.approx(table.came.sum(), rel=1e-3)


def test_a_month_whose_weeks_differ_much_is_expected_to_bring_their_mean() -> None:
    def one_week_of_december(days: Floats) -> Floats:
        """Eight times as much in one week of each December, in another one every year."""
        day = np.asarray(days, dtype=np.int64).astype("datetime64[D]")
        year = day.astype("datetime64[Y]")
        of_december = (day - (year + np.timedelta64(1, "Y")).astype("datetime64[D]")).astype(np.int64) + 31
        chosen = (of_december >= 0) & (of_december // 7 == year.astype(np.int64) % 4)
        return np.where(chosen, 8.0, 1.0).astype(np.float64)

    shop = made(weeks=7 * 52, season=one_week_of_december, noise=0.3)
    season = curve(shop.fit())
    ahead = (ordinal(shop.cutoff) + 1 + np.arange(365)).astype("datetime64[D]")
    month = ahead.astype("datetime64[M]").astype(np.int64) % 12
    december = season[month == 11].mean() / season[month == 5].mean()
    log_mean = np.exp(np.log(8.0) * 7 / 31)
    mean = 1.0 + 7.0 * 7 / 31
    assert december > log_mean + 0.25 * (mean - log_mean)


def test_a_campaign_once_is_no_season_and_no_ageing() -> None:
    def campaign(days: Floats) -> Floats:
        begun = ordinal(OPENED) + 7 * 120.0
        return np.where((days >= begun) & (days < begun + 28.0), 2.0, 1.0)

    shop = made(season=campaign)
    assert shop.ratios(shop.fit()) == pytest.approx([1.0] * len(HORIZONS), abs=0.1)


@pytest.mark.parametrize(("weeks", "is_seasonal"), [(52, False), (53, True)])
def test_no_season_is_assumed_below_a_year_of_history(weeks: int, is_seasonal: bool) -> None:
    table = made(weeks, season=yearly).fit()
    assert table.is_fitted
    assert table.is_seasonal is is_seasonal
    assert (table.amplitude > 0.0) is is_seasonal
    assert bool(np.any(table.season != 0.0)) is is_seasonal


def test_a_total_is_the_sum_of_its_weeks_at_the_level_of_the_last_ones() -> None:
    table = made(season=yearly, noise=0.2).fit()
    for days in (1, 7, 30, 90, 365, 3_650):
        weeks = table.by_week(days)
        assert len(weeks) == -(-days // 7)
        assert table.purchases(days) == pytest.approx(weeks.sum() * np.exp(table.recent), rel=1e-12)
    assert table.by_week(30)[:4] == pytest.approx(table.by_week(28))
    assert table.purchases(0) == 0.0


def test_what_came_lately_goes_on_a_little() -> None:
    def revival(days: Floats) -> Floats:
        return np.where(days > days.max() - 70.0, 1.5, 1.0) if len(days) > 400 else np.full_like(days, 1.5)

    assert 0.01 < made(season=revival).fit().recent < np.log(1.5)


@pytest.mark.parametrize(("weeks", "new_a_day"), [(156, 0), (10, 1), (7, 10), (1, 10)])
def test_a_shop_of_which_little_is_known_is_expected_to_do_what_the_process_says(weeks: int, new_a_day: int) -> None:
    table = made(weeks, new_a_day).fit()
    assert not table.is_fitted
    assert (table.amplitude, table.noise, table.recent) == (0.0, 0.0, 0.0)
    assert np.array_equal(table.by_week(90), table.process_by_week(90))
    assert np.array_equal(table.expected, table.by_process)
    assert table.purchases(90) == pytest.approx(table.process_by_week(90).sum())


def test_a_shop_to_which_nobody_came_back_keeps_its_weeks() -> None:
    shop = made(20)
    table = replace(shop, cohort_days=shop.cohort_days.clear()).fit()
    assert len(table.came) == len(shop.fit().came)
    assert table.came.sum() == 0.0
    assert not table.is_fitted


def test_nobody_buys_nothing() -> None:
    shop = made()
    nobody = replace(shop, daily_totals=shop.daily_totals.clear(), cohort_days=shop.cohort_days.clear()).fit()
    assert nobody.purchases(365) == 0.0


def test_the_past_of_the_table_is_what_came() -> None:
    shop = made(season=yearly)
    table = shop.fit()
    assert table.came.sum() == shop.cohort_days["repeats"].sum()
    assert table.week_ends[-1] == table.cutoff
    assert (np.diff(table.week_ends) == 7).all()
    assert table.expected.sum() == pytest.approx(table.came.sum(), rel=0.02)
    # Season by season too, which the process alone does not know.
    deviation = np.log(table.came[26:] / table.expected[26:]).std()
    assert deviation < 0.5 * np.log(table.came[26:] / table.by_process[26:]).std()


def test_the_table_goes_back_five_years_at_most() -> None:
    table = made(300, 3).fit()
    assert len(table.came) == cohorts.MOST_WEEKS
    assert table.customers.sum() == 300 * 7 * 3


def test_the_order_of_rows_does_not_matter() -> None:
    shop = made(80, 5, season=yearly)
    shuffled = replace(
        shop,
        daily_totals=shop.daily_totals.sample(fraction=1.0, shuffle=True, seed=1),
        cohort_days=shop.cohort_days.sample(fraction=1.0, shuffle=True, seed=1),
    )
    assert shuffled.fit().purchases(90) == pytest.approx(shop.fit().purchases(90), rel=1e-9)


def test_weekdays_weigh_what_is_bought_again_on_them() -> None:
    days = [OPENED + timedelta(days=n) for n in range(7 * 60)]
    totals = pl.DataFrame(
        {
            "day": days,
            "purchases": [0 if day.weekday() == 6 else 101 for day in days],
            "new_customers": [0 if day.weekday() == 6 else 1 for day in days],
            "spend": 1.0,
        }
    )
    weights = weekday_weights(totals, ordinal(days[-1]))
    assert weights.mean() == pytest.approx(1.0)
    sunday = ordinal(date(2021, 1, 10)) % 7
    assert weights[sunday] < 0.01
    assert np.delete(weights, sunday) == pytest.approx(7.0 / 6.0, rel=0.01)
    few = weekday_weights(totals.with_columns(purchases=pl.col("new_customers")), ordinal(days[-1]))
    assert few == pytest.approx(1.0)
