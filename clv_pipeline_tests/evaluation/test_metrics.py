from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, Estimate, bootstrap, calibration, evaluate
from clv_pipeline.evaluation.scores import FLOOR, SCORERS, Outcome, PurchaseScorer, PurchasesScorer, SpendScorer

amounts = st.floats(0.0, 1e6, allow_subnormal=False).map(lambda value: round(value, 2))


def forecasts(
    forecast: list[float],
    actual: list[float],
    probability: list[float] | None = None,
    model: str = "m",
) -> pl.DataFrame:
    n = len(forecast)
    return pl.DataFrame(
        {
            "cutoff": [date(2024, 1, 1)] * n,
            "horizon_days": [90] * n,
            "model": [model] * n,
            "customer_id": [f"c{i:06d}" for i in range(n)],
            "expected_purchases": [value / 10 for value in forecast],
            "expected_spend": forecast,
            "p_purchase": probability or [None] * n,
            "actual_purchases": [round(value / 10) for value in actual],
            "actual_spend": actual,
        },
        schema_overrides={"p_purchase": pl.Float64, "expected_spend": pl.Float64, "actual_spend": pl.Float64},
    )


def found(frame: pl.DataFrame, target: str = "spend") -> dict[str, float | None]:
    rows = evaluate(frame).filter(pl.col("target") == target)
    return dict(rows.select("metric", "value").iter_rows())


def spenders(n: int, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    spend: list[float] = (rng.gamma(0.5, 100.0, n) * (rng.random(n) < 0.4)).tolist()
    return spend


def test_a_perfect_forecast_has_no_error_gini_1_and_decile_mape_0() -> None:
    metrics = found(forecasts(spenders(1000), spenders(1000)))
    for metric in ("mae", "medae", "rmse", "bias", "normalized_mae"):
        assert metrics[metric] == 0.0
    for metric in ("r2", "spearman", "normalized_gini"):
        assert metrics[metric] == pytest.approx(1.0, abs=1e-12)
    assert metrics["decile_mape"] == pytest.approx(0.0, abs=1e-9)


def test_a_random_forecast_has_gini_and_spearman_near_0_and_tops_that_hold_their_share() -> None:
    metrics = found(forecasts(spenders(20_000, 1), spenders(20_000, 2)))
    assert metrics["normalized_gini"] == pytest.approx(0.0, abs=0.02)
    assert metrics["spearman"] == pytest.approx(0.0, abs=0.02)
    assert metrics["top_10_share"] == pytest.approx(0.1, abs=0.02)
    assert metrics["top_20_share"] == pytest.approx(0.2, abs=0.02)


def test_a_reversed_forecast_has_gini_minus_1() -> None:
    actual = [float(i) for i in range(1000)]
    metrics = found(forecasts(actual[::-1], actual))
    assert metrics["spearman"] == pytest.approx(-1.0)
    assert metrics["normalized_gini"] == pytest.approx(-1.0)


def test_a_constant_forecast_says_nothing_about_order() -> None:
    metrics = found(forecasts([30.0] * 1000, spenders(1000)))
    assert metrics["spearman"] is None
    assert metrics["normalized_gini"] == pytest.approx(0.0, abs=1e-12)
    assert metrics["top_10_share"] == pytest.approx(0.1)


def test_spend_metrics_of_a_case_done_by_hand() -> None:
    metrics = found(forecasts([10.0, 0.0, 30.0, 20.0], [0.0, 0.0, 60.0, 20.0]))
    assert metrics["mae"] == 10.0
    assert metrics["medae"] == 0.0
    assert metrics["rmse"] == pytest.approx((1000 / 4) ** 0.5)
    assert metrics["bias"] == pytest.approx(60 / 80 - 1)
    assert metrics["normalized_mae"] == pytest.approx(10 / 20)
    assert metrics["r2"] == pytest.approx(1 - 1000 / (4000 - 80**2 / 4))
    # The forecast orders 60, 20, 0, 0 as the outcomes do.
    assert metrics["normalized_gini"] == pytest.approx(1.0)
    assert metrics["top_20_share"] == pytest.approx(0.8 * 60 / 80)


def test_the_score_asks_how_far_off_how_well_ordered_and_how_far_off_in_sum() -> None:
    metrics = found(forecasts([10.0, 0.0, 30.0, 20.0], [0.0, 0.0, 60.0, 20.0]))
    assert metrics["score"] == pytest.approx(0.5 + (1.0 - 1.0) + 0.25)
    # Too much forecast costs as much as too little.
    assert found(forecasts([0.0, 100.0], [0.0, 50.0]))["score"] == pytest.approx(1.0 + 0.0 + 1.0)


def test_calibration_error_is_the_mean_gap_between_forecast_and_actual_shares_of_deciles() -> None:
    # Two groups of ten deciles' worth of ties: 0.8 forecast where half buy, 0.1 where one in ten does.
    probability = [0.8] * 50 + [0.1] * 50
    bought = [10.0, 0.0] * 25 + ([10.0] + [0.0] * 9) * 5
    metrics = found(forecasts([1.0] * 100, bought, probability), "purchase")
    assert metrics["calibration_error"] == pytest.approx(0.5 * 0.3 + 0.5 * 0.0)


def test_probability_metrics_of_a_case_done_by_hand() -> None:
    frame = forecasts([1.0] * 4, [10.0, 0.0, 10.0, 0.0], [0.9, 0.6, 0.6, 0.1])
    metrics = found(frame, "purchase")
    # Pairs of a buyer and a non-buyer: three in order, one tied.
    assert metrics["auc"] == pytest.approx(3.5 / 4)
    assert metrics["brier"] == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.6, 0.9]).mean())


