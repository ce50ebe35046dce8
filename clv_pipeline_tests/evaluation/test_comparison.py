from datetime import date

import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.comparison import difference, differences_to_best_baseline, mean_over_cutoffs, ranked
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, evaluate

OLD, NEW = date(2024, 1, 1), date(2024, 4, 1)


def shop(n: int = 2_000, cutoffs: tuple[date, ...] = (OLD, NEW)) -> pl.DataFrame:
    """A rule, a rule that is worse, and a model that is better by a little, at two cutoffs."""
    frames = []
    for seed, cutoff in enumerate(cutoffs):
        rng = np.random.default_rng(seed)
        rate = rng.gamma(0.5, 1.0, n)
        spent = rng.poisson(rate) * 50.0
        noise = rng.lognormal(0.0, 1.0, n)
        for model, spread in (("rule", 0.3), ("poor_rule", 0.9), ("model", 0.2)):
            frames.append(
                pl.DataFrame(
                    {
                        "cutoff": cutoff,
                        "horizon_days": 90,
                        "model": model,
                        "customer_id": [f"c{i}" for i in range(n)],
                        "expected_purchases": rate,
                        "expected_spend": 50.0 * rate * noise**spread,
                        "p_purchase": 1.0 - np.exp(-rate),
                        "actual_purchases": spent / 50.0,
                        "actual_spend": spent,
                    }
                )
            )
    return pl.concat(frames)


def test_the_difference_over_cutoffs_is_the_mean_of_their_differences() -> None:
    found = evaluate(shop(), replicates=50)
    both = difference(found.replicates, "score", 90, "model", "rule")
    single = [difference(found.replicates, "score", 90, "model", "rule", cutoff) for cutoff in (OLD, NEW)]
    assert both.value == pytest.approx(np.mean([gap.value for gap in single]))
    scores = {
        (cutoff, model): value
        for cutoff, model, value in found.metrics.filter(metric="score").select("cutoff", "model", "value").iter_rows()
    }
    assert single[0].value == pytest.approx(scores[OLD, "model"] - scores[OLD, "rule"])


def test_paired_draws_tell_apart_what_separate_intervals_cannot() -> None:
    found = evaluate(shop())
    gap = difference(found.replicates, "mae", 90, "model", "rule", NEW)
    assert gap.is_gain
    maes = found.metrics.filter(pl.col("metric") == "mae", pl.col("target") == "spend", pl.col("cutoff") == NEW)
    own, rule = (maes.row(by_predicate=pl.col("model") == name, named=True) for name in ("model", "rule"))
    assert own["upper"] > rule["lower"]


def test_a_model_does_not_gain_on_itself() -> None:
    found = evaluate(shop(200), replicates=20)
    gap = difference(found.replicates, "score", 90, "rule", "rule")
    assert (gap.value, gap.lower, gap.upper, gap.is_gain) == (0.0, 0.0, 0.0, False)


def test_a_difference_to_a_model_that_was_not_scored_is_undefined() -> None:
    found = evaluate(shop(200), replicates=20)
    gap = difference(found.replicates, "score", 90, "model", "unheard of")
    assert (gap.value, gap.lower, gap.is_gain) == (None, None, False)


def test_a_customer_is_drawn_with_all_windows_so_twice_the_same_cutoff_is_no_more_evidence() -> None:
    once = evaluate(shop(cutoffs=(OLD,)))
    frame = shop(cutoffs=(OLD,))
    twice = evaluate(pl.concat([frame, frame.with_columns(cutoff=pl.lit(NEW))]))
    first, second = (difference(found.replicates, "score", 90, "model", "rule") for found in (once, twice))
    assert second.value == pytest.approx(first.value)
    assert second.lower == pytest.approx(first.lower)
    assert second.upper == pytest.approx(first.upper)


def test_models_are_compared_with_the_best_baseline_of_the_horizon() -> None:
    found = evaluate(shop(), replicates=50)
    rows = differences_to_best_baseline(found, ["poor_rule", "rule"])
    assert rows.schema == METRICS_SCHEMA
    assert set(rows["model"]) == {"model", "poor_rule"}
    assert set(rows["metric"]) == {"mae_minus_best_baseline", "score_minus_best_baseline"}
    maes = rows.filter(metric="mae_minus_best_baseline")
    assert (maes.filter(model="model")["upper"] < 0.0).all()
    assert (maes.filter(model="poor_rule")["lower"] > 0.0).all()
    assert differences_to_best_baseline(found, []).is_empty()


def test_a_model_that_was_scored_on_fewer_cutoffs_ranks_behind() -> None:
    frame = shop(200).filter((pl.col("model") != "model") | (pl.col("cutoff") == NEW))
    means = mean_over_cutoffs(evaluate(frame, replicates=2).metrics, "spend")
    assert ranked(means, 90, ["model", "poor_rule", "rule"], "score") == ["rule", "poor_rule", "model"]
