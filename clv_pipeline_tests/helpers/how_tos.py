"""The blocks of a how-to, and its commands run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

HOW_TOS = Path(__file__).parents[2] / "docs" / "how-to"


def blocks(name: str, language: str) -> list[str]:
    """The blocks of a how-to in one language, without the prompts of a console."""
    text = (HOW_TOS / name).read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in found]


def run_as_written(commands: str, folder: Path, replaced: Mapping[str, str]) -> str:
    """What the lines of a console print in `folder`; each has to end well.

    Only what `replaced` says is another word: the address of a server that stands for the reader's.
    """
    for written, here in replaced.items():
        commands = commands.replace(written, here)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name not in ("CLV_CONFIG", "CLV_HOME")}
    found = subprocess.run(
        ["bash", "-e"],
        input=commands,
        cwd=folder,
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout + found.stderr


def source_of(folder: Path) -> dict[str, object]:
    """The transactions of the `clv.yaml` in a folder."""
    written = yaml.safe_load((folder / "clv.yaml").read_text(encoding="utf-8"))
    found: dict[str, object] = written["source"]["transactions"]
    return found
