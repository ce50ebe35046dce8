"""Configurations as tests write them: a file in a temporary folder, its settings, or the error that it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clv_pipeline.config.settings import Settings
from clv_pipeline.errors import ConfigError

MINIMAL = """
source:
  transactions:
    path: orders/*.csv
    columns: {customer_id: Customer ID, ordered_at: Date, amount: Total}
"""


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return Settings.load(path)


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def with_block(**blocks: Any) -> str:
    return MINIMAL + yaml.safe_dump(blocks)
