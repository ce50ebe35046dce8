"""The counts of good and of broken files that the file gates stop, on two small shops."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.file_faults import (
    CUT,
    FIRST_JUDGED,
    GOALS,
    OTHER_SHOP,
    Count,
    Judge,
    choose,
    judged,
    stage_tolerances,
    table,
)
from clv_pipeline.config.settings import Settings
from clv_pipeline.database.connections import open_scratch
from clv_pipeline.sources import load_records
from clv_pipeline.warehouse import Session

DAYS = 40
COLUMNS = ("customer_id", "ordered_at", "amount")


def write_shop(path: Path, seed: int, prefix: str, cents: str) -> None:
    """Some 25 lines a day; `cents` are those of every amount."""
    draw = random.Random(seed)  # noqa: S311
    lines = [",".join(COLUMNS)]
    for day in range(DAYS):
        opens = datetime(2024, 1, 1, 8) + timedelta(days=day)
        for number in range(22 + draw.randrange(6)):
            at = opens + timedelta(minutes=25 * number)
            lines.append(f"{prefix}{draw.randrange(90)},{at},{draw.randrange(5, 15)}.{cents}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Count]]:
    """By fault, of the daily files of the first shop."""
    folder = tmp_path_factory.mktemp("shops")
    with open_scratch(None, [folder]) as connection:
        judge = Judge(Session(connection), folder / "cut")
        stage_tolerances(judge)
        for seed, (name, prefix, cents) in enumerate([("ours", "C", "00"), ("theirs", "K-", "99")]):
            path = folder / f"{name}.csv"
            write_shop(path, seed, prefix, cents)
            mapping = {"path": str(path), "columns": {column: column for column in COLUMNS}}
            shop = Settings.from_mapping({"source": {"transactions": mapping}})
            load_records(connection, name, shop.source.transactions, folder, folder / "load")
            if name == "ours":
                ours = shop
        choose(judge, "ours", ours)
        yield {count.fault: count for count in judged("ours", judge, ["theirs"]) if count.cadence == "daily"}


def test_no_good_file_is_stopped_and_every_one_after_the_first_is_tried(counts: dict[str, Count]) -> None:
    assert counts["good"] == Count("ours", "daily", "good", tried=DAYS - FIRST_JUDGED, stopped=0)


@pytest.mark.parametrize("fault", ["all dates unreadable", "customer and amount swapped", OTHER_SHOP])
def test_every_broken_file_is_stopped(counts: dict[str, Count], fault: str) -> None:
    assert counts[fault] == Count("ours", "daily", fault, tried=DAYS - FIRST_JUDGED, stopped=DAYS - FIRST_JUDGED)


def test_files_are_cut_and_loaded_for_real(counts: dict[str, Count]) -> None:
    """Files 30 and 40 are tried."""
    assert counts[CUT] == Count("ours", "daily", CUT, tried=2, stopped=2)


def test_the_table_has_a_line_per_fault_and_its_goal(counts: dict[str, Count]) -> None:
    shown = table([Count("cdnow", "daily", count.fault, count.tried, count.stopped) for count in counts.values()], [])
    assert "| good: stopped for nothing | 0.0% of 12 | 0.0% of 12 | at most 1% |" in shown
    assert f"| {CUT} | 100.0% of 2 | 100.0% of 2 | at least 80% |" in shown
    assert [line for line in GOALS if f"| {line} |" not in shown] == []
