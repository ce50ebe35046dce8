"""What tests of the commands on files begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no configuration that the environment names."""
    monkeypatch.chdir(tmp_path)
    for name in ("CLV_CONFIG", "CLV_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
