"""What every SQL file and every contract have in common, so that a reader learns it once."""

from __future__ import annotations

import itertools
import re

import pytest
from sqlglot import exp

from clv_pipeline.sql_models import SqlModel
from clv_pipeline.sql_models.loader import MODELS_DIR
from clv_pipeline_tests.sql.harness import Bench, models, sql_models

every_sql_model = pytest.mark.parametrize("model", sql_models(), ids=lambda model: model.name)
every_table = pytest.mark.parametrize("table", sorted(models()))

ONE_VALUE = {
    "VARCHAR": "x",
    "VARCHAR[]": ["x"],
    "BOOLEAN": True,
    "INTEGER": 1,
    "BIGINT": 1,
    "DOUBLE": 0.5,
    "DATE": "2024-01-05",
    "TIMESTAMP": "2024-01-05 10:30:00",
}

UNIQUE_BY_CONSTRUCTION = {
    "raw_transactions": "source_line numbers the records of a file; grouping every raw row would dominate the audit",
    "rejected_transactions": "a selection of raw_transactions, and row_ledger counts its rows",
    "cleaned_transactions": "a selection of raw_transactions, and row_ledger counts its rows",
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
    assert re.match(r"-- [A-Z].*\.\n(-- .*\n)*with\n", model.sql) or re.match(
        r"-- [A-Z](.*\n-- .*)+\.\n", model.sql
    )


@every_sql_model
def test_a_model_ends_by_selecting_what_its_last_step_made(model: SqlModel) -> None:
    assert model.sql.endswith(")\n\nselect * from final\n")
    assert ctes(model)[-1].alias == "final"


@every_sql_model
def test_a_model_names_its_inputs_first_and_reads_them_nowhere_else(model: SqlModel) -> None:
    names = {cte.alias for cte in ctes(model)}
    imports = [
        table
        for cte in itertools.takewhile(lambda cte: imported_table(cte) not in names | {None}, ctes(model))
        if (table := imported_table(cte))
    ]
    assert sorted(imports) == model.dependencies
    reads = [table.name for table in model.parsed.find_all(exp.Table) if table.name not in names]
    assert sorted(reads) == model.dependencies


@every_sql_model
def test_the_last_step_names_every_column(model: SqlModel) -> None:
    assert not ctes(model)[-1].this.find(exp.Star, bfs=True) or not ctes(model)[-1].this.is_star


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


@every_table
def test_the_key_is_checked_unless_it_is_unique_by_construction(bench: Bench, table: str) -> None:
    contract = models()[table].contract
    row = {
        column.name: 1 if column.type.startswith("DECIMAL") else ONE_VALUE[column.type]
        for column in contract.columns
    }
    bench.given(table, [row])
    failed_alone = set(bench.failed_checks(table))
    bench.given(table, [row, row])
    caught = set(bench.failed_checks(table)) - failed_alone
    blocking = {stated.name for stated in contract.expectations if stated.severity == "error"}
    assert bool(caught & blocking) != (table in UNIQUE_BY_CONSTRUCTION)
