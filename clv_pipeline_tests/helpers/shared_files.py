"""Files that tests use where they exist, beside the repository: where they are, and how a real shop is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clv_pipeline.config.settings import Settings

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
CASES = SHARED / "cases"
"""Small files of the kinds that shops have."""
DATA = SHARED / "data"
"""Real shops."""

ONLINE_RETAIL = Path(os.environ.get("ONLINE_RETAIL_II", DATA / "online_retail_II.csv.gz"))


def require_online_retail() -> None:
    """Skip the test where the file of Online Retail II is missing."""
    if not ONLINE_RETAIL.is_file():
        pytest.skip("Online Retail II is not beside the repository; examples/online_retail_ii.yaml says where it is")


def online_retail_example() -> Settings:
    """What examples/online_retail_ii.yaml says; the test is skipped where its file is missing."""
    require_online_retail()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONLINE_RETAIL_II", str(ONLINE_RETAIL))
        return Settings.load(ROOT / "examples" / "online_retail_ii.yaml")
