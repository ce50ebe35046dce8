"""A wheel of this package, in an environment of its own, runs from an empty folder on the embedded default."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of the wheel, in an environment from the lock file."""
    place = tmp_path_factory.mktemp("wheel")
    built = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(place)]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True)
    [wheel] = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "--require-hashes", "--requirement", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*install, str(wheel)], check=True)
    return python.with_name("clv")


def told(clv: Path, folder: Path, *words: str) -> str:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("CLV_", "DAGSTER_", "PYTHONPATH"))
    }
    done = subprocess.run([clv, *words], cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_runs_from_an_empty_folder(clv: Path, tmp_path: Path) -> None:
    assert told(clv, tmp_path, "--version").startswith("clv, version ")
    assert "embedded default" in told(clv, tmp_path, "check")
    assert "rfm" in told(clv, tmp_path, "run", "--select", "+key:rfm")
    assert (tmp_path / "data" / "warehouse").exists()