def test_definitions_agree_with_scipy_and_scikit_learn() -> None:
    from scipy.stats import spearmanr
    from sklearn.metrics import (
        brier_score_loss,
        d2_brier_score,
        d2_tweedie_score,
        log_loss,
        mean_poisson_deviance,
        mean_tweedie_deviance,
        r2_score,
        roc_auc_score,
    )

    rng = np.random.default_rng(7)
    forecast, actual = np.round(rng.gamma(1.0, 20.0, 500), -1) + 5.0, np.round(rng.gamma(1.0, 20.0, 500), -1)
    probability = np.round(rng.random(500), 1)
    happened = (rng.random(500) < probability).astype(float)
    spend = SpendScorer(forecast, Outcome(actual)).values()
    assert spend["spearman"] == pytest.approx(spearmanr(forecast, actual).statistic)
    assert spend["r2"] == pytest.approx(r2_score(actual, forecast))
    assert spend["medae"] == np.sort(np.abs(forecast - actual))[249]
    assert spend["tweedie_deviance"] == pytest.approx(mean_tweedie_deviance(actual, forecast, power=1.5))
    assert spend["tweedie_skill"] == pytest.approx(d2_tweedie_score(actual, forecast, power=1.5))
    purchases = PurchasesScorer(forecast, Outcome(actual)).values()
    assert purchases["poisson_deviance"] == pytest.approx(mean_poisson_deviance(actual, forecast))
    assert purchases["poisson_skill"] == pytest.approx(d2_tweedie_score(actual, forecast, power=1.0))
    purchase = PurchaseScorer(probability, Outcome(happened)).values()
    assert purchase["auc"] == pytest.approx(roc_auc_score(happened, probability))
    assert purchase["brier"] == pytest.approx(brier_score_loss(happened, probability))
    assert purchase["brier_skill"] == pytest.approx(d2_brier_score(happened, probability))
    assert purchase["log_loss"] == pytest.approx(log_loss(happened, probability))


