"""The hybrid: shares that add up to the total, and BG/NBD where nothing can be learned."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from clv_pipeline.forecasting.bg_nbd import BgNbd
from clv_pipeline.forecasting.frames import floats
from clv_pipeline.forecasting.hybrid import Hybrid
from clv_pipeline.forecasting.protocol import TrainingData
from clv_pipeline_tests.forecasting.examples import CUTOFF, simulated, training_data

HORIZON = 90


def windows(customers: int, levels: list[float]) -> pl.DataFrame:
    """Completed windows, the latest first, in which customers buy `level` times as much as they do on average."""
    frames = []
    for window, level in enumerate(levels):
        cutoff = CUTOFF - timedelta(days=HORIZON * (window + 1))
        frame = simulated(customers, 10 + window, HORIZON, cutoff)
        came = np.random.default_rng(window).poisson(level * floats(frame, "actual_purchases"))
        each = pl.col("actual_spend") / pl.max_horizontal(pl.col("actual_purchases"), pl.lit(1))
        frames.append(
            frame.with_columns(each.alias("each"), pl.Series("actual_purchases", came))
            .with_columns((pl.col("each") * pl.col("actual_purchases")).alias("actual_spend"))
            .drop("each")
            # Who has bought has spent: the example leaves one-time buyers without a mean spend.
            .with_columns(
                pl.when(pl.col("actual_purchases") > 0)
                .then(pl.max_horizontal("actual_spend", pl.lit(1.0)))
                .otherwise(0.0)
                .alias("actual_spend")
            )
        )
    return pl.concat(frames)


def hybrid_data(customers: int = 1_500, levels: list[float] | None = None) -> tuple[pl.DataFrame, TrainingData]:
    now = simulated(customers, 1, HORIZON)
    training = training_data(now, windows(customers, levels or [1.0, 1.0, 1.0]))
    current = now.drop("actual_purchases", "actual_spend")
    return current, replace(training, current_customers=current)


def test_forecasts_of_all_customers_add_up_to_the_stated_total() -> None:
    current, training = hybrid_data()
    fitted = Hybrid().fit(training, [HORIZON])
    stated = fitted.report.parameters["horizons"][str(HORIZON)]["total"]
    assert fitted.forecast(current, HORIZON)["expected_purchases"].sum() == pytest.approx(stated, rel=1e-6)
    assert "90 days: the total is" in fitted.report.notes


def test_a_sample_of_todays_customers_is_enough_to_set_the_total_right() -> None:
    current, training = hybrid_data(3_000)
    sampled = replace(training, current_customers=current.sample(1_500, seed=3))
    whole, part = (Hybrid().fit(data, [HORIZON]).forecast(current, HORIZON) for data in (training, sampled))
    assert part["expected_purchases"].sum() == pytest.approx(whole["expected_purchases"].sum(), rel=0.1)


def test_spend_on_the_training_windows_purchases_is_right_in_sum() -> None:
    _, training = hybrid_data()
    rows = training.completed_windows
    forecast = Hybrid().fit(training, [HORIZON]).forecast(rows, HORIZON)
    per_purchase = floats(forecast, "expected_spend") / floats(forecast, "expected_purchases")
    assert np.sum(per_purchase * floats(rows, "actual_purchases")) == pytest.approx(rows["actual_spend"].sum())


def test_in_a_strong_season_more_customers_buy_but_not_in_proportion() -> None:
    current, training = hybrid_data(levels=[1.0, 2.0, 1.0])
    year_ago = pl.col("day").is_between(CUTOFF - timedelta(days=364), CUTOFF - timedelta(days=365 - HORIZON))
    last_year = pl.when(year_ago).then(pl.col("purchases") * 3).otherwise(pl.col("purchases"))
    strong = replace(training, daily_totals=training.daily_totals.with_columns(last_year.alias("purchases")))
    plain, more = (Hybrid().fit(data, [HORIZON]).forecast(current, HORIZON).sum() for data in (training, strong))
    more_purchases = more["expected_purchases"][0] / plain["expected_purchases"][0]
    assert 1.0 < more["p_purchase"][0] / plain["p_purchase"][0] < more_purchases


@pytest.mark.parametrize(
    ("customers", "levels"),
    [(1_500, []), (20, [1.0, 1.0]), (1_500, [0.0, 0.0])],
    ids=["no completed window", "20 customers", "nobody came back"],
)
def test_bg_nbd_serves_where_completed_windows_teach_nothing(customers: int, levels: list[float]) -> None:
    now = simulated(customers, 1, HORIZON)
    completed = windows(customers, levels) if levels else None
    training = training_data(now, completed)
    fitted = Hybrid().fit(training, [HORIZON])
    assert "too few completed windows, BG/NBD alone serves" in fitted.report.notes
    assert fitted.forecast(now, HORIZON, 0.1).equals(BgNbd().fit(training, [HORIZON]).forecast(now, HORIZON, 0.1))


def test_the_order_of_the_training_rows_does_not_matter() -> None:
    current, training = hybrid_data(800)
    shuffled = replace(
        training, completed_windows=training.completed_windows.sample(fraction=1.0, shuffle=True, seed=5)
    )
    one, other = (Hybrid().fit(data, [HORIZON]).forecast(current, HORIZON, 0.1) for data in (training, shuffled))
    assert one.equals(other)
