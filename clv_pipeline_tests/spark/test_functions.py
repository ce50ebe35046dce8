"""The list of proven functions says neither more nor less than the models use."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.loader import DIALECT, SqlModel, load_models
from clv_pipeline.errors import ContractError
from clv_pipeline.orchestration.assets.forecasting import READINGS
from clv_pipeline.publication.report.figures import figures
from clv_pipeline.publication.report.queries import QUERIES
from clv_pipeline.spark.functions import JUDGED_HERE, PROVEN, functions_of, require_proven
from clv_pipeline.spark.translate import translate

SHOWN = {name: QUERIES[figure.query] for name, figure in figures().items() if name != "rfm"}
"""Queries of figures, which the pages of the UI show. That page of rfm has a query of its own."""


def _query(sql: str) -> exp.Query:
    query = sqlglot.parse_one(sql, read=DIALECT)
    assert isinstance(query, exp.Query)
    return query


def test_every_proven_function_is_used_and_no_other() -> None:
    models = load_models().values()
    queries = [model.parsed for model in models if isinstance(model, SqlModel) and model.name != JUDGED_HERE]
    for expectation in (stated for model in models for stated in model.contract.expectations):
        asked = (expectation.kwargs.get("unexpected_rows_query"), expectation.shows)
        queries += [_query(sql.replace("{batch}", "batch")) for sql in asked if sql is not None]
    queries += [_query(reading.format(scored="scored")) for reading in READINGS.values()]
    queries += [_query(sql) for sql in SHOWN.values()]
    used = {name for query in queries for name in functions_of(query, DIALECT)}
    # Samples are drawn by the md5 of customers (warehouse/model_inputs.py).
    assert used | {"md5"} == PROVEN


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_what_is_read_of_scored_paths_uses_proven_functions_only(reading: str) -> None:
    assert functions_of(_query(reading.format(scored="scored")), DIALECT) <= PROVEN


@pytest.mark.parametrize("query", SHOWN.values(), ids=SHOWN)
def test_figures_can_be_asked_of_spark(query: str) -> None:
    schema = {
        table: {column.name: column.type for column in model.contract.columns} for table, model in load_models().items()
    }
    assert translate(query, schema)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select a + 1 as b, a and b or not c, a like 'x' from t", set()),
        ("select case when a > 1 then upper(b) end from t", {"upper"}),
        (
            "select string_agg(a, ',' order by a) filter (where list_contains(b, a)) from t",
            {"listagg", "array_contains"},
        ),
        (
            "select a::date, sum(b) over (order by a) from t qualify rank() over (order by a) = 1",
            {"cast", "sum", "rank"},
        ),
        (
            "select my_own(a) from (select unnest(b) as a from t) where exists (select 1 from t)",
            {"my_own", "unnest", "exists"},
        ),
    ],
)
def test_functions_are_found_wherever_they_are_called(sql: str, names: set[str]) -> None:
    query = sqlglot.parse_one(sql, read=DIALECT)
    assert isinstance(query, exp.Query)
    assert functions_of(query, DIALECT) == names


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("select levenshtein(a, '1') as b from t", "t.sql uses levenshtein"),
        ("select my_own(a) as b from t", "add it to"),
    ],
)
def test_a_function_that_is_not_proven_is_refused_on_spark(sql: str, named: str) -> None:
    contract = next(iter(load_models().values())).contract.model_copy(update={"table": "t"})
    with pytest.raises(ContractError, match=named):
        require_proven({"t": SqlModel(contract, Path("t.yml"), sql)})
    require_proven({"t": SqlModel(contract, Path("t.yml"), "select greatest(a, 1) as b from t")})
