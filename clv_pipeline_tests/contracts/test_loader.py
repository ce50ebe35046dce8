"""Models are understood by parsing, and mistakes are found when they are loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_pipeline.contracts.lineage import column_lineage
from clv_pipeline.contracts.loader import SqlModel, load_models
from clv_pipeline.errors import ContractError
from clv_pipeline_tests.helpers.contract_files import CONTRACT, add


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "source.yml").write_text(CONTRACT.format(second="value"), encoding="utf-8")
    return tmp_path


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
    with pytest.raises(ContractError, match=r"other/source\.yml: .* another layer already, in .*layer/source\.yml"):
        load_models(folder)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select * from source", r"derived\.sql: its last SELECT should name its columns"),
        ("with a as (select id, value from source) select *, 1 as doubled from a", "should name its columns"),
        ("select *", "should name its columns"),
        (
            "with source as (select id, value as doubled from source) select * from source",
            "source is a table; give the",
        ),
        ("select id, doubled from read_csv('x.csv')", r"derived\.sql reads READ_CSV\('x\.csv'\): no contract"),
        ("select id, value as doubled from sourse", r"derived\.sql reads sourse: .*; did you mean 'source'\?"),
        ("select id, doubled from derived", "no table can be built from itself: derived → derived"),
    ],
)
def test_a_query_of_which_it_cannot_be_told_what_it_reads_or_gives_is_refused(
    folder: Path, sql: str, told: str
) -> None:
    add(folder, "derived", sql)
    with pytest.raises(ContractError, match=told):
        load_models(folder)


def test_text_that_is_not_utf_8_is_told_with_its_file(folder: Path) -> None:
    add(folder, "derived", "select id, value as doubled from source")
    (folder / "layer" / "derived.sql").write_bytes(b"-- gr\xfc\xdfe")
    with pytest.raises(ContractError, match=r"derived\.sql: should be UTF-8 text"):
        load_models(folder)


@pytest.fixture
def own(folder: Path) -> Path:
    """A folder of one's own beside `folder`, with a table that reads one of it."""
    own = folder / "own"
    (own / "layer").mkdir(parents=True)
    add(own, "mine", "select id, value as doubled from source")
    return own


def test_a_folder_of_ones_own_adds_tables(folder: Path, own: Path) -> None:
    add(own, "further", "select id, doubled from mine")
    models = load_models(folder, extension=own)
    assert list(models) == ["source", "further", "mine"]
    further = models["further"]
    assert isinstance(further, SqlModel)
    assert further.sql_file == own / "layer" / "further.sql"
    assert column_lineage(further, models) == {"id": [("mine", "id")], "doubled": [("mine", "doubled")]}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("layer/source.sql", r"own/layer/source\.yml: a table source exists already, in .*layer/source\.yml"),
        ("lair/other.sql", r"own/lair/other\.sql: should lie in .*own/<layer>/; layers are layer"),
        ("other.sql", r"own/other\.sql: should lie in"),
        ("layer/deeper/other.sql", r"own/layer/deeper/other\.yml: should lie in"),
        ("layer/My-table.sql", "a table's name should be of lower case letters"),
        ("layer/mine__staged.sql", "a table's name should be of lower case letters"),
        ("layer/published_marts.sql", "published_marts is something else in the graph"),
    ],
)
def test_a_table_that_cannot_be_added_is_told_with_its_file(folder: Path, own: Path, name: str, told: str) -> None:
    path = own / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("select id, value as doubled from source", encoding="utf-8")
    path.with_suffix(".yml").write_text(CONTRACT.format(second="doubled"), encoding="utf-8")
    with pytest.raises(ContractError, match=told):
        load_models(folder, extension=own)


def test_half_a_table_is_told_with_its_file_and_every_mistake_at_once(folder: Path, own: Path) -> None:
    for name in ("layer/alone.sql", "layer/empty.yml", "layer/spelt.yaml", ".git/config.yml"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_text("", encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_models(folder, extension=own)
    assert str(caught.value).splitlines() == [
        "extensions.sql:",
        f"  {own}/layer/alone.sql: is SQL without a contract; write alone.yml beside it",
        f"  {own}/layer/empty.yml: is a contract without SQL; write empty.sql beside it",
        f"  {own}/layer/spelt.yaml: should be spelt.yml",
    ]


def test_a_folder_that_is_not_there_or_has_no_table_is_told(folder: Path) -> None:
    with pytest.raises(ContractError, match=r"extensions\.sql: .*nowhere is no folder; it should hold <layer>/<table>"):
        load_models(folder, extension=folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(ContractError, match=r"empty has no <layer>/<table>\.sql; layers are layer"):
        load_models(folder, extension=folder / "empty")


def test_tables_that_read_each_other_in_a_circle_are_refused(folder: Path, own: Path) -> None:
    add(own, "mine", "select id, doubled from yours")
    add(own, "yours", "select id, doubled from mine")
    with pytest.raises(ContractError, match=r"own/layer/mine\.sql.*no table can be built from itself: .*mine → yours"):
        load_models(folder, extension=own)


def test_every_column_of_the_pipeline_can_be_traced() -> None:
    models = load_models()
    for model in models.values():
        if isinstance(model, SqlModel):
            lineage = column_lineage(model, models)
            assert list(lineage) == [column.name for column in model.contract.columns]
            for sources in lineage.values():
                for table, column in sources:
                    assert column in [c.name for c in models[table].contract.columns]
