from datetime import date

import numpy as np
import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import Skipped
from clv_pipeline.evaluation.champion import (
    HISTORY_SCHEMA,
    LEADERBOARD_SCHEMA,
    Contender,
    add_review,
    incumbents_of,
    leaderboard,
)
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, REPLICATES_SCHEMA, Evaluation
from clv_pipeline.forecasting.protocol import ALL_TARGETS, Target
from clv_pipeline.forecasting.registry import MODELS

AMOUNTS: frozenset[Target] = frozenset({"purchases", "spend"})
OLD, NEW = date(2024, 1, 1), date(2024, 4, 1)
RULE, GOOD, BEST = (
    Contender("rule", AMOUNTS, is_baseline=True),
    Contender("good", ALL_TARGETS, is_baseline=False),
    Contender("best", ALL_TARGETS, is_baseline=False),
)
CLASSIFIER = Contender("classifier", frozenset({"purchase"}), is_baseline=False)
NOBODY = Evaluation(pl.DataFrame(schema=METRICS_SCHEMA), pl.DataFrame(schema=REPLICATES_SCHEMA))


def scored(
    model: str, score: float, cutoffs: tuple[date, ...] = (OLD, NEW), noise: float = 0.01, horizon: int = 90
) -> Evaluation:
    """A model with this score at every cutoff, whose replicates scatter around it independently of other models'."""
    parts = {"score": score, "mae": 100 * score, "normalized_mae": score - 0.3, "normalized_gini": 0.8, "bias": -0.1}
    spend = [
        (cutoff, horizon, model, "spend", metric, value, None, None, 100)
        for cutoff in cutoffs
        for metric, value in parts.items()
    ]
    rng = np.random.default_rng(list(model.encode()))
    replicates = [
        (cutoff, horizon, model, k, 100 * value, value)
        for cutoff in cutoffs
        for k, value in enumerate([score, *(score + noise * rng.standard_normal(200))])
    ]
    return Evaluation(
        pl.DataFrame(spend, schema=METRICS_SCHEMA, orient="row"),
        pl.DataFrame(replicates, schema=REPLICATES_SCHEMA, orient="row"),
    )


def brier(model: str, value: float, log_loss: float = 0.5, horizon: int = 90) -> Evaluation:
    """A model of p_purchase with this Brier score at both cutoffs."""
    rows = [
        (cutoff, horizon, model, "purchase", metric, number, None, None, 100)
        for cutoff in (OLD, NEW)
        for metric, number in {"brier": value, "log_loss": log_loss, "auc": 0.8}.items()
    ]
    return Evaluation(pl.DataFrame(rows, schema=METRICS_SCHEMA, orient="row"), NOBODY.replicates)


def review(
    *evaluations: Evaluation,
    contenders: tuple[Contender, ...] = (RULE, GOOD, BEST),
    incumbent: str | None = None,
    skipped: tuple[Skipped, ...] = (),
    horizons: tuple[int, ...] = (90,),
) -> pl.DataFrame:
    found = [NOBODY, *evaluations]
    joined = Evaluation(pl.concat([e.metrics for e in found]), pl.concat([e.replicates for e in found]))
    return leaderboard(joined, contenders, horizons, {90: incumbent} if incumbent else {}, skipped)


def row(board: pl.DataFrame, model: str, horizon: int = 90) -> dict[str, object]:
    return board.row(by_predicate=(pl.col("model") == model) & (pl.col("horizon_days") == horizon), named=True)


def champion(board: pl.DataFrame) -> str:
    [name] = board.filter("is_champion")["model"]
    return str(name)


def test_the_best_of_the_models_that_beat_the_best_baseline_beyond_noise_is_champion() -> None:
    board = review(scored("rule", 1.0), scored("good", 0.9), scored("best", 0.8))
    assert board.schema == LEADERBOARD_SCHEMA
    assert board["model"].to_list() == ["best", "good", "rule"]
    assert board["rank"].to_list() == [1, 2, 3]
    assert champion(board) == "best"
    found = row(board, "best")
    assert str(found["why"]).startswith(
        "Champion: beats the best baseline rule, score difference -0.200 (95 % interval"
    )
    assert found["score_minus_best_baseline"] == pytest.approx(-0.2)
    assert found["cutoffs"] == 2
    assert found["mae"] == pytest.approx(80.0)
    assert "best is champion with 0.800" in str(row(board, "good")["why"])


