"""What processes hold and have computed, as Linux tells in /proc: those of a process and of all that it started."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A process that runs."""

    number: int
    parent: int
    program: str
    held_mb: float
    """Resident memory, in MB of 10⁶ bytes. What processes share is counted in each."""
    cpu_seconds: float
    """Its own, and those of the processes that it started and that have ended."""


def now() -> dict[int, Process]:
    """All processes, by number; without those of the kernel, which hold no memory."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            status = (folder / "status").read_text() if folder.name.isdigit() else ""
            used = (folder / "stat").read_text() if status else ""
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has just ended.
        if resident := re.search(r"^VmRSS:\s*(\d+) kB$", status, re.MULTILINE):
            # The program's name, in brackets, may hold anything.
            state = used.rpartition(")")[2].split()
            ticks = sum(int(state[place]) for place in (11, 12, 13, 14))
            program = status.partition("\n")[0].split()[1]
            number = int(folder.name)
            found[number] = Process(number, int(state[1]), program, int(resident[1]) * 1024 / 1e6, ticks / TICKS)
    return found


def of(root: int, processes: dict[int, Process]) -> list[Process]:
    """Those of a process and of all that it started."""
    found = []
    for process in processes.values():
        ancestor = process.number
        while ancestor not in (root, 0):
            ancestor = processes[ancestor].parent if ancestor in processes else 0
        if ancestor == root:
            found.append(process)
    return found


def of_java(processes: Iterable[Process]) -> list[Process]:
    """Those of them that are a Java."""
    return [process for process in processes if process.program == "java"]


def of_others(processes: Iterable[Process]) -> list[Process]:
    """Those of them that are not a Java."""
    return [process for process in processes if process.program != "java"]


def held_mb(processes: Iterable[Process]) -> float:
    """What they hold together."""
    return sum(process.held_mb for process in processes)


def cpu_seconds(processes: Iterable[Process]) -> float:
    """What they have computed together."""
    return sum(process.cpu_seconds for process in processes)
