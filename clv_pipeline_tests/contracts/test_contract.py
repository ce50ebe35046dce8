"""A contract file either says everything, or the error says what to correct."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from clv_pipeline.contracts import load_contract
from clv_pipeline.contracts.expectations import installed, known
from clv_pipeline.contracts.loader import MODELS_DIR, load_models
from clv_pipeline.errors import ContractError
from clv_pipeline_tests.helpers.contract_files import CONTRACT

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
TABLES = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"

GOOD = """
description: One row per thing.
grain: thing
key: [id]
columns:
  - name: id
    type: INTEGER
    description: The thing.
expectations:
  - name: id_not_null
    type: expect_column_values_to_not_be_null
    kwargs: {column: id}
    description: Things have ids.
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "layer" / "things.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_table_and_layer_come_from_the_path(tmp_path: Path) -> None:
    contract = load_contract(write(tmp_path, GOOD))
    assert (contract.table, contract.layer) == ("things", "layer")
    assert contract.expectations[0].severity == "error"
    assert not contract.published


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (GOOD.replace("grain: thing", ""), "grain"),
        (GOOD.replace("grain:", "grian:"), "grian"),
        (GOOD.replace("key: [id]", "key: [idd]"), "idd"),
        (GOOD.replace("name: id_not_null", "name: columns_match_contract"), "columns_match_contract"),
        (GOOD.replace("name: id_not_null", "name: ID not null"), "expectations[0].name"),
        (
            GOOD + GOOD[GOOD.index("  - name: id_not_null") :],
            "named twice: id_not_null",
        ),
        (
            GOOD + GOOD[GOOD.index("expectations:") :],
            "line 14, column 1: not valid YAML: the key 'expectations' is written twice",
        ),
        (GOOD.replace("to_not_be_null", "to_not_be_nul"), "did you mean 'expect_column_values_to_not_be_null'"),
        (GOOD.replace("{column: id}", "{colum: id}"), "takes no 'colum'; did you mean 'column'"),
        (GOOD.replace("type: INTEGER", "tpye: INTEGER"), "columns[0].tpye: unknown key; did you mean 'type'?"),
        (GOOD.replace("{column: id}", "{}"), "expect_column_values_to_not_be_null needs 'column'"),
        (GOOD + "table: other\n", "taken from the path"),
        ("description: [unclosed", "line 1, column 23: not valid YAML"),
        ("", "description: is missing"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, broken: str, named: str) -> None:
    path = write(tmp_path, broken)
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)


def test_the_hash_follows_what_is_promised_and_not_the_wording(tmp_path: Path) -> None:
    original = load_contract(write(tmp_path, GOOD)).hash
    assert load_contract(write(tmp_path, GOOD.replace("One row per thing", "Things"))).hash == original
    assert load_contract(write(tmp_path, GOOD + "    shows: select 'more'\n")).hash == original
    assert load_contract(write(tmp_path, GOOD.replace("INTEGER", "BIGINT"))).hash != original
    assert load_contract(write(tmp_path, GOOD.replace("not_be_null", "be_unique"))).hash != original


def test_a_unit_is_one_of_the_known(tmp_path: Path) -> None:
    in_days = load_contract(write(tmp_path, GOOD.replace("type: INTEGER", "type: INTEGER\n    unit: days")))
    assert in_days.columns[0].unit == "days"
    with pytest.raises(ContractError, match=r"columns\[0\]\.unit: no unit 'dayz'; units are currency, days, "):
        load_contract(write(tmp_path, GOOD.replace("type: INTEGER", "type: INTEGER\n    unit: dayz")))


def test_a_column_whose_description_tells_of_null_may_be_null(tmp_path: Path) -> None:
    assert not load_contract(write(tmp_path, GOOD)).columns[0].nullable
    assert load_contract(write(tmp_path, GOOD.replace("The thing.", "NULL where unknown."))).columns[0].nullable


def test_what_great_expectations_knows_is_what_is_installed() -> None:
    assert known() == installed()


def crowded(contract: str) -> list[str]:
    """Columns and expectations that are written between braces, and lines that are too long."""
    root = yaml.compose(contract)
    assert isinstance(root, yaml.MappingNode)
    parts = {key.value: value for key, value in root.value}
    items = [*parts["columns"].value, *parts["expectations"].value]
    lines = contract.splitlines()
    return [
        *(lines[item.start_mark.line] for item in items if item.flow_style),
        *(line for line in lines if len(line) > 120),
    ]


def contracts_shown(page: Path) -> list[str]:
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [block for block in blocks if "\ncolumns:\n" in block]


def test_every_column_and_expectation_is_a_block_of_its_own() -> None:
    files = sorted(MODELS_DIR.glob("*/*.yml"))
    pages = [HOW_TO / "add-a-table.md", HOW_TO / "add-a-table-to-the-clone.md"]
    shown = [contract for page in pages for contract in contracts_shown(page)]
    assert len(shown) == len(pages)
    contracts = [GOOD, CONTRACT.format(second="value"), *shown, *(file.read_text(encoding="utf-8") for file in files)]
    assert [line for contract in contracts for line in crowded(contract)] == []


def test_a_crowded_contract_is_found() -> None:
    column = "  - {name: other, type: INTEGER, description: Another.}"
    long = f"    description: {'The thing. ' * 10}"
    text = GOOD.replace("    description: The thing.", f"{long}\n{column}")
    assert crowded(text) == [column, long]


def test_a_key_that_an_error_check_holds_unique_is_a_primary_key() -> None:
    published = {name: model.contract for name, model in load_models().items() if model.contract.published}
    without = {name for name, contract in published.items() if not contract.primary_key}
    # Returns that exceed all purchases have no day, some measures no horizon, all channels no name, some days no hours;
    # one is one row.
    without_a_value = {"matched_returns", "drift", "acquisition_value", "acquisition_backtest", "order_hours"}
    assert without == {*without_a_value, "publication"}
    [told] = re.findall(r"([^.]*) have no primary key", TABLES.read_text(encoding="utf-8"))
    assert set(re.findall(r"`(\w+)`", told)) == without_a_value, "docs/reference/tables.md names them"
    assert published["fact_customer_month"].primary_key == ["customer_id", "calendar_month"]
    assert published["dim_customer"].not_null == ["customer_id"]
    assert "revenue" not in published["rfm"].not_null


def test_published_columns_of_one_name_have_one_type() -> None:
    types: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, model in load_models().items():
        if model.contract.published:
            for column in model.contract.columns:
                types[column.name][column.type].append(name)
    assert {name: dict(found) for name, found in types.items() if len(found) > 1} == {}
