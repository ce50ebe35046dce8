"""What every SQL file and every contract have in common, so that a reader learns it once."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from sqlglot import exp

from clv_pipeline.contracts.loader import MODELS_DIR, SqlModel
from clv_pipeline_tests.helpers.sql_bench import Bench, models, sql_models

every_sql_model = pytest.mark.parametrize("model", sql_models(), ids=lambda model: model.name)
every_table = pytest.mark.parametrize("table", sorted(models()))

UNIQUE_WITHOUT_A_CHECK = {
    "raw_transactions": "source_line numbers the records of a file; a check would group every raw row",
    "raw_events": "source_line numbers the records of a file; a check would group every event",
    "rejected_at_sight": "a selection of raw_transactions whose rows row_ledger counts",
    "rejected_transactions": "a selection of raw_transactions whose rows row_ledger counts",
    "converted_transactions": "raw_transactions with their money converted; a check compares the numbers of rows",
    "cleaned_transactions": "a selection of raw_transactions whose rows row_ledger counts",
    "backtest_forecasts": "its customers are counted against customer_outcomes, whose key is checked",
}


def imported_table(cte: exp.CTE) -> str | None:
    """The table that an import CTE, `name as (select * from table)`, brings in."""
    found = re.fullmatch(r"SELECT \* FROM (\w+)", cte.this.sql(comments=False))
    return found.group(1) if found else None


def ctes(model: SqlModel) -> list[exp.CTE]:
    return list(model.parsed.ctes)


def test_every_sql_file_is_a_model() -> None:
    assert {path.stem for path in MODELS_DIR.rglob("*.sql")} == {model.name for model in sql_models()}


@every_sql_model
def test_a_model_says_first_what_it_is(model: SqlModel) -> None:
    lines = model.sql.splitlines()
    header = list(itertools.takewhile(lambda line: line.startswith("-- "), lines))
    assert header
    assert header[-1].endswith(".")
    assert lines[len(header)] == "with"


@every_sql_model
def test_a_model_names_its_inputs_first_and_reads_them_nowhere_else(model: SqlModel) -> None:
    imports = list(itertools.takewhile(bool, map(imported_table, ctes(model))))
    assert sorted(map(str, imports)) == model.dependencies
    steps = {cte.alias for cte in ctes(model)}
    reads = [table.name for table in model.parsed.find_all(exp.Table) if table.name not in steps]
    assert sorted(reads) == model.dependencies


@every_sql_model
def test_what_a_model_reads_has_a_contract(model: SqlModel) -> None:
    assert set(model.dependencies) <= models().keys()


@every_sql_model
def test_a_model_ends_by_selecting_what_its_last_step_made(model: SqlModel) -> None:
    assert model.sql.endswith(")\n\nselect * from final\n")
    assert ctes(model)[-1].alias == "final"


@every_sql_model
def test_the_last_step_names_its_columns(model: SqlModel) -> None:
    assert not ctes(model)[-1].this.is_star


@every_sql_model
def test_nothing_is_templated_into_a_model(model: SqlModel) -> None:
    assert not re.search(r"[{}]|\?|\$\d", model.sql)


@every_table
def test_a_contract_reads_as_sentences(table: str) -> None:
    contract = models()[table].contract
    assert re.fullmatch(r"\S.*\.", contract.description, re.DOTALL)
    # The table comment is made of both: "<description> Grain: <grain>."
    assert re.fullmatch(r"\S.*[^.\s]", contract.grain)
    for stated in contract.expectations:
        assert re.fullmatch(r"\S.*\.", stated.description, re.DOTALL), stated.name


def some_value(type_: str) -> Any:
    if type_.endswith("[]"):
        return [some_value(type_.removesuffix("[]"))]
    if type_ in ("DATE", "TIMESTAMP"):
        return "2024-01-05"
    # Text, yes and any number.
    return "1"


@every_table
def test_a_doubled_row_is_caught_wherever_it_could_occur(bench: Bench, table: str) -> None:
    contract = models()[table].contract
    row = {column.name: some_value(column.type) for column in contract.columns}
    bench.given(table, [row])
    failed_alone = set(bench.failed_checks(table))
    bench.given(table, [row, row])
    caught = set(bench.failed_checks(table)) - failed_alone
    blocking = {stated.name for stated in contract.expectations if stated.severity == "error"}
    assert bool(caught & blocking) != (table in UNIQUE_WITHOUT_A_CHECK)
