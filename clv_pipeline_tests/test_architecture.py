"""What every module of the package has; which way imports run is held by import-linter (pyproject.toml)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from clv_pipeline.contracts.loader import SqlModel, load_models

PACKAGE = Path(__file__).parents[1] / "clv_pipeline"


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
