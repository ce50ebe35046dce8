"""What a review writes keeps its contracts, and what must never be served breaks them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import polars as pl
import pytest

from clv_pipeline.evaluation.champion import HISTORY_SCHEMA, add_review, leaderboard
from clv_pipeline.evaluation.metrics import evaluate
from clv_pipeline.warehouse import Session
from clv_pipeline_tests.helpers.model_metrics import AS_OF, HYBRID, OWN_RATE, PARETO, months_back, scored
from clv_pipeline_tests.helpers.served_forecasts import CONTENDERS, CUTOFFS, shop, walk
from clv_pipeline_tests.helpers.sql_bench import Bench


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    session = Session(duckdb.connect())
    yield Bench(session)
    session.close()


def failed(bench: Bench, table: str, frame: pl.DataFrame) -> list[str]:
    bench.given(table, frame.to_dicts())
    return bench.failed_checks(table)


def board(*metrics: pl.DataFrame) -> pl.DataFrame:
    return leaderboard(pl.concat(metrics), (HYBRID, PARETO, OWN_RATE), (30, 90), AS_OF)


GOOD = [scored(model, loss, months_back(6, h), h) for h in (30, 90) for model, loss in (("hybrid", 1), ("own_rate", 2))]


def test_a_walk_through_past_dates_keeps_its_contracts(bench: Bench) -> None:
    frame = shop(CUTOFFS[:4])
    metrics = evaluate(frame)
    assert failed(bench, "evaluation_metrics", metrics) == []
    assert failed(bench, "served_accuracy", walk(frame)) == []
    review = leaderboard(metrics, CONTENDERS, (30, 60), AS_OF)
    assert failed(bench, "model_leaderboard", review) == []
    history = add_review(pl.DataFrame(schema=HISTORY_SCHEMA), review, AS_OF)
    assert failed(bench, "champion_history", history) == []


def test_a_simple_rule_that_does_better_and_a_lack_of_skill_are_warned_of(bench: Bench) -> None:
    better_rule = [scored("own_rate", 0.5, months_back(6, h), h) for h in (30, 90)]
    no_skill = [scored("hybrid", 1.0, months_back(6, h), h, skill=-0.1) for h in (30, 90)]
    assert failed(bench, "model_leaderboard", board(*GOOD)) == []
    assert failed(bench, "model_leaderboard", board(*GOOD[::2], *better_rule)) == ["no_simple_rule_does_better"]
    assert failed(bench, "model_leaderboard", board(*no_skill)) == ["customers_can_be_told_apart"]
    both = ["no_simple_rule_does_better", "customers_can_be_told_apart"]
    assert failed(bench, "model_leaderboard", board(*no_skill, *better_rule)) == both
    said = [result for result in bench.checks("model_leaderboard") if not result.passed]
    assert {result.severity for result in said} == {"warning"}


def crown(review: pl.DataFrame, *champions: tuple[int, str]) -> pl.DataFrame:
    crowned = pl.struct("horizon_days", "model").is_in(
        [{"horizon_days": horizon, "model": model} for horizon, model in champions]
    )
    return review.with_columns(is_champion=crowned, serves_purchase=crowned)


def test_another_champion_on_another_horizon_and_a_rule_beside_families_are_refused(bench: Bench) -> None:
    review = board(*GOOD, *(scored("pareto_nbd", 1.5, months_back(6, h), h) for h in (30, 90)))
    two = failed(bench, "model_leaderboard", crown(review, (30, "hybrid"), (90, "pareto_nbd")))
    assert two == ["one_champion_for_all_horizons"]
    rule = failed(bench, "model_leaderboard", crown(review, (30, "own_rate"), (90, "own_rate")))
    assert rule == ["simple_rules_serve_only_alone"]
    nobody = failed(bench, "model_leaderboard", crown(review, (30, "hybrid")))
    assert nobody == ["one_champion_per_horizon"]


def test_two_models_that_serve_one_date_are_refused(bench: Bench) -> None:
    served = walk(shop(CUTOFFS[:1]))
    other = pl.when(horizon_days=60).then(pl.lit("pareto_nbd")).otherwise("model")
    assert failed(bench, "served_accuracy", served.with_columns(model=other)) == ["one_model_serves_a_date"]
