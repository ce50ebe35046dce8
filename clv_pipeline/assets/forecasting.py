"""The windows to forecast, and today's forecasts by the champions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.assets.plots import forecast_plots
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.refresh import Refresh
from clv_pipeline.warehouse import Session, model_inputs

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.forecasting.serving import Serving


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """forecast_windows; clv_forecasts with fitted_models and forecast_totals."""
    settings = pipeline.settings

    def build_windows(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.backtest import plan_windows

        first_day, as_of = session.read("select first_day, as_of from history_span").row(0)
        try:
            windows = plan_windows(
                first_day,
                as_of,
                settings.forecast.horizons_days,
                settings.backtest.folds,
                settings.backtest.cutoffs,
            )
        except ValueError as error:
            raise dg.Failure(f"the windows cannot be planned: {error}", allow_retries=False) from error
        session.stage_frame(pipeline.contract("forecast_windows"), windows)
        shown: Metadata = {
            "as of": str(as_of),
            "history days": (as_of - first_day).days + 1,
            "cutoffs": windows["cutoff"].n_unique(),
            "backtest windows": int(windows["is_backtest"].sum()),
        }
        return {"forecast_windows": shown}

    def build_forecasts(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.intervals import SpendIntervals, add_intervals, forecast_totals
        from clv_pipeline.forecasting.registry import build_models
        from clv_pipeline.forecasting.serving import candidates, fit_rows, fit_serving, serve

        as_of: date = session.read("select as_of from history_span").item()
        board = _leaderboard(session, settings.forecast.horizons_days)
        # A champion of the last review serves until the next one, also when it is no longer configured.
        reviewed = dict.fromkeys([*settings.models, *sorted(board["model"])])
        seats = candidates(board, build_models(list(reviewed)))
        serving = fit_serving(seats, model_inputs.training_data(session, as_of, settings.forecast.horizons_days))
        past = {horizon: _past(session, serving, horizon) for horizon in settings.forecast.horizons_days}
        level = settings.forecast.interval_level
        forecasts = serve(
            serving,
            partial(model_inputs.customers, session, as_of),
            lambda horizon, forecast: add_intervals(forecast, SpendIntervals.learn(past[horizon], forecast, level)),
            annual_discount_rate=settings.forecast.annual_discount_rate,
            margin=settings.forecast.margin,
        )
        session.stage_frame(pipeline.contract("clv_forecasts"), forecasts)
        session.stage_frame(pipeline.contract("fitted_models"), fit_rows(serving.reports, {}))
        session.stage_frame(pipeline.contract("forecast_totals"), forecast_totals(forecasts, past, level))
        verdicts = {f"{report.model} verdict": report.verdict for report in serving.reports}
        notes = {f"{report.model} notes": report.notes for report in serving.reports if report.notes}
        return {"clv_forecasts": verdicts, "fitted_models": {**verdicts, **notes}}

    return [
        gated_step(pipeline, ["forecast_windows"], reads=["history_span"], kinds={"python"}, build=build_windows),
        gated_step(
            pipeline,
            ["clv_forecasts", "fitted_models", "forecast_totals"],
            reads=["history_span", "rfm", "backtest_forecasts", "model_leaderboard", *model_inputs.TABLES],
            kinds={"python"},
            build=build_forecasts,
            describe=forecast_plots,
        ),
    ]


def _leaderboard(session: Session, horizons_days: list[int]) -> pl.DataFrame:
    """The leaderboard of the configured horizons."""
    import polars as pl

    board = session.read("select * from model_leaderboard order by horizon_days, model")
    if missing := sorted(set(horizons_days) - set(board["horizon_days"])):
        raise dg.Failure(
            f"no champion for the horizons {missing}: they were configured after the last model review."
            " Run the job model_review, or `clv run`, which does so when it is due.",
            allow_retries=False,
        )
    return board.filter(pl.col("horizon_days").is_in(horizons_days))


def _past(session: Session, serving: Serving, horizon_days: int) -> pl.DataFrame:
    """Backtest forecasts as they are served now: spend by one model, p_purchase by the other."""
    import polars as pl

    from clv_pipeline.evaluation.intervals import with_probability_of

    spend, purchase = (serving.fits[role, horizon_days].report.model for role in ("spend", "purchase"))
    forecasts = session.read(
        "select * from backtest_forecasts where horizon_days = ? and model in (?, ?)"
        " order by cutoff, model, customer_id",
        [horizon_days, spend, purchase],
    )
    return with_probability_of(forecasts, purchase).filter(pl.col("model") == spend)
