"""The pipeline beside one bare query, bare tables, polars, and pandas with lifetimes, from 1 to 100 million lines.

All ways read the same CSV files in the same run. Each runs in a process of its own, in turn, several times; ratios are
taken within a turn and their median is shown, because a machine's speed drifts. Seconds are this machine's, the ratios
are what to compare. Writes the block `raw_to_rfm` of docs/PERFORMANCE.md and the picture beside it.

Run: python -m benchmarks.raw_to_rfm (`make bench`); --rows and --turns measure less
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.generate import csv_of
from benchmarks.generated_blocks import replace_block
from benchmarks.measurement import DOCUMENT, report_of
from clv_pipeline.publication.charts.look import finish
from clv_pipeline.publication.charts.pictures import specified

Turn = dict[str, dict[str, Any]]
"""What one turn measured: reports by way."""

ROWS = (1_000_000, 4_200_000, 10_000_000, 30_000_000, 100_000_000)
MOST_ROWS = {
    "floor": 100_000_000,
    "bare_tables": 100_000_000,
    "pipeline": 100_000_000,
    "polars_rfm": 30_000_000,
    "pandas_lifetimes": 10_000_000,
}
"""What a way is tried on; beyond, polars and pandas need more memory than 16 GB."""
STEADY_ROWS = 10_000_000
"""Beyond, one turn is enough: it lasts long enough for the drift to even out."""
PICTURE = Path("docs/images/growth.png")
SHOWN = (
    "![Seconds and peak memory from 1 to 100 million lines: the pipeline beside one bare query, polars, and pandas with"
    " lifetimes](images/growth.png)"
)
ENGINE, AUDITS = "clv_pipeline, engine", "clv_pipeline, audits on top"
NAMES = {
    "floor": "one bare DuckDB query (the floor)",
    "bare_tables": "the tables on the way, by four bare statements",
    "polars_rfm": "polars",
    "pandas_lifetimes": "pandas + lifetimes",
}


def turns_of(rows: int, turns: int) -> list[Turn]:
    """All ways that are tried on so many rows, in turn.

    Raises:
        SystemExit: they disagree on the number of customers.
    """
    csv = csv_of(rows)
    ways = [way for way, most in MOST_ROWS.items() if rows <= most]
    measured = [{way: report_of(f"benchmarks.{way}", csv, quiet=True) for way in ways} for _ in range(turns)]
    if len(agreed := {report["customers"] for turn in measured for report in turn.values()}) != 1:
        raise SystemExit(f"{rows:,} rows: the ways disagree on the number of customers: {sorted(agreed)}")
    return measured


def lines_of(rows: int, turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """A record per way: rows, way, seconds, times the floor, peak memory (MB): medians over the turns."""

    def record(name: str, way: str, stage: str | None) -> dict[str, Any]:
        seconds = [turn[way]["seconds"][stage] if stage else turn[way]["total_seconds"] for turn in turns]
        ratios = [s / turn["floor"]["total_seconds"] for s, turn in zip(seconds, turns, strict=True)]
        return {
            "rows": rows,
            "way": name,
            "seconds": statistics.median(seconds),
            "ratio": statistics.median(ratios),
            "peak_mb": statistics.median(turn[way]["peak_rss_mb"] for turn in turns),
        }

    others = [record(name, way, None) for way, name in NAMES.items() if way in turns[0]]
    return [*others[:2], record(ENGINE, "pipeline", "engine"), record(AUDITS, "pipeline", "audits"), *others[2:]]


def table(lines: Sequence[dict[str, Any]]) -> str:
    """The records as Markdown."""
    return "\n".join(
        [
            "| lines | from CSV to frequency, recency, revenue | seconds | × floor | peak memory, MB |",
            "|---:|---|---:|---:|---:|",
            *(
                f"| {line['rows'] / 1e6:g} million | {line['way']} | {line['seconds']:.1f} | {line['ratio']:.1f} "
                f"| {line['peak_mb']:,.0f} |"
                for line in lines
            ),
        ]
    )


def draw(lines: Sequence[dict[str, Any]]) -> bytes:
    """Seconds and peak memory over rows, both logarithmic, as PNG."""
    import altair as alt
    import polars as pl
    import vl_convert

    frame = pl.DataFrame([line for line in lines if line["way"] != AUDITS]).with_columns(pl.col("rows") / 1e6)
    base = (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            x=alt.X("rows:Q", title="million lines", scale=alt.Scale(type="log")),
            color=alt.Color("way:N", title=None, legend=alt.Legend(orient="top", columns=2, labelLimit=300)),
        )
        .properties(width=330, height=260)
    )
    seconds = base.encode(y=alt.Y("seconds:Q", title="seconds", scale=alt.Scale(type="log")))
    memory = base.encode(y=alt.Y("peak_mb:Q", title="peak memory, MB", scale=alt.Scale(type="log")))
    title = "From CSV to frequency, recency and revenue"
    subtitle = "Time grows with the lines; the pipeline's memory stays where its limit is. Both axes are logarithmic."
    chart = specified(finish(alt.hconcat(seconds, memory), title, subtitle))
    return bytes(vl_convert.vegalite_to_png(chart, scale=1.5))


def main() -> None:
    """Measure every size, write table and picture into the documentation, and print the table."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    lines: list[dict[str, Any]] = []
    for rows in options.rows:
        turns = turns_of(rows, options.turns if rows <= STEADY_ROWS else 1)
        lines += lines_of(rows, turns)
        print(f"{rows:,} rows, engine seconds by table: {turns[-1]['pipeline']['engine_seconds']}")
        print(f"{rows:,} rows, audit seconds by table: {turns[-1]['pipeline']['audit_seconds']}")
    print(table(lines))
    if tuple(options.rows) == ROWS:
        DOCUMENT.write_text(replace_block(DOCUMENT.read_text(), "raw_to_rfm", f"{table(lines)}\n\n{SHOWN}"))
        PICTURE.write_bytes(draw(lines))


if __name__ == "__main__":
    main()
