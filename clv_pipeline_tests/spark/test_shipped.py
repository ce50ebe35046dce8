"""The package as workers get it: the same code, recognised wherever it was imported from."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from clv_pipeline.spark.shipped import code_hash, pack

HASH = "from clv_pipeline.spark.shipped import code_hash; print(code_hash())"


def hash_in(packed: Path) -> str:
    """What a worker finds that imports the package from the zip file."""
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(packed)!r}); {HASH}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=packed.parent,
    )
    return found.stdout.strip()


def test_the_shipped_package_is_this_one_and_a_changed_one_is_not(tmp_path: Path) -> None:
    packed = pack(tmp_path / "clv_pipeline.zip")
    assert hash_in(packed) == code_hash()
    with zipfile.ZipFile(packed, "a") as changed:
        changed.writestr("clv_pipeline/spark/added.py", "")
    assert hash_in(packed) != code_hash()
