"""The package as the session ships it to Spark's workers, and the proof that a worker runs that very code.

A worker may have another version installed. Its numbers would differ, and nobody would notice.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

OTHER_CODE = "a worker of Spark has other code of clv_pipeline than this process"
"""What a worker says that refuses the work."""


@cache
def code_hash() -> str:
    """Hash of the package's Python files, wherever it was imported from."""
    digest = hashlib.sha256()
    for name, content in sorted(_python_files(resources.files("clv_pipeline"), "clv_pipeline")):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def pack(path: Path) -> Path:
    """Write the package's Python files into a zip file, from which workers import it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in _python_files(resources.files("clv_pipeline"), "clv_pipeline"):
            packed.writestr(name, content)
    return path


def _python_files(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        inner = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _python_files(entry, inner)
        elif entry.name.endswith(".py"):
            yield inner, entry.read_bytes()
