"""Finding the models: one contract per table, and beside it the SQL that builds it, where SQL does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import sqlglot
from sqlglot import exp

from clv_pipeline.contracts import Contract, load_contract
from clv_pipeline.errors import ContractError

MODELS_DIR = Path(__file__).parents[2] / "dbt_like_sql"
DIALECT = "duckdb"


@dataclass(frozen=True)
class TableModel:
    """A table with its contract; built in Python unless it is a `SqlModel`."""

    contract: Contract
    files: tuple[Path, ...]
    """Where it is defined: the contract, and before it the query where there is one."""

    @property
    def name(self) -> str:
        """The table's, the asset's and the file's name."""
        return self.contract.table


@dataclass(frozen=True)
class SqlModel(TableModel):
    """A table that one SELECT builds."""

    sql: str

    @cached_property
    def parsed(self) -> exp.Query:
        """The SELECT as sqlglot sees it.

        Raises:
            ContractError: the file is not one SELECT.
        """
        try:
            statements = sqlglot.parse(self.sql, read=DIALECT)
        except sqlglot.ParseError as error:
            raise ContractError(f"{self.name}.sql cannot be parsed: {error}") from error
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise ContractError(f"{self.name}.sql must hold exactly one SELECT")
        return statements[0]

    @cached_property
    def dependencies(self) -> list[str]:
        """Names of the tables it reads, sorted."""
        own = {cte.alias for cte in self.parsed.find_all(exp.CTE)}
        return sorted({table.name for table in self.parsed.find_all(exp.Table)} - own)

    def reading(self, instead: Mapping[str, str]) -> str:
        """The same query with other tables in the place of some that it reads (theirs: instead)."""

        def other(node: exp.Expression) -> exp.Expression:
            if isinstance(node, exp.Table) and node.name in instead:
                return exp.to_table(instead[node.name], alias=node.alias_or_name, dialect=DIALECT)
            return node

        return self.parsed.transform(other).sql(dialect=DIALECT)

    @property
    def projected_columns(self) -> list[str]:
        """Output columns, seen through a closing `select * from final`."""
        query = self.parsed
        while isinstance(query, exp.Select) and query.is_star:
            source = query.args["from_"].this.name
            query = next(cte.this for cte in self.parsed.find_all(exp.CTE) if cte.alias == source)
        return list(query.named_selects)


def load_models(folder: Path = MODELS_DIR) -> dict[str, TableModel]:
    """Every table's model, by name.

    Raises:
        ContractError: a contract is wrong, SQL stands without one, a table is named twice, a query reads
            an unknown table, uses a function that is not proven on Spark, or its columns are not the declared ones.
    """
    models: dict[str, TableModel] = {}
    for path in sorted(folder.glob("*/*.yml")):
        contract = load_contract(path)
        if contract.table in models:
            raise ContractError(f"{path}: a table {contract.table} exists in another layer already")
        query = path.with_suffix(".sql")
        models[contract.table] = (
            SqlModel(contract, (query, path), query.read_text(encoding="utf-8"))
            if query.exists()
            else TableModel(contract, (path,))
        )
    if not models:
        raise ContractError(f"no contracts found below {folder}")
    if orphans := [str(path) for path in folder.glob("*/*.sql") if path.stem not in models]:
        raise ContractError(f"SQL without a contract beside it: {', '.join(sorted(orphans))}")
    for model in models.values():
        if unknown := [name for name in model.contract.waits_for if name not in models]:
            raise ContractError(f"{model.name}.yml waits for {', '.join(unknown)}: no contract of that name")
        if isinstance(model, SqlModel):
            _hold_against_contract(model, models)
    return models


def _hold_against_contract(model: SqlModel, models: dict[str, TableModel]) -> None:
    if unknown := [name for name in model.dependencies if name not in models]:
        raise ContractError(f"{model.name}.sql reads {', '.join(unknown)}: no contract of that name")
    declared = [column.name for column in model.contract.columns]
    if model.projected_columns != declared:
        raise ContractError(
            f"{model.name}: the contract declares {declared}, the query projects {model.projected_columns}"
        )
