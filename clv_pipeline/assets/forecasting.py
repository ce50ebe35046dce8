"""The windows to forecast, and today's forecasts by the champions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial

import dagster as dg

from clv_pipeline.assets.plots import forecast_plots
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.warehouse import Session


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """forecast_windows; clv_forecasts with fitted_models."""
    settings = pipeline.settings

    def build_windows(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.backtest import plan_windows

        first_day, as_of = session.read("select first_day, as_of from history_span").row(0)
        windows = plan_windows(first_day, as_of, settings.forecast.horizons_days, settings.backtest.folds)
        session.stage_frame(pipeline.contract("forecast_windows"), windows)
        return {"forecast_windows": {"as of": str(as_of), "history days": (as_of - first_day).days + 1}}

    def build_forecasts(session: Session) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.intervals import add_intervals, learn_intervals
        from clv_pipeline.forecasting.registry import build_models
        from clv_pipeline.forecasting.serving import fit_rows, serve
        from clv_pipeline.warehouse import model_inputs

        as_of: date = session.read("select as_of from history_span").item()
        champions = _champions(session, settings.forecast.horizons_days)
        training = model_inputs.training_data(session, as_of)
        fitted = {
            model.name: model.fit(training, [h for h, name in champions.items() if name == model.name])
            for model in build_models(sorted(set(champions.values())))
        }
        past = session.read(
            "select model, horizon_days, expected_spend, actual_spend from backtest_forecasts"
            " semi join (select model, horizon_days from model_leaderboard where is_champion)"
            " using (model, horizon_days) order by all"
        )
        forecasts = serve(
            {horizon: fitted[name] for horizon, name in champions.items()},
            partial(model_inputs.customers, session, as_of),
            partial(add_intervals, intervals=learn_intervals(past, level=settings.forecast.interval_level)),
            annual_discount_rate=settings.forecast.annual_discount_rate,
            margin=settings.forecast.margin,
        )
        session.stage_frame(pipeline.contract("clv_forecasts"), forecasts)
        session.stage_frame(pipeline.contract("fitted_models"), fit_rows([fit.report for fit in fitted.values()], {}))
        verdicts = {f"{name} verdict": fit.report.verdict for name, fit in fitted.items()}
        notes = {f"{name} notes": fit.report.notes for name, fit in fitted.items() if fit.report.notes}
        return {"clv_forecasts": verdicts, "fitted_models": {**verdicts, **notes}}

    return [
        gated_step(pipeline, ["forecast_windows"], reads=["history_span"], kinds={"python"}, build=build_windows),
        gated_step(
            pipeline,
            ["clv_forecasts", "fitted_models"],
            reads=[
                "history_span",
                "customer_features",
                "customer_windows",
                "customer_outcomes",
                "rfm",
                "backtest_forecasts",
                "model_leaderboard",
            ],
            kinds={"python"},
            build=build_forecasts,
            describe=forecast_plots,
        ),
    ]


def _champions(session: Session, horizons_days: list[int]) -> dict[int, str]:
    """The model that serves each configured horizon."""
    chosen = dict(
        session.read("select horizon_days, model from model_leaderboard where is_champion order by 1").iter_rows()
    )
    if missing := [horizon for horizon in horizons_days if horizon not in chosen]:
        raise dg.Failure(
            f"no champion for the horizons {missing}: they were configured after the last model review."
            " Run the job model_review, or `clv run`, which does so when it is due.",
            allow_retries=False,
        )
    return {horizon: chosen[horizon] for horizon in horizons_days}
