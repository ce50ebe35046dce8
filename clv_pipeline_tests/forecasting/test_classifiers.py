import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from clv_pipeline.forecasting.classifiers import (
    BoostedClassifier,
    Calibrated,
    LogisticClassifier,
    LogisticScore,
    PurchaseClassifier,
)
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline_tests.forecasting.examples import completed_windows

WINDOWS = completed_windows(cutoffs=4, customers=600)
BOTH = pytest.mark.parametrize("model", [LogisticClassifier(), BoostedClassifier()], ids=["logistic", "boosted"])


def bought(log_odds: pl.Expr, seed: int = 6) -> pl.DataFrame:
    """WINDOWS whose customers buy with these log odds."""
    drawn = np.random.default_rng(seed).random(WINDOWS.height)
    odds = WINDOWS.select(log_odds.cast(pl.Float64)).to_series().to_numpy()
    return WINDOWS.with_columns(actual_purchases=pl.Series((drawn < expit(odds)).astype(np.int64)))


def learned(model: PurchaseClassifier, rows: pl.DataFrame) -> Calibrated:
    fitted = model.learn(rows)
    assert isinstance(fitted, Calibrated)
    return fitted


def probabilities(fitted: Calibrated, rows: pl.DataFrame) -> Floats:
    predicted = fitted.predict(rows).p_purchase
    assert predicted is not None
    return predicted


RECENT = 1.0 - pl.col("days_since_last") / 60.0
LATEST = pl.col("cutoff") == pl.col("cutoff").max()


@BOTH
def test_probabilities_mean_what_they_say(model: PurchaseClassifier) -> None:
    rows = bought(RECENT.clip(-3.0, 3.0))
    probability = probabilities(learned(model, rows), rows)
    truth = expit(rows.select(RECENT.clip(-3.0, 3.0)).to_series().to_numpy())
    assert np.abs(probability - truth).mean() < 0.06
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0)):
        some = (probability >= low) & (probability < high)
        assert some.sum() > 50
        assert probability[some].mean() == pytest.approx(rows["actual_purchases"].to_numpy()[some].mean(), abs=0.06)


@BOTH
def test_a_relation_that_faded_in_the_latest_window_is_believed_less(model: PurchaseClassifier) -> None:
    lasting = learned(model, bought(RECENT.clip(-3.0, 3.0)))
    faded = learned(model, bought(pl.when(LATEST).then(0.3 * RECENT.clip(-3.0, 3.0)).otherwise(RECENT.clip(-3.0, 3.0))))
    assert faded.slope < 0.7 < 0.8 < lasting.slope
    assert faded.calibrated_on == WINDOWS["cutoff"].max()


@BOTH
def test_the_level_of_the_latest_window_is_not_carried_over(model: PurchaseClassifier) -> None:
    usual = learned(model, bought(RECENT.clip(-3.0, 3.0)))
    peak = bought(RECENT.clip(-3.0, 3.0) + pl.when(LATEST).then(1.5).otherwise(0.0))
    assert learned(model, peak).slope == pytest.approx(usual.slope, abs=0.35)
    share = peak["actual_purchases"].to_numpy().mean()
    without_season = peak.with_columns(pl.lit(WINDOWS["cutoff"].min()).alias("cutoff"))
    assert probabilities(learned(model, without_season), without_season).mean() == pytest.approx(share, abs=0.03)


@BOTH
def test_one_window_gives_no_calibration_and_says_so(model: PurchaseClassifier) -> None:
    fitted = learned(model, bought(RECENT).filter(LATEST))
    assert (fitted.slope, fitted.parameters["calibrated_on"]) == (1.0, None)


def test_windows_that_overlap_the_latest_one_do_not_calibrate_on_it() -> None:
    overlapping = bought(RECENT).with_columns(
        cutoff=pl.when(LATEST).then("cutoff").otherwise(pl.col("cutoff").max() - pl.duration(days=89))
    )
    assert learned(LogisticClassifier(), overlapping).calibrated_on is None


def test_logistic_coefficients_are_named_and_reproduce_the_forecast() -> None:
    rows = bought(RECENT)
    fitted = learned(LogisticClassifier(), rows)
    assert isinstance(fitted.score, LogisticScore)
    named = fitted.parameters["log_odds"]
    names = fitted.score.design.standardised_names
    assert set(named) == {"intercept", *names}
    assert named["days_since_last"] < 0.0
    by_hand = fitted.score.design.standardised(rows) @ np.array([named[name] for name in names]) + named["intercept"]
    spread = fitted.center + fitted.slope * (by_hand - fitted.center)
    np.testing.assert_allclose(probabilities(fitted, rows), expit(spread), rtol=1e-9)


def test_trees_find_a_relation_that_is_no_line() -> None:
    island = pl.col("days_since_last").is_between(30, 120)
    rows = bought(pl.when(island).then(2.0).otherwise(-2.0))
    probability = probabilities(learned(BoostedClassifier(), rows), rows)
    inside = rows.select(island).to_series().to_numpy()
    assert probability[inside].mean() > 0.75 > 0.3 > probability[~inside].mean()
