import sys
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from clv_pipeline.forecasting import neural
from clv_pipeline.forecasting.design_matrix import DesignMatrix, training_rows
from clv_pipeline.forecasting.frames import Floats
from clv_pipeline.forecasting.neural import Network, Split, Trainer, ZeroInflatedLognormal
from clv_pipeline.forecasting.zero_inflated_lognormal import Distribution, Outcomes, Scale, loss
from clv_pipeline_tests.forecasting.examples import CUTOFF, customers_frame, simulated, training_data

WITHOUT_JAX = "jax, equinox and optax are the extra `neural`"
pytest.importorskip("jax", reason=WITHOUT_JAX)
PAST = CUTOFF - timedelta(days=90)
TODAY = simulated(600, seed=9)


def drawn(rows: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, Floats, Floats]:
    """Outcomes of a known law, with the true probability of buying and expected spend of every customer."""
    rng = np.random.default_rng(seed)
    idle = np.log1p(rows["days_since_last"].to_numpy())
    p = 1.0 / (1.0 + np.exp(1.5 * (idle - idle.mean())))
    mu = 2.0 + 0.5 * np.log1p(rows["monetary_value"].to_numpy())
    buys = rng.random(rows.height) < p
    spend = np.where(buys, np.exp(rng.normal(mu, 0.6)), 0.0)
    further = rng.poisson(0.7, rows.height)
    outcomes = {"actual_purchases": np.where(buys, 1 + further, 0), "actual_spend": spend}
    return rows.with_columns(**{name: pl.Series(values) for name, values in outcomes.items()}), p, p * np.exp(mu + 0.18)


def test_a_known_law_is_recovered() -> None:
    window, _, _ = drawn(simulated(4000, seed=2, cutoff=PAST), 1)
    today, p, spend = drawn(simulated(4000, seed=5), 2)
    forecast = ZeroInflatedLognormal().fit(training_data(today, window), [90]).forecast(today, 90)
    assert np.abs(forecast["p_purchase"].to_numpy() - p).mean() < 0.05
    assert np.corrcoef(forecast["expected_spend"].to_numpy(), spend)[0, 1] > 0.95
    assert forecast["expected_spend"].sum() == pytest.approx(spend.sum(), rel=0.1)
    assert forecast["expected_purchases"].sum() == pytest.approx(1.7 * p.sum(), rel=0.1)


def test_features_without_meaning_teach_next_to_nothing() -> None:
    rng = np.random.default_rng(8)
    came = pl.Series(rng.integers(0, 2, 1500))
    window = simulated(1500, cutoff=PAST).with_columns(
        actual_purchases=came, actual_spend=came * pl.Series(rng.gamma(3.0, 10.0, 1500))
    )
    forecast = ZeroInflatedLognormal().fit(training_data(TODAY, window), [90]).forecast(TODAY, 90)
    assert forecast["p_purchase"].to_numpy().std() < 0.1
    assert forecast["expected_spend"].mean() == pytest.approx(window["actual_spend"].mean(), rel=0.15)


def test_the_order_of_the_rows_changes_no_forecast() -> None:
    window = simulated(1000, cutoff=PAST)
    first, second = (
        ZeroInflatedLognormal().fit(training_data(TODAY, rows), [90])
        for rows in (window, window.sample(fraction=1.0, shuffle=True, seed=4))
    )
    assert second.report == first.report
    assert second.forecast(TODAY, 90).equals(first.forecast(TODAY, 90))


