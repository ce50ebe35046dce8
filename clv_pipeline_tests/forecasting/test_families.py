"""Families: one path per customer, which says the same of a day whatever else is asked, and never falls."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.config.settings import Settings
from clv_pipeline.forecasting.families import FAMILIES, Hybrid, ParetoNbdPath
from clv_pipeline.forecasting.family import Family, FittedFamily, first_passing
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import PIECES_DAYS
from clv_pipeline.forecasting.registry import models_of
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import ParetoNbdProcess
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, customers_frame, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

RATE = 0.1
TEN_YEARS = 3_650
# Where thousands were bought within a day, the quadrature of a process keeps about 7 digits.
ROUNDING = 1e-7
FITTED = [family for family in FAMILIES if not family().obstacle]
every_family = pytest.mark.parametrize("family", FITTED, ids=[family.name for family in FITTED])


@cache
def ground() -> Ground:
    return Ground(shop(600, season=0.3).training(CUTOFF))


@cache
def fit(family: type[Family]) -> FittedFamily:
    return family().fit(ground())


def said(paths: Paths) -> dict[str, Floats]:
    """What paths say of days: purchases, p_purchase, spend, discounted_spend."""
    found = {name: getattr(paths, name) for name in ("purchases", "p_purchase", "spend", "discounted_spend")}
    assert all(values is not None for values in found.values())
    return found


def alive(paths: Paths) -> Floats:
    assert paths.p_alive is not None
    return paths.p_alive


any_days = st.lists(st.integers(1, TEN_YEARS), min_size=1, max_size=6, unique=True)


@every_family
@given(any_customers(), any_days, st.floats(0.0, 1.0))
@settings(max_examples=12)
def test_no_path_contradicts_itself(
    family: type[Family], customers: pl.DataFrame, days: list[int], rate: float
) -> None:
    paths = fit(family).forecast(customers, sorted(days), rate)
    for name, values in said(paths).items():
        assert np.isfinite(values).all(), name
        steps = np.diff(values, axis=1, prepend=0.0)
        assert (steps >= -ROUNDING * (1.0 + values)).all(), name
    found = said(paths)
    assert (found["p_purchase"] <= np.minimum(found["purchases"], alive(paths)[:, None])).all()
    assert (found["purchases"] <= np.sort(days)).all()
    assert (found["discounted_spend"] <= found["spend"] * (1.0 + ROUNDING)).all()


@every_family
@given(any_customers(), any_days, st.integers(0, 5), st.booleans())
@settings(max_examples=12)
def test_a_day_says_the_same_asked_alone_or_among_others(
    family: type[Family], customers: pl.DataFrame, days: list[int], which: int, with_outlook: bool
) -> None:
    place = which % len(days)
    together = fit(family).forecast(customers, days, RATE, with_outlook=with_outlook)
    alone = fit(family).forecast(customers, [days[place]], RATE)
    assert np.array_equal(alive(alone), alive(together))
    for name, values in said(alone).items():
        np.testing.assert_allclose(values[:, 0], said(together)[name][:, place], rtol=1e-12, err_msg=name)


@every_family
@given(any_customers(), st.integers(1, 11))
@settings(max_examples=6)
def test_a_path_depends_on_nobody_else(family: type[Family], customers: pl.DataFrame, size: int) -> None:
    whole = fit(family).forecast(customers, [30, 400], RATE, with_outlook=True)
    parts = [
        fit(family).forecast(customers.slice(first, size), [30, 400], RATE, with_outlook=True)
        for first in range(0, customers.height, size)
    ]
    assert pl.concat([part.frame() for part in parts]).equals(whole.frame())
    assert pl.concat([part.outlook() for part in parts]).equals(whole.outlook())


@every_family
@given(any_customers())
@settings(max_examples=6)
def test_a_life_is_worth_more_than_ten_years_of_it_and_finite(family: type[Family], customers: pl.DataFrame) -> None:
    paths = fit(family).forecast(customers, [30, TEN_YEARS], RATE, with_outlook=True)
    assert paths.lifetime_value is not None
    assert np.isfinite(paths.lifetime_value).all()
    assert (paths.lifetime_value >= said(paths)["discounted_spend"][:, 1] * (1.0 - ROUNDING)).all()
    dearer = fit(family).forecast(customers, [30], 2.0 * RATE, with_outlook=True).lifetime_value
    assert dearer is not None
    assert (dearer <= paths.lifetime_value * (1.0 + ROUNDING)).all()


@every_family
def test_without_discounting_a_life_has_no_limit(family: type[Family]) -> None:
    paths = fit(family).forecast(ground().training.current_customers, [30], 0.0, with_outlook=True)
    assert paths.outlook()["lifetime_value"].null_count() == 600
    np.testing.assert_allclose(said(paths)["discounted_spend"], said(paths)["spend"], rtol=1e-12)


@every_family
def test_the_next_order_is_due_when_it_is_as_likely_as_not(family: type[Family]) -> None:
    customers = ground().training.current_customers
    first = fit(family).forecast(customers, [45], RATE, with_outlook=True)
    due = first.next_order_days
    assert due is not None
    other = fit(family).forecast(customers, [7, 800], RATE, with_outlook=True).next_order_days
    assert other is not None
    np.testing.assert_allclose(other, due, rtol=1e-12)
    never = np.isnan(due)
    assert 0.1 < never.mean() < 0.9
    days = np.unique([1, *np.ceil(due[~never]).astype(int), TEN_YEARS]).tolist()
    p_purchase = said(fit(family).forecast(customers, days))["p_purchase"]
    assert (p_purchase[never, -1] < 0.5).all()
    then = p_purchase[np.flatnonzero(~never), np.searchsorted(days, np.ceil(due[~never]))]
    # Between the days that are looked at the curve is a little above its chords.
    assert (then >= 0.5 - 1e-9).all()
    assert then.max() < 0.56
    assert (alive(first)[~never] >= 0.5).all()


def test_a_level_is_passed_between_the_days_that_are_known() -> None:
    values = np.array([[0.25, 0.75, 0.9], [0.5, 0.5, 0.5], [0.1, 0.2, 0.3], [0.0, 0.0, 1.0]])
    found = first_passing(values, (10, 20, 40), 0.5)
    assert found[:2].tolist() == [15.0, 10.0]
    assert np.isnan(found[2])
    assert found[3] == 30.0


@every_family
def test_all_customers_add_up_to_the_total_of_the_cohorts(family: type[Family]) -> None:
    table = ground().cohorts
    assert table.is_seasonal
    paths = fit(family).forecast(ground().training.current_customers, PIECES_DAYS)
    told = [table.purchases(days) for days in PIECES_DAYS]
    assert said(paths)["purchases"].sum(axis=0) == pytest.approx(told, rel=1e-6)
    assert "The total is that of the cohorts by age and season." in fit(family).report.notes


def test_a_sample_of_todays_customers_is_enough_to_set_the_total_right() -> None:
    training = shop(1_000).training(CUTOFF)
    few = replace(training, current_customers=training.current_customers.sample(500, seed=3))
    totals = [
        said(Hybrid().fit(Ground(data)).forecast(training.current_customers, [90]))["purchases"].sum()
        for data in (training, few)
    ]
    assert totals[1] == pytest.approx(totals[0], rel=0.1)


@pytest.mark.parametrize("later", [3.0, 0.2], ids=["three times as many", "a fifth"])
@pytest.mark.parametrize("season", [0.0, 0.6])
def test_the_known_customers_buy_what_was_forecast_whoever_is_new(season: float, later: float) -> None:
    story = SeededShop(
        Buyers(ParetoNbdProcess(r=1.0), season=season),
        customers=2_000,
        acquisition_days=800,
        later=later,
        as_of=890,
        days=1_080,
    )
    days = PurchaseDays.simulated(story, 2)
    training = days.training(story.cutoff, most_windows=7)
    paths = Hybrid().fit(Ground(training)).forecast(training.current_customers, [90, 180])
    came = [days.outcomes(story.cutoff, ahead)["actual_purchases"].sum() for ahead in (90, 180)]
    assert said(paths)["purchases"].sum(axis=0) == pytest.approx(came, rel=0.12)


@every_family
def test_who_buys_often_and_lately_is_expected_to_buy_more(family: type[Family]) -> None:
    asked = customers_frame([0, 2, 12, 12], [0, 300, 390, 100], [400] * 4, [0.0, 25.0, 25.0, 25.0])
    paths = fit(family).forecast(asked, [90])
    once, some, often, gone = said(paths)["p_purchase"][:, 0]
    assert once < some < often
    assert gone < 0.5 * often
    assert alive(paths)[3] < 0.5 < alive(paths)[2]


def test_a_process_is_fitted_once_for_all_families_of_a_cutoff(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    estimate = ParetoNbd.estimate

    def counted(self: ParetoNbd, *arguments: object, **more: object) -> object:
        fits.append(self.name)
        return estimate(self, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ParetoNbd, "estimate", counted)
    one = Ground(shop(200).training(CUTOFF))
    hybrid, process = Hybrid().fit(one), ParetoNbdPath().fit(one)
    assert fits == ["pareto_nbd"] * 2  # on the calendar, for the cohorts, and on the clock
    assert hybrid.process is process.process
    assert hybrid.clock is process.clock


def test_the_report_says_what_was_found() -> None:
    report = fit(Hybrid).report
    assert report.verdict == "ok"
    assert set(report.parameters) == {
        "process",
        "reactivation",
        "season",
        "levels",
        "hazard",
        "value",
        "correction",
    }
    assert set(report.standard_errors) <= set(report.parameters["process"])
    assert list(report.parameters["levels"]) == [str(days) for days in PIECES_DAYS]
    assert report.log_likelihood is not None


MINE = """
from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.correction import NoCorrection
from clv_pipeline.forecasting.family import Family

