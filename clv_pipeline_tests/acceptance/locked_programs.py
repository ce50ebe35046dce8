"""Programs that tests start and the pipeline does not need: each is installed from its lock file, apart from others."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
UV = "uv==0.13.*"
"""Installs two hundred packages in half a minute, which takes pip two."""


def installed_once(
    name: str, lock: Path, prepare: Callable[[Path], None] = lambda folder: None, recipe: str = ""
) -> Path:
    """A folder whose `venv` holds exactly what the lock file says, and whatever `prepare` adds to it by the recipe.

    It is made once per lock file, recipe and Python. Tests in another process that need it too wait until it is ready.
    """
    made_from = lock.read_bytes() + f"{sys.version}{UV}{recipe}".encode()
    folder = CACHE / name / hashlib.sha256(made_from).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _install(lock, folder / "venv")
            prepare(folder)
            (folder / "ready").touch()
    return folder


def _install(lock: Path, environment: Path) -> None:
    venv.create(environment, with_pip=True)
    programs = environment / "bin"
    python = str(programs / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", UV], check=True)
    install = [str(programs / "uv"), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*install, "--python", python, "--requirements", str(lock)], check=True)