@given(st.data())
@settings(max_examples=80)
def test_weights_mean_that_a_customer_counts_so_many_times(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 15))
    few = st.sampled_from([5.0, 20.0, 300.0])
    # Forecasts that no floor raises: it depends on the mean outcome, and the copies have another.
    forecast = np.array(data.draw(st.lists(few, min_size=n, max_size=n)))
    actual = np.array(data.draw(st.lists(few | st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any)))
    for target, predicted, came in (
        ("spend", forecast, actual),
        ("purchases", forecast, actual),
        ("purchase", forecast / 300.0, (actual > 0).astype(float)),
    ):
        # Beside it a replicate that drew everybody once: replicates do not mix.
        weighted = SCORERS[target](predicted, Outcome(came))(np.array([np.ones(n), weights]))
        copies = SCORERS[target](np.repeat(predicted, weights), Outcome(np.repeat(came, weights))).values()
        expected = {metric: copies[metric] for metric in weighted}
        if not np.repeat(came, weights).any():
            weighted = {metric: value for metric, value in weighted.items() if "skill" not in metric}
        for metric, value in weighted.items():
            assert value[1] == pytest.approx(expected[metric], nan_ok=True, abs=1e-9), metric


@given(st.data())
@settings(max_examples=40)
def test_equal_forecasts_share_outcomes_whatever_the_order_of_rows(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 40))
    # Few distinct forecasts, so that nearly all customers are tied, and outcomes permuted between customers.
    forecast = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=n, max_size=n)))
    actual = np.array(data.draw(st.lists(amounts, min_size=n, max_size=n)))
    order = np.array(data.draw(st.permutations(range(n))))
    one = SpendScorer(forecast, Outcome(actual)).values()
    other = SpendScorer(forecast[order], Outcome(actual[order])).values()
    for metric, value in one.items():
        assert value == pytest.approx(other[metric], nan_ok=True, rel=1e-6, abs=1e-6), metric


def test_a_perfect_forecast_has_skill_1_and_the_mean_told_of_everybody_skill_0() -> None:
    actual = [20.0, 20.0, 50.0, 400.0]
    perfect = evaluate(forecasts(actual, actual, [1.0] * 4))
    constant = evaluate(forecasts([122.5] * 4, actual, [1.0] * 4))
    for metric in ("tweedie_skill", "poisson_skill"):
        assert perfect.filter(metric=metric)["value"].to_list() == pytest.approx([1.0])
        assert constant.filter(metric=metric)["value"].to_list() == pytest.approx([0.0], abs=1e-12)
    sure = found(forecasts([1.0, 1.0, 9.0], [0.0, 0.0, 10.0], [0.0, 0.0, 1.0]), "purchase")
    share = found(forecasts([1.0, 1.0, 9.0], [0.0, 0.0, 10.0], [1 / 3] * 3), "purchase")
    assert sure["brier_skill"] == pytest.approx(1.0)
    assert share["brier_skill"] == pytest.approx(0.0, abs=1e-12)


@given(st.lists(st.tuples(amounts, amounts), min_size=2, max_size=30))
def test_no_forecast_has_less_deviance_than_one_that_knew_the_outcome(rows: list[tuple[float, float]]) -> None:
    forecast, actual = (list(column) for column in zip(*rows, strict=True))
    knew, guessed = found(forecasts(actual, actual)), found(forecasts(forecast, actual))
    if knew["tweedie_deviance"] is None or guessed["tweedie_deviance"] is None:
        assert not any(actual)
    else:
        assert knew["tweedie_deviance"] <= guessed["tweedie_deviance"] + 1e-9


@given(st.floats(0.01, 1000.0))
def test_skill_does_not_depend_on_the_currency(rate: float) -> None:
    forecast, actual = np.array(spenders(200, 1)), np.array(spenders(200, 2))
    here = SpendScorer(forecast, Outcome(actual)).values()
    there = SpendScorer(rate * forecast, Outcome(rate * actual)).values()
    assert there["tweedie_skill"] == pytest.approx(here["tweedie_skill"], rel=1e-9)
    assert there["tweedie_deviance"] == pytest.approx(np.sqrt(rate) * here["tweedie_deviance"], rel=1e-9)


