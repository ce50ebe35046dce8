"""Loading the models: one contract per table, and beside it the SQL for tables that SQL builds.

The models of this repository are in `dbt_like_sql/`; a user's own folder (`extensions.sql`) adds tables that SQL
builds.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.contract import Contract, load_contract, text_of
from clv_pipeline.database.sql_text import quote_identifier
from clv_pipeline.errors import ContractError, did_you_mean

MODELS_DIR = Path(__file__).parents[2] / "dbt_like_sql"
DIALECT = "duckdb"
NO_TABLES = frozenset({"published_marts"})
"""Names with another meaning in the graph."""


@dataclass(frozen=True)
class TableModel:
    """A table with its contract; built in Python unless it is a `SqlModel`."""

    contract: Contract
    file: Path
    """The contract's file; SQL lies beside it under the same name."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that define it: the query, if there is one, and the contract."""
        return (self.file,)

    @property
    def name(self) -> str:
        """The name of the table, the asset and the file."""
        return self.contract.table


@dataclass(frozen=True)
class SqlModel(TableModel):
    """A table that one SELECT builds."""

    sql: str

    @property
    def files(self) -> tuple[Path, ...]:
        """The query, and the contract."""
        return (self.sql_file, self.file)

    @property
    def sql_file(self) -> Path:
        """The file of the SELECT."""
        return self.file.with_suffix(".sql")

    @cached_property
    def parsed(self) -> exp.Query:
        """The SELECT as sqlglot sees it.

        Raises:
            ContractError: the file is not one SELECT.
        """
        try:
            statements = _statements(self.sql)
        except sqlglot.ParseError as error:
            raise ContractError(f"{self.sql_file} cannot be parsed", quoted=str(error)) from error
        if len(statements) != 1 or not isinstance(statements[0], exp.Query):
            raise ContractError(f"{self.sql_file} must hold exactly one SELECT")
        return statements[0]

    @cached_property
    def dependencies(self) -> list[str]:
        """Names of the tables that it reads, sorted; sources that are not plain names appear as they are written."""
        read = {table.name or table.sql(dialect=DIALECT) for table in self.parsed.find_all(exp.Table)}
        return sorted(read - self.ctes.keys())

    @cached_property
    def ctes(self) -> dict[str, Any]:
        """Its common table expressions by name."""
        return {cte.alias: cte.this for cte in self.parsed.find_all(exp.CTE)}

    def reading(self, instead: Mapping[str, str]) -> str:
        """The same query with some of its tables replaced (original name to replacement)."""
        pieces, done = [], 0
        # Within the text: to write the parsed query anew takes longer than many a query.
        for start, end, table in sorted(self._places(instead), key=itemgetter(0)):
            alias = "" if table.alias else f" as {quote_identifier(table.name)}"
            pieces += [self.sql[done:start], quote_identifier(instead[table.name]), alias]
            done = end
        return "".join([*pieces, self.sql[done:]])

    def _places(self, names: Container[str]) -> Iterator[tuple[int, int, exp.Table]]:
        """Where the tables of these names stand in the text, from where and up to where."""
        for table in self.parsed.find_all(exp.Table):
            if table.name in names:
                yield table.parts[0].meta["start"], table.parts[-1].meta["end"] + 1, table

    @property
    def projected_columns(self) -> list[str]:
        """Output columns, seen through a closing `select * from final`.

        Raises:
            ContractError: a `*` that stands for more than the columns of one CTE.
        """
        query = self.parsed
        while isinstance(query, exp.Select) and query.is_star:
            source = query.args.get("from_")
            if (
                len(query.expressions) > 1
                or query.args.get("joins")
                or source is None
                or source.this.name not in self.ctes
            ):
                raise ContractError(
                    f"{self.sql_file}: its last SELECT should name its columns, or be `select * from` one of its CTEs"
                )
            query = self.ctes[source.this.name]
        return list(query.named_selects)


def load_models(folder: Path = MODELS_DIR, *, extension: Path | None = None) -> dict[str, TableModel]:
    """Every table's model, by name.

    Args:
        folder: `<layer>/<table>.yml`, and `<table>.sql` where SQL builds the table.
        extension: another folder of the same kind, with the same layers; SQL builds all of its tables.

    Raises:
        ContractError: names the files: a contract is wrong, SQL stands without one, a table is named twice, a query
            reads an unknown table or itself, its columns are not the declared ones, or the other folder has the wrong
            structure.
    """
    models = _read(folder)
    if not models:
        raise ContractError(f"no contracts found below {folder}")
    if extension is not None:
        _refuse_misplaced(extension, sorted({model.contract.layer for model in models.values()}))
        for name, model in _read(extension).items():
            if name in models:
                raise ContractError(
                    f"{model.file}: a table {name} exists already, in {models[name].file}; choose another name"
                )
            models[name] = model
    for model in models.values():
        if unknown := [name for name in model.contract.waits_for if name not in models]:
            raise ContractError(f"{model.file} waits for {_unknown(unknown, models)}")
        if isinstance(model, SqlModel):
            _hold_against_contract(model, models)
    _refuse_circles(models)
    return models


