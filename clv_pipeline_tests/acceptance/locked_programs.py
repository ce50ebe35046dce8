"""Programs that tests start and the pipeline does not need: each is installed from its lock file, apart from others."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
UV = "uv==0.13.*"
"""Installs two hundred packages in half a minute, which takes pip two."""


def install_locked(lock: Path, environment: Path) -> Path:
    """Make an environment that holds exactly what the lock file says; its folder of programs."""
    venv.create(environment, with_pip=True, clear=True)
    programs = environment / "bin"
    python = str(programs / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", UV], check=True)
    install = [str(programs / "uv"), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*install, "--python", python, "--requirements", str(lock)], check=True)
    return programs
