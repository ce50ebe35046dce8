"""Test whether `storage.home` keeps growing: sixty nights of a small shop, each with one more day of orders.

Writes the block `soak` of docs/explanation/reliability.md. It fails if the home grows by more than a fifth between the
twentieth night and the last. A night is a whole `clv run` with the cheapest model; every seventh night reviews the
models. After each night, Dagster's records of earlier runs become a day older.

Run: python -m benchmarks.soak (`make soak`); about a quarter of an hour
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import polars as pl

from benchmarks.generated_blocks import replace_block
from clv_pipeline.config.settings import Settings
from clv_pipeline.simulation.raw_lines import generate

DOCUMENT = Path("docs/explanation/reliability.md")
NIGHTS, SETTLED = 60, 20
MOST_GROWTH = 1.2
"""Largest size of the home after the last night, as a multiple of its size when it first held everything it keeps."""
HISTORY_DAYS = 7
REVIEW_EVERY = 7
ROWS = 20_000
SHOWN = (1, HISTORY_DAYS, SETTLED, 40, NIGHTS)
PARTS = ("warehouse", "published", "dagster")
COLUMNS = ("customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price")


def settings_of(folder: Path) -> Settings:
    """A shop in `folder/orders`; everything else is in `folder/home`."""
    return Settings.from_mapping(
        {
            "source": {"transactions": {"path": "orders/*.csv", "columns": {name: name for name in COLUMNS}}},
            "storage": {"home": str(folder / "home"), "history_days": HISTORY_DAYS},
            "models": ["own_rate"],
            "forecast": {"horizons_days": [30, 90]},
            "backtest": {"origins": 2},
            # Days of thirty lines, which are few orders, differ too much to be judged.
            "gates": {"rows": "warn", "hours": "warn", "line_amount": "warn", "files": "warn"},
        },
        config_file=folder / "clv.yaml",
    )


def deliveries(orders: Path, nights: int) -> Iterator[None]:
    """Write the files of each night: first two years less `nights` days in one file, then one file per night."""
    orders.mkdir()
    lines = generate(ROWS)
    day = pl.col("ordered_at").dt.date()
    days = lines.select(day.unique().sort()).to_series()
    first = days[-nights]
    lines.filter(day <= first).write_csv(orders / "history.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    yield
    for new in days[-nights + 1 :]:
        lines.filter(day == new).write_csv(orders / f"{new}.csv", datetime_format="%Y-%m-%d %H:%M:%S")
        yield


def age_runs(home: Path) -> None:
    """Make all of Dagster's records of runs a day older."""
    with closing(sqlite3.connect(home / "dagster" / "history" / "runs.db")) as runs, runs:
        runs.execute(
            "update runs set create_timestamp = datetime(create_timestamp, '-1 day'),"
            " start_time = start_time - 86400, end_time = end_time - 86400"
        )


def sizes(home: Path) -> dict[str, int]:
    """Total bytes of all files of the home, by part and in all."""
    parts = {part: home / part for part in PARTS} | {"all": home}
    return {
        part: sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        for part, folder in parts.items()
    }


def measure(folder: Path, nights: int) -> dict[int, dict[str, int]]:
    """The sizes of the home after each night.

    Raises:
        SystemExit: a night failed.
    """
    from clv_pipeline.orchestration.runner import run_nightly
    from clv_pipeline.pipeline import Refresh

    settings = settings_of(folder)
    measured = {}
    for number, _ in enumerate(deliveries(folder / "orders", nights), start=1):
        everything = "*" if number % REVIEW_EVERY == 0 else None
        told: list[str] = []
        outcome = run_nightly(settings, select=everything, refresh=Refresh(), echo=told.append)
        if not outcome.success:
            raise SystemExit("\n".join([*told, f"night {number} failed"]))
        measured[number] = sizes(settings.home)
        print(f"night {number}: {measured[number]['all'] / 1e6:.1f} MB", flush=True)
        age_runs(settings.home)
    return measured


def table(measured: dict[int, dict[str, int]]) -> str:
    """The sizes of a few nights as Markdown, and the growth since the home had settled."""
    shown = [night for night in SHOWN if night in measured]
    lines = [
        f"| MB in `storage.home` after night | {' | '.join(map(str, shown))} |",
        f"|---|{'---:|' * len(shown)}",
        *(
            f"| {part} | {' | '.join(f'{measured[night][part] / 1e6:.1f}' for night in shown)} |"
            for part in (*PARTS, "all")
        ),
    ]
    return "\n".join([*lines, "", f"Night {NIGHTS} against night {SETTLED}: {growth(measured):.2f} times."])


def growth(measured: dict[int, dict[str, int]]) -> float:
    """The home after the last night, as a multiple of what it was after `SETTLED` of them."""
    return measured[max(measured)]["all"] / measured[SETTLED]["all"]


def check(measured: dict[int, dict[str, int]]) -> None:
    """End with an error where the home has gone on growing.

    Raises:
        SystemExit: it has.
    """
    if growth(measured) > MOST_GROWTH:
        raise SystemExit(f"the home has grown by more than {MOST_GROWTH} times since night {SETTLED}")


def main() -> None:
    """Spend the nights, write the sizes into the document, and fail where the home has gone on growing."""
    parser = argparse.ArgumentParser(description=str(main.__doc__))
    parser.add_argument("--work", type=Path, help="an empty folder for the shop and its home; by default a new one")
    options = parser.parse_args()
    os.environ.pop("DAGSTER_HOME", None)
    os.environ.pop("CLV_HOME", None)
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        measured = measure(Path(folder), NIGHTS)
    block = table(measured)
    DOCUMENT.write_text(replace_block(DOCUMENT.read_text(encoding="utf-8"), "soak", block), encoding="utf-8")
    print(block)
    check(measured)


if __name__ == "__main__":
    main()