@cache
def _statements(sql: str) -> list[exp.Expr | None]:
    """What sqlglot sees, which nobody changes: transformations work on copies."""
    return sqlglot.parse(sql, read=DIALECT)


def published_views(models: Mapping[str, TableModel]) -> dict[str, str]:
    """The SELECTs of what is published as a view, by name, each after the views that it reads.

    These are the published views of published tables. A view that reads another table is published as a table.
    """
    views = {
        name: model
        for name, model in models.items()
        if isinstance(model, SqlModel)
        and model.contract.published
        and model.contract.materialized == "view"
        and all(models[read].contract.published for read in model.dependencies)
    }
    order = TopologicalSorter({name: model.dependencies for name, model in views.items()}).static_order()
    return {name: views[name].sql for name in order if name in views}


def _read(folder: Path) -> dict[str, TableModel]:
    models: dict[str, TableModel] = {}
    for path in sorted(folder.glob("*/*.yml")):
        contract = load_contract(path)
        if contract.table in models:
            raise ContractError(
                f"{path}: a table {contract.table} exists in another layer already, in {models[contract.table].file}"
            )
        query = path.with_suffix(".sql")
        models[contract.table] = (
            SqlModel(contract, path, text_of(query)) if query.exists() else TableModel(contract, path)
        )
    if orphans := [path for path in sorted(folder.glob("*/*.sql")) if not path.with_suffix(".yml").exists()]:
        raise ContractError(f"SQL without a contract beside it: {', '.join(map(str, orphans))}")
    return models


def _refuse_misplaced(folder: Path, layers: list[str]) -> None:
    """Refuse files in a user's own folder that would not become a table.

    Raises:
        ContractError: names every file that is misplaced, misnamed or incomplete.
    """
    if not folder.is_dir():
        raise ContractError(
            f"extensions.sql: {folder} is no folder; it should hold <layer>/<table>.sql and <table>.yml"
        )
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".sql", ".yml", ".yaml")
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    if not files:
        raise ContractError(f"extensions.sql: {folder} has no <layer>/<table>.sql; layers are {', '.join(layers)}")
    if wrong := [f"{path}: {mistake}" for path in files for mistake in _mistakes(path, folder, layers)]:
        raise ContractError("\n".join(["extensions.sql:", *(f"  {line}" for line in wrong)]))


def _mistakes(path: Path, folder: Path, layers: list[str]) -> Iterator[str]:
    table = path.stem
    if path.parent.parent != folder or path.parent.name not in layers:
        yield f"should lie in {folder}/<layer>/; layers are {', '.join(layers)}"
    elif path.suffix == ".yaml":
        yield f"should be {table}.yml"
    elif not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", table):
        yield "a table's name should be of lower case letters and digits, its words joined by single underscores"
    elif table in NO_TABLES:
        yield f"{table} is something else in the graph; choose another name"
    elif path.suffix == ".yml" and not path.with_suffix(".sql").exists():
        yield f"is a contract without SQL; write {table}.sql beside it"
    elif path.suffix == ".sql" and not path.with_suffix(".yml").exists():
        yield f"is SQL without a contract; write {table}.yml beside it"


def _hold_against_contract(model: SqlModel, models: Mapping[str, TableModel]) -> None:
    # The query would be ambiguous, and a table that is read unseen would be used in spite of a failed audit.
    if hidden := sorted(name for name in model.ctes if name.lower() in models):
        raise ContractError(f"{model.sql_file}: {', '.join(hidden)} is a table; give the CTE another name")
    if unknown := [name for name in model.dependencies if name not in models]:
        raise ContractError(f"{model.sql_file} reads {_unknown(unknown, models)}")
    declared = [column.name for column in model.contract.columns]
    if model.projected_columns != declared:
        raise ContractError(
            f"{model.sql_file} projects {model.projected_columns}, {model.file.name} declares {declared}:"
            " the columns should be the same, in the same order"
        )


def _unknown(names: list[str], models: Mapping[str, TableModel]) -> str:
    """An error text about unknown tables, with the most similar known name of each."""
    return "; ".join(f"{name}: no contract of that name{did_you_mean(name, models)}" for name in names)


def _refuse_circles(models: Mapping[str, TableModel]) -> None:
    needs = {
        name: [*model.dependencies, *model.contract.waits_for]
        for name, model in models.items()
        if isinstance(model, SqlModel)
    }
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        files = ", ".join(str(models[name].file.with_suffix(".sql")) for name in dict.fromkeys(circle))
        raise ContractError(f"{files}: no table can be built from itself: {' → '.join(circle)}") from error
