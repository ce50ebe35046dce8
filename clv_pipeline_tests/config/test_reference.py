"""The reference and the schema of clv.yaml are those of the code, and the schema judges as the pipeline does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from clv_pipeline.cli.commands import main
from clv_pipeline.cli.config_text import schema_line
from clv_pipeline.config.block import Block
from clv_pipeline.config.reference import DOCUMENT, SCHEMA, as_markdown, attribute_docstrings, json_schema, schema_text
from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError
from clv_pipeline_tests.config.files import MINIMAL, load, with_block

EXAMPLES = [Path(__file__).parents[2] / "examples" / "online_retail_ii.yaml", SCHEMA.with_name("default_clv.yaml")]


def complaints(text: str) -> list[str]:
    # Dates are texts to an editor, which reads YAML 1.2.
    content = json.loads(json.dumps(yaml.safe_load(text), default=str))
    validator = jsonschema.Draft7Validator(json_schema(), format_checker=jsonschema.FormatChecker())
    return [error.json_path for error in validator.iter_errors(content)]


def test_the_files_are_as_the_code_says() -> None:
    hint = "run `make configuration`"
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), hint
    assert DOCUMENT.read_text(encoding="utf-8") == as_markdown(), hint


def test_every_key_is_described_and_has_a_row() -> None:
    rows = re.findall(r"^\| \[?`([^`]+)`\S* \| ([^|]+) \| ([^|]*) \| (.+) \|$", as_markdown(), flags=re.MULTILINE)
    described = {key: text for key, _, _, text in rows}
    assert all(described.values())

    def keys(block: Any, prefix: str) -> set[str]:
        found = set()
        for name, node in block["properties"].items():
            found.add(prefix + name)
            below = [choice["$ref"] for choice in (node, *node.get("anyOf", [])) if "$ref" in choice]
            if below:
                found |= keys(schema["$defs"][below[0].rpartition("/")[2]], f"{prefix}{name}.")
        return found

    schema = json_schema()
    # The keys of the other sources are said to be those of the transactions.
    others = ("source.customers.", "source.events.", "source.costs.")
    assert {key for key in keys(schema, "") if not key.startswith(others)} == set(described)
    assert all(node["description"] for block in schema["$defs"].values() for node in block["properties"].values())


def test_what_is_said_of_a_block_is_told_whole() -> None:
    """Also what its columns mean, which have no key of their own."""
    text = DOCUMENT.read_text(encoding="utf-8")
    part = text[text.index("## `source.transactions`\n") : text.index("## `source.transactions.table`\n")]
    assert "`cost` is what the whole line cost the shop" in part
    assert "`channel` of a customer's first purchase says where the customer came from" in part


def test_the_text_below_a_field_is_its_description() -> None:
    class Described(Block):
        told: int = 1
        """What it is."""
        untold: int = 2

    class More(Described):
        further: int = 3
        """Over
        two lines."""

    assert attribute_docstrings(More) == {"told": "What it is.", "further": "Over two lines."}


def test_types_and_defaults_are_in_words() -> None:
    text = as_markdown()
    for row in (
        "| `cleaning.returns` | `net` or `drop` | `net` |",
        "| `forecast.horizons_days` | list of whole numbers, above 0, at most 3653, not empty | `[30, 90, 180, 365]` |",
        "| `source.transactions.path` | text or list of texts |",
        "| `alerts.email.from` | text | required |",
        "| `storage.memory_gb` | number, above 0 | none |",
        "| [`storage.spark`](#storagespark) | block |",
    ):
        assert row in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_shipped_configurations_are_right_by_the_schema(path: Path) -> None:
    assert complaints(path.read_text(encoding="utf-8")) == []


RIGHT: list[dict[str, Any]] = [
    {"forecast": {"as_of": "2011-09-01", "margin": "${MARGIN:-0.5}", "horizons_days": ["${DAYS:-30}", 90]}},
    {
        "alerts": {
            "webhook": "${CLV_ALERT_WEBHOOK:-}",
            "email": {"to": "a@example.com", "from": "b@example.com", "host": "h"},
        }
    },
    {"backtest": {"cutoffs": ["2011-03-09"]}, "gates": {"rows": "${ROWS:-warn}"}, "campaign": None},
]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"cleening": {}}, "$"),
    ({"forecast": {"margin": 3}}, "$.forecast.margin"),
    ({"forecast": {"as_of": "yesterday"}}, "$.forecast.as_of"),
    ({"cleaning": {"returns": "keep"}}, "$.cleaning.returns"),
    ({"cleaning": {"exclude_products": [85123]}}, "$.cleaning.exclude_products[0]"),
    ({"models": []}, "$.models"),
]


@pytest.mark.parametrize("blocks", RIGHT)
def test_what_the_pipeline_takes_is_right_by_the_schema(tmp_path: Path, blocks: dict[str, Any]) -> None:
    load(tmp_path, with_block(**blocks))
    assert complaints(with_block(**blocks)) == []


@pytest.mark.parametrize(("blocks", "where"), WRONG)
def test_what_the_pipeline_refuses_is_wrong_by_the_schema(tmp_path: Path, blocks: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, with_block(**blocks))
    assert complaints(with_block(**blocks)) == [where]


def test_init_writes_a_line_that_leads_to_the_schema(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("customer,date,amount\nann,2024-01-05,7.00\n")
    assert CliRunner().invoke(main, ["init", "orders.csv"]).exit_code == 0
    text = (tmp_path / "clv.yaml").read_text()
    first = text.splitlines()[0]
    assert first == f"# yaml-language-server: $schema={SCHEMA.as_uri()}"
    assert complaints(text) == []
    assert Settings.load().config_file == tmp_path / "clv.yaml"


def test_the_line_is_relative_where_the_package_lies_below() -> None:
    assert schema_line(SCHEMA.parents[1]) == "# yaml-language-server: $schema=config/clv_schema.json"


def test_the_minimal_configuration_is_enough() -> None:
    assert complaints(MINIMAL) == []
    assert complaints("cleaning: {}") == ["$"]
