"""Contracts and queries as files of a folder of their own."""

from __future__ import annotations

from pathlib import Path

CONTRACT = """
description: A table.
grain: id
key: [id]
columns:
  - name: id
    type: INTEGER
    description: Id.
  - name: {second}
    type: INTEGER
    description: Second.
expectations:
  - name: has_rows
    type: expect_table_row_count_to_be_between
    kwargs: {{min_value: 1}}
    description: Rows.
"""


def add(folder: Path, name: str, sql: str, second: str = "doubled") -> None:
    (folder / "layer" / f"{name}.yml").write_text(CONTRACT.format(second=second), encoding="utf-8")
    (folder / "layer" / f"{name}.sql").write_text(sql, encoding="utf-8")
