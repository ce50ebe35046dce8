"""Shops of which there is little to learn, or too much: every family forecasts them, and says what it leaned on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings

from clv_pipeline.forecasting.families import FAMILIES, Hybrid
from clv_pipeline.forecasting.family import Family
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.paths import Paths
from clv_pipeline.forecasting.protocol import FitReport
from clv_pipeline.simulation.seeded import SEEDED_SHOPS
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, any_customers, any_shop, customers_frame, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

FITTED = [family for family in FAMILIES if not family().obstacle]
every_family = pytest.mark.parametrize("family", FITTED, ids=[family.name for family in FITTED])
STRANGERS = customers_frame(
    [0, 0, 1, 10_000, 10_000, 3],
    [0, 0, 1, 9_999, 1, 400],
    [0, 3_000, 1, 10_000, 5_000, 400],
    [0.0, 0.0, 1e6, 5.0, 5, 20],
)
DAYS = [1, 30, 90, 365, 3_650]


def bought(rows: list[tuple[str, int, float]]) -> PurchaseDays:
    """Purchases of a customer so many days before the cutoff."""
    purchases = [(customer, CUTOFF - timedelta(days=ago), spend) for customer, ago, spend in rows]
    schema = {"customer_id": pl.String, "day": pl.Date, "spend": pl.Float64}
    return PurchaseDays.of(pl.DataFrame(purchases, schema=schema, orient="row"))


def forecast(family: type[Family], ground: Ground, asked: pl.DataFrame | None = None) -> tuple[FitReport, Paths]:
    """What a family says of the shop's customers, or of these; coherent and finite, ten years and a life ahead."""
    fitted = family().fit(ground)
    customers = ground.training.current_customers if asked is None else asked
    paths = fitted.forecast(customers, DAYS, 0.1, with_outlook=True)
    paths.require_coherence()
    for values in (paths.lifetime_value, paths.value):
        assert values is not None
        assert np.isfinite(values).all()
        assert (values >= 0.0).all()
    assert all(np.isfinite(level) for level in fitted.report.parameters["levels"].values())
    return fitted.report, paths


def one_customer() -> PurchaseDays:
    return bought([("c", 100, 20.0), ("c", 60, 30.0), ("c", 10, 25.0)])


def one_day() -> PurchaseDays:
    return bought([(f"c{n}", 0, 10.0 + n) for n in range(30)])


def no_repeat_buyers() -> PurchaseDays:
    return bought([(f"c{n:03}", n, 10.0 + n % 7) for n in range(500)])


def equal_spends() -> PurchaseDays:
    return PurchaseDays(shop(300).until(CUTOFF).days.with_columns(spend=pl.lit(9.99)))


def subscribers() -> PurchaseDays:
    return bought([(f"c{n:02}", ago, 9.99) for n in range(40) for ago in range(n % 30, 400, 30)])


def daily_buyers() -> PurchaseDays:
    return bought([(f"c{n}", ago, 5.0) for n in range(2) for ago in range(10_000 * (n == 0) or 20)])


def given_up() -> PurchaseDays:
    return bought([(f"c{n:02}", 3_000 + 7 * k + n, 20.0) for n in range(40) for k in range(5)])


@cache
def known(made: Callable[[], PurchaseDays]) -> Ground:
    """What families share of such a shop."""
    return Ground(made().training(CUTOFF))


@cache
def young() -> tuple[PurchaseDays, Ground]:
    """A shop of sixty days."""
    story = SEEDED_SHOPS["young"]
    days = PurchaseDays.simulated(story)
    return days, Ground(days.training(story.cutoff))


SHOPS = [one_customer, one_day, no_repeat_buyers, equal_spends, subscribers, daily_buyers, given_up]


@pytest.mark.parametrize("made", SHOPS, ids=[made.__name__ for made in SHOPS])
@every_family
def test_every_family_forecasts_a_poor_shop(family: type[Family], made: Callable[[], PurchaseDays]) -> None:
    report, paths = forecast(family, known(made))
    assert paths.purchases is not None
    assert paths.purchases.sum() > 0.0
    if report.verdict != "ok":
        assert report.notes
        assert report.standard_errors == {}


@every_family
def test_strangers_to_a_shop_of_one_customer_have_a_path_too(family: type[Family]) -> None:
    forecast(family, known(one_customer), STRANGERS)


@every_family
def test_a_shop_without_customers_forecasts_those_who_come(family: type[Family]) -> None:
    report, paths = forecast(family, Ground(bought([]).training(CUTOFF)), STRANGERS)
    assert report.verdict == "no_training_data"
    assert "A weak prior, as other shops are" in report.notes
    assert paths.purchases is not None
    assert (paths.purchases[:, -1] > 0.0).any()


@given(any_shop(), any_customers())
@settings(max_examples=4)
def test_whatever_the_shop_every_family_forecasts_it(made: tuple[PurchaseDays, date], others: pl.DataFrame) -> None:
    days, cutoff = made
    ground = Ground(days.training(cutoff))
    for family in FITTED:
        forecast(family, ground)
        forecast(family, ground, others)


def test_equal_spends_are_forecast_as_they_are() -> None:
    _, paths = forecast(Hybrid, known(equal_spends))
    assert paths.value == pytest.approx(9.99, rel=0.03)


def test_nobody_is_expected_to_buy_on_more_days_than_there_are() -> None:
    _, paths = forecast(Hybrid, known(daily_buyers))
    assert paths.purchases is not None
    assert (paths.purchases <= DAYS).all()
    assert paths.purchases[0, 2] > 80.0


def test_who_were_given_up_long_ago_are_not_expected_back() -> None:
    _, paths = forecast(Hybrid, known(given_up))
    assert paths.p_purchase is not None
    assert paths.p_purchase[:, 3].max() < 0.05


@every_family
def test_a_shop_of_sixty_days_is_forecast_without_a_season(family: type[Family]) -> None:
    days, ground = young()
    report, paths = forecast(family, ground)
    assert report.parameters["season"]["amplitude"] == 0.0
    assert "no season is known" in report.notes
    assert paths.purchases is not None
    came = [days.outcomes(report.as_of, ahead)["actual_purchases"].sum() for ahead in (30, 90)]
    assert paths.purchases[:, 1:3].sum(axis=0) == pytest.approx(came, rel=0.35)


def test_too_few_purchases_teach_nothing_of_single_customers() -> None:
    report, _ = forecast(Hybrid, Ground(shop(40).training(CUTOFF)))
    assert "Too few purchases in completed windows to learn of single customers" in report.notes
    assert report.parameters["correction"] == {}
