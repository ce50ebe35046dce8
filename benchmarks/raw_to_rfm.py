"""The pipeline beside one bare query and beside pandas with lifetimes, on the same CSV in the same run.

Each way runs in a process of its own, in turn, several times; ratios are taken within a turn and their median is
shown, because a machine's speed drifts. Seconds are this machine's, the ratios are what to compare.

Run: python -m benchmarks.raw_to_rfm (`make bench`)
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.generate import write

WORK = Path("benchmarks/work")
WAYS = ("floor", "pipeline", "pandas_lifetimes")


def measure(way: str, csv: Path) -> dict[str, Any]:
    """The report of one way, run in a fresh process."""
    out = csv.with_name(f"{way}.json")
    subprocess.run(
        [sys.executable, "-m", f"benchmarks.{way}", "--csv", str(csv), "--out", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def table(turns: list[dict[str, dict[str, Any]]]) -> str:
    """The comparison as Markdown: medians over the turns, ratios taken turn by turn."""

    def median(of: Callable[[dict[str, dict[str, Any]]], float]) -> float:
        return statistics.median(of(turn) for turn in turns)

    def row(what: str, way: str, seconds: Callable[[dict[str, Any]], float]) -> str:
        return (
            f"| {what} | {median(lambda t: seconds(t[way])):.1f} "
            f"| {median(lambda t: seconds(t[way]) / t['floor']['total_seconds']):.1f} "
            f"| {median(lambda t: t[way]['peak_rss_mb']):,.0f} |"
        )

    return "\n".join(
        [
            "| from CSV to frequency, recency, revenue | seconds | × floor | peak memory, MB |",
            "|---|---:|---:|---:|",
            row("floor: one bare DuckDB query, nothing stored", "floor", lambda r: r["total_seconds"]),
            row("clv_pipeline, engine: every table stored and promoted", "pipeline", lambda r: r["seconds"]["engine"]),
            row("clv_pipeline, audits on top", "pipeline", lambda r: r["seconds"]["audits"]),
            row("pandas + lifetimes", "pandas_lifetimes", lambda r: r["total_seconds"]),
        ]
    )


def main() -> None:
    """Generate the CSV if it is not there, measure all ways in turn, print the comparison."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--rows", type=int, default=4_200_000)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    csv = WORK / f"transactions_{options.rows}.csv"
    if not csv.exists():
        csv.parent.mkdir(parents=True, exist_ok=True)
        write(csv, options.rows)
    turns = [{way: measure(way, csv) for way in WAYS} for _ in range(options.turns)]
    agreed = {report["customers"] for turn in turns for report in turn.values()}
    if len(agreed) != 1:
        raise SystemExit(f"the ways disagree on the number of customers: {sorted(agreed)}")
    print(f"{options.rows:,} rows, {agreed.pop():,} customers, median of {options.turns} turns\n")
    print(table(turns))
    print("\nengine seconds by table:", turns[-1]["pipeline"]["engine_seconds"])
    print("audit seconds by table:", turns[-1]["pipeline"]["audit_seconds"])


if __name__ == "__main__":
    main()
