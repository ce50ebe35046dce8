"""A complete first run, from CSV through models, backtests and forecasts to the publication, in one process.

Everything that `clv run` does the first time: all models on past windows, all four horizons, the report. Writes the
block `complete` of docs/PERFORMANCE.md. Each size runs in a process of its own.

Run: python -m benchmarks.complete (`make bench`); --rows measures less
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.commands import in_new_folder, measure_sizes
from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import DOCUMENT, MEMORY_GB, Stopwatch, report
from benchmarks.pipeline import settings_for

ROWS = (4_200_000, 30_000_000, 100_000_000)
MODEL_LAYERS = ("forecasting", "evaluation")


def run(csv: Path, home: Path) -> dict[str, Any]:
    """The report of one first run; `home` is left behind.

    Raises:
        SystemExit: the run failed.
    """
    os.environ["CLV_HOME"] = str(home)
    import dagster as dg

    from clv_pipeline.contracts.loader import load_models
    from clv_pipeline.orchestration.runner import run_nightly
    from clv_pipeline.pipeline import Refresh

    settings = settings_for(csv.name, csv.resolve().parent, storage={"memory_gb": MEMORY_GB})
    watch = Stopwatch()
    with watch.stage("everything"):
        outcome = run_nightly(settings, select=None, refresh=Refresh(), echo=print)
    if not outcome.published:
        raise SystemExit("the run failed")
    steps: dict[str, tuple[str, float, float]] = {}
    rows = {}
    with dg.DagsterInstance.get() as instance:
        for table, model in load_models().items():
            event: Any = instance.get_latest_materialization_event(dg.AssetKey(table))
            if event is not None:
                shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}
                rows[table] = shown["dagster/row_count"]
                # Tables that one step builds state the seconds of the step.
                steps[event.dagster_event.step_key] = (
                    "models" if model.contract.layer in MODEL_LAYERS else "engine",
                    shown["build seconds"],
                    shown["audit seconds"],
                )
    rest = watch.seconds.pop("everything")
    watch.seconds["audits"] = sum(audit for _, _, audit in steps.values())
    for part in ("engine", "models"):
        watch.seconds[part] = sum(build for kind, build, _ in steps.values() if kind == part)
    watch.seconds["rest"] = rest - sum(watch.seconds.values())
    counts = {
        "rows": rows["raw_transactions"],
        "customers": rows["rfm"],
        "warehouse_mb": round(settings.warehouse_path.stat().st_size / 1e6),
        "published_mb": round(sum(f.stat().st_size for f in settings.published_dir.rglob("*") if f.is_file()) / 1e6),
    }
    return report("complete run", watch, counts, ["duckdb", "dagster", "great-expectations", "polars"])


def table(reports: Sequence[dict[str, Any]]) -> str:
    """The reports as Markdown."""
    lines = [
        "| lines | customers | engine, s | audits, s | models, s | the rest, s | together, s | CPU, s"
        " | peak memory, MB | warehouse, MB | published, MB |",
        "|" + "---:|" * 11,
    ]
    for found in reports:
        s = found["seconds"]
        lines.append(
            f"| {found['rows'] / 1e6:g} million | {found['customers']:,} | {s['engine']:.0f} | {s['audits']:.0f}"
            f" | {s['models']:.0f} | {s['rest']:.0f} | {found['total_seconds']:.0f} | {found['cpu_seconds']:.0f}"
            f" | {found['peak_rss_mb']:,.0f}"
            f" | {found['warehouse_mb']:,} | {found['published_mb']:,} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure complete first runs and write them into docs/PERFORMANCE.md; with --csv and --out, one of them."""
    reports = measure_sizes("benchmarks.complete", in_new_folder(run), ROWS, main.__doc__)
    print(table(reports))
    if tuple(found["rows"] for found in reports) == ROWS:
        DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "complete", table(reports)))


if __name__ == "__main__":
    main()
