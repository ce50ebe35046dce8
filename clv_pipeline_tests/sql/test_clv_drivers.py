"""Of the drivers of all families those of the champion."""

from __future__ import annotations

from datetime import date

from clv_pipeline_tests.helpers.sql_bench import Bench, Row, picked


def driver(model: str, horizon_days: int, feature: str = "frequency", direction: str = "up") -> Row:
    return {
        "horizon_days": horizon_days,
        "feature": feature,
        "model": model,
        "cutoff": date(2024, 1, 1),
        "customers": 100,
        "importance": 0.5,
        "importance_deviation": 0.1,
        "direction": direction,
    }


def test_the_drivers_of_the_champion_are_told_and_no_others(bench: Bench) -> None:
    horizons = (30, 365)
    bench.given("family_drivers", [driver(model, days) for model in ("hybrid", "pareto_nbd") for days in horizons])
    board = [(model, days, model == "hybrid") for model in ("own_rate", "hybrid", "pareto_nbd") for days in horizons]
    columns = ("model", "horizon_days", "is_champion")
    bench.given("model_leaderboard", [dict(zip(columns, row, strict=True)) for row in board])
    told = picked(bench.run("clv_drivers"), "horizon_days", "model", "feature", "importance")
    assert sorted(told) == [(30, "hybrid", "frequency", 0.5), (365, "hybrid", "frequency", 0.5)]
    assert bench.failed_checks("clv_drivers") == []


def test_a_horizon_of_the_champion_without_drivers_is_told(bench: Bench) -> None:
    bench.given("family_drivers", [driver("hybrid", 30)])
    bench.given(
        "model_leaderboard",
        [{"model": "hybrid", "horizon_days": days, "is_champion": True} for days in (30, 365)],
    )
    bench.run("clv_drivers")
    assert bench.failed_checks("clv_drivers") == ["every_champion_is_explained"]


def test_a_fact_that_moves_no_forecast_and_is_important_breaks_the_contract(bench: Bench) -> None:
    bench.given("family_drivers", [driver("hybrid", 30, direction="none")])
    bench.given("model_leaderboard", [{"model": "hybrid", "horizon_days": 30, "is_champion": True}])
    bench.run("clv_drivers")
    assert bench.failed_checks("clv_drivers") == ["unused_facts_are_unimportant"]
