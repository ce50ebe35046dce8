"""How a test says which fault it injected: `make reliability` counts that from pytest's XML report."""

from __future__ import annotations

from typing import Protocol


class Injected(Protocol):
    """Notes that a test injects `fault`, so many `times`."""

    def __call__(self, fault: str, times: int = 1) -> None:
        """Call it before the injection: what then fails counts as a loss."""
