"""How long a cluster of one worker, and of two, takes to read 300 CSV files into raw_transactions.

The cluster is a standalone one of this machine: a master, workers with a core each, and a Connect server. Each load
reads every file anew, once before the clock runs and then three times. Writes the block `sources` of
docs/explanation/scaling.md.

Run: python -m benchmarks.sources_on_spark
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.generated_blocks import replace_block
from clv_pipeline.config.operation import Catalog, Spark
from clv_pipeline.config.settings import Settings
from clv_pipeline.contracts.loader import load_models
from clv_pipeline.orchestration.assets.ingestion import load_source, stage_load
from clv_pipeline.pipeline import Refresh
from clv_pipeline.spark.session import on_spark
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.acceptance.spark_session import cluster
from clv_pipeline_tests.helpers.order_folder import COLUMNS

FILES, LINES = 300, 10_000
LOADS = 3
TASKS = 8
DOCUMENT = Path("docs/explanation/scaling.md")


def write_files(folder: Path) -> None:
    """Write the files, one for a day."""
    folder.mkdir()
    for number in range(FILES):
        chance = np.random.default_rng(number)
        day = date(2024, 1, 1) + timedelta(days=number)
        pl.DataFrame(
            {
                "customer": chance.integers(0, 200_000, LINES),
                "order": np.arange(LINES) // 3 + number * LINES,
                "date": [
                    f"{day} {hour:02}:{minute:02}:00" for hour, minute in chance.integers(0, (24, 60), (LINES, 2))
                ],
                "product": [f"P{product}" for product in chance.integers(0, 5_000, LINES)],
                "quantity": chance.integers(1, 6, LINES),
                "price": chance.integers(100, 5_000, LINES) / 100,
            }
        ).write_csv(folder / f"{day}.csv")


def seconds_of_loads(folder: Path, workers: int) -> list[float]:
    """Of each load on a cluster of so many workers.

    Raises:
        SystemExit: workers did not read the files, or not all lines.
    """
    stated = {"source": {"transactions": {"path": "orders/*.csv", "columns": COLUMNS}}}
    source = Settings.from_mapping(stated, config_file=folder / "clv.yaml").source.transactions
    models = load_models()
    contracts = models["raw_transactions"].contract, models["source_files"].contract
    found = []
    with tempfile.TemporaryDirectory() as made, cluster(Path(made), workers) as (address, _):
        spark = Spark(remote=address, config={"spark.sql.shuffle.partitions": str(TASKS)})
        new_session = on_spark(spark, Catalog(), (Path(made) / "lake").as_uri())
        warehouse = Warehouse(Path(made) / "home" / "clv.duckdb", [folder, Path(made)], new_session=new_session)
        session = warehouse.open("benchmark")
        for _ in range(1 + LOADS):
            started = time.perf_counter()
            load = load_source(
                session, contracts, source, folder, Path(made) / "work", refresh=Refresh(full=True), recipe="benchmark"
            )
            stage_load(session, contracts, source, load)
            found.append(time.perf_counter() - started)
            print(f"{workers} workers: {found[-1]:.1f} s", flush=True)
            if load.why_here or sum(file.rows for file in load.files) != FILES * LINES:
                raise SystemExit("workers did not read all lines")
            session.drop_staged(contracts)
        warehouse.close()
    return found[1:]


def table(found: Mapping[int, list[float]]) -> str:
    """What was measured, as Markdown."""
    medians = {workers: statistics.median(seconds) for workers, seconds in found.items()}
    rows = [
        f"| {workers} | {medians[workers]:.1f} | {min(seconds):.1f} to {max(seconds):.1f}"
        f" | {medians[workers] / medians[1]:.2f} |"
        for workers, seconds in found.items()
    ]
    head = [f"| workers | seconds, median of {LOADS} | from, to | of one worker |", "|" + "---:|" * 4]
    return "\n".join([*head, *rows])


def main() -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_files(folder / "orders")
        found = {workers: seconds_of_loads(folder, workers) for workers in (1, 2)}
    print(table(found))
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "sources", table(found)))


if __name__ == "__main__":
    main()