def test_where_no_model_beats_the_best_baseline_beyond_noise_it_serves_itself() -> None:
    board = review(scored("rule", 1.0, noise=0.5), scored("good", 0.95, noise=0.5))
    assert champion(board) == "rule"
    assert row(board, "rule")["rank"] == 2
    assert "a baseline, which no model beats beyond noise; good comes nearest" in str(row(board, "rule")["why"])
    assert "Does not beat the best baseline rule beyond noise" in str(row(board, "good")["why"])


def test_a_model_has_to_beat_the_best_of_the_baselines_not_just_one() -> None:
    better_rule = Contender("better_rule", AMOUNTS, is_baseline=True)
    board = review(
        scored("rule", 1.0), scored("better_rule", 0.7), scored("good", 0.8), contenders=(RULE, better_rule, GOOD)
    )
    assert champion(board) == "better_rule"


def test_the_incumbent_stays_while_the_challenger_is_better_only_within_noise() -> None:
    evaluations = scored("rule", 2.0), scored("good", 0.81, noise=0.1), scored("best", 0.8, noise=0.1)
    assert champion(review(*evaluations)) == "best"
    board = review(*evaluations, incumbent="good")
    assert champion(board) == "good"
    assert "stays, as best is not better beyond noise: -0.010" in str(row(board, "good")["why"])


def test_a_challenger_that_is_better_beyond_noise_replaces_the_incumbent() -> None:
    board = review(scored("rule", 2.0), scored("good", 0.9), scored("best", 0.8), incumbent="good")
    assert champion(board) == "best"
    assert "replaces good, score difference -0.100" in str(row(board, "best")["why"])


@pytest.mark.parametrize(
    ("good", "incumbent", "reason"),
    [
        (scored("good", 0.9, noise=3.0), "good", "replaces good, which does not beat the best baseline beyond noise"),
        (scored("good", 0.5, cutoffs=(NEW,)), "good", "replaces good, which was not scored on every cutoff"),
        (scored("good", 0.9), "gone", "replaces gone, which is no longer configured"),
        (scored("good", 0.9), "best", "champion before"),
    ],
)
def test_an_incumbent_that_cannot_stay_is_replaced_with_the_reason(
    good: Evaluation, incumbent: str, reason: str
) -> None:
    board = review(scored("rule", 1.0), good, scored("best", 0.8), incumbent=incumbent)
    assert champion(board) == "best"
    assert reason in str(row(board, "best")["why"])


def test_an_easy_cutoff_alone_does_not_make_a_champion() -> None:
    board = review(scored("rule", 2.0), scored("good", 1.0), scored("best", 0.1, cutoffs=(NEW,)))
    assert champion(board) == "good"
    assert "Cannot be champion: others were scored on 2 cutoffs" in str(row(board, "best")["why"])


def test_without_a_baseline_the_lowest_score_decides() -> None:
    board = review(scored("good", 0.9), scored("best", 0.8), contenders=(GOOD, BEST))
    assert champion(board) == "best"
    assert "no baseline was scored on every cutoff" in str(row(board, "best")["why"])


def test_each_horizon_has_its_own_champion() -> None:
    board = review(
        *(scored(model, score, horizon=30) for model, score in (("rule", 1.0), ("good", 0.5), ("best", 0.8))),
        *(scored(model, score, horizon=90) for model, score in (("rule", 1.0), ("good", 0.8), ("best", 0.5))),
        horizons=(90, 30),
    )
    assert board.filter("is_champion").select("horizon_days", "model").rows() == [(30, "good"), (90, "best")]


