"""The model review: backtests of every configured model, their metrics, and the leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from functools import partial

import dagster as dg

from clv_pipeline.assets.plots import leaderboard_plots, metric_numbers
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.warehouse import Session


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """backtest_forecasts with backtest_fits; evaluation_metrics; calibration; model_leaderboard."""
    settings = pipeline.settings

    def build_backtest(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.backtest import backtest
        from clv_pipeline.forecasting.registry import build_models
        from clv_pipeline.forecasting.serving import fit_rows
        from clv_pipeline.warehouse import model_inputs

        tried = backtest(
            build_models(settings.models),
            session.read("select * from forecast_windows order by horizon_days, cutoff desc"),
            training_for=partial(model_inputs.training_data, session),
            customers_for=partial(model_inputs.customers, session),
            outcomes_for=partial(model_inputs.outcomes, session),
            annual_discount_rate=settings.forecast.annual_discount_rate,
        )
        skipped: dict[tuple[str, date], list[int]] = defaultdict(list)
        for gap in tried.skipped:
            skipped[gap.model, gap.cutoff].append(gap.horizon_days)
        session.stage_frame(pipeline.contract("backtest_forecasts"), tried.forecasts)
        session.stage_frame(pipeline.contract("backtest_fits"), fit_rows(tried.reports, skipped))
        return {"backtest_forecasts": {"fits": len(tried.reports), "skipped": len(tried.skipped)}}

    def build_metrics(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.metrics import evaluate

        metrics = evaluate(session.read("select * from backtest_forecasts"))
        session.stage_frame(pipeline.contract("evaluation_metrics"), metrics)
        return {}

    def build_calibration(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.metrics import calibration

        deciles = calibration(session.read("select * from backtest_forecasts"))
        session.stage_frame(pipeline.contract("calibration"), deciles)
        return {}

    def build_leaderboard(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.backtest import Skipped
        from clv_pipeline.evaluation.champion import leaderboard
        from clv_pipeline.forecasting.registry import build_models

        gaps = session.read(
            "select model, as_of as cutoff, unnest(skipped_horizons) as horizon_days, notes as reason"
            " from backtest_fits order by all"
        )
        board = leaderboard(
            session.read("select * from evaluation_metrics"),
            {model.name: model.targets for model in build_models(settings.models)},
            settings.forecast.horizons_days,
            [Skipped(**row) for row in gaps.iter_rows(named=True)],
        )
        session.stage_frame(pipeline.contract("model_leaderboard"), board)
        return {}

    return [
        gated_step(
            pipeline,
            ["backtest_forecasts", "backtest_fits"],
            reads=["forecast_windows", "customer_features", "customer_windows", "customer_outcomes"],
            kinds={"python"},
            build=build_backtest,
        ),
        gated_step(
            pipeline,
            ["evaluation_metrics"],
            reads=["backtest_forecasts"],
            kinds={"python"},
            build=build_metrics,
            describe=metric_numbers,
        ),
        gated_step(
            pipeline,
            ["calibration"],
            reads=["backtest_forecasts"],
            kinds={"python"},
            build=build_calibration,
        ),
        gated_step(
            pipeline,
            ["model_leaderboard"],
            reads=["evaluation_metrics", "backtest_fits", "calibration"],
            kinds={"python"},
            build=build_leaderboard,
            describe=leaderboard_plots,
        ),
    ]
