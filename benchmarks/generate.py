"""Write a seeded CSV of retail transactions (`raw_lines`), large enough to measure on.

Same seed and size give the same bytes.

Run: python -m benchmarks.generate --rows 4200000 --out benchmarks/work/transactions.csv
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measurement import WORK
from clv_pipeline.simulation.raw_lines import generate

if TYPE_CHECKING:
    import polars as pl

PART_ROWS = 10_000_000
"""Rows of one file; generating it takes 3 GB of memory."""


def write(path: Path, rows: int, *, seed: int = 0) -> None:
    """Write `generate(rows)` as CSV with header; a missing customer is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(generate(rows, seed=seed), path)


def csv_of(rows: int, files: int | None = None) -> Path:
    """A glob of the CSV files with so many lines that benchmarks read; generated where they are not there yet.

    They are as many as asked for, or each has `PART_ROWS` lines.
    """
    folder = WORK / (f"transactions_{rows}" if files is None else f"transactions_{rows}_in_{files}")
    write_parts(folder, rows, PART_ROWS if files is None else -(-rows // files))
    return folder / "*.csv"


def write_parts(folder: Path, rows: int, part_rows: int = PART_ROWS, *, seed: int = 0) -> None:
    """Write `rows` lines into CSV files of at most `part_rows`, each with customers of its own; only once."""
    if folder.exists():
        return
    unfinished = folder.with_suffix(".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    for part, first in enumerate(range(0, rows, part_rows)):
        lines = generate(min(part_rows, rows - first), seed=seed + part, first=first)
        _write(lines, unfinished / f"part_{part:03}.csv")
    unfinished.rename(folder)


def _write(lines: pl.DataFrame, path: Path) -> None:
    lines.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S", float_precision=2)


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rows", type=int, default=4_200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WORK / "transactions.csv")
    arguments = parser.parse_args()
    write(arguments.out, arguments.rows, seed=arguments.seed)
    print(f"{arguments.rows:,} rows, {arguments.out.stat().st_size / 1e6:,.0f} MB: {arguments.out}")


if __name__ == "__main__":
    main()
