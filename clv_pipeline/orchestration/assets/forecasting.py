"""Today's forecasts by the champion, and the history of forecasts of earlier runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.contracts import Contract
from clv_pipeline.features import model_inputs
from clv_pipeline.features.optional_columns import OptionalColumns
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.orchestration.plots import forecast_plots, totals_plot
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name
from clv_pipeline.warehouse.predecessors import stage_customer_snapshots, stage_forecast_history

if TYPE_CHECKING:
    import polars as pl

# Summed as DECIMAL, so that the digits do not depend on the order of rows.
_TOTALS = """
select horizon_days, as_of, model,
    cast(sum(cast(expected_purchases as decimal(18, 6))) as double) as expected_purchases,
    cast(sum(cast(expected_spend as decimal(28, 6))) as double) as expected_spend,
    sum(power(spend_deviation, 2)) / nullif(power(sum(expected_spend), 2), 0) as variance,
    count(*) as customers
from clv_forecasts
group by horizon_days, as_of, model
order by horizon_days
"""

_PAST_TOTALS = """
select cutoff, horizon_days,
    cast(sum(cast(expected_spend as decimal(28, 6))) as double) as expected_spend,
    cast(sum(cast(actual_spend as decimal(28, 6))) as double) as actual_spend
from backtest_forecasts
where model = (select max(model) from clv_forecasts)
group by cutoff, horizon_days
order by cutoff, horizon_days
"""

READINGS = {
    "clv_forecasts": """
select customer_id, as_of, horizon_days, model, purchase_model, expected_purchases, expected_spend, spend_lower,
    spend_upper, interval_level, spend_deviation, p_purchase, p_alive, clv,
    cast(case when clv is not null then rank() over (partition by horizon_days order by clv desc) end as integer)
        as clv_rank
from {scored}
""",
    "customer_outlook": """
select customer_id, as_of, model, p_alive, value_per_purchase, lifetime_value, next_order_days,
    as_of + cast(-floor(-next_order_days) as integer) as next_order_date
from {scored}
where horizon_days = (select max(horizon_days) from {scored})
""",
}
"""Queries on the passing table with all paths, which is the only name put in.

Ranks need all customers; an outlook has one row per customer.
"""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """The tables clv_forecasts with all readings of its paths and with its fit, forecast_totals, history and drift."""
    settings = pipeline.settings

    def build_forecasts(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.ranges import SpendRanges
        from clv_pipeline.evaluation.tracking import tracking
        from clv_pipeline.forecasting.ground import Ground, one_thread
        from clv_pipeline.forecasting.registry import models_of
        from clv_pipeline.forecasting.serving import Scorer, fit_rows, fit_serving, serving_order

        as_of: date = session.read("select as_of from history_span").item()
        forecast = settings.forecast
        horizons, level = forecast.horizons_days, forecast.interval_level
        order = serving_order(_leaderboard(session), models_of(settings.models, settings.extensions))
        columns = OptionalColumns.known(session, as_of)
        with one_thread():
            ground = Ground(model_inputs.training_data(session, as_of))
            fit = fit_serving(order, ground, horizons)
            past = session.read(
                "select * from backtest_forecasts where model = ? order by cutoff, horizon_days, customer_id",
                [fit.report.model],
            )
            ranges = SpendRanges.learn(past, level)
        score = Scorer(fit, ranges, horizons, forecast.annual_discount_rate, forecast.margin, columns.names)
        rules = horizons if order[0].is_baseline else ()
        query, parameters = model_inputs.customers_query(as_of, columns, rules)
        with _scored(session, pipeline) as scored:
            session.map_batches(scored, query, score, parameters)
            for contract, select in READINGS.items():
                session.stage_query(pipeline.contract(contract), select.format(scored=staged_name(scored.table)))
        session.stage_frame(pipeline.contract("fitted_models"), fit_rows([fit.report], {}))
        session.stage_frame(pipeline.contract("tracking"), tracking(ground.cohorts, max(horizons)))
        shown = {f"{fit.report.model} verdict": fit.report.verdict, f"{fit.report.model} notes": fit.report.notes}
        return {"clv_forecasts": shown, "fitted_models": shown}

    def build_totals(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.ranges import forecast_totals

        past = session.read(_PAST_TOTALS)
        totals = forecast_totals(session.read(_TOTALS), past, settings.forecast.interval_level)
        session.stage_frame(pipeline.contract("forecast_totals"), totals)
        return {}

    def build_history(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        stage_forecast_history(session, pipeline.contract("forecast_history"))
        stage_customer_snapshots(session, pipeline.contract("customer_snapshots"))
        return {}

    def build_drift(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.features.snapshots import drift_since_last_run

        session.stage_frame(pipeline.contract("drift"), drift_since_last_run(session))
        return {}

    return [
        gated_step(
            pipeline,
            ["clv_forecasts", "customer_outlook", "fitted_models", "tracking"],
            reads=["history_span", "rfm", "backtest_forecasts", "model_leaderboard", *model_inputs.TABLES],
            kinds={"python"},
            build=build_forecasts,
            describe=forecast_plots,
        ),
        gated_step(
            pipeline,
            ["forecast_totals"],
            reads=["clv_forecasts", "backtest_forecasts"],
            kinds={"python"},
            build=build_totals,
            describe=totals_plot,
        ),
        gated_step(
            pipeline,
            ["forecast_history", "customer_snapshots"],
            reads=["history_span", "clv_forecasts", "rfm", "segments"],
            kinds={"sql"},
            build=build_history,
        ),
        gated_step(
            pipeline,
            ["drift"],
            reads=["history_span", "forecast_history", "customer_snapshots"],
            kinds={"python"},
            build=build_drift,
        ),
    ]


def scored_contract(forecasts: Contract, outlook: Contract) -> Contract:
    """The contract of a passing table for the rows of `Scorer`: one per customer and horizon."""
    columns = {column.name: column for column in (*outlook.columns, *forecasts.columns)}
    for later in ("clv_rank", "next_order_date"):
        del columns[later]
    return forecasts.model_copy(update={"table": f"{forecasts.table}_scored", "columns": list(columns.values())})


@contextmanager
def _scored(session: Session, pipeline: Pipeline) -> Iterator[Contract]:
    """The contract of the passing table, which is dropped at the end."""
    scored = scored_contract(pipeline.contract("clv_forecasts"), pipeline.contract("customer_outlook"))
    session.drop_staged([scored])
    yield scored
    session.drop_staged([scored])


def _leaderboard(session: Session) -> pl.DataFrame:
    return session.read("select * from model_leaderboard order by horizon_days, model")
