"""What a line of transactions costs on Spark: CPU, bytes shuffled and written, by the event log of Spark itself.

The whole graph runs with `storage.engine: spark` on a Connect server with two cores, over three numbers of lines.
Writes two blocks of docs/explanation/scaling.md: `per_line`, and `plan`, the same figures times 1, 10 and 100 billion
lines.

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
PLANNED = (1e9, 1e10, 1e11)
NIGHT_HOURS = 4
"""What a nightly refresh may take in the plan."""
CORE_HOUR_USD = 0.05
"""An assumption: what a core with 4 GB costs an hour on demand in public clouds, within a factor of two."""
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


def plan(found: Sequence[dict[str, Any]]) -> str:
    """The figures of another line, between the two largest sizes, times what is planned, as Markdown."""
    before, last = found[-2:]
    slope = {name: (last[name] - before[name]) / (last["rows"] - before["rows"]) for name in MEASURES}
    lines = [
        f"| lines | core hours | cores for {NIGHT_HOURS} hours | shuffled, TB | written, TB | a full refresh, USD |",
        "|" + "---:|" * 6,
    ]
    for rows in PLANNED:
        hours = rows * slope["cpu_seconds"] / 3600
        terabytes = [rows * slope[name] / 1e12 for name in ("shuffled_bytes", "written_bytes")]
        lines.append(
            f"| {rows / 1e9:g} billion | {hours:,.0f} | {hours / NIGHT_HOURS:,.0f} | "
            + " | ".join(f"{size:,.2f}" for size in terabytes)
            + f" | {hours * CORE_HOUR_USD:,.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure every size and write the tables into docs/explanation/scaling.md; with --csv and --out, one run."""
    found = measure_sizes("benchmarks.on_spark", in_new_folder(run), ROWS, main.__doc__)
    print(per_line(found), plan(found), sep="\n\n")
    if tuple(one["rows"] for one in found) == ROWS:
        text = replace_block(DOCUMENT.read_text(), "per_line", per_line(found))
        DOCUMENT.write_text(replace_block(text, "plan", plan(found)))


if __name__ == "__main__":
    main()
