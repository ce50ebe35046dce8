"""How a benchmark reports: seconds per stage, peak memory of its own process, and the versions it ran on.

Each benchmark runs in a process of its own, because peak memory is a property of a process.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

WORK = Path("benchmarks/work")
"""For generated data and results; not part of the repository."""
DOCUMENT = Path("docs/PERFORMANCE.md")
"""Where benchmarks write their tables."""
MEMORY_GB = 4
"""What DuckDB may take in the pipeline (`storage.memory_gb`)."""


@dataclass
class Stopwatch:
    """Seconds (wall clock) per named stage, in the order in which the stages ran."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of the `with` statement; a body that raises is not recorded."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def peak_rss_mb() -> float:
    """Peak resident memory of this process so far, in MB of 10⁶ bytes."""
    if sys.platform == "darwin":
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 1)
    # On Linux, getrusage also counts what the parent had when it started this process.
    [kilobytes] = re.findall(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return round(int(kilobytes) * 1024 / 1e6, 1)


def cpu_seconds() -> float:
    """What this process has computed so far, on all cores: unlike wall clock it does not count waiting for others."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round(used.ru_utime + used.ru_stime, 1)


def report_of(module: str, csv: Path, *, quiet: bool = False) -> dict[str, Any]:
    """What a benchmark module reports of these files (`--csv`, `--out`), run in a fresh process."""
    out = csv.parent.with_name(f"{module.rpartition('.')[2]}.json")
    command = [sys.executable, "-m", module, "--csv", str(csv), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL if quiet else None)
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def report(name: str, watch: Stopwatch, counts: dict[str, Any], packages: list[str]) -> dict[str, Any]:
    """Everything one benchmark has to say, ready for JSON."""
    return {
        "name": name,
        **counts,
        "seconds": watch.seconds,
        "total_seconds": round(sum(watch.seconds.values()), 3),
        "cpu_seconds": cpu_seconds(),
        "peak_rss_mb": peak_rss_mb(),
        "cpus": os.cpu_count(),
        "versions": {package: metadata.version(package) for package in packages},
    }


def matching(csv: Path) -> list[Path]:
    """The files that a glob stands for."""
    return sorted(csv.parent.glob(csv.name))


def save(result: dict[str, Any], out: Path) -> None:
    """Write the result as JSON to `out` and print it."""
    text = json.dumps(result, indent=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n")
    print(text)
