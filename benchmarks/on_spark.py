"""What a line of transactions costs on Spark: CPU, bytes shuffled and written, by the event log of Spark itself.

`clv run` computes the whole graph with `storage.engine: spark` on a standalone cluster of this machine, over several
numbers of lines: a master, two workers with a core and an executor of 1 GB each, and a Connect server with 1 GB. Tables
are in Iceberg; workers read the CSV files. Beside the event log stands what all processes hold and compute, by /proc:
Linux only. Writes the block `per_line` of docs/explanation/scaling.md.

Run: python -m benchmarks.on_spark
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import processes
from benchmarks.commands import in_new_folder, measure_sizes
from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import WORK, save
from benchmarks.pipeline import source_of
from clv_pipeline_tests.acceptance.spark_session import cluster, spark_folder

ROWS = (100_000, 1_000_000, 10_000_000)
FILES = 10
"""So that workers share them."""
WORKERS = 2
LONGEST = 6
"""How many steps are named that took longest."""
PAUSE_SECONDS = 1
"""Between two looks at all processes."""
DOCUMENT = Path("docs/explanation/scaling.md")
SERVER = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:+ExitOnOutOfMemoryError",
}
"""Settings of the server beside those of the event log."""
SESSION = {"spark.sql.shuffle.partitions": "8"}
MEASURES = {
    "cpu_seconds": ("Executor CPU Time", 1e-9),
    "shuffled_bytes": ("Shuffle Write Metrics.Shuffle Bytes Written", 1),
    "written_bytes": ("Output Metrics.Bytes Written", 1),
    "spilled_bytes": ("Disk Bytes Spilled", 1),
}
"""Sums over all tasks: where an event log has them, and the factor to our unit. Its CPU is that of Java alone."""
PARTS = ("run", "workers", "java")
"""The run's own processes, Python on the workers, and Java: master, server, workers and executors."""


def run(csv: Path, home: Path) -> dict[str, Any]:
    """Seconds of one first run, the MEASURES of its tasks, and by PARTS what processes held and computed.

    Raises:
        SystemExit: the run failed.
    """
    events = home / "events"
    events.mkdir()
    log = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri(), "spark.eventLog.compress": "false"}
    log["spark.eventLog.rolling.enabled"] = "false"
    with cluster(home, WORKERS, {**SERVER, **log}) as (address, started):
        blocks = {
            "source": source_of(str(csv.resolve())),
            "cleaning": {"returns": "drop"},
            "models": ["own_rate", "bg_nbd"],
            "storage": {"home": "home", "engine": "spark", "spark": {"remote": address, "config": SESSION}},
        }
        (home / "clv.yaml").write_text(yaml.safe_dump(blocks), encoding="utf-8")
        workers = [worker.pid for worker in started]
        taken = _taken_by(home, workers)
    [written] = events.iterdir()
    with written.open(encoding="utf-8") as lines:
        tasks = [json.loads(line)["Task Metrics"] for line in lines if '"Event":"SparkListenerTaskEnd"' in line]
    summed = {name: factor * sum(_at(task, path) for task in tasks) for name, (path, factor) in MEASURES.items()}
    return {**taken, "tasks": len(tasks), **summed}


