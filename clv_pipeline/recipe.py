"""What the tables are made by, as one hash: the code of this package and of extensions, the libraries, the settings.

A table of the same recipe, from the same inputs, would come out the same: it is kept. After an upgrade or a change
in `clv.yaml` the next run builds everything again.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import metadata
from pathlib import Path

from clv_pipeline.config.settings import Settings

_PACKAGE = Path(__file__).parent
_SQL = _PACKAGE.parent / "dbt_like_sql"


def recipe(settings: Settings) -> str:
    """Changes when tables may come out different although their inputs are the same."""
    digest = hashlib.sha256(f"{_code_hash()} {settings.recipe_hash}".encode())
    if settings.extensions.models:
        from clv_pipeline.forecasting.registry import extension_files

        for path in extension_files(settings.extensions):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _code_hash() -> str:
    """Of every Python, SQL and contract file, and of the versions of the libraries."""
    digest = hashlib.sha256()
    files = [*_PACKAGE.rglob("*.py"), *_SQL.rglob("*.sql"), *_SQL.rglob("*.yml")]
    for path in sorted(files):
        digest.update(f"{path.relative_to(_PACKAGE.parent)} ".encode())
        digest.update(path.read_bytes())
    for requirement in sorted(metadata.requires("clv_pipeline") or []):
        name = re.match(r"[\w.-]+", requirement)
        if name is not None and "extra ==" not in requirement:
            digest.update(f"{name.group()} {metadata.version(name.group())} ".encode())
    return digest.hexdigest()
