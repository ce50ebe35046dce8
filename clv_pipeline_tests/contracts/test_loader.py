"""Models are understood by parsing, and mistakes are found when they are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.contracts.lineage import column_lineage
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.errors import ContractError

CONTRACT = """
description: A table.
grain: id
key: [id]
columns:
  - {{name: id, type: INTEGER, description: Id.}}
  - {{name: {second}, type: INTEGER, description: Second.}}
expectations:
  - {{name: has_rows, type: expect_table_row_count_to_be_between, kwargs: {{min_value: 1}}, description: Rows.}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "source.yml").write_text(CONTRACT.format(second="value"), encoding="utf-8")
    return tmp_path


def add(folder: Path, name: str, sql: str, second: str = "doubled") -> None:
    (folder / "layer" / f"{name}.yml").write_text(CONTRACT.format(second=second), encoding="utf-8")
    (folder / "layer" / f"{name}.sql").write_text(sql, encoding="utf-8")


def test_dependencies_and_columns_come_from_the_query(folder: Path) -> None:
    add(
        folder,
        "derived",
        "with rows_in as (select * from source),"
        " final as (select id, value * 2 as doubled from rows_in) select * from final",
    )
    models = load_models(folder)
    derived = models["derived"]
    assert isinstance(derived, SqlModel)
    assert derived.dependencies == ["source"]
    assert derived.projected_columns == ["id", "doubled"]
    assert column_lineage(derived, models) == {"id": [("source", "id")], "doubled": [("source", "value")]}


@pytest.mark.parametrize(
    ("sql", "second", "named"),
    [
        ("select id, value as doubled from sauce", "doubled", "sauce"),
        ("select id, value as doubled from source", "trebled", "trebled"),
        ("select value as doubled, id from source", "doubled", "projects"),
        ("select id, (value from source", "doubled", "cannot be parsed"),
        ("select 1; select 2", "doubled", "exactly one SELECT"),
        ("drop table source", "doubled", "exactly one SELECT"),
    ],
)
def test_a_mistake_is_an_error_that_names_it(folder: Path, sql: str, second: str, named: str) -> None:
    add(folder, "derived", sql, second)
    with pytest.raises(ContractError, match="derived") as caught:
        load_models(folder)
    assert named in str(caught.value)


def test_a_table_cannot_wait_for_one_that_does_not_exist(folder: Path) -> None:
    add(folder, "derived", "select id, value as doubled from source")
    with (folder / "layer" / "derived.yml").open("a") as contract:
        contract.write("waits_for: [source, gaet]\n")
    with pytest.raises(ContractError, match=r"derived\.yml waits for gaet: no contract of that name"):
        load_models(folder)


def test_sql_without_a_contract_is_refused(folder: Path) -> None:
    (folder / "layer" / "orphan.sql").write_text("select 1", encoding="utf-8")
    with pytest.raises(ContractError, match="orphan"):
        load_models(folder)


def test_a_table_in_two_layers_is_refused(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "source.yml").write_text(CONTRACT.format(second="value"), encoding="utf-8")
    with pytest.raises(ContractError, match="another layer"):
        load_models(folder)


def test_every_column_of_the_pipeline_can_be_traced() -> None:
    models = load_models()
    for model in models.values():
        if isinstance(model, SqlModel):
            lineage = column_lineage(model, models)
            assert list(lineage) == [column.name for column in model.contract.columns]
            for sources in lineage.values():
                for table, column in sources:
                    assert column in [c.name for c in models[table].contract.columns]