class Cautious(NoCorrection):
    def log_factors(self, customers, alive, expected, days):
        return super().log_factors(customers, alive, expected, days) - 0.5 * (alive < 0.5)[:, None]

class Mine(Family):
    name = "mine"

    def process(self, ground):
        return BgNbd()

    def learn_correction(self, ground, rows):
        return Cautious()
"""


@pytest.fixture
def _modules_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_family", None)


@pytest.mark.usefixtures("_modules_as_before")
def test_a_family_from_outside_is_a_path_like_ours(tmp_path: Path) -> None:
    (tmp_path / "my_family.py").write_text(MINE)
    transactions = {"path": "x.csv", "columns": {"customer_id": "c", "ordered_at": "d", "amount": "a"}}
    extended = Settings.from_mapping(
        {"source": {"transactions": transactions}, "extensions": {"models": ["my_family"]}},
        config_file=tmp_path / "clv.yaml",
    )
    [mine] = models_of(["mine"], extended.extensions)
    fitted = mine.fit(ground())
    paths = fitted.forecast(ground().training.current_customers, [30, 90, 365], RATE, with_outlook=True)
    paths.require_coherence()
    assert paths.model == fitted.report.model == "mine"
    assert said(paths)["purchases"][:, 2].sum() == pytest.approx(ground().cohorts.purchases(365), rel=1e-6)


def test_a_clock_that_ends_goes_on_as_a_mean_year() -> None:
    customers = ground().training.current_customers
    years = [TEN_YEARS, 2 * TEN_YEARS, 10 * TEN_YEARS]
    purchases = said(fit(ParetoNbdPath).forecast(customers, years))["purchases"]
    assert np.isfinite(purchases).all()
    assert (np.diff(purchases, axis=1) >= 0.0).all()