def test_a_rule_that_says_0_of_a_buyer_is_wrong_by_a_finite_amount() -> None:
    metrics = found(forecasts([0.0, 100.0], [50.0, 50.0]))
    floored = found(forecasts([FLOOR * 50.0, 100.0], [50.0, 50.0]))
    assert metrics["tweedie_deviance"] == floored["tweedie_deviance"]


@given(st.integers(0, 10_000), st.floats(0.3, 2.0))
@settings(max_examples=25, deadline=None)
def test_sharpening_a_calibrated_forecast_does_not_pay(seed: int, spread: float) -> None:
    """Customers whose means are known: raised to 1.3, with the same total, they order as before and lose."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(spread, 1.0 / spread, 4_000)
    purchases = rng.poisson(rate).astype(float)
    spent = np.where(purchases > 0, rng.gamma(2.0 * np.maximum(purchases, 1.0), 25.0), 0.0)
    sharpened = rate**1.3 * rate.sum() / (rate**1.3).sum()
    for scorer, honest, sharp, came in (
        (SpendScorer, 50.0 * rate, 50.0 * sharpened, spent),
        (PurchasesScorer, rate, sharpened, purchases),
    ):
        deviance = "tweedie_deviance" if scorer is SpendScorer else "poisson_deviance"
        assert scorer(sharp, Outcome(came)).values()[deviance] > scorer(honest, Outcome(came)).values()[deviance]


def test_the_tables_are_identical_whatever_the_order_of_rows() -> None:
    frame = pl.concat(
        [
            forecasts(spenders(300, 1), spenders(300, 2), np.linspace(0, 1, 300).tolist(), "b"),
            forecasts([float(round(v, -2)) for v in spenders(300, 3)], spenders(300, 2), model="a"),
        ]
    )
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=5)
    assert evaluate(shuffled).equals(evaluate(frame))
    assert calibration(shuffled).equals(calibration(frame))
    of_one = pl.col("model") == "b"
    assert bootstrap(shuffled.filter(of_one)) == bootstrap(frame.filter(of_one))


@given(st.lists(st.tuples(amounts, amounts, st.floats(0.0, 1.0)), min_size=1, max_size=30))
@settings(max_examples=60)
def test_metrics_are_null_or_finite_and_within_their_range(rows: list[tuple[float, float, float]]) -> None:
    forecast, actual, probability = (list(column) for column in zip(*rows, strict=True))
    table = evaluate(forecasts(forecast, actual, probability))
    assert table.schema == METRICS_SCHEMA
    assert table["value"].drop_nulls().is_finite().all()
    bounds = {
        "auc": (0, 1),
        "brier": (0, 1),
        "spearman": (-1, 1),
        "mae": (0, np.inf),
        "decile_mape": (0, np.inf),
        "tweedie_deviance": (0, np.inf),
        "poisson_skill": (-np.inf, 1),
    }
    for metric, (low, high) in bounds.items():
        values = table.filter(pl.col("metric") == metric)["value"].drop_nulls()
        assert values.is_between(low - 1e-9, high + 1e-9).all(), metric
    for estimate in bootstrap(forecasts(forecast, actual, probability), replicates=5)["spend"].values():
        assert estimate.lower is None or estimate.upper is None or estimate.lower <= estimate.upper


def test_what_is_undefined_is_null_and_not_a_crash() -> None:
    all_bought = found(forecasts([1.0] * 5, [10.0] * 5, [0.5] * 5), "purchase")
    assert all_bought["auc"] is None
    assert all_bought["brier_skill"] is None
    assert all_bought["brier"] == 0.25
    nothing_spent = found(forecasts([1.0, 2.0], [0.0, 0.0]))
    for metric in (
        "bias",
        "normalized_mae",
        "normalized_gini",
        "decile_mape",
        "top_10_share",
        "r2",
        "spearman",
        "tweedie_deviance",
        "tweedie_skill",
    ):
        assert nothing_spent[metric] is None, metric
    assert nothing_spent["mae"] == 1.5


def test_a_model_without_probabilities_has_no_purchase_metrics() -> None:
    table = evaluate(forecasts(spenders(50), spenders(50)))
    assert set(table["target"]) == {"spend", "purchases"}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (forecasts([1.0, 2.0], [1.0, 2.0]).with_columns(customer_id=pl.lit("c")), "repeat a customer"),
        (forecasts([1.0, float("nan")], [1.0, 2.0]), "null or not finite"),
        (
            forecasts([1.0, 2.0], [1.0, 2.0]).with_columns(p_purchase=pl.Series([0.5, None])),
            "null or not finite",
        ),
        (forecasts([1.0], [1.0]).drop("actual_spend"), "forecasts lacks the columns actual_spend"),
    ],
)
def test_frames_that_cannot_be_judged_are_refused(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(frame)


def test_nothing_to_evaluate_gives_empty_tables() -> None:
    empty = forecasts([1.0], [1.0]).clear()
    assert evaluate(empty).is_empty()
    assert calibration(empty).is_empty()


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    # The mean absolute error of a forecast of 0 is the mean of the outcomes, here exponential with mean 50.
    covered = 0
    for seed in range(60):
        actual = np.random.default_rng(seed).exponential(50.0, 300).tolist()
        mae = bootstrap(forecasts([0.0] * 300, actual), replicates=200)["spend"]["mae"]
        assert mae.lower is not None
        assert mae.upper is not None
        covered += mae.lower <= 50.0 <= mae.upper
    assert 52 <= covered <= 60


def test_an_interval_from_a_sample_is_as_wide_as_one_from_everybody() -> None:
    frame = forecasts(spenders(8000, 1), spenders(8000, 2))
    sampled, everybody = (bootstrap(frame, customers=m)["spend"]["mae"] for m in (1000, 8000))
    assert sampled.value == everybody.value
    assert None not in (sampled.lower, sampled.upper, everybody.lower, everybody.upper)
    assert sampled.lower < sampled.value < sampled.upper  # type: ignore[operator]
    width, of_everybody = (estimate.upper - estimate.lower for estimate in (sampled, everybody))  # type: ignore[operator]
    assert width == pytest.approx(of_everybody, rel=0.3)


@pytest.mark.parametrize(
    ("bias", "size"),
    [
        (Estimate(-0.2, -0.3, -0.1), Estimate(0.2, 0.1, 0.3)),
        (Estimate(0.05, -0.3, 0.1), Estimate(0.05, 0.0, 0.3)),
        (Estimate(-0.2, None, None), Estimate(0.2, None, None)),
        (Estimate(None, None, None), Estimate(None, None, None)),
    ],
)
def test_the_interval_of_a_size_is_that_of_the_value_without_its_sign(bias: Estimate, size: Estimate) -> None:
    assert bias.size == size


def test_calibration_shows_what_was_forecast_and_what_came_by_decile() -> None:
    actual = [float(i) for i in range(100)]
    table = calibration(forecasts([2.0 * value for value in actual], actual))
    assert table["decile"].to_list() == list(range(10, 0, -1))
    assert table["customers"].to_list() == [10] * 10
    assert table["actual_mean"].to_list() == pytest.approx([94.5 - 10 * i for i in range(10)])
    assert (table["predicted_mean"] / table["actual_mean"]).to_list() == pytest.approx([2.0] * 10)
    assert found(forecasts([2.0 * value for value in actual], actual))["decile_mape"] == pytest.approx(1.0)


def test_calibration_spreads_tied_customers_evenly_over_their_deciles() -> None:
    table = calibration(forecasts([0.0] * 5 + [9.0] * 2, [1.0, 2.0, 3.0, 4.0, 5.0, 20.0, 30.0]))
    assert table["customers"].sum() == 7
    by_forecast = table.group_by("predicted_mean").agg(pl.col("actual_mean").unique()).sort("predicted_mean")
    assert by_forecast["actual_mean"][0].round(9).unique().to_list() == [3.0]
    assert by_forecast["actual_mean"][1].round(9).unique().to_list() == [25.0]
