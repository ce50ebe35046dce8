"""Queries for Spark: all models have one, and what cannot be translated is refused.

That they give the same rows is proven on Spark itself, in acceptance/test_spark_parity.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from clv_pipeline.contracts.loader import SqlModel, TableModel, load_models
from clv_pipeline.errors import ContractError
from clv_pipeline.spark.functions import JUDGED_HERE
from clv_pipeline.spark.translate import translate
from clv_pipeline_tests.helpers.contract_files import CONTRACT, add

MODELS = load_models()


@pytest.mark.parametrize(
    "model",
    [model for model in MODELS.values() if isinstance(model, SqlModel) and model.name != JUDGED_HERE],
    ids=lambda m: m.name,
)
def test_every_model_has_an_exact_query_for_spark(model: SqlModel) -> None:
    query = model_for_spark(model, MODELS)
    assert query.startswith("WITH")
    # Approximations are exact on a few thousand rows, so that the parity test would not see them.
    assert "APPROX" not in query


def model_for_spark(model: SqlModel, models: Mapping[str, TableModel]) -> str:
    schema = {name: declared(models[name]) for name in model.dependencies}
    return translate(model.sql, schema, columns=declared(model))


def declared(model: TableModel) -> dict[str, str]:
    return {column.name: column.type for column in model.contract.columns}


def translated(folder: Path, expression: str) -> str:
    (folder / "layer").mkdir()
    (folder / "layer" / "source.yml").write_text(CONTRACT.format(second="value"), encoding="utf-8")
    add(folder, "derived", f"select id, cast({expression} as integer) as doubled from source")
    models = load_models(folder)
    derived = models["derived"]
    assert isinstance(derived, SqlModel)
    return model_for_spark(derived, models)


@pytest.mark.parametrize(
    ("expression", "for_spark"),
    [
        (
            "cast(value as decimal(9, 2)) / id",
            "CAST(CAST(`source`.`value` AS DECIMAL(9, 2)) AS DOUBLE) / `source`.`id`",
        ),
        ("1 / id / 2", "CAST(CAST(1 AS DOUBLE) / `source`.`id` AS DOUBLE) / 2"),
        ("isfinite(exp(value))", "ABS(EXP(`source`.`value`)) < CAST('Infinity' AS DOUBLE)"),
        ("hash(value)", "XXHASH64(`source`.`value`)"),
        ("median(value) over ()", "PERCENTILE(`source`.`value`, 0.5) OVER ()"),
        (
            "quantile_disc(value, 0.2)",
            "CAST(PERCENTILE_DISC(0.2) WITHIN GROUP (ORDER BY `source`.`value` NULLS LAST) AS INT)",
        ),
        ("avg(cast(value as decimal(9, 2)))", "AVG(CAST(CAST(`source`.`value` AS DECIMAL(9, 2)) AS DOUBLE))"),
        (
            "cast(exp(value) as decimal(9, 2))",
            "CAST(CAST(CAST(ROUND((EXP(`source`.`value`)) * 1E2) AS BIGINT) AS DECIMAL(19, 0)) * 0.01"
            " AS DECIMAL(9, 2))",
        ),
        (
            "try_cast(exp(value) as decimal(9, 2))",
            "CASE WHEN ABS(ROUND((EXP(`source`.`value`)) * 1E2)) < 1E9"
            " THEN CAST(CAST(CAST(ROUND((EXP(`source`.`value`)) * 1E2) AS BIGINT) AS DECIMAL(19, 0)) * 0.01"
            " AS DECIMAL(9, 2)) END",
        ),
        ("cast(null as decimal(9, 2))", "CAST(NULL AS DECIMAL(9, 2))"),
        (
            "cast(exp(value) as decimal(28, 2))",
            "CASE WHEN ABS(ROUND((EXP(`source`.`value`)) * 1E2)) >= 9E18"
            " AND ABS(ROUND((EXP(`source`.`value`)) * 1E2)) < 1E38"
            " THEN CAST(EXP(`source`.`value`) AS DECIMAL(28, 2))"
            " ELSE CAST(CAST(CAST(ROUND((EXP(`source`.`value`)) * 1E2) AS BIGINT) AS DECIMAL(19, 0)) * 0.01"
            " AS DECIMAL(28, 2)) END",
        ),
    ],
)
def test_what_means_something_else_on_spark_is_corrected(tmp_path: Path, expression: str, for_spark: str) -> None:
    assert "".join(for_spark.split()) in "".join(translated(tmp_path, expression).split())


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("printf('%d', value)", "PRINTF"),
        ("try_cast(cast(value as varchar) as date)", "what texts"),
        ("cast(arg_min(value, id) as decimal(9, 2))", "a cast would say it"),
    ],
)
def test_what_cannot_be_translated_is_refused(tmp_path: Path, expression: str, named: str) -> None:
    with pytest.raises(ContractError, match=rf"cannot be translated for Spark .*{named}"):
        translated(tmp_path, expression)


SCHEMA = {
    "sales": {"id": "VARCHAR", "day": "DATE", "amount": "DECIMAL(18,4)"},
    "days": {"day": "DATE", "note": "VARCHAR"},
}


def for_spark(query: str, parameters: Any = ()) -> str:
    """On one line and without backticks."""
    return " ".join(translate(query, SCHEMA, parameters).replace("`", "").split())


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (-3, "-3"),
        (0.1, "CAST('0.1' AS DOUBLE)"),
        (float("inf"), "CAST('inf' AS DOUBLE)"),
        (Decimal("-1.50"), "CAST('-1.50' AS DECIMAL(3, 2))"),
        (Decimal("1E+3"), "CAST('1000' AS DECIMAL(4, 0))"),
        (Decimal("0.001"), "CAST('0.001' AS DECIMAL(4, 3))"),
        (date(2024, 2, 29), "CAST('2024-02-29' AS DATE)"),
        (datetime(2024, 2, 29, 1, 2, 3, 45), "CAST('2024-02-29 01:02:03.000045' AS TIMESTAMP_NTZ)"),
        ([date(2024, 1, 1), None], "ARRAY(CAST('2024-01-01' AS DATE), NULL)"),
        ([], "ARRAY()"),
        ("it's", r"'it\'s'"),
        ("\\' or 1 = 1 --", r"'\\\' or 1 = 1 --'"),
    ],
)
def test_a_parameter_becomes_a_literal(value: object, literal: str) -> None:
    assert for_spark("select ? as a", [value]) == f"SELECT {literal} AS a"


def test_parameters_keep_the_order_of_the_text() -> None:
    query = "with few as (select * replace (if(id = ?, '?', ?) as id) from sales) select ? as b from few limit ?"
    translated = for_spark(query, [1, 2, 3, 4])
    assert "IF(sales.id = 1, '?', 2) AS id" in translated
    assert translated.endswith("SELECT 3 AS b FROM few AS few LIMIT 4")


def test_parameters_may_have_names_and_numbers() -> None:
    assert for_spark("select $a as b, $b as a, $a as c", {"a": 1, "b": 2}) == "SELECT 1 AS b, 2 AS a, 1 AS c"
    assert for_spark("select $2 as b, $1 as a", [1, 2]) == "SELECT 2 AS b, 1 AS a"
    parsed = sqlglot.parse_one("select $a as b", read="duckdb")
    assert isinstance(parsed, exp.Query)
    assert translate(parsed, {}, {"a": 1}).split() == ["SELECT", "1", "AS", "`b`"]
    assert parsed.find(exp.Placeholder)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "select sales.id from sales cross join days qualify sales.day = max(sales.day)"
            " filter (where sales.day < days.day) over () order by sales.amount limit 1",
            "SELECT id AS id FROM ( SELECT sales.id AS id, sales.amount AS _order_0, sales.day = MAX(CASE WHEN"
            " sales.day < days.day THEN sales.day END) OVER () AS _qualifies FROM sales AS sales CROSS JOIN days AS"
            " days ) AS _unqualified WHERE _qualifies ORDER BY _order_0 NULLS LAST LIMIT 1",
        ),
        (
            "select distinct s.id, day from sales as s order by s.id desc, s.day",
            "SELECT DISTINCT s.id AS id, s.day AS day FROM sales AS s ORDER BY id DESC, day NULLS LAST",
        ),
        (
            "select day, id from sales union all by name select note, day from days",
            "SELECT day AS day, id AS id, NULL AS note FROM ( SELECT sales.day AS day, sales.id AS id FROM sales"
            " AS sales ) AS _side UNION ALL SELECT day AS day, NULL AS id, note AS note FROM ( SELECT days.note AS"
            " note, days.day AS day FROM days AS days ) AS _side",
        ),
        (
            "select 1 + (day - date '2024-01-01') as n from days",
            "SELECT 1 + ( DATEDIFF(days.day, CAST('2024-01-01' AS DATE)) ) AS n FROM days AS days",
        ),
        (
            "select id from sales where day = any (select day from days where note > 'a')",
            "SELECT sales.id AS id FROM sales AS sales WHERE sales.day IN ( SELECT days.day AS day FROM days AS days"
            " WHERE days.note > 'a' )",
        ),
        (
            "select count(id) filter (where amount > 1) over (partition by day) as n from sales",
            "SELECT COUNT(CASE WHEN sales.amount > 1 THEN sales.id END) OVER (PARTITION BY sales.day) AS n FROM sales"
            " AS sales",
        ),
        (
            "select date_trunc('month', day) as m from days semi join sales using (day)",
            "SELECT CAST(DATE_TRUNC('MONTH', days.day) AS TIMESTAMP_NTZ) AS m FROM days AS days SEMI JOIN sales"
            " AS sales ON days.day = sales.day",
        ),
    ],
)
def test_other_queries_are_translated_too(query: str, expected: str) -> None:
    assert for_spark(query) == expected


@pytest.mark.parametrize(
    ("query", "parameters", "named"),
    [
        ("select 1; select 2", [], "exactly one SELECT"),
        ("drop table sales", [], "exactly one SELECT"),
        ("select ? as a", [], "no value is given for a parameter .*: 1"),
        ("select 1 as a", [1], "not used: 1"),
        ("select $a as a", {"b": 1}, "a, b"),
        ("select ? as a", [b"x"], "bytes"),
        ("select list(distinct id) as a from sales", [], "array_agg: not proven"),
        ("select soundex(id) as a from sales", [], "soundex: not proven"),
        ("select nothing from sales", [], "nothing"),
        (
            "select sales.*, note from sales inner join days using (day) qualify count(*) over (partition by day) = 1",
            [],
            "day of more than one table",
        ),
    ],
)
def test_a_query_that_cannot_be_translated_is_refused(query: str, parameters: Any, named: str) -> None:
    with pytest.raises(ContractError, match=named):
        for_spark(query, parameters)
