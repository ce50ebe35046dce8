"""Where files are that tests use where they exist: beside the repository."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).parents[3] / "shared"
CASES = SHARED / "cases"
"""Small files of the kinds that shops have."""
DATA = SHARED / "data"
"""Real shops."""
