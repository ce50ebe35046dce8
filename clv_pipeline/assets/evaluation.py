"""The model review: backtests of every configured model, their metrics, and the leaderboard with its history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.assets.plots import leaderboard_plots, metric_table
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.refresh import Refresh
from clv_pipeline.warehouse import Session, model_inputs

if TYPE_CHECKING:
    import polars as pl

BACKTEST_CUSTOMERS = 50_000
"""Customers that a backtest judges the models on at most: those with the smallest md5 of their id. More would make
the estimates of accuracy hardly sharper, and the review slower without end."""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """backtest_forecasts with backtest_fits; evaluation_metrics with score_replicates; calibration; the leaderboard."""
    settings = pipeline.settings

    def build_backtest(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.backtest import BACKTEST_SCHEMA, backtest
        from clv_pipeline.forecasting.registry import build_models
        from clv_pipeline.forecasting.serving import fit_rows

        log = dg.get_dagster_logger()
        contract = pipeline.contract("backtest_forecasts")
        kept = [column.name for column in contract.columns]
        session.stage_frame(contract, pl.DataFrame(schema=BACKTEST_SCHEMA).select(kept))
        windows = session.read("select * from forecast_windows where is_backtest order by cutoff, horizon_days")
        fits, skipped = [fit_rows([], {})], 0
        # Cutoff by cutoff, so that no more than one of them is in memory.
        for of_cutoff in windows.partition_by("cutoff", maintain_order=True):
            horizons = of_cutoff["horizon_days"].to_list()
            log.info(
                "backtest as of %s: %d models over %s days", of_cutoff["cutoff"][0], len(settings.models), horizons
            )
            tried = backtest(
                build_models(settings.models),
                of_cutoff,
                training_for=partial(model_inputs.training_data, session),
                customers_for=partial(model_inputs.customers, session, most=BACKTEST_CUSTOMERS),
                outcomes_for=partial(model_inputs.outcomes, session, most=BACKTEST_CUSTOMERS),
                annual_discount_rate=settings.forecast.annual_discount_rate,
            )
            session.append_frame(contract, tried.forecasts.select(kept))
            gaps: dict[tuple[str, date], list[int]] = defaultdict(list)
            for gap in tried.skipped:
                gaps[gap.model, gap.cutoff].append(gap.horizon_days)
            fits.append(fit_rows(tried.reports, gaps))
            skipped += len(tried.skipped)
        all_fits = pl.concat(fits)
        session.stage_frame(pipeline.contract("backtest_fits"), all_fits)
        return {"backtest_forecasts": {"fits": all_fits.height, "skipped": skipped}}

    def build_metrics(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.champion import best_calibrated
        from clv_pipeline.evaluation.comparison import differences_to_best_baseline
        from clv_pipeline.evaluation.intervals import interval_metrics, with_probability_of
        from clv_pipeline.evaluation.metrics import METRICS_SCHEMA, REPLICATES_SCHEMA, evaluate
        from clv_pipeline.forecasting.registry import build_models

        baselines = [model.name for model in build_models(settings.models) if model.is_baseline]
        metrics, replicates = [pl.DataFrame(schema=METRICS_SCHEMA)], [pl.DataFrame(schema=REPLICATES_SCHEMA)]
        for horizon in settings.forecast.horizons_days:
            forecasts = _backtest_forecasts(session, horizon)
            evaluation = evaluate(forecasts)
            metrics += [evaluation.metrics, differences_to_best_baseline(evaluation, baselines)]
            replicates.append(evaluation.replicates)
            purchase_model = best_calibrated(evaluation.metrics, horizon, settings.models)
            if purchase_model is not None:
                served = with_probability_of(forecasts, purchase_model)
                metrics.append(interval_metrics(served, settings.forecast.interval_level))
        session.stage_frame(pipeline.contract("evaluation_metrics"), pl.concat(metrics))
        session.stage_frame(pipeline.contract("score_replicates"), pl.concat(replicates))
        return {}

    def build_calibration(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.metrics import calibration

        horizons = settings.forecast.horizons_days
        deciles = [calibration(_backtest_forecasts(session, horizon)) for horizon in horizons]
        session.stage_frame(pipeline.contract("calibration"), pl.concat(deciles))
        return {}

    def build_leaderboard(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        import polars as pl

        from clv_pipeline.evaluation.backtest import Skipped
        from clv_pipeline.evaluation.champion import HISTORY_SCHEMA, Contender, add_review, incumbents_of, leaderboard
        from clv_pipeline.evaluation.metrics import Evaluation
        from clv_pipeline.forecasting.registry import build_models

        as_of: date = session.read("select as_of from history_span").item()
        history = pl.DataFrame(schema=HISTORY_SCHEMA)
        if session.has_table("champion_history"):
            history = session.read("select * from champion_history order by as_of, horizon_days, role")
        gaps = session.read(
            "select model, as_of as cutoff, unnest(skipped_horizons) as horizon_days, notes as reason"
            " from backtest_fits order by all"
        )
        board = leaderboard(
            Evaluation(
                session.read("select * from evaluation_metrics order by all"),
                session.read("select * from score_replicates order by all"),
            ),
            [Contender.of(model) for model in build_models(settings.models)],
            settings.forecast.horizons_days,
            incumbents_of(history, as_of),
            [Skipped(**row) for row in gaps.iter_rows(named=True)],
        )
        session.stage_frame(pipeline.contract("model_leaderboard"), board)
        session.stage_frame(pipeline.contract("champion_history"), add_review(history, board, as_of))
        return {}

    return [
        gated_step(
            pipeline,
            ["backtest_forecasts", "backtest_fits"],
            reads=["forecast_windows", *model_inputs.TABLES],
            kinds={"python"},
            build=build_backtest,
        ),
        gated_step(
            pipeline,
            ["evaluation_metrics", "score_replicates"],
            reads=["backtest_forecasts"],
            kinds={"python"},
            build=build_metrics,
            describe=metric_table,
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
            ["model_leaderboard", "champion_history"],
            reads=["history_span", "evaluation_metrics", "score_replicates", "backtest_fits", "calibration"],
            kinds={"python"},
            build=build_leaderboard,
            describe=leaderboard_plots,
        ),
    ]


def _backtest_forecasts(session: Session, horizon_days: int) -> pl.DataFrame:
    """The backtest of one horizon; all of them at once would not fit everywhere."""
    return session.read(
        "select * from backtest_forecasts where horizon_days = ? order by cutoff, model, customer_id", [horizon_days]
    )
