import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest

from clv_pipeline.evaluation.backtest import Skipped
from clv_pipeline.evaluation.champion import HISTORY_SCHEMA, LEADERBOARD_SCHEMA, add_review, leaderboard
from clv_pipeline.evaluation.choice import Contender
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA
from clv_pipeline.evaluation.why import why_in_words
from clv_pipeline_tests.helpers.model_metrics import (
    AS_OF,
    BG,
    HYBRID,
    LAST_YEAR,
    OWN_RATE,
    PARETO,
    months_back,
    scored,
)

EARLIER = date(2024, 6, 30)
NOTHING = pl.DataFrame(schema=METRICS_SCHEMA)
SCATTER = [0.96, 1.04, 1.0, 0.98, 1.02, 1.0]


def review(
    *metrics: pl.DataFrame,
    contenders: Sequence[Contender] = (HYBRID, PARETO, OWN_RATE),
    horizons: Sequence[int] = (90,),
    skipped: Sequence[Skipped] = (),
) -> pl.DataFrame:
    return leaderboard(pl.concat([NOTHING, *metrics]), contenders, horizons, AS_OF, skipped)


def row(board: pl.DataFrame, model: str, horizon: int = 90) -> dict[str, Any]:
    return board.row(by_predicate=(pl.col("model") == model) & (pl.col("horizon_days") == horizon), named=True)


def brier(model: str, value: float) -> pl.DataFrame:
    one = scored(model, 1.0).filter(metric="tweedie_deviance")
    return one.with_columns(target=pl.lit("purchase"), metric=pl.lit("brier"), value=pl.lit(value))


def test_one_model_serves_every_horizon_and_target_and_the_best_stand_first() -> None:
    board = review(
        *(scored("hybrid", 1.0, months_back(6, h), h) for h in (30, 90)),
        *(scored("pareto_nbd", [0.9 * s for s in SCATTER], months_back(6, h), h) for h in (30, 90)),
        *(scored("own_rate", 2.0, months_back(6, h), h) for h in (30, 90)),
        horizons=(90, 30),
    )
    assert board.schema == LEADERBOARD_SCHEMA
    assert board["horizon_days"].to_list() == [30] * 3 + [90] * 3
    assert board["model"].to_list() == ["pareto_nbd", "hybrid", "own_rate"] * 2
    assert board["rank"].to_list() == [1, 2, 3] * 2
    assert board.filter("is_champion")["model"].to_list() == ["pareto_nbd"] * 2
    assert board["serves_purchase"].equals(board["is_champion"])
    assert board.filter("preferred")["model"].to_list() == ["hybrid"] * 2
    assert row(board, "hybrid")["log_ratio"] == 0.0
    assert row(board, "hybrid")["log_ratio_error"] is None
    assert row(board, "pareto_nbd")["log_ratio"] == pytest.approx(-0.106, abs=0.002)


def test_metrics_are_means_over_the_cutoffs_of_the_horizon() -> None:
    old, new = months_back(2)
    board = review(
        scored("hybrid", 1.0, [old], mae=10.0, bias=0.1, tweedie_skill=0.2),
        scored("hybrid", 1.0, [new], mae=20.0, bias=-0.3, tweedie_skill=0.4),
        scored("hybrid", 1.0, [old], 30, mae=1000.0),
        brier("hybrid", 0.15),
    )
    found = row(board, "hybrid")
    assert (found["mae"], found["bias"], found["brier"]) == pytest.approx((15.0, -0.1, 0.15))
    assert found["tweedie_skill"] == pytest.approx(0.3)
    assert (found["cutoffs"], found["score"], found["poisson_skill"]) == (6, None, None)


def test_windows_that_are_not_over_say_nothing() -> None:
    board = review(scored("hybrid", 1.0, [AS_OF], mae=10.0))
    assert (row(board, "hybrid")["mae"], row(board, "hybrid")["rank"], row(board, "hybrid")["cutoffs"]) == (
        None,
        None,
        0,
    )


