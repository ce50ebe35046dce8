"""The examples of the pages on adding a table, word for word: what tests of tables of one's own build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
TABLE = "win_back"
CLONE_TABLE = "weekday_sales"


def write_example(folder: Path) -> dict[str, Any]:
    """Write the files that the page shows under the names it gives them; returns what it says to put in clv.yaml."""
    text = (PAGES / "add-a-table.md").read_text(encoding="utf-8")
    [configuration] = re.findall(r"```yaml\n(extensions:.*?)```", text, flags=re.DOTALL)
    files = re.findall(r"`(my_sql/\S+)`[^`]*?(?:\[[^]]*\]\([^)]*\)[^`]*?)?:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert [Path(name).name for name, _ in files] == [f"{TABLE}.sql", f"{TABLE}.yml"]
    for name, block in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(block, encoding="utf-8")
    stated: dict[str, Any] = yaml.safe_load(configuration)
    return stated


def write_clone_example(layer: Path) -> tuple[Path, Path]:
    """Write the table that is shown for the clone into a layer's folder; returns its query and its contract."""
    text = (PAGES / "add-a-table-to-the-clone.md").read_text(encoding="utf-8")
    assert all(f"`{CLONE_TABLE}{suffix}`" in text for suffix in (".sql", ".yml"))
    [sql], [contract] = (re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL) for kind in ("sql", "yaml"))
    layer.mkdir(parents=True, exist_ok=True)
    files = layer / f"{CLONE_TABLE}.sql", layer / f"{CLONE_TABLE}.yml"
    for file, block in zip(files, (sql, contract), strict=True):
        file.write_text(block, encoding="utf-8")
    return files
