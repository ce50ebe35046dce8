"""What every module of the package has, and what tests may import.

Which way imports run in the package is held by import-linter (pyproject.toml).
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from clv_pipeline.contracts.loader import SqlModel, load_models

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "clv_pipeline"
TESTS = ROOT / "clv_pipeline_tests"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_opens_with_its_charter(path: Path) -> None:
    charter = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert charter
    assert len(charter) > 40


def test_no_module_lies_loose_but_three() -> None:
    loose = {path.name for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__.py", "definitions.py", "errors.py", "pipeline.py"}


def test_a_table_built_in_python_is_found_in_the_module_of_its_layer() -> None:
    elsewhere = []
    for model in load_models().values():
        if not isinstance(model, SqlModel):
            module = PACKAGE / "orchestration" / "assets" / f"{model.contract.layer}.py"
            if f'"{model.name}"' not in module.read_text(encoding="utf-8"):
                elsewhere.append(f"{model.name} should be in {module.name}")
    assert elsewhere == []


def imported_by(path: Path) -> set[str]:
    """Every module that the file may import, wherever it does so: of `from a import b` both `a` and `a.b`."""
    names: set[str] = set()
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            names.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    return names


def test_no_test_imports_another_test() -> None:
    """What two of them share stands in `clv_pipeline_tests/helpers`."""
    tests = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in TESTS.rglob("test_*.py")}
    found = {str(path.relative_to(TESTS)): imported_by(path) & tests for path in TESTS.rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_no_test_imports_the_benchmarks_but_their_own() -> None:
    """They may change or go without a test of the pipeline noticing."""
    others = {path for path in TESTS.rglob("*.py") if path.parent != TESTS / "benchmarks"}
    found = {
        str(path.relative_to(TESTS)): {name for name in imported_by(path) if name.split(".")[0] == "benchmarks"}
        for path in others
    }
    assert {path: names for path, names in found.items() if names} == {}
