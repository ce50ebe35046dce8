"""The command lines that benchmarks share. What is measured, and how it is reported, is not here."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.generate import csv_of
from benchmarks.measurement import WORK, report_of, save

T = TypeVar("T")


def measure_once(run: Callable[[Path], tuple[dict[str, Any], Any]], description: str | None) -> None:
    """The command of one way to rfm: write its report on CSV files (`--csv`, a glob) as JSON (`--out`)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--csv", type=Path, default=WORK / "transactions.csv")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    result, _ = run(options.csv)
    save(result, options.out)


def measure_sizes(
    module: str,
    run: Callable[[Path], dict[str, Any]],
    sizes: Sequence[int],
    description: str | None,
    files: int | None = None,
) -> list[dict[str, Any]]:
    """The command of a benchmark over several numbers of lines (`--rows`): its reports, in their order.

    The lines are in so many `files`, or in as many as hold them. Each size runs in a process of its own: the same
    command with `--csv` and `--out`, which ends here.

    Raises:
        SystemExit: the process measured one size, and has written its report.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rows", type=int, nargs="+", default=sizes)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.csv and options.out:
        save(run(options.csv), options.out)
        raise SystemExit
    return [{**report_of(module, csv_of(rows, files)), "rows": rows} for rows in options.rows]


def in_new_folder(run: Callable[[Path, Path], T]) -> Callable[[Path], T]:
    """`run` without its second argument: it is given a new folder, which is removed with all that it leaves there."""

    def in_folder(csv: Path) -> T:
        with tempfile.TemporaryDirectory(dir=WORK) as home:
            return run(csv, Path(home).resolve())

    return in_folder
