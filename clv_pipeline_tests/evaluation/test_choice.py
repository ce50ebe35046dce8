from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_pipeline.evaluation.choice import PREFERENCE, Choice, Contender, Evidence, Pooled, choose, pool
from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, evaluate
from clv_pipeline_tests.helpers.model_metrics import (
    AS_OF,
    BG,
    HYBRID,
    LAST_WINDOW,
    LAST_YEAR,
    OWN,
    OWN_RATE,
    PARETO,
    months_back,
    noisy,
    scored,
)

NOTHING = pl.DataFrame(schema=METRICS_SCHEMA)
FAMILIES = (HYBRID, PARETO, BG)
losses = st.floats(0.1, 10.0)


def chosen(
    *metrics: pl.DataFrame, contenders: Sequence[Contender] = (*FAMILIES, OWN_RATE), as_of: date = AS_OF
) -> Choice:
    return choose(Evidence.of(pl.concat([NOTHING, *metrics])), contenders, as_of)


def test_the_preferred_family_serves_while_nobody_is_better() -> None:
    choice = chosen(scored("hybrid", 1.0), scored("pareto_nbd", 1.2), scored("bg_nbd", 1.5))
    assert (choice.champion, choice.code) == ("hybrid", "preferred_stands")
    assert choice.order == ["hybrid", "pareto_nbd", "bg_nbd"]
    assert choice.ratios["pareto_nbd"].value == pytest.approx(np.log(1.2))


def test_of_those_that_are_better_beyond_a_standard_error_the_best_replaces_it() -> None:
    choice = chosen(scored("hybrid", 1.0), scored("pareto_nbd", 0.9), scored("bg_nbd", 0.8))
    assert (choice.champion, choice.code) == ("bg_nbd", "replaced_preferred")
    assert choice.order == ["bg_nbd", "pareto_nbd", "hybrid"]
    assert choice.to_champion["pareto_nbd"].value == pytest.approx(np.log(0.9 / 0.8))


def test_a_gain_within_its_standard_error_replaces_nobody() -> None:
    others = [0.2, 2.0, 0.5, 1.5, 0.6, 1.2]
    choice = chosen(scored("hybrid", 1.0), scored("pareto_nbd", others))
    assert choice.ratios["pareto_nbd"].value < 0.0
    assert (choice.champion, choice.code) == ("hybrid", "preferred_stands")


@pytest.mark.parametrize(("dates", "champion"), [(1, "hybrid"), (2, "hybrid"), (3, "pareto_nbd")])
def test_fewer_than_three_past_dates_are_thin_evidence(dates: int, champion: str) -> None:
    cutoffs = months_back(dates)
    choice = chosen(scored("hybrid", 1.0, cutoffs), scored("pareto_nbd", 0.1, cutoffs))
    assert choice.champion == champion
    assert (choice.code == "preferred_no_evidence") == (dates < 3)


def test_the_first_of_the_preference_that_is_configured_is_preferred_then_families_of_ones_own() -> None:
    assert PREFERENCE[0] == "hybrid"
    assert chosen(contenders=[OWN, BG, PARETO]).champion == "pareto_nbd"
    assert chosen(contenders=[OWN_RATE, OWN]).champion == "my_own_family"
    assert chosen(contenders=[OWN_RATE, OWN]).code == "only_family"
    choice = chosen(contenders=[Contender("b", is_baseline=False), Contender("a", is_baseline=False), HYBRID])
    assert choice.order == ["hybrid", "b", "a"]


def test_one_family_serves_all_horizons_by_what_they_say_together() -> None:
    choice = chosen(
        scored("hybrid", 1.0),
        scored("pareto_nbd", 0.7),
        scored("hybrid", 1.0, months_back(6, 365), 365),
        scored("pareto_nbd", 1.6, months_back(6, 365), 365),
    )
    assert choice.champion == "hybrid"
    assert choice.ratios["pareto_nbd"].cutoffs == 12
    assert choice.ratios["pareto_nbd"].value == pytest.approx(0.5 * np.log(0.7) + 0.5 * np.log(1.6))


