"""Tables that are kept from run to run: forecasts and customers of earlier days, and who is in which campaign.

Such a table is built from its own live predecessor and today's tables. The predecessor is not a dependency in the
graph, because a table cannot wait for itself. A run replaces the rows of the same day, so repeating it changes
nothing.
"""

# Only names of contracts and the queries below are spliced into SQL; values are parameters.
# ruff: noqa: S608

from clv_pipeline.contracts import Contract
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.warehouse.duckdb_engine import Session

KEPT_DAYS = 365
"""Number of days that a forecast stays in the history after its horizon has passed."""

_TODAYS_FORECASTS = "select * from clv_forecasts"

_TODAYS_CUSTOMERS = "select rfm.*, segments.segment from rfm inner join segments using (customer_id)"

# The first day of a month remains the first, so thinning again changes nothing. Drift is measured against the latest
# day before today. Rows after today were kept by a run with a later day.
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


def stage_forecast_history(session: Session, contract: Contract) -> None:
    """Stage today's forecasts, and the earlier ones that the contract promises to keep."""
    _stage_beside_predecessor(session, contract, _TODAYS_FORECASTS, _KEPT_FORECASTS)


def stage_customer_snapshots(session: Session, contract: Contract) -> None:
    """Stage today's customers, and those of the run before."""
    _stage_beside_predecessor(session, contract, _TODAYS_CUSTOMERS, _KEPT_CUSTOMERS)


def stage_kept(session: Session, contract: Contract) -> None:
    """Stage the rows of the live table as they are. For what only the warehouse knows."""
    session.stage_query(contract, kept_rows(session, contract))


def kept_rows(session: Session, contract: Contract) -> str:
    """A query for the rows of the live table, with the columns of its contract; no rows where there is no such table.

    A column that an earlier version's table lacks is NULL.
    """
    declared = ", ".join(f"cast(null as {c.type}) as {quote_identifier(c.name)}" for c in contract.columns)
    rows = f"select {declared} where false"
    if session.has_table(contract.table):
        rows += f" union all by name select * from {quote_identifier(contract.table)}"
    return f"select {_columns(contract)} from ({rows})"


def _stage_beside_predecessor(session: Session, contract: Contract, todays: str, kept: str) -> None:
    """Stage today's rows, and the `kept` ones of `earlier`, which are the live table's rows of other days.

    A column that an earlier version's table lacks is NULL in its rows.
    """
    predecessor = quote_identifier(contract.table) if session.has_table(contract.table) else f"({todays})"
    session.stage_query(
        contract,
        "with today as (select as_of from history_span),"
        f" earlier as (select * from {predecessor} where as_of <> (select as_of from today)), kept as ({kept})"
        f" select {_columns(contract)} from ({todays} union all by name select * from kept)",
    )


def _columns(contract: Contract) -> str:
    """The declared columns, each cast to its type."""
    return ", ".join(
        f"cast({quote_identifier(column.name)} as {column.type}) as {quote_identifier(column.name)}"
        for column in contract.columns
    )
