"""A table of settings has the columns of its contract; a new setting needs the model and the contract."""

from __future__ import annotations

import pytest

from clv_pipeline.config.settings import Campaign, Cleaning, Forecast
from clv_pipeline.contracts import Column, Contract
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.errors import ContractError
from clv_pipeline.warehouse import Session
from clv_pipeline.warehouse.duckdb_engine import staged_name
from clv_pipeline.warehouse.settings_table import settings_frame

PARAMETERS = load_models()["parameters"].contract
MONEY = {"has_money": True, "has_costs": False}
CAMPAIGN = load_models()["campaign_settings"].contract


def staged(session: Session, contract: Contract) -> tuple[list[tuple[str, str]], list[tuple[object, ...]]]:
    """The columns with their types, and the rows."""
    name = staged_name(contract.table)
    described = session.execute(f'describe "{name}"').fetchall()
    return [(column[0], column[1]) for column in described], session.execute(f'from "{name}"').fetchall()


def test_the_row_has_what_the_blocks_say_in_the_types_of_the_contract(session: Session) -> None:
    cleaning = Cleaning(deduplicate=False, outliers="cap", exclude_products=["post", "fee"], anonymous_ids=["0"])
    session.stage_frame(PARAMETERS, settings_frame(PARAMETERS, [dict(cleaning), dict(Forecast(margin=0.25)), MONEY]))
    columns, rows = staged(session, PARAMETERS)
    assert columns == [(column.name, column.type) for column in PARAMETERS.columns]
    assert rows == [(False, "net", "cap", ["post", "fee"], ["0"], 0.25, 0.10, True, False)]


def test_a_setting_that_is_new_in_the_model_and_the_contract_is_in_the_table(session: Session) -> None:
    class MoreCleaning(Cleaning):
        smallest_amount: float = 0.5

    column = Column(name="smallest_amount", type="DECIMAL(18,4)", description="Lines below it are rejected.")
    contract = PARAMETERS.model_copy(update={"columns": [*PARAMETERS.columns, column]})
    session.stage_frame(contract, settings_frame(contract, [dict(MoreCleaning()), dict(Forecast()), MONEY]))
    columns, rows = staged(session, contract)
    assert columns[-1] == ("smallest_amount", "DECIMAL(18,4)")
    assert str(rows[0][-1]) == "0.5000"


def test_empty_lists_and_tables_without_rows_keep_their_types(session: Session) -> None:
    session.stage_frame(PARAMETERS, settings_frame(PARAMETERS, [dict(Cleaning()), dict(Forecast()), MONEY]))
    assert staged(session, PARAMETERS)[1][0][3] == []
    session.stage_frame(CAMPAIGN, settings_frame(CAMPAIGN))
    assert staged(session, CAMPAIGN) == ([(column.name, column.type) for column in CAMPAIGN.columns], [])


def test_a_column_that_is_no_setting_or_two_is_an_error_that_names_it() -> None:
    with pytest.raises(ContractError, match=r"parameters: the column margin should be a key of one block .* none has"):
        settings_frame(PARAMETERS, [dict(Cleaning())])
    campaign = dict(Campaign(budget=1, cost_per_contact=1, assumed_uplift=0.1))
    with pytest.raises(ContractError, match=r"campaign_settings: the column budget .* several have it"):
        settings_frame(CAMPAIGN, [campaign, campaign])
