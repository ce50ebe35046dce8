"""The windows to forecast, and today's forecasts by the champions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.assets.plots import forecast_plots
from clv_pipeline.assets.tables import Metadata, Pipeline, gated_step
from clv_pipeline.contracts import Contract
from clv_pipeline.refresh import Refresh
from clv_pipeline.settings import Forecast
from clv_pipeline.warehouse import Session, model_inputs
from clv_pipeline.warehouse.duckdb_engine import staged_name
from clv_pipeline.warehouse.optional_columns import OptionalColumns

if TYPE_CHECKING:
    import polars as pl

    from clv_pipeline.forecasting.serving import Serving

# Summed as DECIMAL, so that the digits do not depend on the order of rows.
_TOTALS = (
    "select horizon_days, as_of, model, cast(sum(cast(expected_spend as decimal(18, 6))) as double) as expected_spend,"
    " count(*) as customers"
)

INTERVAL_CUSTOMERS = 50_000
"""Customers on whom it is counted at most, per horizon, how likely the present ones are to buy."""


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
        from clv_pipeline.evaluation.intervals import forecast_totals
        from clv_pipeline.forecasting.registry import build_models
        from clv_pipeline.forecasting.serving import candidates, fit_rows, fit_serving

        as_of: date = session.read("select as_of from history_span").item()
        horizons, level = settings.forecast.horizons_days, settings.forecast.interval_level
        board = _leaderboard(session, horizons)
        # A champion of the last review serves until the next one, also when it is no longer configured.
        reviewed = dict.fromkeys([*settings.models, *sorted(board["model"])])
        seats = candidates(board, build_models(list(reviewed)))
        serving = fit_serving(seats, model_inputs.training_data(session, as_of, horizons))
        past = {horizon: _past(session, serving, horizon) for horizon in horizons}
        contract = pipeline.contract("clv_forecasts")
        with _scored(session, contract, serving, as_of, settings.forecast) as scored:
            _stage_forecasts(session, contract, scored, past, level)
        session.stage_frame(pipeline.contract("fitted_models"), fit_rows(serving.reports, {}))
        totals = session.read(f"{_TOTALS} from {staged_name(contract.table)} group by all")
        session.stage_frame(pipeline.contract("forecast_totals"), forecast_totals(totals, past, level))
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


@contextmanager
def _scored(session: Session, contract: Contract, serving: Serving, as_of: date, forecast: Forecast) -> Iterator[str]:
    """The name of a table with all forecasts, still without what needs all of them: intervals and ranks."""
    from clv_pipeline.forecasting.serving import Scorer

    later = {"spend_lower", "spend_upper", "interval_level", "clv_rank"}
    scored = contract.model_copy(
        update={
            "table": f"{contract.table}_scored",
            "columns": [column for column in contract.columns if column.name not in later],
        }
    )
    session.drop_staged([scored])
    columns = OptionalColumns.known(session, as_of)
    for horizon in forecast.horizons_days:
        score = Scorer.of(
            serving,
            horizon,
            annual_discount_rate=forecast.annual_discount_rate,
            margin=forecast.margin,
            names=columns.names,
        )
        query, parameters = model_inputs.customers_query(as_of, horizon, columns)
        session.map_batches(scored, query, score, parameters)
    yield staged_name(scored.table)
    session.drop_staged([scored])


def _stage_forecasts(
    session: Session, contract: Contract, scored: str, past: Mapping[int, pl.DataFrame], level: float
) -> None:
    """Stage clv_forecasts: the rows of the table `scored` with intervals, learned from `past`, and ranks."""
    from clv_pipeline.evaluation.intervals import SpendIntervals, add_intervals

    # Only the name of the table is spliced into the SQL.
    drawn = f"select p_purchase from {scored} where horizon_days = ? order by md5(customer_id), customer_id limit ?"  # noqa: S608
    ranked = f"select *, rank() over (order by clv desc) as clv_rank from {scored} where horizon_days = ?"  # noqa: S608
    for horizon, of_horizon in past.items():
        sample = session.read(drawn, [horizon, INTERVAL_CUSTOMERS])
        intervals = SpendIntervals.learn(of_horizon, sample, level)
        session.map_batches(contract, ranked, partial(add_intervals, intervals=intervals), [horizon])


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
