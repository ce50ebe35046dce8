"""Building a SQL table, either whole or only for the days on which one of its inputs changed.

A model that is built day by day (`day_column` in its contract) uses the same query in both cases. For a few days, it
reads copies of its inputs that hold only these days.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from clv_pipeline.contracts import Contract
from clv_pipeline.contracts.loader import SqlModel, TableModel
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import ContractError
from clv_pipeline.warehouse import first_rejections
from clv_pipeline.warehouse.changed_days import AFFECTED_DAYS, find_affected_days
from clv_pipeline.warehouse.duckdb_engine import NO_DAY, Session, day_of, staged_name
from clv_pipeline.warehouse.gate import built_by, inputs_of, versions_of

WORTH_IT = 0.3
"""Share of all days from which building everything costs no more than replacing days."""


def stage_model(
    session: Session, model: SqlModel, models: Mapping[str, TableModel], *, recipe: str, full: bool
) -> None:
    """Stage the model's table: only the affected days if it is built day by day and these days are known, else all.

    Args:
        session: the open warehouse.
        model: the model to build.
        models: the models of all tables, by name.
        recipe: recipe of the table (code and settings). A table of another recipe is built whole.
        full: build everything in any case.

    Raises:
        ContractError: DuckDB rejects the query; the text names the file.
    """
    try:
        _stage(session, model, models, recipe=recipe, full=full)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException) as error:
        # These errors quote the query; others may quote rows.
        raise ContractError(f"{model.sql_file} cannot be run", quoted=str(error)) from error


def _stage(session: Session, model: SqlModel, models: Mapping[str, TableModel], *, recipe: str, full: bool) -> None:
    contract = model.contract
    if contract.compared_by:
        session.stage_query(contract, model.sql)
        if not full and built_by(session, contract.table, recipe):
            session.changed_days = _days_that_differ(contract)
        return
    few_days = (
        contract.day_column is not None
        and not full
        and built_by(session, contract.table, recipe)
        and find_affected_days(session, inputs_of(session, contract.table), versions_of(session, model.dependencies))
        and _affected_share(session) <= WORTH_IT
    )
    if not few_days:
        if not first_rejections.stage(session, contract):
            session.stage_query(contract, model.sql)
    elif contract.materialized == "view":
        session.stage_query(contract, model.sql)
        session.changed_days = f"select day from {AFFECTED_DAYS}"  # noqa: S608  (a constant)
    else:
        daily = [name for name in model.dependencies if models[name].contract.day_column is not None]
        copies = {name: f"{name}__affected" for name in daily}
        for name, copy in copies.items():
            session.copy_of_days(models[name].contract, AFFECTED_DAYS, copy)
        session.add_query(contract, model.reading(copies))
        for copy in copies.values():
            session.drop_copy(copy)
        session.stage_changes(contract, f"{day_of(contract)} in (select day from {AFFECTED_DAYS})")  # noqa: S608


def _days_that_differ(contract: Contract) -> str:
    """A query for the days of the rows that are only in the staged or only in the live table (column `day`)."""
    staged, live = quote_identifier(staged_name(contract.table)), quote_identifier(contract.table)
    differs = (
        f"(select * from {staged} except all select * from {live})"  # noqa: S608  (names from contracts)
        f" union all (select * from {live} except all select * from {staged})"
    )
    return " union ".join(
        f"select coalesce({quote_identifier(column)}, {NO_DAY}) as day from ({differs})"  # noqa: S608
        for column in contract.compared_by
    )


def _affected_share(session: Session) -> float:
    """Affected days as a share of all days of history."""
    if not session.has_table("customer_days"):
        return 1.0
    ((affected,),) = session.execute(f"select count(*) from {AFFECTED_DAYS}").fetchall()  # noqa: S608
    ((days,),) = session.ask(
        "select coalesce(date_diff('day', min(purchase_day), max(purchase_day)), 0) + 1 as days from customer_days"
    )
    return float(affected / days)