def test_forecasting_needs_no_jax_and_no_other_customer(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = ZeroInflatedLognormal().fit(training_data(TODAY, simulated(1000, cutoff=PAST)), [90])
    whole = fitted.forecast(TODAY, 90)
    for package in ("jax", "equinox", "optax"):
        monkeypatch.setitem(sys.modules, package, None)
    for size in (1, 7, 255, 256, 257):
        batch = TODAY.slice(100, size)
        assert fitted.forecast(batch, 90).equals(whole.slice(100, size)), size


def test_numpy_computes_what_was_trained() -> None:
    rows = training_rows(training_data(TODAY, simulated(1000, cutoff=PAST)), 90)
    scale, split, inputs = Scale.of(rows), Split.of(rows), DesignMatrix.learn(rows).standardised(rows)
    trainer = Trainer(inputs, scale.outcomes(rows), scale.average_heads)
    losses = trainer.losses(split)
    came = Outcomes(*(column[split.judge] for column in scale.outcomes(rows)))
    for epochs in (0, 3):
        said = Distribution.of(neural.run(trainer.train(split.teach, epochs), inputs[split.judge]), np)
        assert losses[epochs] == pytest.approx(loss(said, came, np).mean(), rel=1e-4)
    assert losses[3] < losses[0]


def test_training_ends_some_epochs_after_the_best_one() -> None:
    rows = training_rows(training_data(TODAY, simulated(600, cutoff=PAST)), 90)
    scale = Scale.of(rows)
    trainer = Trainer(DesignMatrix.learn(rows).standardised(rows), scale.outcomes(rows), scale.average_heads)
    losses = trainer.losses(Split.of(rows))
    best = int(np.argmin(losses))
    assert len(losses) == min(best + neural.PATIENCE, neural.MAXIMUM_EPOCHS) + 1
    fitted = ZeroInflatedLognormal().learn(rows)
    assert isinstance(fitted, Network)
    assert (fitted.parameters["epochs"], fitted.parameters["loss"]) == (best, losses[best])


def test_the_latest_window_judges_only_windows_that_were_over_when_it_began() -> None:
    cutoffs = [PAST - timedelta(days=days) for days in (0, 30, 90, 120)]
    rows = pl.concat([simulated(50, seed, cutoff=cutoff) for seed, cutoff in enumerate(cutoffs)]).sort("cutoff")
    split = Split.of(rows)
    assert rows[split.judge]["cutoff"].unique().to_list() == [cutoffs[0]]
    assert rows[split.teach]["cutoff"].unique().sort().to_list() == [cutoffs[3], cutoffs[2]]
    assert str(cutoffs[0]) in split.judges


def test_overlapping_windows_are_judged_by_customers_who_teach_nowhere() -> None:
    rows = pl.concat([simulated(50, seed, cutoff=PAST - timedelta(days=30 * seed)) for seed in (1, 0)])
    split = Split.of(rows)
    assert not set(rows[split.judge]["customer_id"]) & set(rows[split.teach]["customer_id"])
    assert (len(split.judge), len(split.teach)) == (20, 80)


def test_all_sizes_of_training_data_share_one_compilation() -> None:
    for customers in (250, 2000):
        ZeroInflatedLognormal().fit(training_data(TODAY, simulated(customers, cutoff=PAST)), [90])
    assert neural._programs(64).epoch._cache_size() == 1  # type: ignore[attr-defined]


def test_where_jax_is_absent_the_report_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    fitted = ZeroInflatedLognormal().fit(training_data(TODAY, simulated(1000, cutoff=PAST)), [90])
    assert (fitted.can_forecast(90), fitted.report.verdict) == (False, "no_training_data")
    assert fitted.report.notes == "JAX is not installed: pip install 'clv_pipeline[neural]'."


def test_twenty_customers_are_refused() -> None:
    fitted = ZeroInflatedLognormal().fit(training_data(TODAY, simulated(20, cutoff=PAST)), [90])
    assert not fitted.can_forecast(90)
    assert "20 customers in completed windows of that length, 200 needed" in fitted.report.notes


@pytest.mark.parametrize(
    ("purchases", "spend", "said"),
    [
        (pl.lit(0), pl.lit(0.0), "No money was spent"),
        (pl.lit(2), pl.lit(-3.0), "No money was spent"),
        (pl.int_range(pl.len()) // 290, 5.0 * (pl.int_range(pl.len()) // 290), "10 customers bought"),
    ],
    ids=["nobody", "all returned", "ten buyers"],
)
def test_too_little_to_learn_from_is_forecast_by_the_mean(purchases: pl.Expr, spend: pl.Expr, said: str) -> None:
    window = simulated(300, cutoff=PAST).with_columns(actual_purchases=purchases, actual_spend=spend)
    fitted = ZeroInflatedLognormal().fit(training_data(TODAY, window), [90])
    assert (fitted.can_forecast(90), fitted.report.verdict) == (True, "degenerate")
    assert said in fitted.report.notes
    assert fitted.forecast(TODAY, 90)["expected_spend"].n_unique() == 1


def test_one_day_of_history_is_forecast_by_the_mean() -> None:
    newcomers = customers_frame([0] * 300, [0] * 300, [0] * 300, [0.0] * 300, cutoff=PAST).with_columns(
        pl.lit("France").alias("country"), lines_per_order=1.0
    )
    window = newcomers.with_columns(actual_purchases=pl.lit(1), actual_spend=pl.lit(7.0))
    fitted = ZeroInflatedLognormal().fit(training_data(TODAY, window), [90])
    assert "All customers of the training windows are alike" in fitted.report.notes
    assert_allclose(fitted.forecast(TODAY, 90)["expected_spend"], 7.0)


def test_everybody_buying_the_same_is_forecast_to_go_on() -> None:
    window = simulated(1000, cutoff=PAST).with_columns(actual_purchases=pl.lit(1), actual_spend=pl.lit(9.99))
    forecast = ZeroInflatedLognormal().fit(training_data(TODAY, window), [90]).forecast(TODAY, 90)
    assert_allclose(forecast["expected_spend"], 9.99, rtol=0.02)
    assert_allclose(forecast["expected_purchases"], 1.0, atol=0.05)


def test_a_customer_beyond_all_that_was_seen_spends_at_most_what_the_best_one_did() -> None:
    window = simulated(1000, cutoff=PAST)
    whale = customers_frame([10_000], [14_000], [14_001], [1e6])
    forecast = ZeroInflatedLognormal().fit(training_data(TODAY, window), [90]).forecast(whale, 90)
    assert 0.0 < forecast["expected_spend"][0] <= window["actual_spend"].to_numpy().max() + 1e-9
