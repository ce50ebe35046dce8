"""Imports run one way, statistics know no engine, and nothing heavy is imported at the top of a module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "clv_pipeline"
MODULES = sorted(PACKAGE.rglob("*.py"))
PURE = ("segmentation", "forecasting", "evaluation", "insights", "simulation")
DAGSTER_MAY_BE_SPOKEN = ("assets", "automation.py", "definitions.py", "instance.py", "monitoring.py", "runner.py")
HEAVY = {
    *("great_expectations", "sklearn", "lifetimes", "scipy", "altair", "vl_convert", "pandas"),
    *("jax", "equinox", "optax"),
}

ALLOWED = {
    "contracts": {"contracts"},
    "sql_models": {"sql_models", "contracts"},
    "quality": {"quality", "contracts", "sql_text"},
    "sources": {"sources", "connections", "config", "sql_text"},
    "warehouse": {
        *("warehouse", "connections", "file_modes", "keyed_hash", "sql_text"),
        *("quality", "contracts", "forecasting", "sql_models"),
    },
    "segmentation": {"segmentation"},
    "forecasting": {"forecasting"},
    "evaluation": {"evaluation", "forecasting"},
    "insights": {"insights"},
    "report": {"report", "insights", "connections", "warehouse"},
    "simulation": {"simulation"},
    "data_dictionary.py": {"contracts", "sql_models"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names that a module imports, type-checking imports left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = [
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    ]
    nodes = tree.body if top_level_only else [node for node in ast.walk(tree) if node not in typing_only]
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    found = imports(path)
    if room(path) in ALLOWED:
        own = {name.split(".")[1] for name in found if name.startswith("clv_pipeline.")}
        assert own <= ALLOWED[room(path)]
    if room(path) not in DAGSTER_MAY_BE_SPOKEN:
        assert not {name for name in found if name.split(".")[0] == "dagster"}
    if room(path) in PURE:
        assert "duckdb" not in found
    assert not HEAVY & {name.split(".")[0] for name in imports(path, top_level_only=True)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_with_its_charter(path: Path) -> None:
    charter = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert charter
    assert len(charter) > 40
