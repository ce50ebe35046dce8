"""What a night costs that brings one new day, beside reading everything: from daily files to promoted rfm.

The generated transactions are cut into daily files. The first night reads all but the last day, the second brings that
day, the third brings nothing; then everything is read again. Engine time is what is left without audits.

Run: python -m benchmarks.nightly
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from pathlib import Path

import polars as pl

from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import DOCUMENT, WORK
from benchmarks.pipeline import settings_for
from clv_pipeline.pipeline import Refresh
from clv_pipeline.simulation.raw_lines import generate
from clv_pipeline.warehouse import Warehouse
from clv_pipeline_tests.helpers.nights import night


def write_daily_files(folder: Path, rows: int, days: int) -> list[Path]:
    """About `rows` transactions as `days` CSV files of consecutive, equally large parts of time."""
    folder.mkdir(parents=True)
    transactions = generate(rows)
    part = pl.int_range(pl.len()) * days // pl.len()
    paths = []
    for number, lines in enumerate(transactions.with_columns(part=part).partition_by("part", include_key=False)):
        paths.append(folder / f"day_{number:03}.csv")
        lines.write_csv(paths[-1], datetime_format="%Y-%m-%d %H:%M:%S")
    return paths


def main() -> None:
    """Measure three nights and a full refresh in one run, and write the comparison into docs/PERFORMANCE.md."""
    import great_expectations  # noqa: F401

    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--rows", type=int, default=4_200_000)
    parser.add_argument("--files", type=int, default=300)
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as name:
        folder = Path(name)
        *_, newest = write_daily_files(folder / "orders", options.rows, options.files)
        waiting = newest.rename(folder / newest.name)
        settings = settings_for("orders/*.csv", folder)
        warehouse = Warehouse(folder / "home" / "clv.duckdb", [folder])

        def measure(refresh: Refresh) -> tuple[float, float]:
            """Seconds of the engine and of the audits.

            Raises:
                SystemExit: a table was refused.
            """
            started = time.perf_counter()
            admissions = night(warehouse, settings, today=date.today(), refresh=refresh).values()
            refused = [str(failure) for admission in admissions for failure in admission.failures]
            if refused:
                raise SystemExit("\n".join(refused))
            warehouse.close()
            audits = sum(admission.audit_seconds for admission in admissions)
            return time.perf_counter() - started - audits, audits

        first = measure(Refresh())
        waiting.rename(newest)
        results = {
            "first night, all files but one": first,
            "a night with one new day": measure(Refresh()),
            "a night with nothing new": measure(Refresh()),
            "full refresh": (full := measure(Refresh(full=True))),
        }
    lines = [
        f"| {options.rows:,} lines in {options.files} daily files | engine, seconds | share of a full refresh"
        " | audits, seconds |",
        "|---|---:|---:|---:|",
        *(f"| {what} | {s:.2f} | {s / full[0]:.0%} | {audits:.2f} |" for what, (s, audits) in results.items()),
    ]
    print("\n".join(lines))
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "nightly", "\n".join(lines)))


if __name__ == "__main__":
    main()
