"""The example of docs/how-to/add-a-table.md, word for word: what tests of tables of one's own build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-table.md"
TABLE = "win_back"


def write_example(folder: Path) -> dict[str, Any]:
    """Write the files that the page shows under the names it gives them; returns what it says to put in clv.yaml."""
    text = PAGE.read_text(encoding="utf-8")
    [configuration] = re.findall(r"```yaml\n(extensions:.*?)```", text, flags=re.DOTALL)
    files = re.findall(r"`(my_sql/\S+)`[^`]*?(?:\[[^]]*\]\([^)]*\)[^`]*?)?:\n\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert [Path(name).name for name, _ in files] == [f"{TABLE}.sql", f"{TABLE}.yml"]
    for name, block in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(block, encoding="utf-8")
    stated: dict[str, Any] = yaml.safe_load(configuration)
    return stated
