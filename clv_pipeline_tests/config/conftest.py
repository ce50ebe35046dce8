"""No test of settings sees a configuration or a home that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CLV_CONFIG", "CLV_HOME"):
        monkeypatch.delenv(name, raising=False)
