"""What the embedded default with all its models takes on each engine: time, processor seconds, and memory by program.

`clv run` in an empty folder with the shipped clv.yaml: on DuckDB, with `engine: spark` and nothing else set, and with
2 GB for Java. Writes the block `default` of docs/explanation/scaling.md. Linux, because memory is read from /proc.

Run: python -m benchmarks.default_on_spark, with PySpark installed (pip install -e '.[spark]')
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from benchmarks import processes
from benchmarks.generated_blocks import replace_block

DOCUMENT = Path("docs/explanation/scaling.md")
ENGINES = {
    "DuckDB": "",
    "Spark, nothing else set": "storage: {engine: spark}\n",
    "Spark, 2 GB for Java": "storage: {engine: spark, spark: {config: {spark.driver.memory: 2g}}}\n",
}
"""What stands in clv.yaml beside the source."""
PAUSE_SECONDS = 0.5
"""Between two looks at the memory of all processes."""


@dataclass(frozen=True)
class Run:
    """A run that published."""

    seconds: float
    cpu_seconds: float
    peak_mb: dict[str, float]
    """By program: the most that its processes held at once, in MB of 10⁶ bytes."""


def run(storage: str) -> Run:
    """One first run.

    Raises:
        SystemExit: the run failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        shipped = (files("clv_pipeline.config") / "default_clv.yaml").read_text(encoding="utf-8")
        (Path(folder) / "clv.yaml").write_text(f"{shipped}\n{storage}", encoding="utf-8")
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = subprocess.Popen([Path(sys.executable).with_name("clv"), "run"], cwd=folder)
        peak_mb: dict[str, float] = {}
        while process.poll() is None:
            found = processes.of(process.pid, processes.now())
            for program, held in (("Java", processes.of_java(found)), ("Python", processes.of_others(found))):
                peak_mb[program] = max(processes.held_mb(held), peak_mb.get(program, 0))
            time.sleep(PAUSE_SECONDS)
        if process.returncode:
            raise SystemExit(f"the run failed: {storage or 'DuckDB'}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Run(time.perf_counter() - started, cpu_seconds, peak_mb)


def table(runs: dict[str, Run]) -> str:
    """What was measured, as Markdown."""
    lines = ["| engine | seconds | processor seconds | Python, peak GB | Java, peak GB |", "|---|---:|---:|---:|---:|"]
    for engine, one in runs.items():
        java = f"{one.peak_mb['Java'] / 1e3:.1f}" if one.peak_mb["Java"] else ""
        python = f"{one.peak_mb['Python'] / 1e3:.1f}"
        lines.append(f"| {engine} | {one.seconds:.0f} | {one.cpu_seconds:.0f} | {python} | {java} |")
    return "\n".join(lines)


def main() -> None:
    """Measure every engine and write the table into docs/explanation/scaling.md."""
    found = table({engine: run(storage) for engine, storage in ENGINES.items()})
    print(found)
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "default", found))


if __name__ == "__main__":
    main()