def test_scores_are_held_against_the_best_rule_with_an_interval_over_cutoffs() -> None:
    cutoffs = months_back(4)
    board = review(
        *(scored("hybrid", 1.0, [day], score=score) for day, score in zip(cutoffs, (0.8, 0.9, 0.7, 0.8), strict=True)),
        scored("own_rate", 1.0, cutoffs, score=1.0),
        scored("same_window_last_year", 1.0, cutoffs[:1], score=0.1),
        contenders=(HYBRID, OWN_RATE, LAST_YEAR),
    )
    found = row(board, "hybrid")
    assert found["score_minus_best_baseline"] == pytest.approx(-0.2)
    # Deviation .0816 over 4 cutoffs that overlap to a third, and Student's t with 3 degrees of freedom.
    reach = 3.182 * 0.08165 / (4 / 3) ** 0.5
    ends = (found["difference_lower"], found["difference_upper"])
    assert ends == (pytest.approx(-0.2 - reach, abs=1e-3), pytest.approx(-0.2 + reach, abs=1e-3))
    # An easy cutoff alone does not make the best rule.
    assert row(board, "own_rate")["score_minus_best_baseline"] is None
    last_year = row(board, "same_window_last_year")
    assert last_year["score_minus_best_baseline"] == pytest.approx(-0.9)
    assert last_year["difference_lower"] is None


WORSE, BETTER = [1.2 * s for s in SCATTER], [0.8 * s for s in SCATTER]


@pytest.mark.parametrize(
    ("metrics", "code", "sentence"),
    [
        (
            [],
            "preferred_no_evidence",
            "Serves: it did best on many shops, and no past date speaks yet.",
        ),
        (
            [scored("hybrid", 1.0, months_back(1)), scored("pareto_nbd", 0.9, months_back(1))],
            "preferred_no_evidence",
            "Serves: it did best on many shops, and 1 past date of this one is too little to prefer another.",
        ),
        (
            [scored("hybrid", 1.0), scored("pareto_nbd", WORSE)],
            "preferred_stands",
            "Serves: it did best on many shops, and over 6 past dates of this one no other was better by more than "
            "chance; pareto_nbd came nearest and was 20.0% worse (± 2.4%).",
        ),
        (
            [scored("hybrid", 1.0), scored("pareto_nbd", WORSE), scored("own_rate", BETTER)],
            "simple_rule_better",
            "Serves as the best of the models, though the simple rule own_rate was 20.0% better (± 1.6%) over 6 past "
            "dates.",
        ),
        (
            [scored("hybrid", 1.0, skill=-0.07), scored("own_rate", BETTER)],
            "no_skill",
            "Serves as the best there is, though customers of this shop cannot be told apart: over 6 past dates the "
            "same forecast for everybody was as good (skill −0.07 ± 0.00).",
        ),
    ],
)
def test_why_the_preferred_family_serves(metrics: list[pl.DataFrame], code: str, sentence: str) -> None:
    found = row(review(*metrics), "hybrid")
    assert found["is_champion"]
    assert found["why_code"] == code
    assert found["why"] == sentence
    facts = json.loads(found["why_facts"])
    assert why_in_words(code, facts) == sentence
    assert ("better_rule" in facts) == any("own_rate" in frame["model"] for frame in metrics)


def test_why_another_family_serves() -> None:
    found = row(review(scored("hybrid", 1.0), scored("pareto_nbd", BETTER)), "pareto_nbd")
    assert found["why_code"] == "replaced_preferred"
    assert found["why"] == (
        "Serves: over 6 past dates of this shop it was 20.0% better (± 1.6%) than hybrid, which did best on many shops."
    )


def test_why_it_serves_where_there_is_no_choice() -> None:
    metrics = scored("own_rate", 1.0), scored("same_window_last_year", 0.5)
    alone = row(review(contenders=[HYBRID, OWN_RATE]), "hybrid")
    rules = row(review(*metrics, contenders=[OWN_RATE, LAST_YEAR]), "same_window_last_year")
    untried = row(review(contenders=[OWN_RATE, LAST_YEAR]), "own_rate")
    assert alone["why"] == "Serves: it is the only family of models that is configured."
    assert rules["why"] == "Serves: it did best of the simple rules over 6 past dates, and no model is configured."
    assert untried["why"] == (
        "Serves: it is the first simple rule that is configured, no model is, and no past date speaks yet."
    )


