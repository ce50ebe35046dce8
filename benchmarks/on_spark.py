"""What a line of transactions costs on Spark: CPU, bytes shuffled and written, by the event log of Spark itself.

The whole graph runs with `storage.engine: spark` on a Connect server with two cores, over three numbers of lines.
Writes the block `per_line` of docs/explanation/scaling.md.

Run: python -m benchmarks.on_spark, with PySpark installed (pip install -e '.[spark]')
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import in_new_folder, measure_sizes
from benchmarks.generated_blocks import replace_block
from benchmarks.pipeline import settings_for

ROWS = (100_000, 1_000_000, 4_200_000)
CORES = 2
DOCUMENT = Path("docs/explanation/scaling.md")
MEASURES = {
    "cpu_seconds": ("Executor CPU Time", 1e-9),
    "shuffled_bytes": ("Shuffle Write Metrics.Shuffle Bytes Written", 1),
    "written_bytes": ("Output Metrics.Bytes Written", 1),
    "spilled_bytes": ("Disk Bytes Spilled", 1),
}
"""Sums over all tasks: where an event log has them, and the factor to our unit."""


def run(csv: Path, home: Path) -> dict[str, Any]:
    """Seconds of one first run, and the MEASURES of its tasks.

    Raises:
        SystemExit: the run failed.
    """
    from clv_pipeline.orchestration.runner import run_nightly
    from clv_pipeline.pipeline import Refresh

    events = home / "events"
    events.mkdir()
    log = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri(), "spark.eventLog.compress": "false"}
    log["spark.eventLog.rolling.enabled"] = "false"
    settings = settings_for(
        csv.name,
        csv.resolve().parent,
        models=["own_rate", "bg_nbd"],
        storage={
            "home": str(home / "home"),
            "engine": "spark",
            "spark": {"remote": f"local[{CORES}]", "config": {**log, "spark.driver.memory": "4g"}},
        },
    )
    started = time.perf_counter()
    outcome = run_nightly(settings, select=None, refresh=Refresh(), echo=print)
    if not outcome.published:
        raise SystemExit("the run failed")
    seconds = time.perf_counter() - started
    [written] = events.iterdir()
    with written.open(encoding="utf-8") as lines:
        tasks = [json.loads(line)["Task Metrics"] for line in lines if '"Event":"SparkListenerTaskEnd"' in line]
    summed = {name: factor * sum(_at(task, path) for task in tasks) for name, (path, factor) in MEASURES.items()}
    return {"seconds": seconds, "tasks": len(tasks), **summed}


def _at(metrics: dict[str, Any], path: str) -> float:
    value: Any = metrics
    for key in path.split("."):
        value = value[key]
    return float(value)


def per_line(found: Sequence[dict[str, Any]]) -> str:
    """What was measured, as Markdown."""
    lines = [
        "| lines | seconds on two cores | CPU, µs a line | shuffled, bytes a line | written, bytes a line"
        " | spilled, GB |",
        "|" + "---:|" * 6,
    ]
    for one in found:
        rows = one["rows"]
        lines.append(
            f"| {rows / 1e6:g} million | {one['seconds']:.0f} | {1e6 * one['cpu_seconds'] / rows:.1f}"
            f" | {one['shuffled_bytes'] / rows:,.0f} | {one['written_bytes'] / rows:,.0f}"
            f" | {one['spilled_bytes'] / 1e9:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every size and write the table into docs/explanation/scaling.md; with --csv and --out, one run."""
    found = measure_sizes("benchmarks.on_spark", in_new_folder(run), ROWS, main.__doc__)
    print(per_line(found))
    if tuple(one["rows"] for one in found) == ROWS:
        DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "per_line", per_line(found)))


if __name__ == "__main__":
    main()
