"""Today's forecasts by the champion, and the history of forecasts of earlier runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.contract import Column
from clv_pipeline.features import model_inputs, outlook_inputs
from clv_pipeline.features.optional_columns import OptionalColumns
from clv_pipeline.forecasting.ages import AHEAD_DAYS, ahead_columns
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.orchestration.plots import forecast_plots, outlook_plot, totals_plot
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
    cast(sum(expected_spend) as double) as expected_spend,
    sum(power(spend_deviation, 2)) / nullif(power(cast(sum(expected_spend) as double), 2), 0) as variance,
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

_WITH_MARGINS = """
select customers.*, customer_margins.margin as {column}
from ({query}) as customers
left join customer_margins on customers.customer_id = customer_margins.customer_id
"""

# Summed as DECIMAL, so that the digits do not depend on the order of rows.
_SUMS = ", ".join(f"cast(sum(cast(s.{name} as decimal(28, 6))) as double) as {name}" for name in ahead_columns())

READINGS = {
    "clv_forecasts": """
with money as (
    select * exclude (expected_spend, spend_lower, spend_upper, clv),
        try_cast(expected_spend as decimal(28, 4)) as expected_spend,
        try_cast(spend_lower as decimal(28, 4)) as spend_lower,
        try_cast(spend_upper as decimal(28, 4)) as spend_upper,
        try_cast(clv as decimal(28, 4)) as clv
    from {scored}
)

select customer_id, as_of, horizon_days, model, purchase_model, expected_purchases, expected_spend, spend_lower,
    spend_upper, interval_level, spend_deviation, p_purchase, p_alive, clv,
    cast(case when clv is not null then rank() over (partition by horizon_days order by clv desc) end as integer)
        as clv_rank
from money
""",
    "customer_outlook": """
select customer_id, as_of, model, p_alive, value_per_purchase, lifetime_value, next_order_days,
    as_of + cast(-floor(-next_order_days) as integer) as next_order_date,
    p_purchase_30_days, p_purchase_90_days, p_purchase_365_days
from {scored}
where horizon_days = (select max(horizon_days) from {scored})
""",
    "acquisition_outlook": f"""
select c.first_month, c.channel, cast(count(*) as integer) as customers, {_SUMS}
from {{scored}} as s
inner join customer_channels as c on s.customer_id = c.customer_id
where s.horizon_days = (select max(horizon_days) from {{scored}})
group by c.first_month, c.channel
""",  # noqa: S608  (constants)
}
"""Queries on the passing table with all paths, which is the only name put in.

Ranks need all customers; an outlook has one row per customer.
"""


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """The tables clv_forecasts with all readings of its paths, totals, the revenue outlook, history and drift."""
    settings = pipeline.settings

    def build_forecasts(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.ranges import SpendRanges
        from clv_pipeline.evaluation.tracking import tracking
        from clv_pipeline.forecasting.ground import Ground, one_thread
        from clv_pipeline.forecasting.outlook import weeks_ahead
        from clv_pipeline.forecasting.registry import models_of
        from clv_pipeline.forecasting.serving import (
            MARGIN_COLUMN,
            Scorer,
            fit_rows,
            fit_serving,
            probability_days,
            serving_order,
        )

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
        readable = probability_days(fit, horizons, order)
        ahead = AHEAD_DAYS if all(map(fit.can_forecast, AHEAD_DAYS)) and not order[0].is_baseline else ()
        margin: float = session.read("select margin from shop_margin").item()
        score = Scorer(fit, ranges, horizons, forecast.annual_discount_rate, margin, columns.names, readable, ahead)
        rules = horizons if order[0].is_baseline else ()
        query, parameters = model_inputs.customers_query(as_of, columns, rules)
        query = _WITH_MARGINS.format(query=query, column=MARGIN_COLUMN)
        with _scored(session, pipeline) as scored:
            session.map_batches(scored, query, score, parameters)
            for contract, select in READINGS.items():
                session.stage_query(pipeline.contract(contract), select.format(scored=staged_name(scored.table)))
        session.stage_frame(pipeline.contract("fitted_models"), fit_rows([fit.report], {}))
        session.stage_frame(pipeline.contract("tracking"), tracking(ground.cohorts, max(horizons)))
        session.stage_frame(pipeline.contract("weeks_ahead"), weeks_ahead(ground.cohorts))
        shown = {f"{fit.report.model} verdict": fit.report.verdict, f"{fit.report.model} notes": fit.report.notes}
        return {"clv_forecasts": shown, "fitted_models": shown}

    def build_totals(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.total_ranges import forecast_totals

        past = session.read(_PAST_TOTALS)
        totals = forecast_totals(session.read(_TOTALS), past, settings.forecast.interval_level)
        session.stage_frame(pipeline.contract("forecast_totals"), totals)
        return {}

    def build_outlook(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        from clv_pipeline.evaluation.outlook import outlook_table
        from clv_pipeline.forecasting.ground import one_thread
        from clv_pipeline.forecasting.outlook import outlook

        as_of: date = session.read("select as_of from history_span").item()
        forecast = settings.forecast
        totals = session.read("select * from forecast_totals order by horizon_days")
        weeks = session.read("select * from weeks_ahead order by week_ends")
        known = outlook_inputs.known_by(session, as_of, totals, weeks, totals["model"][0])
        with one_thread():
            made = outlook(known, max(forecast.horizons_days))
        backtest = session.read("select * from revenue_outlook_backtest order by all")
        margin: float = session.read("select margin from shop_margin").item()
        table = outlook_table(made, backtest, forecast.interval_level, margin)
        session.stage_frame(pipeline.contract("revenue_outlook"), table)
        return {"revenue_outlook": {"new customers by": made.method}}

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
            ["clv_forecasts", "customer_outlook", "acquisition_outlook", "fitted_models", "tracking", "weeks_ahead"],
            reads=[
                *("history_span", "rfm", "shop_margin", "customer_margins", "customer_channels"),
                *("backtest_forecasts", "model_leaderboard", *model_inputs.TABLES),
            ],
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
            ["revenue_outlook"],
            reads=["forecast_totals", "weeks_ahead", "shop_margin", "revenue_outlook_backtest", *outlook_inputs.TABLES],
            kinds={"python"},
            build=build_outlook,
            describe=outlook_plot,
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
    # Models compute with DOUBLE; money becomes DECIMAL with the readings.
    columns = {
        column.name: column.model_copy(update={"type": "DOUBLE"}) if column.type.startswith("DECIMAL") else column
        for column in (*outlook.columns, *forecasts.columns)
    }
    for later in ("clv_rank", "next_order_date"):
        del columns[later]
    for name in ahead_columns():
        columns[name] = Column(name=name, type="DOUBLE", description="Passing: what is still to come. NULL if unknown.")
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
