"""Queries for Spark: all models have one, and what cannot be translated is refused.

That they give the same rows is proven on Spark itself, in acceptance/test_spark_parity.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.contracts import ContractError
from clv_pipeline.sql_models import SqlModel, load_models, spark_sql
from clv_pipeline_tests.sql_models.test_loader import CONTRACT, add

MODELS = load_models()


@pytest.mark.parametrize(
    "model", [model for model in MODELS.values() if isinstance(model, SqlModel)], ids=lambda m: m.name
)
def test_every_model_has_an_exact_query_for_spark(model: SqlModel) -> None:
    query = spark_sql(model, MODELS)
    assert query.startswith("WITH")
    # Approximations are exact on a few thousand rows, so that the parity test would not see them.
    assert "APPROX" not in query


def translated(folder: Path, expression: str) -> str:
    (folder / "layer").mkdir()
    (folder / "layer" / "source.yml").write_text(CONTRACT.format(second="value"), encoding="utf-8")
    add(folder, "derived", f"select id, cast({expression} as integer) as doubled from source")
    models = load_models(folder)
    derived = models["derived"]
    assert isinstance(derived, SqlModel)
    return spark_sql(derived, models)


@pytest.mark.parametrize(
    ("expression", "for_spark"),
    [
        ("hash(value)", "XXHASH64(`source`.`value`)"),
        ("median(value) over ()", "PERCENTILE(`source`.`value`, 0.5) OVER ()"),
        (
            "quantile_disc(value, 0.2)",
            "CAST(PERCENTILE_DISC(0.2) WITHIN GROUP (ORDER BY `source`.`value` NULLS LAST) AS INT)",
        ),
        ("avg(cast(value as decimal(9, 2)))", "AVG(CAST(CAST(`source`.`value` AS DECIMAL(9, 2)) AS DOUBLE))"),
        (
            "cast(exp(value) as decimal(9, 2))",
            "CAST(CAST(ROUND((EXP(`source`.`value`)) * 1E2) AS BIGINT) * 0.01 AS DECIMAL(9, 2))",
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
        ("cast(exp(value) as decimal(38, 2))", "no 38 digits"),
        ("cast(arg_min(value, id) as decimal(9, 2))", "a cast would say it"),
    ],
)
def test_what_cannot_be_translated_is_refused(tmp_path: Path, expression: str, named: str) -> None:
    with pytest.raises(ContractError, match=rf"derived\.sql cannot be translated for Spark: .*{named}"):
        translated(tmp_path, expression)