def test_why_the_others_do_not_serve() -> None:
    short = [Skipped("bg_nbd", day, 90, "History is short.") for day in months_back(2)]
    board = review(
        scored("hybrid", 1.0),
        scored("pareto_nbd", WORSE),
        scored("own_rate", BETTER),
        scored("same_window_last_year", 0.5, months_back(2)),
        scored("mbg_nbd", [0.1, 3.0, 0.5, 1.5, 0.9, 1.2]),
        contenders=(HYBRID, PARETO, BG, OWN_RATE, LAST_YEAR, Contender("mbg_nbd", is_baseline=False)),
        skipped=short,
    )
    assert {model: (code, why) for model, code, why in board.select("model", "why_code", "why").iter_rows()} == {
        "hybrid": ("simple_rule_better", row(board, "hybrid")["why"]),
        "pareto_nbd": ("behind", "It was 20.0% worse (± 2.4%) than hybrid over 6 past dates."),
        "bg_nbd": ("not_evaluated", "It was not compared: History is short."),
        "mbg_nbd": (
            "within_chance",
            "It was 21.0% better (± 65.4%) than hybrid over 6 past dates, which is not beyond chance.",
        ),
        "own_rate": (
            "ahead",
            "A simple rule, for comparison: it was 20.0% better (± 1.6%) than hybrid over 6 past dates.",
        ),
        "same_window_last_year": (
            "few_dates",
            "A simple rule, for comparison: it was 50.0% better (± 0.0%) than hybrid over 2 past dates, too few to "
            "count.",
        ),
    }
    for code, facts, why in board.select("why_code", "why_facts", "why").iter_rows():
        assert why_in_words(code, json.loads(facts)) == why


def test_what_was_not_compared_says_so() -> None:
    board = review(scored("pareto_nbd", 1.0))
    assert row(board, "pareto_nbd")["why_code"] == "not_together"
    assert row(board, "pareto_nbd")["why"] == (
        "It was not compared: there is no past window with purchases on which hybrid was scored too."
    )
    assert row(board, "own_rate")["why"] == "It was not compared: no past window is over."
    assert row(board, "hybrid")["rank"] is None


def test_the_history_keeps_every_review_and_a_repeated_review_replaces_its_own_rows() -> None:
    empty = pl.DataFrame(schema=HISTORY_SCHEMA)
    first = review(scored("hybrid", 1.0, score=0.8), brier("hybrid", 0.15))
    second = review(scored("hybrid", 1.0), scored("pareto_nbd", 0.5, score=0.5), brier("pareto_nbd", 0.14))
    once = add_review(empty, first, EARLIER)
    history = add_review(once, second, AS_OF)
    assert history.schema == HISTORY_SCHEMA
    assert history.select("as_of", "role", "model", "previous_model").rows() == [
        (EARLIER, "purchase", "hybrid", None),
        (EARLIER, "spend", "hybrid", None),
        (AS_OF, "purchase", "pareto_nbd", "hybrid"),
        (AS_OF, "spend", "pareto_nbd", "hybrid"),
    ]
    assert history["score"].to_list() == pytest.approx([0.15, 0.8, 0.14, 0.5])
    assert history["why_code"].to_list() == ["preferred_no_evidence"] * 2 + ["replaced_preferred"] * 2
    assert add_review(history, second, AS_OF).equals(history)


def test_a_history_without_codes_is_carried_on() -> None:
    board = review(scored("hybrid", 1.0))
    old = add_review(pl.DataFrame(schema=HISTORY_SCHEMA), board, EARLIER).drop("why_code", "why_facts")
    history = add_review(old, board, AS_OF)
    assert history.filter(as_of=EARLIER)["why_code"].to_list() == [None, None]
    assert history.filter(as_of=EARLIER)["why"].to_list() == old["why"].to_list()
