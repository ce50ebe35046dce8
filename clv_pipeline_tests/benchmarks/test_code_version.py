"""The hash of the code that measured a shop: words leave it as it is, whatever computes changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.accuracy.code_version import FOLDERS, REPOSITORY, version

MODULE = "clv_pipeline/forecasting/module.py"
QUERY = "dbt_like_sql/features/table.sql"
CONTRACT = "dbt_like_sql/features/table.yml"

TEXTS = {
    MODULE: '''"""A module."""

LIMIT = 3
"""The limit of `f`."""


class Fit:
    """A fit."""

    def f(self, x: float) -> str:
        """Less than the limit."""
        return "low" if x < LIMIT else "high"  # a comment
''',
    QUERY: "-- a comment\nselect id, 'a  b' as name from days where amount > 1\n",
    CONTRACT: """\
description: A table.
grain: one row per customer
key: [id]
columns:
  - {name: id, type: INTEGER, description: Customer.}
expectations:
  - {name: rows, type: expect_table_row_count_to_be_between, kwargs: {min_value: 1}, description: Not empty.}
""",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in TEXTS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def _version_with(repository: Path, name: str, old: str, new: str) -> str:
    assert old in TEXTS[name]
    (repository / name).write_text(TEXTS[name].replace(old, new), encoding="utf-8")
    return version(repository)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (MODULE, "A module.", "The module."),
        (MODULE, '"""The limit of `f`."""\n', ""),
        (MODULE, '    """A fit."""\n', ""),
        (MODULE, "Less than the limit.", "Low below the limit."),
        (MODULE, "  # a comment", ""),
        (QUERY, "-- a comment\n", "/* other words */ "),
        (QUERY, " from days", "\nfrom\n    days"),
        (CONTRACT, "A table.", "One table."),
        (CONTRACT, "Customer.", "The customer."),
        (CONTRACT, "{name: id, type: INTEGER, description: Customer.}", "name: id\n    type: INTEGER"),
        (CONTRACT, "min_value: 1", "min_value: 2"),
    ],
)
def test_words_layout_and_checks_leave_the_version_as_it_is(repository: Path, name: str, old: str, new: str) -> None:
    before = version(repository)
    assert _version_with(repository, name, old, new) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (MODULE, "LIMIT = 3", "LIMIT = 4"),
        (MODULE, '"low"', '"lower"'),
        (MODULE, "x < LIMIT", "x <= LIMIT"),
        (QUERY, "> 1", ">= 1"),
        (QUERY, "'a  b'", "'a b'"),
        (QUERY, "'a  b'", '"a  b"'),
        (CONTRACT, "type: INTEGER", "type: BIGINT"),
        (CONTRACT, "key: [id]", "key: [id]\nday_column: id"),
    ],
)
def test_what_computes_changes_the_version(repository: Path, name: str, old: str, new: str) -> None:
    before = version(repository)
    assert _version_with(repository, name, old, new) != before


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_of_this_repository_counts(tmp_path: Path, folder: str) -> None:
    for each in FOLDERS:
        shutil.copytree(REPOSITORY / each, tmp_path / each, ignore=shutil.ignore_patterns("__pycache__"))
    assert version(tmp_path) == version()
    shutil.rmtree(tmp_path / folder)
    assert version(tmp_path) != version()
