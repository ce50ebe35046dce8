"""What is kept from run to run, to see how forecasts come true and how customers and forecasts shift.

A table here is built from its own live predecessor and today's tables. That predecessor is no dependency in the graph:
a table cannot wait for itself. A run replaces what was written before as of the same day, so repeating it changes
nothing.
"""

# Only names of contracts and the queries below are spliced into SQL; values are parameters.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from clv_pipeline.contracts import Contract
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.orchestration.gated_step import Metadata, gated_step
from clv_pipeline.pipeline import Pipeline, Refresh
from clv_pipeline.warehouse import Session

if TYPE_CHECKING:
    import polars as pl

KEPT_DAYS = 365
"""How long a forecast stays in the history once its horizon has passed."""

DRIFT_CUSTOMERS = 100_000
"""Customers of a snapshot that shifts are measured on at most; with so many, chance alone makes an index of 0.0002."""

_TODAYS_FORECASTS = "select * from clv_forecasts"

_TODAYS_CUSTOMERS = "select rfm.*, segments.segment from rfm inner join segments using (customer_id)"

# The first of a month stays the first, so thinning again changes nothing. The latest one before today is what drift is
# measured against. What lies after today was kept by a run that looked from a later day.
_KEPT_FORECASTS = f"""
select * from earlier semi join (
    select horizon_days, days.as_of
    from (select distinct horizon_days, as_of from earlier) as days cross join today
    qualify days.as_of > today.as_of or (
        days.as_of + horizon_days + {KEPT_DAYS} >= today.as_of
        and (
            days.as_of = min(days.as_of) over (partition by horizon_days, date_trunc('month', days.as_of))
            or days.as_of = max(days.as_of) filter (where days.as_of < today.as_of) over (partition by horizon_days)
        )
    )
) using (horizon_days, as_of)
"""

_KEPT_CUSTOMERS = """
select * from earlier where as_of = (select max(as_of) from earlier where as_of < (select as_of from today))
"""

_MEASURES = ("days_since_last", "frequency", "monetary_value", "revenue")
_SCORES = ("expected_spend", "p_purchase")


def tables(pipeline: Pipeline) -> list[dg.AssetsDefinition]:
    """forecast_history with customer_snapshots; drift."""

    def build_history(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        stage_forecast_history(session, pipeline.contract("forecast_history"))
        stage_customer_snapshots(session, pipeline.contract("customer_snapshots"))
        return {}

    def build_drift(session: Session, _: Refresh) -> Mapping[str, Metadata]:
        session.stage_frame(pipeline.contract("drift"), drift_since_last_run(session))
        return {}

    return [
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


def stage_forecast_history(session: Session, contract: Contract) -> None:
    """Today's forecasts, and of the earlier ones those that the contract promises to keep."""
    _stage_beside_predecessor(session, contract, _TODAYS_FORECASTS, _KEPT_FORECASTS)


def stage_customer_snapshots(session: Session, contract: Contract) -> None:
    """Today's customers, and those of the run before."""
    _stage_beside_predecessor(session, contract, _TODAYS_CUSTOMERS, _KEPT_CUSTOMERS)


def _stage_beside_predecessor(session: Session, contract: Contract, todays: str, kept: str) -> None:
    """Stage today's rows and those that are `kept` of `earlier`: the live table's rows of other days.

    A column that a predecessor of an earlier version lacks is NULL in its rows.
    """
    predecessor = quote_identifier(contract.table) if session.has_table(contract.table) else f"({todays})"
    columns = ", ".join(
        f"cast({quote_identifier(column.name)} as {column.type}) as {quote_identifier(column.name)}"
        for column in contract.columns
    )
    session.stage_query(
        contract,
        "with today as (select as_of from history_span),"
        f" earlier as (select * from {predecessor} where as_of <> (select as_of from today)), kept as ({kept})"
        f" select {columns} from ({todays} union all by name select * from kept)",
    )


def drift_since_last_run(session: Session) -> pl.DataFrame:
    """The stability index of every measure and score between the run before and today's, as rows of `drift`."""
    import polars as pl

    from clv_pipeline.evaluation.drift import DRIFT_SCHEMA, drift

    def snapshots(table: str, columns: tuple[str, ...], condition: str = "true") -> tuple[pl.DataFrame, pl.DataFrame]:
        """The columns as of the run before (empty without one) and as of today."""
        numbers = ", ".join(f"cast({column} as double) as {column}" for column in columns)
        today = "(select as_of from history_span)"
        before = f"(select max(as_of) from {table} where as_of < {today} and {condition})"

        def snapshot(day: str) -> pl.DataFrame:
            rows = f"from {table} where as_of = {day} and {condition}"
            return session.read(
                f"select as_of, (select count(*) {rows}) as customers, {numbers} {rows}"
                " order by md5(customer_id), customer_id limit ?",
                [DRIFT_CUSTOMERS],
            )

        return snapshot(before), snapshot(today)

    found = [pl.DataFrame(schema=DRIFT_SCHEMA), drift(*snapshots("customer_snapshots", _MEASURES), _MEASURES, None)]
    horizons = session.read(
        "select distinct horizon_days from forecast_history where as_of = (select as_of from history_span) order by 1"
    )
    for (horizon,) in horizons.iter_rows():
        scores = snapshots("forecast_history", _SCORES, f"horizon_days = {horizon}")
        found.append(drift(*scores, _SCORES, horizon))
    return pl.concat(found)