def test_horizons_of_one_cutoff_are_one_piece_of_evidence() -> None:
    cutoffs = months_back(4)
    metrics = [scored("pareto_nbd", 0.5, cutoffs, horizon) for horizon in (30, 60, 90)]
    metrics += [scored("hybrid", 1.0, cutoffs, horizon) for horizon in (30, 60, 90)]
    ratio = chosen(*metrics).ratios["pareto_nbd"]
    assert ratio.value == pytest.approx(np.log(0.5))
    assert ratio.cutoffs == 4


def test_only_windows_on_which_both_were_scored_are_compared() -> None:
    choice = chosen(scored("hybrid", 1.0, months_back(6)), scored("pareto_nbd", 0.5, months_back(2)))
    assert choice.ratios["pareto_nbd"].cutoffs == 2
    assert choice.champion == "hybrid"


def test_the_standard_error_knows_that_windows_overlap() -> None:
    scores = np.array([0.1, -0.1, 0.3, 0.2])

    def error(step: int, horizon: int) -> float:
        cutoffs = np.datetime64("2024-01-01") + np.arange(0, 4 * step, step)
        found = pool(scores, cutoffs, np.full(4, horizon))
        assert found is not None
        assert found.error is not None
        return found.error

    apart = float(scores.std(ddof=1) / 2.0)
    assert error(90, 90) == error(90, 30) == pytest.approx(apart)
    assert error(30, 90) == pytest.approx(apart * np.sqrt(3.0))
    assert pool(scores[:1], np.array(["2024-01-01"], dtype="datetime64[D]"), np.full(1, 30)) == Pooled(0.1, None, 1)
    assert pool(np.array([np.nan]), np.array(["2024-01-01"], dtype="datetime64[D]"), np.full(1, 30)) is None


def test_rules_are_compared_and_serve_only_alone() -> None:
    metrics = [scored("hybrid", 1.0), scored("own_rate", 0.5), scored("same_window_last_year", 0.4)]
    choice = chosen(*metrics, contenders=[OWN_RATE, LAST_YEAR, HYBRID])
    assert choice.champion == "hybrid"
    assert choice.rules == ["same_window_last_year", "own_rate"]
    assert choice.better_rule == "same_window_last_year"
    alone = chosen(*metrics, contenders=[OWN_RATE, LAST_YEAR])
    assert (alone.champion, alone.code, alone.better_rule) == ("same_window_last_year", "only_rules", None)
    untried = chosen(contenders=[LAST_WINDOW, OWN_RATE])
    assert (untried.champion, untried.code) == ("last_window", "only_rules_no_evidence")
    assert untried.rules == ["own_rate", "last_window"]


def test_a_rule_is_better_only_beyond_its_standard_error_and_on_three_past_dates() -> None:
    assert chosen(scored("hybrid", 1.0), scored("own_rate", 1.1)).better_rule is None
    assert chosen(scored("hybrid", 1.0), scored("own_rate", [0.1, 3.0, 1.0, 0.7, 0.9, 1.2])).better_rule is None
    few = months_back(2)
    assert chosen(scored("hybrid", 1.0, few), scored("own_rate", 0.1, few)).better_rule is None
    assert chosen(scored("hybrid", 1.0), scored("own_rate", 0.9)).better_rule == "own_rate"


@pytest.mark.parametrize(
    ("skill", "has_none"),
    [(0.3, False), (-0.1, True), (0.0, True), ([0.9, -0.7, 0.4, -0.2, 0.5, -0.6], True), ([0.2, 0.3] * 3, False)],
)
def test_skill_has_to_be_above_its_standard_error(skill: float | list[float], has_none: bool) -> None:
    assert chosen(scored("hybrid", 1.0, skill=skill)).has_no_skill is has_none


