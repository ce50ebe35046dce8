"""What completed windows teach: P(buy) recalibrated, the given up who came back, the level of money."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.correction import NoCorrection, PieceRows
from clv_pipeline.forecasting.families import ParetoNbdPath
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.ground import Ground
from clv_pipeline.forecasting.pareto_nbd import ParetoNbd
from clv_pipeline.forecasting.protocol import PIECE_OUTCOMES, PIECES_DAYS
from clv_pipeline.forecasting.windows import Seen, fit_value, window_levels
from clv_pipeline.simulation.buyers import Buyers
from clv_pipeline.simulation.processes import ParetoNbdProcess
from clv_pipeline.simulation.seeded import SeededShop
from clv_pipeline_tests.helpers.forecast_examples import CUTOFF, shop
from clv_pipeline_tests.helpers.purchase_days import PurchaseDays

GROUND = Ground(shop(500).training(CUTOFF))
PROCESS = GROUND.process(ParetoNbd())
SEEN = Seen.of(GROUND, PROCESS)
assert SEEN.rows is not None
ROWS: PieceRows = SEEN.rows
PLAIN = SEEN.log_factors(NoCorrection())


def changed(came: pl.Expr) -> Ground:
    """The same shop in whose windows the 30 days of this expression came."""
    windows = GROUND.training.completed_windows.with_columns(came.alias("actual_purchases_30"))
    return Ground(replace(GROUND.training, completed_windows=windows))


def test_windows_are_seen_one_by_one_from_what_was_known_then() -> None:
    windows = GROUND.training.completed_windows
    assert ROWS.customers.height == windows.height
    assert ROWS.window.max() + 1 == windows["cutoff"].n_unique() == 13
    over = [int(ROWS.is_over(piece).sum()) for piece in range(len(PIECES_DAYS))]
    assert over == [windows[f"actual_purchases_{days}"].count() for days in PIECES_DAYS]
    assert over == sorted(over, reverse=True)
    bought = np.nansum(ROWS.came, axis=0)
    assert bought[0] == windows["actual_purchases_30"].sum()
    assert (ROWS.expected >= 0.0).all()
    assert np.nansum(ROWS.expected * np.isfinite(ROWS.came), axis=0) == pytest.approx(bought, rel=0.15)


def test_without_windows_nothing_is_learned() -> None:
    few = Ground(replace(GROUND.training, completed_windows=pl.DataFrame()))
    seen = Seen.of(few, few.process(ParetoNbd()))
    assert seen.rows is None
    logs = seen.log_factors(NoCorrection())
    assert seen.recalibrated(logs) == (0.0, 1.0)
    worth = fit_value(few)
    assert seen.money_set_right(worth, logs, CUTOFF) is worth


def test_where_the_process_is_right_p_purchase_stays_nearly_as_it_is() -> None:
    a, b = SEEN.recalibrated(PLAIN)
    assert a == pytest.approx(0.0, abs=0.25)
    assert b == pytest.approx(1.0, abs=0.15)


def test_p_purchase_follows_how_often_customers_came_at_all() -> None:
    # The same purchases, all of them by half of those who came.
    twice = np.random.default_rng(1).random(len(ROWS.came)) < 0.5
    fewer = replace(SEEN, rows=replace(ROWS, came=ROWS.came * np.where(twice, 2.0, 0.0)[:, None]))
    assert fewer.recalibrated(PLAIN)[0] < SEEN.recalibrated(PLAIN)[0] - 0.2


def test_what_all_bought_more_in_a_window_is_its_level() -> None:
    logs = np.zeros_like(ROWS.expected)
    tripled = replace(ROWS, came=np.where((ROWS.window == 3)[:, None], 3.0 * ROWS.came, ROWS.came))
    difference = window_levels(tripled, logs) - window_levels(ROWS, logs)
    assert difference[ROWS.window == 3, 0] == pytest.approx(np.log(3.0), abs=0.03)
    assert not difference[ROWS.window != 3].any()
    assert not window_levels(ROWS, logs)[~np.isfinite(ROWS.came)].any()


def test_of_those_who_were_given_up_some_come_back() -> None:
    assert SEEN.reactivation < 0.05
    # Of those who were idle for a year, one in twenty comes back in every month.
    returning = (pl.col("days_since_last") > 270) & (pl.int_range(pl.len()) % 20 == 0)
    ground = changed(pl.when(returning).then(1).otherwise(pl.col("actual_purchases_30")))
    back = Seen.of(ground, ground.process(ParetoNbd())).reactivation
    assert SEEN.reactivation < back <= 0.2


def money(days: PurchaseDays, cutoff: date) -> Floats:
    """The value per purchase of everybody."""
    training = days.training(cutoff)
    value = ParetoNbdPath().fit(Ground(training)).forecast(training.current_customers, [90]).value
    assert value is not None
    return value


@pytest.mark.parametrize(("history", "days_ago"), [(58, 20), (75, 5), (400, 60)])
def test_no_single_order_raises_the_level_of_money_however_few_windows_are_over(history: int, days_ago: int) -> None:
    story = SeededShop(
        Buyers(ParetoNbdProcess(r=1.0, alpha=8.0)),
        customers=1_500,
        acquisition_days=history,
        later=0.0,
        as_of=history - 1,
        days=history + 1,
    )
    days, cutoff = PurchaseDays.simulated(story), story.cutoff
    repeats = days.days.filter(
        pl.col("day") <= cutoff - timedelta(days=days_ago), pl.col("day") > pl.col("day").min().over("customer_id")
    )
    customer, day = repeats.sort("day", "customer_id").select("customer_id", "day").row(-1)
    one = (pl.col("customer_id") == customer) & (pl.col("day") == day)
    absurd = PurchaseDays(days.days.with_columns(spend=pl.when(one).then(1e6).otherwise("spend")))
    others = (days.customers(cutoff)["customer_id"] != customer).to_numpy()
    # The youngest know so little that one order of a customer like them, capped, may count a little more.
    rtol = 0.05 if history > 365 else 0.1
    np.testing.assert_allclose(money(absurd, cutoff)[others], money(days, cutoff)[others], rtol=rtol)


def test_the_value_model_reads_the_longest_piece_of_up_to_half_a_year() -> None:
    windows = GROUND.training.completed_windows
    half_a_year = Ground(
        replace(
            GROUND.training,
            completed_windows=windows.with_columns(
                pl.lit(None).cast(windows.schema[name]).alias(name) for name in PIECE_OUTCOMES if name.endswith("365")
            ),
        )
    )
    assert fit_value(half_a_year).parameters == fit_value(GROUND).parameters
