"""The package lifetimes, whose formulas and fits are a reference for ours."""

import warnings
from typing import Any


def lifetimes() -> Any:
    """Import lifetimes. The import warns about a pandas option that lifetimes sets and does not need."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lifetimes as module
        import lifetimes.utils
    return module
