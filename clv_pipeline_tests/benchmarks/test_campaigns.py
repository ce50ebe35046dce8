"""The simulation of campaigns with a known uplift, in small: honest where there is none, and where there is one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest

from benchmarks.campaigns import HORIZON, Kind, Trial, Verdicts, is_missed, made_up, of_shop, row, verdicts
from clv_pipeline.simulation.spend import LognormalSpend

SMALL = Kind("small", 200, 0.3, partial(made_up, customers=200, holdout=0.3, spend=LognormalSpend()))


def test_without_an_effect_hardly_anything_is_found_and_a_true_uplift_is_held() -> None:
    without, with_uplift = (verdicts(SMALL, uplift, 120) for uplift in (0.0, 0.2))
    # Three binomial deviations of 2 %.
    assert without.found <= 0.05 + 0.06
    assert without.found == pytest.approx(1.0 - without.held)
    assert with_uplift.held >= 0.95 - 0.06


def test_the_goal_is_exact_where_somebody_looks_every_day_and_elsewhere_up_to_chance() -> None:
    daily, good = replace(SMALL, days=(1, HORIZON)), Verdicts(0.1, 0.95)
    assert [is_missed(daily, Verdicts(found, 0.95), good, 1_000) for found in (0.06, 0.061)] == [False, True]
    assert [is_missed(SMALL, Verdicts(found, 0.95), good, 1_000) for found in (0.07, 0.08)] == [False, True]
    assert is_missed(SMALL, good, Verdicts(0.1, 0.92), 1_000)


def test_looking_every_day_finds_nothing_that_the_last_day_does_not() -> None:
    daily = replace(SMALL, days=(*range(1, HORIZON, 7), HORIZON))
    assert verdicts(daily, 0.0, 20) == verdicts(SMALL, 0.0, 20)


def test_a_huge_uplift_is_found() -> None:
    assert verdicts(SMALL, 4.0, 10).found == 1.0


def test_a_contact_changes_what_the_audience_buys_by_the_uplift_and_nobody_else() -> None:
    def per_customer(trial: Trial) -> tuple[float, float]:
        orders = np.bincount(trial.buyer, minlength=len(trial.expected))
        return float(orders[~trial.is_control].mean()), float(orders[trial.is_control].mean())

    plain, lifted = (
        np.mean(
            [
                per_customer(made_up(seed, uplift, customers=500, holdout=0.5, spend=LognormalSpend()))
                for seed in range(40)
            ],
            axis=0,
        )
        for uplift in (0.0, 1.0)
    )
    assert plain[0] == pytest.approx(plain[1], rel=0.1)
    assert lifted[1] == pytest.approx(plain[1], rel=0.1)
    assert lifted[0] == pytest.approx(2 * lifted[1], rel=0.1)


def test_a_real_shop_gives_its_last_days_to_everybody_and_larger_orders_to_the_audience() -> None:
    rng = np.random.default_rng(0)
    days = pl.DataFrame(
        {
            "number": rng.integers(0, 100, 3_000),
            "day": rng.integers(0, 500, 3_000),
            "spend": rng.gamma(2.0, 10.0, 3_000),
        }
    )
    customers, trial = of_shop(days, 0.3, most=80)
    assert customers == 80
    plain, lifted = trial(1, 0.0), trial(1, 0.5)
    assert (plain.day.min(), plain.day.max()) == (1, HORIZON)
    of_control = plain.is_control[plain.buyer]
    assert np.allclose(lifted.margin, plain.margin * np.where(of_control, 1.0, 1.5))
    assert not np.array_equal(trial(2, 0.0).is_control, plain.is_control)


def test_a_row_tells_what_was_measured() -> None:
    assert row(SMALL, Verdicts(0.043, 0.957), Verdicts(0.2, 0.95)) == (
        "| small | 200 | 30% | the last day | 4.3% | 95.0% | 20.0% |"
    )