def _taken_by(home: Path, workers: Sequence[int]) -> dict[str, Any]:
    """What `clv run` in that folder takes of time, processors and memory.

    Raises:
        SystemExit: the run failed.
    """
    # The run finds PySpark where the cluster has it, after everything else.
    places = [*filter(None, [os.environ.get("PYTHONPATH")]), str(spark_folder().parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    before, own_before, began = _parts(0, workers), resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    document = home / "run.json"
    command = [str(Path(sys.executable).with_name("clv")), "run", "--json"]
    with document.open("wb") as answer:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=answer)
    peak_mb = dict.fromkeys(PARTS, 0.0)
    while process.poll() is None:
        now = _parts(process.pid, workers)
        peak_mb = {part: max(peak, processes.held_mb(now[part])) for part, peak in peak_mb.items()}
        time.sleep(PAUSE_SECONDS)
    seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit("the run failed")
    after, own_after = _parts(0, workers), resource.getrusage(resource.RUSAGE_CHILDREN)
    # The run has ended, and so have the processes that it started. What Python on the workers used is not known:
    # Spark lets it end without asking.
    used = {
        "run": own_after.ru_utime + own_after.ru_stime - own_before.ru_utime - own_before.ru_stime,
        "java": processes.cpu_seconds(after["java"]) - processes.cpu_seconds(before["java"]),
    }
    tables = json.loads(document.read_text())["tables"]
    return {"seconds": seconds, "used_seconds": used, "peak_mb": peak_mb, "longest": _longest(tables)}


def _longest(tables: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """The steps that took longest, by the first of their tables, with their seconds."""
    # Tables of one step follow each other, with the seconds of the step.
    steps = {table["seconds"]: table["table"] for table in reversed(tables)}
    return [(steps[seconds], seconds) for seconds in sorted(steps, reverse=True)[:LONGEST]]


def _parts(run: int, workers: Sequence[int]) -> dict[str, list[processes.Process]]:
    """The processes of each of PARTS; `run` is the number of the run's process."""
    now = processes.now()
    return {
        "run": processes.of(run, now) if run else [],
        "workers": [one for worker in workers for one in processes.of_others(processes.of(worker, now))],
        "java": processes.of_java(processes.of(os.getpid(), now)),
    }


def _at(metrics: dict[str, Any], path: str) -> float:
    value: Any = metrics
    for key in path.split("."):
        value = value[key]
    return float(value)


def per_line(found: Sequence[dict[str, Any]]) -> str:
    """What was measured, as Markdown."""
    lines = [
        "| lines | seconds | CPU of tasks in Java, µs a line | shuffled, bytes a line | written, bytes a line"
        " | spilled, GB |",
        "|" + "---:|" * 6,
    ]
    for one in found:
        rows = one["rows"]
        lines.append(
            f"| {rows / 1e6:g} million | {one['seconds']:,.0f} | {1e6 * one['cpu_seconds'] / rows:.1f}"
            f" | {one['shuffled_bytes'] / rows:,.0f} | {one['written_bytes'] / rows:,.0f}"
            f" | {one['spilled_bytes'] / 1e9:.1f} |"
        )
    lines += [
        "",
        "| lines | run: processor seconds | Java: processor seconds | run: peak GB | Python on the workers: peak GB"
        " | Java: peak GB |",
        "|" + "---:|" * 6,
    ]
    for one in found:
        used, peak = one["used_seconds"], one["peak_mb"]
        lines.append(
            f"| {one['rows'] / 1e6:g} million | {used['run']:,.0f} | {used['java']:,.0f}"
            f" | {' | '.join(f'{peak[part] / 1e3:.1f}' for part in PARTS)} |"
        )
    lines += ["", "| lines | seconds of the steps that took longest, each by its first table |", "|---:|---|"]
    for one in found:
        steps = (f"`{table}` {seconds:,.0f}" for table, seconds in one["longest"])
        lines.append(f"| {one['rows'] / 1e6:g} million | {', '.join(steps)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure sizes and write the tables into docs/explanation/scaling.md; with --csv and --out, one run.

    Large sizes take long: each may be measured on its own (--rows), and the tables hold all that were measured here.
    """
    for one in measure_sizes("benchmarks.on_spark", in_new_folder(run), ROWS, main.__doc__, FILES):
        save(one, WORK / f"on_spark_{one['rows']}.json")
    measured = [json.loads(path.read_text()) for path in WORK.glob("on_spark_*.json")]
    told = per_line(sorted(measured, key=lambda one: int(one["rows"])))
    print(told)
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "per_line", told))


if __name__ == "__main__":
    main()
