"""The floor of each layer: the least that loading, cleaning, rfm, audits, a night without news and imports can take.

Floors: loading, cleaning and rfm, the statements of `bare_tables`; audits, one scan per table that counts every column
and finds its extremes; a night, a Dagster job of as many empty steps; imports, the libraries alone. Tables are stored,
for the pipeline and for the floor. Writes the block `layers` of docs/PERFORMANCE.md.

Run: python -m benchmarks.layers (`make bench`)
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import yaml

from benchmarks import bare_tables
from benchmarks.generate import csv_of
from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import DOCUMENT, MEMORY_GB, WORK
from benchmarks.pipeline import settings_for, source_of
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.orchestration.bare_steps import STEPS
from clv_pipeline.warehouse import Limits, Warehouse
from clv_pipeline_tests.helpers.nights import night

Seconds = dict[str, tuple[float, float]]
"""By layer: seconds of the pipeline, and of its floor."""

LIBRARIES = "import dagster, duckdb, pydantic, sqlglot, yaml"


def of_data(csv: Path, home: Path) -> Seconds:
    """Loading, cleaning, rfm and audits of the transactions."""
    import great_expectations  # noqa: F401

    limits = Limits(memory_gb=MEMORY_GB)
    warehouse = Warehouse(home / "clv.duckdb", [csv.resolve().parent], limits)
    admissions = night(warehouse, settings_for(csv.name, csv.resolve().parent), today=date.today())
    warehouse.close()
    watch = bare_tables.build(csv, home / "floor.duckdb")
    with duckdb.connect(home / "clv.duckdb", read_only=True) as live, watch.stage("audits"):
        limits.apply(live)
        for table in (table for tables in STEPS for table in tables):
            names = [name for name, *_ in live.execute(f"describe {table}").fetchall()]
            seen = ", ".join(f'count("{name}"), min("{name}"), max("{name}")' for name in names)
            live.execute(f"select count(*), {seen} from {table}").fetchall()
    build = {table: admission.build_seconds for table, admission in admissions.items()}
    taken = {
        "loading": build["raw_transactions"],
        "cleaning": sum(build.values()) - build["raw_transactions"] - build["rfm"],
        "rfm": build["rfm"],
        "audits": sum(admission.audit_seconds for admission in admissions.values()),
    }
    return {layer: (seconds, watch.seconds[layer]) for layer, seconds in taken.items()}


def of_night(csv: Path, home: Path, turns: int) -> Seconds:
    """`clv run` where nothing has changed, and the imports; medians, in fresh processes."""
    configuration = home / "clv.yaml"
    # The cheapest models: in such a night none is fitted.
    configuration.write_text(
        yaml.safe_dump({"source": source_of(str(csv.resolve())), "models": ["own_rate", "hiatus"]})
    )
    environment = {
        **os.environ,
        "CLV_CONFIG": str(configuration),
        "CLV_HOME": str(home / "data"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    python, run = sys.executable, [sys.executable, "-c", "from clv_pipeline.cli.commands import main; main()", "run"]

    def seconds(command: Sequence[str]) -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started

    def median(command: Sequence[str]) -> float:
        return statistics.median(seconds(command) for _ in range(turns))

    seconds(run)
    return {
        "a night without news, `clv run`": (median(run), median([python, "-m", "benchmarks.layers", "--empty-job"])),
        "import of the code location": (
            median([python, "-c", "import clv_pipeline.definitions"]),
            median([python, "-c", LIBRARIES]),
        ),
    }


def run_empty_job() -> None:
    """A Dagster job of as many steps as the pipeline has, each of which does nothing."""
    import dagster as dg

    def step(number: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"step_{number}", deps=[f"step_{number - 1}"] if number else [])
        def nothing() -> None:
            pass

        return nothing

    assets = [step(number) for number in range(len(load_models()))]
    job = dg.define_asset_job("nothing")
    definitions = dg.Definitions(assets=assets, jobs=[job], executor=dg.in_process_executor)
    with tempfile.TemporaryDirectory(dir=WORK) as home, dg.DagsterInstance.local_temp(home) as instance:
        definitions.resolve_job_def("nothing").execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )


def table(rows: int, found: Seconds) -> str:
    """The layers as Markdown."""
    return "\n".join(
        [
            f"| {rows / 1e6:g} million lines | clv_pipeline, seconds | floor, seconds | × floor |",
            "|---|---:|---:|---:|",
            *(f"| {layer} | {s:.2f} | {floor:.2f} | {s / floor:.1f} |" for layer, (s, floor) in found.items()),
        ]
    )


def main() -> None:
    """Measure every layer beside its floor and write the comparison into docs/PERFORMANCE.md."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--rows", type=int, default=4_200_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--empty-job", action="store_true", help="only run the floor of a night")
    options = parser.parse_args()
    if options.empty_job:
        run_empty_job()
        return
    csv = csv_of(options.rows)
    measured = []
    for _ in range(options.turns):
        with tempfile.TemporaryDirectory(dir=WORK) as home:
            measured.append(of_data(csv, Path(home)))
    found = {}
    for layer in measured[0]:
        taken, floor = zip(*(turn[layer] for turn in measured), strict=True)
        found[layer] = statistics.median(taken), statistics.median(floor)
    with tempfile.TemporaryDirectory(dir=WORK) as home:
        found |= of_night(csv, Path(home), options.turns)
    text = table(options.rows, found)
    print(text)
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "layers", text))


if __name__ == "__main__":
    main()