def test_purchase_is_served_by_the_lowest_brier_score_also_of_a_model_that_forecasts_nothing_else() -> None:
    board = review(
        scored("rule", 1.0),
        scored("good", 0.8),
        brier("good", 0.16),
        brier("classifier", 0.15),
        contenders=(RULE, GOOD, CLASSIFIER),
    )
    assert board.filter("serves_purchase")["model"].to_list() == ["classifier"]
    assert champion(board) == "good"
    found = row(board, "classifier")
    assert (found["rank"], found["score"], found["cutoffs"], found["brier"]) == (None, None, 2, pytest.approx(0.15))
    assert found["why"] == (
        "Does not forecast spend. Serves p_purchase: the lowest Brier score, 0.1500; next good with 0.1600."
    )


def test_equal_brier_scores_are_decided_by_log_loss() -> None:
    board = review(brier("good", 0.15, log_loss=0.5), brier("best", 0.15, log_loss=0.4))
    assert board.filter("serves_purchase")["model"].to_list() == ["best"]


def test_models_that_were_not_evaluated_are_listed_with_the_reason() -> None:
    skipped = [Skipped("good", cutoff, 90, "History is short.") for cutoff in (OLD, NEW)]
    skipped.append(Skipped("good", OLD, 30, "Of another horizon."))
    board = review(scored("rule", 1.0), scored("best", 0.8), brier("best", 0.2), skipped=tuple(skipped))
    late = row(board, "good")
    assert (late["rank"], late["score"], late["cutoffs"]) == (None, None, 0)
    assert late["why"] == "Not evaluated. History is short."


def test_without_any_backtest_the_incumbent_stays_else_the_first_complete_model_serves() -> None:
    board = review()
    assert champion(board) == "good"
    why = str(row(board, "good")["why"])
    assert why.startswith("Champion, unevaluated: the first configured model that gives all three targets.")
    assert "too little history" in why
    assert why.endswith("Serves p_purchase, unevaluated: the first configured model that gives it.")
    assert champion(review(incumbent="best")) == "best"


def test_an_undefined_score_is_not_a_rank() -> None:
    undefined = scored("good", 0.5)
    nothing = pl.when(pl.col("metric") == "score").then(None).otherwise("value")
    board = review(Evaluation(undefined.metrics.with_columns(value=nothing), undefined.replicates), contenders=(GOOD,))
    assert row(board, "good")["rank"] is None
    assert "Its score is undefined" in str(row(board, "good")["why"])


def test_equal_scores_go_to_the_model_configured_first() -> None:
    board = review(scored("good", 0.5, noise=0.0), scored("best", 0.5, noise=0.0), contenders=(BEST, GOOD))
    assert board["model"].to_list() == ["best", "good"]


@pytest.mark.parametrize(
    ("contender", "message"),
    [
        (RULE, "none of rule forecasts p_purchase; add one of .*bg_nbd"),
        (CLASSIFIER, "none of classifier forecasts purchases and spend"),
    ],
)
def test_a_configuration_that_cannot_serve_is_an_error_that_says_what_to_add(
    contender: Contender, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        leaderboard(NOBODY, [contender], [90], {})


def test_the_baselines_say_so_themselves() -> None:
    baselines = {name for name, model in MODELS.items() if Contender.of(model()).is_baseline}
    assert baselines >= {"own_rate", "last_window", "same_window_last_year"}
    assert "bg_nbd" not in baselines


def test_the_history_keeps_every_review_and_a_repeated_review_replaces_its_own_rows() -> None:
    empty = pl.DataFrame(schema=HISTORY_SCHEMA)
    first = review(scored("rule", 2.0), scored("good", 0.8), brier("good", 0.15))
    second = review(
        scored("rule", 2.0), scored("good", 0.9), scored("best", 0.5), brier("good", 0.15), incumbent="good"
    )
    once = add_review(empty, first, OLD)
    history = add_review(once, second, NEW)
    assert history.select("as_of", "role", "model", "previous_model").rows() == [
        (OLD, "purchase", "good", None),
        (OLD, "spend", "good", None),
        (NEW, "purchase", "good", "good"),
        (NEW, "spend", "best", "good"),
    ]
    assert history.filter(role="spend")["score"].to_list() == pytest.approx([0.8, 0.5])
    assert add_review(history, second, NEW).equals(history)
    # The review of a day never competes with its own earlier result.
    assert incumbents_of(history, NEW) == incumbents_of(once, NEW) == {90: "good"}
    assert incumbents_of(history, OLD) == {}
