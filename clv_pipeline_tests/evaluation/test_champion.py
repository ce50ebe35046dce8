from datetime import date

import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import Skipped
from clv_pipeline.evaluation.champion import LEADERBOARD_SCHEMA, leaderboard
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA
from clv_pipeline.forecasting.protocol import ALL_TARGETS, Target

AMOUNTS: frozenset[Target] = frozenset({"purchases", "spend"})
OLD, NEW = date(2024, 1, 1), date(2024, 4, 1)


def metrics(*rows: tuple[str, date, float, float, float], horizon: int = 90) -> pl.DataFrame:
    """From (model, cutoff, normalized MAE, normalized Gini, bias)."""
    spend = [
        (cutoff, horizon, model, "spend", metric, value, None, None, 100)
        for model, cutoff, mae, gini, bias in rows
        for metric, value in (
            ("mae", 100 * mae),
            ("normalized_mae", mae),
            ("normalized_gini", gini),
            ("bias", bias),
            ("decile_mape", 0.3),
        )
    ]
    purchase = [(cutoff, horizon, model, "purchase", "auc", 0.8, None, None, 100) for model, cutoff, *_ in rows]
    return pl.DataFrame([*spend, *purchase], schema=METRICS_SCHEMA, orient="row")


def row(board: pl.DataFrame, model: str, horizon: int = 90) -> dict[str, object]:
    return board.row(by_predicate=(pl.col("model") == model) & (pl.col("horizon_days") == horizon), named=True)


def test_the_score_is_normalized_mae_plus_lost_gini_plus_absolute_bias_averaged_over_cutoffs() -> None:
    board = leaderboard(metrics(("a", OLD, 1.0, 0.8, -0.3), ("a", NEW, 0.6, 0.9, 0.1)), {"a": ALL_TARGETS}, [90])
    assert board.schema == LEADERBOARD_SCHEMA
    champion = row(board, "a")
    assert champion["score"] == pytest.approx(((1.0 + 0.2 + 0.3) + (0.6 + 0.1 + 0.1)) / 2)
    # Opposite biases do not cancel in the score, though their mean is shown.
    assert champion["bias"] == pytest.approx(-0.1)
    assert champion["cutoffs"] == 2
    assert champion["mae"] == pytest.approx(80.0)
    assert champion["auc"] == pytest.approx(0.8)


def test_the_best_model_that_gives_all_targets_is_champion_even_behind_one_that_does_not() -> None:
    board = leaderboard(
        metrics(("rule", NEW, 0.5, 0.9, 0.0), ("good", NEW, 0.7, 0.9, 0.0), ("poor", NEW, 0.9, 0.5, 0.4)),
        {"poor": ALL_TARGETS, "good": ALL_TARGETS, "rule": AMOUNTS},
        [90],
    )
    assert board["model"].to_list() == ["rule", "good", "poor"]
    assert board["rank"].to_list() == [1, 2, 3]
    assert board["is_champion"].to_list() == [False, True, False]
    assert row(board, "good")["why"] == (
        "Champion: score 0.800 over 1 cutoff (normalized MAE 0.700, normalized Gini 0.900, bias +0.0%); "
        "next of those that give all three targets: poor with 1.800."
    )
    assert "Cannot be champion: it does not forecast purchase." in str(row(board, "rule")["why"])
    assert "the champion is good with 0.800" in str(row(board, "poor")["why"])


def test_an_easy_cutoff_alone_does_not_make_a_champion() -> None:
    board = leaderboard(
        metrics(("all", OLD, 1.0, 0.5, 0.2), ("all", NEW, 0.9, 0.5, 0.2), ("lucky", NEW, 0.1, 1.0, 0.0)),
        {"lucky": ALL_TARGETS, "all": ALL_TARGETS},
        [90],
    )
    assert row(board, "all")["is_champion"] is True
    assert "Ranked behind all models that were scored on 2 cutoffs" in str(row(board, "lucky")["why"])


def test_each_horizon_has_its_own_champion() -> None:
    table = pl.concat(
        [
            metrics(("a", NEW, 0.5, 0.9, 0.0), ("b", NEW, 0.7, 0.9, 0.0), horizon=30),
            metrics(("a", NEW, 0.9, 0.9, 0.0), ("b", NEW, 0.7, 0.9, 0.0), horizon=90),
        ]
    )
    board = leaderboard(table, {"a": ALL_TARGETS, "b": ALL_TARGETS}, [90, 30])
    assert board.filter("is_champion").select("horizon_days", "model").rows() == [(30, "a"), (90, "b")]


def test_models_that_were_not_evaluated_are_listed_with_the_reason() -> None:
    skipped = [Skipped("late", cutoff, 90, "History is short.") for cutoff in (OLD, NEW)]
    skipped.append(Skipped("late", OLD, 30, "Of another horizon."))
    board = leaderboard(metrics(("a", NEW, 0.5, 0.9, 0.0)), {"late": AMOUNTS, "a": ALL_TARGETS}, [90], skipped)
    late = row(board, "late")
    assert (late["rank"], late["score"], late["cutoffs"]) == (None, None, 0)
    assert late["why"] == "Not evaluated. History is short."


def test_without_any_backtest_the_first_serving_model_is_champion_unevaluated() -> None:
    empty = pl.DataFrame(schema=METRICS_SCHEMA)
    board = leaderboard(empty, {"rule": AMOUNTS, "first": ALL_TARGETS, "second": ALL_TARGETS}, [365])
    assert board.filter("is_champion")["model"].to_list() == ["first"]
    why = str(row(board, "first", 365)["why"])
    assert why.startswith("Champion, unevaluated: the first configured model that gives all three targets.")
    assert "too little history" in why


def test_an_undefined_score_is_not_a_rank() -> None:
    table = metrics(("a", NEW, 0.5, 0.9, 0.0)).with_columns(
        value=pl.when(pl.col("metric") == "normalized_gini").then(None).otherwise("value")
    )
    board = leaderboard(table, {"a": ALL_TARGETS}, [90])
    assert row(board, "a")["rank"] is None
    assert "Its score is undefined" in str(row(board, "a")["why"])


def test_equal_scores_go_to_the_model_configured_first() -> None:
    table = metrics(("z", NEW, 0.5, 0.9, 0.0), ("a", NEW, 0.5, 0.9, 0.0))
    assert leaderboard(table, {"z": ALL_TARGETS, "a": ALL_TARGETS}, [90])["model"].to_list() == ["z", "a"]


def test_a_configuration_without_a_serving_model_is_an_error_that_says_what_to_add() -> None:
    with pytest.raises(ValueError, match=r"none of the models rule forecasts .* e\.g\. bg_nbd"):
        leaderboard(pl.DataFrame(schema=METRICS_SCHEMA), {"rule": AMOUNTS}, [90])