def test_without_evidence_nothing_is_said_about_skill() -> None:
    choice = chosen()
    assert (choice.champion, choice.code) == ("hybrid", "preferred_no_evidence")
    assert (choice.has_no_skill, choice.better_rule, choice.skill) == (False, None, None)


def test_without_contenders_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="no model to choose from"):
        chosen(contenders=[])


def test_windows_without_a_deviance_are_no_evidence() -> None:
    undefined = scored("pareto_nbd", 0.5).with_columns(pl.lit(None, pl.Float64).alias("value"))
    knew = scored("bg_nbd", 0.0)
    assert chosen(scored("hybrid", 1.0), undefined, knew).ratios.keys() == {"hybrid"}


@given(st.lists(st.lists(losses, min_size=6, max_size=6), min_size=4, max_size=4), st.sampled_from([0.0, 0.1, 3.0]))
@settings(max_examples=60, deadline=None)
def test_a_yardstick_never_changes_who_serves(table: list[list[float]], level: float) -> None:
    metrics = [scored(model.name, row) for model, row in zip(FAMILIES, table, strict=False)]
    without = chosen(*metrics, contenders=FAMILIES)
    with_rule = chosen(*metrics, scored("own_rate", [level * loss for loss in table[3]]))
    assert (with_rule.champion, with_rule.code, with_rule.order) == (without.champion, without.code, without.order)


@given(st.integers(0, 1000), st.integers(0, 400))
@settings(max_examples=40, deadline=None)
def test_evidence_from_after_the_date_is_never_used(seed: int, days_ago: int) -> None:
    as_of = AS_OF - timedelta(days=days_ago)
    cutoffs = months_back(12, 30)

    def metrics(after: float) -> list[pl.DataFrame]:
        """What comes after the date says the opposite, or nothing."""
        found = []
        for number, model in enumerate(("hybrid", "pareto_nbd", "own_rate")):
            for horizon in (30, 90):
                known = noisy(1.0, 0.3, seed + number, len(cutoffs))
                rows = [
                    loss if day + timedelta(days=horizon) <= as_of else after ** (number + 1)
                    for day, loss in zip(cutoffs, known, strict=True)
                ]
                found.append(scored(model, rows, cutoffs, horizon, skill=rows))
        return found

    one, other = (chosen(*metrics(after), as_of=as_of) for after in (0.01, 100.0))
    assert one == other


@given(st.floats(0.01, 1e4), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_the_choice_does_not_depend_on_the_currency(rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = []
    for cutoff in months_back(4):
        spread = rng.gamma(0.7, 1.0, 300)
        purchases = rng.poisson(spread).astype(float)
        spent = purchases * rng.gamma(3.0, 10.0, 300)
        for model, noise in (("hybrid", 0.5), ("pareto_nbd", rng.choice([0.4, 0.5])), ("own_rate", 1.0)):
            guess = spread * rng.lognormal(0.0, noise, 300)
            frames.append(
                pl.DataFrame(
                    {
                        "cutoff": cutoff,
                        "horizon_days": 90,
                        "model": model,
                        "customer_id": [f"c{i:03d}" for i in range(300)],
                        "expected_purchases": guess,
                        "expected_spend": 30.0 * guess,
                        "p_purchase": -np.expm1(-guess),
                        "actual_purchases": purchases,
                        "actual_spend": spent,
                    }
                )
            )
    here = pl.concat(frames)
    there = here.with_columns(pl.col("expected_spend", "actual_spend") * rate)
    one, other = (chosen(evaluate(frame)) for frame in (here, there))
    assert (one.champion, one.code, one.order, one.rules) == (other.champion, other.code, other.order, other.rules)
    for model, ratio in one.ratios.items():
        assert other.ratios[model].value == pytest.approx(ratio.value, rel=1e-6, abs=1e-9)
